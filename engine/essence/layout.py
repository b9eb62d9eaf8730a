"""Names and small formats of the members of an Essence avatar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidAvatar

CLIPS = "clips.json"
CODEBOOK = "codebook.npy"
MASK = "mouth/mask.png"
THUMB = "thumb.webp"
BACKDROP = "backdrop.webp"
WORDS = "gestures.json"

Pose = NDArray[np.int64]
Affine = NDArray[np.float64]


def clip_name(clip: str) -> str:
    """Member that holds the video of a clip."""
    return f"clips/{clip}.mp4"


def alpha_name(clip: str) -> str:
    """Member that holds how much of each pixel of a clip is the person."""
    return f"clips/{clip}.alpha.mp4"


def patch_name(pose: int, shape: int) -> str:
    """Member that holds one patch of the mouth bank."""
    return f"mouth/{pose:02d}/{shape:03d}.webp"


KINDS: Final = ("idle", "speaking", "listening")


@dataclass(frozen=True)
class Walk:
    """How an avatar finds its way through its clips.

    Attributes:
        hubs: frames of the idle clip that all look alike, where gestures begin and end, ascending.
        kinds: what goes on from each hub to the next, of `KINDS`; empty where nothing is known.
        reversible: the idle clip may be played backwards.
        mouths: base frame to the mouth shape that belongs to a gesture while nothing is said.
    """

    hubs: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    reversible: bool = False
    mouths: Mapping[int, int] = field(default_factory=dict)


def format_clips(
    clips: Mapping[str, tuple[Pose, Affine]],
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> bytes:
    """``clips.json``: for every frame the bank pose and the map from patch to frame.

    Args:
        clips: name to bank pose (n,) and affine (n, 2, 3) of every frame.
        more: of ``idle`` its ``hubs``, ``kinds`` and ``reversible``, see `Walk`; of a gesture
            ``mouth``, the shape of each frame, 0 for closed.
    """
    table: dict[str, dict[str, Any]] = {
        name: {
            "pose": pose.tolist(),
            # A ten-thousandth of a pixel is more than enough; -0.0 would be a second zero.
            "affine": (affine.reshape(-1, 6).round(6) + 0.0).tolist(),
        }
        for name, (pose, affine) in clips.items()
    }
    for name, entries in (more or {}).items():
        table[name] |= entries
    return json.dumps(table, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def parse_clip(data: bytes, clip: str, *, frames: int, poses: int) -> tuple[Pose, Affine]:
    """Read one clip of ``clips.json``.

    Args:
        data: the member.
        clip: which clip.
        frames: its length by the manifest.
        poses: poses of the bank by the manifest.

    Returns:
        Bank pose (frames,) and affine (frames, 2, 3), row-major, of every frame.

    Raises:
        InvalidAvatar: missing, malformed or out of range.
    """

    def bad(reason: str) -> InvalidAvatar:
        return InvalidAvatar(f'{CLIPS}: clip "{clip}" {reason}', member=CLIPS)

    try:
        entry = json.loads(data)[clip]
        pose, affine = np.array(entry["pose"]), np.array(entry["affine"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad("is missing or malformed") from error
    if pose.shape != (frames,) or pose.dtype.kind != "i":
        raise bad(f"does not name a pose for each of its {frames} frames")
    if pose.min() < 0 or pose.max() >= poses:
        raise bad(f"uses a pose outside 0 to {poses - 1}")
    if affine.shape != (frames, 6) or affine.dtype.kind not in "if":
        raise bad(f"does not place the patch on each of its {frames} frames")
    matrix = affine.astype(np.float64).reshape(frames, 2, 3)
    # Also false for NaN. A patch is placed with little turn and stretch.
    if not (np.abs(matrix[:, :, :2]) <= 4).all() or not (np.abs(matrix[:, :, 2]) <= 1e5).all():
        raise bad("places the patch in an impossible way")
    return pose.astype(np.int64), matrix


def parse_walk(data: bytes, clips: Mapping[str, tuple[int, int]], *, shapes: int) -> Walk:
    """What ``clips.json`` says of the way through the clips; little in older files.

    Args:
        data: the member.
        clips: name to first base frame and length.
        shapes: of the bank.

    Raises:
        InvalidAvatar: malformed or out of range.
    """
    frames = clips["idle"][1]
    try:
        table = json.loads(data)
        idle = table["idle"]
        hubs, kinds = idle.get("hubs", []), idle.get("kinds", [])
        reversible = idle.get("reversible", False)
        given = {name: table[name].get("mouth") for name in clips if name != "idle"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _malformed("idle", "clips") from error
    if (
        not _whole(hubs, 0, frames - 1)
        or hubs != sorted(set(hubs))
        or not isinstance(reversible, bool)
    ):
        raise _malformed("idle", "hubs")
    if not isinstance(kinds, list) or any(kind not in KINDS for kind in kinds):
        raise _malformed("idle", "kinds")
    if kinds and len(kinds) != len(hubs):
        raise _malformed("idle", "kinds")
    mouths: dict[int, int] = {}
    for name, row in given.items():
        if row is None:
            continue
        first, length = clips[name]
        if not _whole(row, 0, shapes - 1) or len(row) != length:
            raise _malformed(name, "mouths")
        mouths |= {first + i: shape for i, shape in enumerate(row) if shape}
    return Walk(tuple(hubs), tuple(kinds), reversible, mouths)


def _whole(values: object, low: int, high: int) -> bool:
    """Whether they are a list of whole numbers in a range."""
    return isinstance(values, list) and all(type(v) is int and low <= v <= high for v in values)


def _malformed(clip: str, what: str) -> InvalidAvatar:
    return InvalidAvatar(f'{CLIPS}: clip "{clip}" has no proper {what}', member=CLIPS)
