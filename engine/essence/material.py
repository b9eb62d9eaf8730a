"""What an Essence avatar is put together from, whether it comes from a photo or from clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import INDEX
from engine.essence import bank
from engine.essence.region import MouthRegion
from engine.face import topology
from engine.face.field import Pose
from engine.face.renderer import Renderer

__all__ = ["Look", "Material", "Take", "anchor_weights", "place", "widest"]

Image = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_LIPS: Final = tuple({i for ring in (*topology.UPPER_LIP, *topology.LOWER_LIP) for i in ring})
_LIP_WEIGHT: Final = 8.0  # a patch may miss the cheek by a pixel, the lips by a third of one


@dataclass(frozen=True)
class Look:
    """One pose of the mouth bank: a face, and how it is held.

    Attributes:
        renderer: the face.
        pose: yaw, pitch, roll in degrees relative to the renderer's own.
        units: further ARKit units, a smile for example.
    """

    renderer: Renderer
    pose: Pose = (0.0, 0.0, 0.0)
    units: Mapping[str, float] = field(default_factory=dict)

    def patch(self, mouth: Floats, region: MouthRegion) -> Image:
        """The mouth with a shape (16,), BGR uint8 of the size of the region."""
        return self.renderer.render_patch(
            mouth, region.box, pose=self.pose, units=self.units, quality="cubic"
        )


@dataclass(frozen=True)
class Take:
    """One clip before it is encoded.

    Attributes:
        frames: gives its pictures from the beginning, BGR uint8, mouth closed; with each the
            share of the person as ``pack_alpha`` makes it, or nothing.
        pose: int (n,) the look whose patches fit each frame.
        affine: float64 (n, 2, 3) patch pixels to frame pixels.
        loop: the last frame leads to the first.
        hubs: frames that all look alike, see `layout.Walk`.
        kinds: what goes on from each hub to the next, if that is known.
        reversible: may be played backwards.
        mouth: of a gesture the shape in each frame while nothing is said, 0 closed; or empty.
    """

    frames: Callable[[], Iterator[tuple[Image, bytes]]]
    pose: NDArray[np.int64]
    affine: Doubles
    loop: bool = False
    hubs: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    reversible: bool = False
    mouth: tuple[int, ...] = ()

    def more(self) -> dict[str, Any]:
        """What ``clips.json`` says besides poses and places."""
        entries = {
            "hubs": list(self.hubs),
            "kinds": list(self.kinds),
            "reversible": self.reversible,
            "mouth": list(self.mouth),
        }
        return {key: value for key, value in entries.items() if value}

    def __len__(self) -> int:
        return len(self.pose)


@dataclass
class Material:
    """All of an avatar before it is encoded.

    Attributes:
        size: width and height in pixels.
        region: where patches go.
        looks: poses of the mouth bank.
        takes: by name; ``idle``, then the gestures.
        rest: the face at rest.
        picture: it as the frame that clips begin and end with, the hub.
        digest: SHA-256 of the source.
        backdrop: the picture behind the person, where every take knows who that is.
        source: what that was.
    """

    size: tuple[int, int]
    region: MouthRegion
    looks: list[Look]
    takes: dict[str, Take]
    rest: Renderer
    picture: Image
    digest: str
    backdrop: Image | None
    source: str = "one picture"


def anchor_weights(region: MouthRegion) -> tuple[NDArray[np.bool_], Doubles]:
    """Which anchors are on the lips, and what each anchor, then each of those, weighs."""
    lips = np.isin(region.anchors, _LIPS)
    weights = np.concatenate([np.where(lips, _LIP_WEIGHT, 1.0), np.full(lips.sum(), _LIP_WEIGHT)])
    return lips, weights


def widest(codebook: Floats) -> Floats:
    """The most open shape."""
    return np.asarray(codebook[codebook[:, INDEX["jawOpen"]].argmax()], np.float32)


def place(
    region: MouthRegion,
    looks: list[Look],
    labels: NDArray[np.int64],
    frames: list[Look],
    codebook: Floats,
) -> Doubles:
    """For frames that a rig has drawn, the affine map from patch pixels to frame pixels.

    Args:
        region: of the patches.
        looks: of the bank.
        labels: (n,) look of each frame.
        frames: how the face is held in each frame, n of them.
        codebook: (S, 16).
    """
    corner = np.array(region.box[:2], np.float64)
    lips, weights = anchor_weights(region)
    opened = widest(codebook)
    known: dict[int, Doubles] = {}

    def points(look: Look) -> Doubles:
        # The lips at both ends of their way: fitted to closed ones only, open ones would jump by
        # a third of a pixel where the bank pose changes.
        key = id(look)
        if key not in known:
            face = look.renderer
            known[key] = np.concatenate(
                [
                    face.posed_points(look.pose, units=look.units)[region.anchors],
                    face.posed_points(look.pose, opened, units=look.units)[region.anchors[lips]],
                ]
            ).astype(np.float64)
        return known[key]

    return np.stack(
        [
            bank.fit_affine(points(looks[label]) - corner, points(look), weights)
            for look, label in zip(frames, labels, strict=True)
        ]
    )
