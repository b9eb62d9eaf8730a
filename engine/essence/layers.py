"""What a file says about the person in its clips, and players before another background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alpha import pack_alpha, unpack_alpha
from engine.errors import InvalidAvatar
from engine.essence import clips
from engine.essence.backdrop import cleaned, exchanged
from engine.essence.parallel import ordered_map
from engine.essence.splice import GridJpeg
from engine.imx import Clip, Reader
from engine.pictures import decode_picture, webp_size

__all__ = ["LaterBases", "Layers", "Over"]

Image = NDArray[np.uint8]


class Layers:
    """What a file says about the person in its clips: read when it is opened, decoded when needed.

    Attributes:
        clips: by name, in the order of base frames.
    """

    def __init__(self, reader: Reader, clips: Mapping[str, Clip], backdrop: str) -> None:
        self.clips = clips
        self._alphas = {
            name: (clip.alpha, reader.read(clip.alpha))
            for name, clip in clips.items()
            if clip.alpha is not None
        }
        self._backdrop = (backdrop, reader.read(backdrop))

    @classmethod
    def read(cls, reader: Reader, clips: Mapping[str, Clip]) -> Layers | None:
        """None where the file has no matte."""
        backdrop = reader.manifest.backdrop
        return None if backdrop is None else cls(reader, clips, backdrop)

    def backdrop(self, width: int, height: int) -> Image:
        """The picture behind the person."""
        member, data = self._backdrop
        if webp_size(data) != (width, height):
            raise InvalidAvatar(
                f"{member} is not a WebP picture of {width}x{height}", member=member
            )
        return decode_picture(data, member)

    def alphas(self, width: int, height: int) -> list[bytes]:
        """The alpha of every base frame as ``pack_alpha`` makes it."""
        packed: list[bytes] = []
        for name, clip in self.clips.items():
            member, data = self._alphas[name]
            planes = clips.decode(
                data,
                member=member,
                width=width,
                height=height,
                frames=clip.frames,
                loop=clip.loop,
                alpha=True,
            )
            of_clip = dict(ordered_map(lambda item: (item[0], pack_alpha(item[1])), planes))
            packed += [of_clip[index] for index in range(clip.frames)]
        return packed


class Over:
    """A background in place of the avatar's own.

    Attributes:
        old: the avatar's own, BGR uint8 (height, width, 3).
        new: the one in its place, or None for transparent frames.
        alphas: of every base frame, as ``pack_alpha`` makes it.
        patches: by pose, what ``the player`` found.
    """

    def __init__(self, old: Image, new: Image | None, alphas: list[bytes]) -> None:
        self.old, self.new, self.alphas = old, new, alphas
        self.patches: dict[int, tuple[Image, Image, Image | None]] = {}

    def alpha(self, base: int) -> Image:
        """The alpha of a base frame."""
        return unpack_alpha(self.alphas[base])

    @staticmethod
    def change(picture: Image, alpha: Image, old: Image, new: Image | None) -> Image:
        """A picture, or a part of one, before the other background."""
        if new is None:
            return cleaned(picture, alpha, old)
        return exchanged(picture, alpha, old, new)


class LaterBases(Sequence[GridJpeg]):
    """Base frames that are made when first needed, then kept."""

    def __init__(self, count: int, make: Callable[[int], GridJpeg]) -> None:
        self._made: list[GridJpeg | None] = [None] * count
        self._make = make

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, base: Any) -> Any:
        made = self._made[base]
        if made is None:  # two threads may both make it: they make the same
            made = self._made[base] = self._make(base)
        return made
