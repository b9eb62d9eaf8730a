"""Names and small formats of the members of an Essence avatar."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidAvatar

CLIPS = "clips.json"
CODEBOOK = "codebook.npy"
MASK = "mouth/mask.png"
THUMB = "thumb.webp"
BACKDROP = "backdrop.webp"

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


def format_clips(
    clips: Mapping[str, tuple[Pose, Affine]], hubs: Mapping[str, Sequence[int]] | None = None
) -> bytes:
    """``clips.json``: for every frame the bank pose and the map from patch to frame.

    Args:
        clips: name to bank pose (n,) and affine (n, 2, 3) of every frame.
        hubs: frames of a clip at which the face is at rest, where gestures begin and end.
    """
    table: dict[str, dict[str, Any]] = {
        name: {
            "pose": pose.tolist(),
            # A ten-thousandth of a pixel is more than enough; -0.0 would be a second zero.
            "affine": (affine.reshape(-1, 6).round(6) + 0.0).tolist(),
        }
        for name, (pose, affine) in clips.items()
    }
    for name, frames in (hubs or {}).items():
        table[name]["hubs"] = list(frames)
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


def parse_hubs(data: bytes, clip: str, *, frames: int) -> tuple[int, ...]:
    """Frames of a clip at which gestures begin and end; none in files that do not know of any.

    Raises:
        InvalidAvatar: not ascending frames of the clip.
    """
    try:
        hubs = json.loads(data)[clip].get("hubs", [])
        fine = isinstance(hubs, list) and all(type(hub) is int for hub in hubs)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fine = False
    if not fine or hubs != sorted(set(hubs)) or not all(0 <= hub < frames for hub in hubs):
        raise InvalidAvatar(f'{CLIPS}: clip "{clip}" has no proper hubs', member=CLIPS)
    return tuple(hubs)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a lossy WebP file without decoding it; None if it is not one.

    RFC 9649, section 2.5: a ``VP8`` key frame has 14-bit sizes after its start code.
    """
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8 " or data[23:26] != b"\x9d\x01\x2a":
        return None
    width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    return width, height


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG file without decoding it; None if it is not one."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
