"""What can be named as a background, and what it looks like."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.background import TRANSPARENT, Background, parse_background
from engine.errors import AvatarError, InvalidImage, NotSupported


@pytest.mark.parametrize(
    ("text", "bgr"),
    [
        ("#00ff00", (0, 255, 0)),
        ("#0F8", (136, 255, 0)),
        (" #102030 ", (48, 32, 16)),
        ("white", (255, 255, 255)),
        ("rgb(1, 2, 3)", (3, 2, 1)),
    ],
)
def test_colours(text: str, bgr: tuple[int, int, int]) -> None:
    background = parse_background(text)
    assert background is not None
    assert background.colour == bgr
    assert (background.picture(5, 4) == bgr).all()
    assert background.picture(5, 4).shape == (4, 5, 3)


def test_none_and_transparent() -> None:
    assert parse_background(None) is None
    assert parse_background("none") is None
    assert parse_background("NONE") is None
    for text in ("transparent", "Transparent"):
        background = parse_background(text)
        assert background is not None
        assert background.transparent
    assert parse_background(TRANSPARENT) is TRANSPARENT
    with pytest.raises(ValueError, match="transparent"):
        TRANSPARENT.picture(4, 4)


@pytest.mark.parametrize("text", ["blurple", "#12", "#00ff0080", "", "#"])
def test_anything_else_is_refused_with_what_would_work(text: str) -> None:
    with pytest.raises(NotSupported) as error:
        parse_background(text)
    assert error.value.code == "BACKGROUND"
    assert "#00ff00" in error.value.hint


@pytest.mark.parametrize("name", ["no/such/file", "office.jpg"])
def test_a_path_where_nothing_is(name: str) -> None:
    with pytest.raises(InvalidImage, match=name) as error:
        parse_background(name)
    assert error.value.code == "FILE_NOT_FOUND"


def test_a_picture_covers_the_frame_and_keeps_its_shape(tmp_path: Path) -> None:
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255  # the middle square
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    background = parse_background(tmp_path / "wide.png")
    assert background is not None
    picture = background.picture(40, 40)
    assert picture.shape == (40, 40, 3)
    assert (picture == 255).all()
    assert Background(image=wide).picture(240, 80).shape == (80, 240, 3)
    assert (parse_background(wide).picture(40, 40) == 255).all()  # type: ignore[union-attr]


def test_a_file_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InvalidImage):
        parse_background(str(tmp_path / "a.png"))


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(AvatarError):
        background = parse_background(text)
        assert background is None or background.transparent or background.colour is not None
