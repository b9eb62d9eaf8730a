"""What is in the file of an Essence avatar: read once, and checked against its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS
from engine.errors import InvalidAvatar
from engine.essence import layout
from engine.essence.clips import Settle, decode
from engine.essence.layers import Layers
from engine.essence.parallel import ordered_map
from engine.essence.splice import GridJpeg, encode
from engine.imx import Clip, Mouth, Reader, load_npy
from engine.pictures import png_size

__all__ = ["BASE_QUALITY", "MAX_CLIP_PIXELS", "Contents", "read_contents"]

Image = NDArray[np.uint8]

BASE_QUALITY: Final = 90
"""JPEG quality of the base frames held in memory."""
MAX_CLIP_PIXELS: Final = 1 << 31
"""Most pixels of all frames together that are accepted: five minutes at 512x512."""
_MAX_CLIP_BYTES: Final = 256 << 20  # of its frames held as JPEG
_MAX_TABLE: Final = 8 << 20  # bytes of clips.json; parsed it takes thirty times as much


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """An avatar as it is stored, but for its clips, which are held as JPEG.

    Attributes:
        size: width and height of a frame in pixels.
        clips: name to first base frame and length; ``idle``, then the gestures in order.
        bases: base frames of all clips.
        pose: int (frames,), the bank pose used on each frame.
        affine: float64 (frames, 2, 3), patch pixels (x, y) to frame pixels.
        walk: how a director finds its way through the clips.
        roi: (x0, y0, x1, y1), the box of a patch at its own pose.
        codebook: float32 (shapes, 16); the first row is rest and has no patch.
        patches: WebP by pose and shape.
        mask: uint8 of the size of a patch: how much of the patch is seen.
        mask_png: the same as a grey PNG.
        layers: the person apart from what is behind, where the file has a matte.
    """

    size: tuple[int, int]
    clips: dict[str, tuple[int, int]]
    bases: list[GridJpeg]
    pose: NDArray[np.int64]
    affine: NDArray[np.float64]
    walk: layout.Walk
    roi: tuple[int, int, int, int]
    codebook: NDArray[np.float32]
    patches: dict[tuple[int, int], bytes]
    mask: Image
    mask_png: bytes
    layers: Layers | None

    @property
    def patch_size(self) -> tuple[int, int]:
        """Width and height of a patch in pixels."""
        x0, y0, x1, y1 = self.roi
        return x1 - x0, y1 - y0


def read_contents(reader: Reader) -> Contents:
    """Read an open file; it is not needed afterwards.

    Raises:
        InvalidAvatar: it is not an Essence avatar, or a member is missing, is not what the
            manifest promises, or asks for more memory than any avatar needs.
    """
    manifest = reader.manifest
    mouth = manifest.mouth
    if manifest.kind != "essence" or mouth is None:
        raise InvalidAvatar(
            f"{reader.path.name} is an {manifest.kind} avatar, not an essence one",
            member="manifest.json",
        )
    width, height = size = manifest.width, manifest.height
    idle = manifest.clips["idle"]
    stored = {"idle": idle, **{name: manifest.clips[name] for name in manifest.gestures}}
    clips: dict[str, tuple[int, int]] = {}
    frames = 0
    for name, clip in stored.items():
        clips[name] = (frames, clip.frames)
        frames += clip.frames
    if frames * width * height > MAX_CLIP_PIXELS:
        raise InvalidAvatar(
            f"the clips are too long: {frames} frames of {width}x{height}", member=idle.member
        )
    if reader.members.get(layout.CLIPS, 0) > _MAX_TABLE:
        raise InvalidAvatar(f"{layout.CLIPS} is too large", member=layout.CLIPS)
    codebook = _codebook(reader, mouth)
    table = reader.read(layout.CLIPS)
    tables = [
        layout.parse_clip(table, name, frames=clip.frames, poses=mouth.poses)
        for name, clip in stored.items()
    ]
    walk = layout.parse_walk(table, clips, shapes=mouth.shapes)
    x0, y0, x1, y1 = mouth.roi
    mask_png = reader.read(mouth.mask)
    mask = _decode_mask(mask_png, mouth.mask, (x1 - x0, y1 - y0))
    patches = {
        (pose, shape): _patch(reader, layout.patch_name(pose, shape))
        for pose in range(mouth.poses)
        for shape in range(1, mouth.shapes)
    }
    layers = Layers.read(reader, stored)
    bases: list[GridJpeg] = []
    settle = Settle()
    for name, clip in stored.items():
        # Gestures begin and end at rest, which the hubs of the idle clip show.
        hubs = walk.hubs if name == "idle" else walk.hubs and (0, clip.frames - 1)
        taken = sum(len(base.data) for base in bases)
        bases += _load_clip(reader.read(clip.member), clip, size, taken, settle, hubs)
    return Contents(
        size=size,
        clips=clips,
        bases=bases,
        pose=np.concatenate([pose for pose, _ in tables]),
        affine=np.concatenate([affine for _, affine in tables]),
        walk=walk,
        roi=mouth.roi,
        codebook=codebook,
        patches=patches,
        mask=mask,
        mask_png=mask_png,
        layers=layers,
    )


def _load_clip(
    data: bytes,
    clip: Clip,
    size: tuple[int, int],
    taken: int,
    settle: Settle,
    hubs: tuple[int, ...],
) -> list[GridJpeg]:
    """The frames of a clip as JPEG, where those before it take so many bytes."""
    member = clip.member

    def compress(item: tuple[int, Image]) -> tuple[int, GridJpeg]:
        index, image = item
        return index, GridJpeg(encode(image, BASE_QUALITY))

    images = decode(
        data,
        member=member,
        width=size[0],
        height=size[1],
        frames=clip.frames,
        loop=clip.loop,
    )
    jpegs: dict[int, GridJpeg] = {}
    room = _MAX_CLIP_BYTES - taken
    for index, jpeg in ordered_map(compress, settle(images, hubs)):
        jpegs[index] = jpeg
        room -= len(jpeg.data)
        if room < 0:
            raise InvalidAvatar(f"{member} takes too much memory", member=member)
    return [jpegs[index] for index in range(clip.frames)]


def _decode_mask(data: bytes, member: str, size: tuple[int, int]) -> Image:
    if png_size(data) == size:
        mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        if mask is not None:
            return np.asarray(mask, np.uint8)
    raise InvalidAvatar(f"{member} is not a PNG picture of the size of a patch", member=member)


def _codebook(reader: Reader, mouth: Mouth) -> NDArray[np.float32]:
    member = mouth.codebook
    book = load_npy(reader.read(member), member, max_bytes=1 << 20)
    if book.dtype != np.float32 or book.shape != (mouth.shapes, len(COEFFICIENTS)):
        raise InvalidAvatar(
            f"{member} is not a float32 array of {mouth.shapes}x{len(COEFFICIENTS)}", member=member
        )
    if book[0].any():
        raise InvalidAvatar(f"{member} does not begin with the mouth at rest", member=member)
    return book


def _patch(reader: Reader, name: str) -> bytes:
    if name not in reader.members:
        raise InvalidAvatar(f"the patch {name} is missing", member=name)
    return reader.read(name)
