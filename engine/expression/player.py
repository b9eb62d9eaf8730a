"""Draws Expression avatars: a portrait, its rig, and a state of the face become a picture."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.alpha import pack_alpha
from engine.coefficients import COEFFICIENTS, INDEX
from engine.director import Choice
from engine.errors import InvalidAvatar, NotSupported
from engine.expression import layout
from engine.expression.director import ExpressionDirector
from engine.face.renderer import Quality, Renderer
from engine.imx import Reader, load_npy
from engine.motion import MOUTH_UNITS, REST
from engine.motion.face import RenderArguments
from engine.pictures import decode_picture, webp_size

Image = NDArray[np.uint8]

_JPEG: Final = [cv2.IMWRITE_JPEG_QUALITY, 85]
_CLOSED: Final = np.zeros(len(COEFFICIENTS), np.float32)
_CLOSURE: Final = INDEX["lipClosure"]


class ExpressionPlayer:
    """The face of one photo; immutable, shared by sessions and threads.

    Args:
        renderer: the fitted rig.
        transparent: for transparent frames, see ``over``.
        quality: how the photo is sampled.

    Attributes:
        width, height: size of a frame in pixels.
    """

    def __init__(
        self, renderer: Renderer, *, transparent: bool = False, quality: Quality = "linear"
    ) -> None:
        self._renderer = renderer
        self._transparent = transparent
        self._quality = quality
        self.width, self.height = renderer.size

    @classmethod
    def read(cls, reader: Reader) -> ExpressionPlayer:
        """Open a file whose manifest says ``expression``; fits the rig anew.

        Raises:
            InvalidAvatar: a member is missing or is not what the manifest promises.
        """
        manifest = reader.manifest
        for name in (layout.PORTRAIT, layout.POINTS):
            if name not in reader.members:
                raise InvalidAvatar(f"{name} is missing", member=name)
        portrait = reader.read(layout.PORTRAIT)
        if webp_size(portrait) != (manifest.width, manifest.height):
            raise InvalidAvatar(
                f"{layout.PORTRAIT} is not a WebP picture of {manifest.width}x{manifest.height}",
                member=layout.PORTRAIT,
            )
        image = decode_picture(portrait, layout.PORTRAIT)
        points = load_npy(reader.read(layout.POINTS), layout.POINTS, max_bytes=1 << 16)
        layout.check_points(points, manifest.width, manifest.height)
        return cls(Renderer(image, points))

    def director(self, seed: int | None = None) -> ExpressionDirector:
        """A new director; without a seed each plays differently."""
        return ExpressionDirector(seed)

    def fine(self, size: int) -> ExpressionPlayer:
        """The same face for offline video: slower to draw, and sampled better.

        Args:
            size: pixels of the longer side of a frame; another one than now fits the rig anew.
        """
        same = size == max(self.width, self.height)
        renderer = self._renderer if same else self._renderer.enlarged(size)
        return ExpressionPlayer(renderer, quality="cubic")

    @property
    def has_matte(self) -> bool:
        """Whether the person can be shown before another background."""
        return self._renderer.matte is not None

    def over(self, background: Image | None) -> ExpressionPlayer:
        """The same face before another background.

        Args:
            background: BGR uint8 (height, width, 3). None makes a player for transparent frames:
                its pictures continue the person's colours beyond their edge; see ``draw_cut``.

        Raises:
            NotSupported: ``MATTE``, the person cannot be told from what is behind.
        """
        if not self.has_matte:
            raise NotSupported(
                "the person cannot be told from the background of this picture",
                code="MATTE",
                hint="Use a photo of one person before a plain background.",
            )
        renderer = self._renderer if background is None else self._renderer.over(background)
        return ExpressionPlayer(renderer, transparent=background is None, quality=self._quality)

    def draw(self, choice: Choice) -> Image:
        """A picture, new BGR uint8 (height, width, 3).

        Args:
            choice: its ``face`` and ``mouth``; without them the face is at rest.
        """
        if self._transparent:
            return self.draw_cut(choice)[0]
        mouth = _CLOSED if choice.mouth is None else choice.mouth
        return self._renderer.render(mouth, quality=self._quality, **_speakable(choice, mouth))

    def draw_cut(self, choice: Choice) -> tuple[Image, Image]:
        """A transparent picture.

        Args:
            choice: as for ``draw``.

        Returns:
            BGR uint8 (height, width, 3), not multiplied by the alpha, and alpha uint8
            (height, width).
        """
        mouth = _CLOSED if choice.mouth is None else choice.mouth
        state = _speakable(choice, mouth)
        layers = self._renderer.layers(mouth, quality=self._quality, **state)
        return layers.picture, layers.alpha

    def draw_cut_jpeg(self, choice: Choice) -> tuple[bytes, bytes]:
        """A transparent picture: its colours as JPEG, its alpha as PNG (``engine.alpha``)."""
        picture, alpha = self.draw_cut(choice)
        return bytes(cv2.imencode(".jpg", picture, _JPEG)[1]), pack_alpha(alpha)

    def landmarks(self, choice: Choice) -> NDArray[np.float32]:
        """Where the landmarks of a picture should be found: (478, 2), px; lids as when open."""
        mouth = _CLOSED if choice.mouth is None else choice.mouth
        state = _speakable(choice, mouth)
        return self._renderer.posed_points(state["pose"], mouth, state["units"])

    def draw_jpeg(self, choice: Choice) -> bytes:
        """A picture as baseline 4:2:0 JPEG."""
        return bytes(cv2.imencode(".jpg", self.draw(choice), _JPEG)[1])


def _speakable(choice: Choice, mouth: NDArray[np.float32]) -> RenderArguments:
    """The face with what would keep the lips apart taken back while they have to meet."""
    face = choice.face or REST
    closure = float(mouth[_CLOSURE])
    return (face if closure <= 0 else face.relaxed(_PARTING, min(1.0, closure))).arguments()


_PARTING: Final = tuple(
    name
    for name in MOUTH_UNITS
    if name.startswith(("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthStretch"))
)
