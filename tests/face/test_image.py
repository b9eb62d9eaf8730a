from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from engine.errors import InvalidImage
from engine.face import image

ORIENTATION = 0x0112  # EXIF tag


def picture(width: int = 24, height: int = 16) -> Image.Image:
    """A smooth picture: left to right red, top to bottom green, some blue."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def encode(source: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    source.save(buffer, file_format, **options)
    return buffer.getvalue()


def bgr(source: Image.Image) -> np.ndarray:
    return np.asarray(source.convert("RGB"))[:, :, ::-1]


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_lossless_formats_give_exactly_the_pixels(file_format: str) -> None:
    source = picture()
    if file_format == "GIF":
        source = source.quantize(64)
    loaded = image.load_image(encode(source, file_format))
    assert loaded.dtype == np.uint8
    assert loaded.flags.c_contiguous
    np.testing.assert_array_equal(loaded, bgr(source))


@pytest.mark.parametrize(
    ("file_format", "options"),
    [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True, "quality": 95}), ("WEBP", {})],
)
def test_lossy_formats_give_nearly_the_pixels(file_format: str, options: dict[str, object]) -> None:
    loaded = image.load_image(encode(picture(96, 64), file_format, **options))
    difference = np.abs(loaded.astype(int) - bgr(picture(96, 64)))
    assert difference.mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = picture()
    inverse = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[ORIENTATION] = inverse
    stored = encode(upright, "PNG", exif=exif)
    turned = image.load_image(stored)  # what a camera would have stored
    exif[ORIENTATION] = orientation
    again = encode(Image.fromarray(turned[:, :, ::-1]), "PNG", exif=exif)
    np.testing.assert_array_equal(image.load_image(again), bgr(upright))


def test_exif_orientation_6_turns_clockwise() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    loaded = image.load_image(encode(picture(24, 16), "PNG", exif=exif))
    np.testing.assert_array_equal(loaded, np.rot90(bgr(picture(24, 16)), -1))


def test_grey() -> None:
    source = picture().convert("L")
    loaded = image.load_image(encode(source, "PNG"))
    np.testing.assert_array_equal(loaded, np.repeat(np.asarray(source)[:, :, None], 3, axis=2))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey(file_format: str) -> None:
    ramp = np.linspace(0, 65535, 24 * 16).astype(np.uint16).reshape(16, 24)
    loaded = image.load_image(encode(Image.fromarray(ramp), file_format))
    expected = np.rint(ramp / 257)
    np.testing.assert_allclose(loaded[:, :, 0], expected, atol=0.5)
    assert loaded.max() == 255


def test_16_bit_colour() -> None:
    import cv2

    ramp = np.linspace(0, 65535, 24 * 16 * 3).astype(np.uint16).reshape(16, 24, 3)
    encoded, data = cv2.imencode(".png", ramp)
    assert encoded
    np.testing.assert_allclose(image.load_image(data.tobytes()), ramp / 257, atol=1)


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff(top: float) -> None:
    ramp = np.linspace(0, top, 24 * 16).astype(np.float32).reshape(16, 24)
    loaded = image.load_image(encode(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_allclose(loaded[:, :, 0], ramp / top * 255, atol=0.51)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_shows_white(mode: str) -> None:
    source = picture().convert("L" if mode == "LA" else "RGB").convert("RGBA")
    alpha = np.zeros((16, 24), np.uint8)
    alpha[:, 12:] = 255
    source.putalpha(Image.fromarray(alpha))
    stored = source.quantize(64).convert("RGBA") if mode == "PA" else source.convert(mode)
    loaded = image.load_image(encode(stored, "PNG"))
    assert (loaded[:, :12] == 255).all()
    np.testing.assert_allclose(loaded[:, 12:].astype(int), bgr(stored)[:, 12:], atol=1)


def test_palette_with_a_transparent_colour() -> None:
    source = Image.new("P", (4, 4), 1)
    source.putpalette([0, 0, 0, 10, 20, 30])
    source.putpixel((0, 0), 0)
    loaded = image.load_image(encode(source, "PNG", transparency=0))
    assert loaded[0, 0].tolist() == [255, 255, 255]
    assert loaded[1, 1].tolist() == [30, 20, 10]


def test_cmyk() -> None:
    source = picture(96, 64).convert("CMYK")
    loaded = image.load_image(encode(source, "JPEG", quality=95))
    assert np.abs(loaded.astype(int) - bgr(picture(96, 64))).mean() < 6


def test_colour_profile_is_applied() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = image.load_image(encode(picture(), "PNG", icc_profile=srgb))
    np.testing.assert_allclose(same.astype(int), bgr(picture()), atol=2)
    # A profile whose first channel is green: exchange the tags of two primaries.
    exchanged = srgb.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1)
    exchanged = exchanged.replace(b"????", b"gXYZ", 1)
    pure_first_channel = Image.new("RGB", (4, 4), (255, 0, 0))
    loaded = image.load_image(encode(pure_first_channel, "PNG", icc_profile=exchanged))
    np.testing.assert_allclose(loaded[0, 0].astype(int), [0, 255, 0], atol=3)


def test_a_damaged_colour_profile_is_ignored() -> None:
    loaded = image.load_image(encode(picture(), "PNG", icc_profile=b"not a profile"))
    np.testing.assert_array_equal(loaded, bgr(picture()))


def test_damaged_exif_is_ignored() -> None:
    data = encode(picture(96, 64), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert image.load_image(data).shape == (64, 96, 3)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert image.load_image(data)[4, 4].tolist() == [0, 0, 255]


def test_path_and_string(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(encode(picture(), "PNG"))
    for source in (file, str(file)):
        np.testing.assert_array_equal(image.load_image(source), bgr(picture()))


def test_arrays() -> None:
    pixels = np.ascontiguousarray(bgr(picture()))
    loaded = image.load_image(pixels)
    np.testing.assert_array_equal(loaded, pixels)
    loaded[:] = 0
    assert pixels.any(), "the caller's array must not be shared"
    assert image.load_image(pixels[:, :, 0]).shape == pixels.shape
    assert image.load_image(pixels[:, :, :1]).shape == pixels.shape
    np.testing.assert_array_equal(image.load_image(pixels.astype(np.uint16) * 257), pixels)
    clear = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    assert (image.load_image(clear) == 255).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    refuse(pixels, "IMAGE_UNREADABLE", "not a picture")


def refuse(source: object, code: str, words: str) -> InvalidImage:
    with pytest.raises(InvalidImage, match=words) as caught:
        image.load_image(source)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def test_missing_file(tmp_path: Path) -> None:
    refuse(tmp_path / "nobody.jpg", "FILE_NOT_FOUND", r"nobody\.jpg")
    (tmp_path / "file").write_bytes(b"")
    refuse(tmp_path / "file" / "below.jpg", "FILE_NOT_FOUND", "below")


def test_directory(tmp_path: Path) -> None:
    refuse(tmp_path, "FILE_NOT_FOUND", "is a folder")


def test_strange_paths() -> None:
    refuse("a\0b", "FILE_NOT_FOUND", "no file")
    refuse("x" * 5000, "FILE_NOT_ACCESSIBLE", "cannot be read: file name too long")


def test_too_many_bytes(tmp_path: Path) -> None:
    large = encode(picture(), "PNG") + bytes(image.MAX_BYTES)
    refuse(large, "IMAGE_TOO_LARGE", "10 MB")
    file = tmp_path / "large.png"
    file.write_bytes(large)
    refuse(file, "IMAGE_TOO_LARGE", r"large\.png has 10\.0 MB")


@pytest.mark.parametrize("size", [(8000, 6251), (50_001, 1000), (20_000, 10_000)])
def test_too_many_pixels(size: tuple[int, int]) -> None:
    # one bit a pixel, so small files; the largest is beyond Pillow's own limit
    data = encode(Image.new("1", size), "PNG")
    assert len(data) < image.MAX_BYTES
    refuse(data, "IMAGE_TOO_LARGE", "50 megapixels")


def test_too_large_array() -> None:
    refuse(np.zeros((8000, 6251), np.uint8), "IMAGE_TOO_LARGE", "50 megapixels")


def test_heic_gets_a_hint_of_its_own() -> None:
    error = refuse(b"\0\0\0\x18ftypheic" + bytes(64), "IMAGE_UNREADABLE", "HEIC")
    assert "JPEG" in error.hint


@pytest.mark.parametrize("data", [b"", b"\0", b"not a picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture(data: bytes) -> None:
    refuse(data, "IMAGE_UNREADABLE", "not a picture")


SAMPLES = [
    encode(picture(), "PNG"),
    encode(picture(), "JPEG"),
    encode(picture(), "WEBP"),
    encode(picture().convert("CMYK"), "TIFF"),
    encode(picture().quantize(8), "GIF"),
    encode(picture(), "BMP"),
]


def load_or_refuse(data: bytes) -> None:
    """Anything but an InvalidImage fails the test."""
    with contextlib.suppress(InvalidImage):
        loaded = image.load_image(data)
        assert loaded.ndim == 3
        assert loaded.dtype == np.uint8


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), head=st.sampled_from([b"", *(s[:16] for s in SAMPLES)]))
def test_random_bytes_are_refused_cleanly(data: bytes, head: bytes) -> None:
    load_or_refuse(head + data)


@settings(max_examples=120, deadline=None)
@given(sample=st.sampled_from(SAMPLES), draw=st.data())
def test_damaged_files_are_refused_or_read(sample: bytes, draw: st.DataObject) -> None:
    data = bytearray(sample[: draw.draw(st.integers(0, len(sample)), label="length")])
    flips = st.tuples(st.integers(0, max(0, len(data) - 1)), st.integers(1, 255))
    for place, change in draw.draw(st.lists(flips, max_size=6), label="flips"):
        if data:
            data[place] ^= change
    load_or_refuse(bytes(data))


@settings(max_examples=40, deadline=None)
@given(sample=st.sampled_from(SAMPLES), cut=st.floats(0, 0.6))
def test_a_truncated_file_is_refused(sample: bytes, cut: float) -> None:
    refuse(sample[: int(len(sample) * cut)], "IMAGE_UNREADABLE", "not a picture")
