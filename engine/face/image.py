"""Read a photo, whatever it is, into one kind of array."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

from engine.errors import InvalidImage
from engine.files import not_read

__all__ = ["MAX_BYTES", "MAX_PIXELS", "load_image", "read_picture"]

MAX_BYTES: Final = 10 * 2**20
MAX_PIXELS: Final = 50_000_000
BACKDROP: Final = (255, 255, 255)  # shows through where a picture is transparent

# Named, because Pillow would otherwise also try formats that run other programs (EPS). Of two
# it depends on how Pillow was built whether they can be opened.
_FORMATS: Final[tuple[str, ...]] = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "BMP",
    "GIF",
    "PPM",
    "AVIF",
    "JPEG2000",
)
_FORMATS_HINT: Final = "Use a JPEG, PNG or WebP picture."
_SMALLER_HINT: Final = "Save it smaller; 2000 pixels on the longer side are plenty."

_Image = npt.NDArray[np.uint8]


def load_image(source: str | Path | bytes | npt.NDArray[np.generic], name: str = "This") -> _Image:
    """Read a picture as BGR, upright and in sRGB.

    EXIF orientation and colour profiles are applied, transparency is put on white, 16 bits
    become 8, and grey, palette and CMYK pictures become colour. Of an animation the first
    frame is taken.

    Args:
        source: a path, the bytes of a file, or pixels: uint8 or uint16 of shape (H, W),
            (H, W, 1), BGR (H, W, 3) or BGRA (H, W, 4).
        name: of the file whose bytes they are, for messages.

    Returns:
        uint8 (H, W, 3), BGR, C-contiguous and not shared with ``source``.

    Raises:
        InvalidImage: ``FILE_NOT_FOUND`` or ``FILE_NOT_ACCESSIBLE``; ``IMAGE_TOO_LARGE`` over
            10 MB or 50 megapixels, found out before anything is decoded; ``IMAGE_UNREADABLE`` for
            everything else.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes):
        return _decode(source, name)
    file = Path(source)
    return _decode(read_picture(file), file.name or str(file))


def read_picture(file: Path) -> bytes:
    """Read the content of a file, once: it may be a pipe.

    Raises:
        InvalidImage: as ``load_image`` before anything is decoded.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
            size = file.stat().st_size
    except (OSError, ValueError) as error:
        code, message = not_read(file, error)
        raise InvalidImage(message, code=code, hint="Name a picture.") from error
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(file.name, max(size, len(data)))  # pipes have no size
    return data


def _decode(data: bytes, name: str) -> _Image:
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(name, len(data))
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        raise _unreadable(
            f"{name} is a HEIC picture, which cannot be read.",
            hint="Save or export it as JPEG; on an iPhone, sharing it by mail does that.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's notes on odd metadata are not for users
            Image.init()
            formats = [known for known in _FORMATS if known in Image.OPEN]
            with Image.open(io.BytesIO(data), formats=formats) as picture:
                _check_pixels(name, *picture.size)
                picture.load()
                rgb = _to_rgb(_upright(picture))
    except InvalidImage:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name, "hundreds of megapixels") from error
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
        raise _unreadable(f"{name} is not a picture that can be read.") from error
    return np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1])


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged metadata; the pixels are good and their orientation unknown
        return picture


def _to_rgb(picture: Image.Image) -> Image.Image:
    """RGB, sRGB, opaque."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        picture = Image.fromarray(_to_8_bit(np.asarray(picture)))
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        backdrop = Image.new("RGBA", rgba.size, (*BACKDROP, 255))
        return Image.alpha_composite(backdrop, rgba).convert("RGB")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            converted = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.PERCEPTUAL,
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a damaged or foreign profile: take the numbers as they are
        if converted is not None:
            return converted
    return picture.convert("RGB")


def _to_8_bit(grey: npt.NDArray[np.generic]) -> _Image:
    """Grey of 16 bits, of integers holding 16 bits, or of floats in [0, 1] or [0, 255]."""
    values = np.nan_to_num(grey.astype(np.float32))
    top = float(values.max(initial=0))
    if grey.dtype.kind == "f":
        scale = 255.0 if top <= 1 else 1.0
    else:
        scale = 1 / 257 if grey.dtype.itemsize == 2 or top > 255 else 1.0
    return np.asarray(np.clip(np.rint(values * scale), 0, 255), np.uint8)


def _from_array(pixels: npt.NDArray[np.generic]) -> _Image:
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1] if pixels.ndim == 3 else 0
    if channels not in (1, 3, 4) or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise _unreadable(
            f"An array of shape {pixels.shape} and type {pixels.dtype} is not a picture.",
            hint="Pass uint8 pixels in BGR order, shape (height, width, 3).",
        )
    _check_pixels("The picture", pixels.shape[1], pixels.shape[0])
    image = _to_8_bit(pixels) if pixels.dtype == np.uint16 else pixels.astype(np.uint8)
    if channels == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    if channels == 4:
        alpha = image[:, :, 3:].astype(np.float32) / 255
        backdrop = np.array(BACKDROP[::-1], np.float32)
        blended = image[:, :, :3] * alpha + backdrop * (1 - alpha)
        return np.ascontiguousarray(np.rint(blended).astype(np.uint8))
    return np.ascontiguousarray(image)


def _unreadable(message: str, hint: str = _FORMATS_HINT) -> InvalidImage:
    return InvalidImage(message, code="IMAGE_UNREADABLE", hint=hint)


def _too_many_bytes(name: str, size: int) -> InvalidImage:
    return InvalidImage(
        f"{name} has {size / 2**20:.1f} MB; pictures up to {MAX_BYTES // 2**20} MB can be used.",
        code="IMAGE_TOO_LARGE",
        hint=_SMALLER_HINT,
    )


def _check_pixels(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(name, f"{width} × {height} pixels")


def _too_many_pixels(name: str, what: str) -> InvalidImage:
    return InvalidImage(
        f"{name} has {what}; up to {MAX_PIXELS // 1_000_000} megapixels can be used.",
        code="IMAGE_TOO_LARGE",
        hint=_SMALLER_HINT,
    )
