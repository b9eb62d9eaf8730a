"""What is refused before anything is built, by either kind of avatar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import AvatarError
from engine.essence import build as build_essence
from engine.expression.builder import build_expression

BUILDERS = [build_essence, build_expression]


def refused(builder: Callable[..., object], source: Path, **order: object) -> AvatarError:
    """The error that an order ends in."""
    with pytest.raises(AvatarError) as caught:
        builder(source, **order)
    return caught.value


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("size", [0, 64, 5000])
def test_a_size_out_of_range(builder: Callable[..., object], tmp_path: Path, size: int) -> None:
    error = refused(builder, tmp_path / "any.jpg", out=tmp_path / "x.imx", name="x", size=size)
    assert error.code == "SIZE_NOT_SUPPORTED"
    assert "128" in error.hint


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("name", ["", "x" * 121, "bell\a", "\u202egnp.xmi"])
def test_a_name_that_cannot_be_shown(
    builder: Callable[..., object], tmp_path: Path, name: str
) -> None:
    error = refused(builder, tmp_path / "any.jpg", out=tmp_path / "x.imx", name=name)
    assert error.code == "NAME_NOT_SUPPORTED"


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("place", ["no/x.imx", "."])
def test_a_place_that_cannot_be_written(
    builder: Callable[..., object], tmp_path: Path, place: str
) -> None:
    error = refused(builder, tmp_path / "any.jpg", out=tmp_path / place, name="x")
    assert error.code == "WRITE_FAILED"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("epoch", ["today", "1" * 30])
def test_a_date_that_is_none(
    builder: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    error = refused(builder, tmp_path / "any.jpg", out=tmp_path / "x.imx", name="x")
    assert error.code == "SOURCE_DATE_EPOCH"


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("licence", ["a" * 4001, "MIT\x1b[2J"])
def test_a_licence_that_cannot_be_stored(
    builder: Callable[..., object], tmp_path: Path, licence: str
) -> None:
    error = refused(
        builder, tmp_path / "any.jpg", out=tmp_path / "x.imx", name="x", licence=licence
    )
    assert error.code == "LICENCE_NOT_SUPPORTED"
