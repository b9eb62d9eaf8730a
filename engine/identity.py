"""From a photo to a fitted face, and what an avatar file says about where it came from."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import logging
import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.background import BackgroundSource, parse_background
from engine.coefficients import COEFFICIENTS
from engine.errors import InvalidImage, NotSupported
from engine.face import topology
from engine.face.align import Crop, natural_size
from engine.face.image import load_image, read_picture
from engine.face.landmarks import GOOD_TEMPLE_DISTANCE, find_face
from engine.face.renderer import Renderer
from engine.files import is_special
from engine.imx import Provenance
from engine.product import creation_time

__all__ = [
    "Photo",
    "before",
    "fit_photo",
    "full_size",
    "lasting",
    "provenance",
    "thumbnail",
    "webp",
]

Image = NDArray[np.uint8]
Photo = str | os.PathLike[str] | bytes | Image
"""Path, file content or BGR uint8 (h, w, 3) pixels of a photo."""

_LOG: Final = logging.getLogger(__name__)
_LEAST_FACE: Final = 40  # pixels between the temples in the frame: fewer show no mouth shapes
_ENLARGED: Final = 1.2  # times: what is enlarged by less looks as it did in the photo
_THUMB: Final = 256
_THUMB_QUALITY: Final = 86
_NOTICE: Final = (
    "AI-generated: this face is animated by a program from {}, and what it is made to say was not "
    "said by the person shown."
)


def fit_photo(
    source: Photo | Renderer, size: int = 512, crop: Crop = "auto", face: int | None = None
) -> tuple[Renderer, str]:
    """The rig of a photo, and the SHA-256 of what it was made from.

    A face so small that the avatar will look soft is logged as a warning.

    Args:
        source: the photo; or a renderer that is already fitted, and then the rest is not used.
        size: side of the square frame in pixels; the longer side for crop ``none``.
        crop: ``auto`` around the face, ``none`` the whole photo.
        face: which face, 1 the largest; None insists that there is only one.

    Raises:
        InvalidImage: the photo or the face in it cannot be used.
    """
    if isinstance(source, Renderer):
        return source, hashlib.sha256(source.image.tobytes()).hexdigest()
    if isinstance(source, np.ndarray):
        image, content = load_image(source), source.tobytes()
    elif isinstance(source, bytes):
        image, content = load_image(source), source
    else:
        path = Path(source)
        content = read_picture(path)
        image = load_image(content, path.name)
    landmarks = find_face(image, face)
    renderer = Renderer.from_image(image, landmarks, size, crop)
    right, left = renderer.landmarks[[topology.RIGHT_TEMPLE, topology.LEFT_TEMPLE], :2]
    between = float(np.linalg.norm(left - right))
    if between < _LEAST_FACE:
        raise InvalidImage(
            f"The face would be too small: {between:.0f} pixels between the temples in a frame of "
            f"{renderer.size[0]}x{renderer.size[1]}, at least {_LEAST_FACE} are needed.",
            code="FACE_TOO_SMALL",
            hint="Choose a larger --size, or --crop auto.",
        )
    if landmarks.temple_distance < min(GOOD_TEMPLE_DISTANCE, between / _ENLARGED):
        _warn(
            f"The face in the photo is small: {landmarks.temple_distance:.0f} pixels between the "
            f"temples, so the avatar will look soft; best are {GOOD_TEMPLE_DISTANCE:.0f} and more."
        )
    return renderer, hashlib.sha256(content).hexdigest()


@functools.lru_cache(maxsize=64)
def _warn(message: str) -> None:
    """Once: a photo may be fitted again at another size."""
    _LOG.warning(message)


def lasting(path: Path) -> Path | bytes:
    """A photo that can be read more than once: one that comes through a pipe as its content.

    Raises:
        InvalidImage: it cannot be read.
    """
    try:
        piped = is_special(path)
    except (OSError, ValueError):  # a name that no file can have
        piped = False
    return read_picture(path) if piped else path


def full_size(source: Photo, most: int, face: int | None = None) -> int:
    """Pixels of the side of the frame at which nothing of a photo is lost, ``most`` at most.

    Raises:
        InvalidImage: the photo or the face in it cannot be used.
    """
    image = load_image(source if isinstance(source, np.ndarray | bytes) else Path(source))
    return min(most, natural_size(image, find_face(image, face).points))


def before(renderer: Renderer, background: BackgroundSource | None) -> Renderer:
    """The same face before another background.

    Args:
        renderer: the fitted face.
        background: a colour or a picture, see ``engine.background``; None or ``none`` for the
            photo's own, ``transparent`` for the photo's own but with the person apart from it.

    Raises:
        NotSupported: ``BACKGROUND``, neither a colour nor a file; ``MATTE``, the person cannot be
            told from what is behind.
        InvalidImage: the file cannot be used.
    """
    wanted = parse_background(background)
    if wanted is None:
        return renderer
    if renderer.matte is None:
        raise NotSupported(
            "the person cannot be told from the background of this photo",
            code="MATTE",
            hint="Use a photo of one person before a plain background.",
        )
    if wanted.transparent:
        return renderer.apart()
    return renderer.over(wanted.picture(*renderer.size))


def thumbnail(renderer: Renderer) -> bytes:
    """A small WebP of the face at rest."""
    frame = renderer.render(np.zeros(len(COEFFICIENTS), np.float32), quality="cubic")
    scale = _THUMB / max(renderer.size)
    size = (round(renderer.size[0] * scale), round(renderer.size[1] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return webp(np.asarray(cv2.resize(frame, size, interpolation=method), np.uint8), _THUMB_QUALITY)


def webp(image: Image, quality: int) -> bytes:
    """Encode BGR uint8 as WebP; more than 100 is without loss."""
    return bytes(cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1])


def provenance(digest: str, source: str = "one picture") -> Provenance:
    """What is recorded about an avatar made now from a source of that digest."""
    return Provenance(
        source_sha256=digest,
        tool="bithuman",
        tool_version=_version(),
        created=creation_time(),
        ai_generated=True,
        notice=_NOTICE.format(source),
    )


def _version() -> str:
    try:
        return importlib.metadata.version("bithuman")
    except importlib.metadata.PackageNotFoundError:
        return ""
