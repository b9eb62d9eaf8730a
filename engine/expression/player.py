"""Draws Expression avatars: a portrait, its rig, and a state of the face become a picture."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS, INDEX
from engine.director import Choice
from engine.errors import InvalidAvatar
from engine.expression import layout
from engine.expression.director import ExpressionDirector
from engine.face.renderer import Quality, Renderer
from engine.imx import Reader, load_npy
from engine.motion import MOUTH_UNITS, REST, FaceState

Image = NDArray[np.uint8]

_JPEG: Final = [cv2.IMWRITE_JPEG_QUALITY, 85]
_CLOSED: Final = np.zeros(len(COEFFICIENTS), np.float32)
_CLOSURE: Final = INDEX["lipClosure"]


class ExpressionPlayer:
    """The face of one photo; immutable, shared by sessions and threads.

    Args:
        renderer: the fitted rig.

    Attributes:
        width, height: size of a frame in pixels.
    """

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
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
        if layout.webp_size(portrait) != (manifest.width, manifest.height):
            raise InvalidAvatar(
                f"{layout.PORTRAIT} is not a WebP picture of {manifest.width}x{manifest.height}",
                member=layout.PORTRAIT,
            )
        image = cv2.imdecode(np.frombuffer(portrait, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise InvalidAvatar(f"{layout.PORTRAIT} cannot be decoded", member=layout.PORTRAIT)
        points = load_npy(reader.read(layout.POINTS), layout.POINTS, max_bytes=1 << 16)
        layout.check_points(points, manifest.width, manifest.height)
        return cls(Renderer(np.asarray(image, np.uint8), points))

    def director(self, seed: int | None = None) -> ExpressionDirector:
        """A new director; without a seed each plays differently."""
        return ExpressionDirector(seed)

    def draw(self, choice: Choice, quality: Quality = "linear") -> Image:
        """A picture, new BGR uint8 (height, width, 3).

        Args:
            choice: its ``face`` and ``mouth``; without them the face is at rest.
            quality: how the photo is sampled.
        """
        face = choice.face or REST
        mouth = _CLOSED if choice.mouth is None else choice.mouth
        return self._renderer.render(mouth, quality=quality, **_speakable(face, mouth).arguments())

    def draw_jpeg(self, choice: Choice) -> bytes:
        """A picture as baseline 4:2:0 JPEG."""
        return bytes(cv2.imencode(".jpg", self.draw(choice), _JPEG)[1])


def _speakable(face: FaceState, mouth: NDArray[np.float32]) -> FaceState:
    """The face with what would keep the lips apart taken back while they have to meet."""
    closure = float(mouth[_CLOSURE])
    return face if closure <= 0 else face.relaxed(_PARTING, min(1.0, closure))


_PARTING: Final = tuple(
    name
    for name in MOUTH_UNITS
    if name.startswith(("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthStretch"))
)
