"""The catalogue: what is accepted, and that everything else is refused with a sentence."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bithuman_cli import catalogue, download, resources
from bithuman_cli.errors import CliError

SOURCE = "https://avatars.example/v1/showcase.json"
MODEL: dict[str, Any] = {
    "slug": "some-face",
    "name": "Some face",
    "description": "A face – with a dash.",
    "url": "faces/some-face.imx",
    "sha256": "ab" * 32,
    "bytes": 1234,
    "kind": "essence",
    "licence": "CC0-1.0",
    "width": 512,
    "height": 720,
}
CATALOGUE: dict[str, Any] = {
    "schema_version": 1,
    "version": "3",
    "updated": "2026-11-22",
    "default": "some-face",
    "models": [MODEL],
}


def parse(raw: object, source: str = SOURCE) -> catalogue.Catalogue:
    return catalogue.parse(json.dumps(raw).encode(), source)


def with_model(**changes: object) -> dict[str, Any]:
    return {**CATALOGUE, "models": [{**MODEL, **changes}]}


def test_reads_every_field() -> None:
    models = parse(CATALOGUE)
    assert (models.version, models.updated, models.source) == ("3", "2026-11-22", SOURCE)
    entry = models.find_default()
    assert entry.url == "https://avatars.example/v1/faces/some-face.imx"
    assert {**MODEL, "url": entry.url} == {
        name: getattr(entry, name) for name in MODEL if name != "url"
    } | {"url": entry.url}


def test_later_fields_are_ignored() -> None:
    assert parse({**with_model(voice="en"), "news": []}).entries[0].slug == "some-face"


@pytest.mark.parametrize(
    ("source", "url", "absolute"),
    [
        (SOURCE, "a.imx", "https://avatars.example/v1/a.imx"),
        (SOURCE, "/a.imx", "https://avatars.example/a.imx"),
        (SOURCE, "https://cdn.example/a.imx", "https://cdn.example/a.imx"),
        ("http://127.0.0.1:8/c.json", "a.imx", "http://127.0.0.1:8/a.imx"),
        ("http://localhost/c.json", "a.imx", "http://localhost/a.imx"),
        ("file:///some/c.json", "showcase/a.imx", "file:///some/showcase/a.imx"),
        ("file:///some/c.json", "https://cdn.example/a.imx", "https://cdn.example/a.imx"),
    ],
)
def test_urls_are_relative_to_the_catalogue(source: str, url: str, absolute: str) -> None:
    assert parse(with_model(url=url), source).entries[0].url == absolute


@pytest.mark.parametrize(
    "url",
    [
        "http://avatars.example/a.imx",
        "file:///etc/passwd",
        "ftp://avatars.example/a.imx",
        "https://user:secret@avatars.example/a.imx",
        "https://[broken/a.imx",
        "javascript:alert(1)",
    ],
)
def test_unsafe_urls_are_refused(url: str) -> None:
    with pytest.raises(CliError, match=r"models\[0\]\.url"):
        parse(with_model(url=url))


def test_a_local_catalogue_cannot_name_a_network_share() -> None:
    with pytest.raises(CliError, match="url"):
        parse(with_model(url="//server/share/a.imx"), "file:///some/c.json")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "../../etc"),
        ("slug", "Upper"),
        ("slug", "a" * 65),
        ("slug", ""),
        ("slug", 3),
        ("name", "red \x1b[31m"),
        ("name", None),
        ("description", "two\nlines"),
        ("description", "\ud800"),
        ("sha256", "AB" * 32),
        ("sha256", "ab" * 31),
        ("bytes", 0),
        ("bytes", -1),
        ("bytes", True),
        ("bytes", 1.5),
        ("bytes", 1 << 40),
        ("kind", "hologram"),
        ("licence", []),
        ("width", 0),
        ("height", 100_000),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(CliError, match=rf"models\[0\]\.{field}") as caught:
        parse(with_model(**{field: value}))
    assert caught.value.code == "CATALOGUE_INVALID"


@pytest.mark.parametrize("field", list(MODEL))
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(CliError, match=field):
        parse({**CATALOGUE, "models": [{k: v for k, v in MODEL.items() if k != field}]})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ([], "object"),
        ({**CATALOGUE, "schema_version": 2}, "schema_version"),
        ({**CATALOGUE, "schema_version": True}, "schema_version"),
        ({**CATALOGUE, "models": {}}, "models"),
        ({**CATALOGUE, "models": [MODEL, MODEL]}, "same slug"),
        ({**CATALOGUE, "models": ["x"]}, "object"),
        ({**CATALOGUE, "default": "nobody"}, "default"),
        ({**CATALOGUE, "default": ["some-face"]}, "default"),
        ({**CATALOGUE, "updated": "yesterday"}, "updated"),
        ({**CATALOGUE, "version": 3}, "version"),
    ],
)
def test_a_wrong_catalogue_is_refused(raw: object, reason: str) -> None:
    with pytest.raises(CliError, match=reason):
        parse(raw)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"{", b"[" * 200_000, b"nan", b"1" * 5000, b" " * (1 << 21)]
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(CliError) as caught:
        catalogue.parse(data, SOURCE)
    assert caught.value.code == "CATALOGUE_INVALID"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary())
def test_any_bytes_end_cleanly(data: bytes) -> None:
    with pytest.raises(CliError):
        catalogue.parse(data, SOURCE)


@given(st.sampled_from(sorted(CATALOGUE)), st.sampled_from([None, *MODEL]), JSON)
def test_any_value_in_any_place_ends_cleanly(field: str, inner: str | None, value: object) -> None:
    raw = with_model(**{inner: value}) if inner else {**CATALOGUE, field: value}
    with contextlib.suppress(CliError):
        assert all(download.is_safe_url(entry.url) for entry in parse(raw).entries)


@pytest.mark.parametrize("name", ["some-fase", "some"])
def test_names_that_are_close_are_suggested(name: str) -> None:
    with pytest.raises(CliError) as caught:
        parse(CATALOGUE).find(name)
    assert caught.value.code == "SLUG_NOT_FOUND"
    assert "some-face" in caught.value.hint


def test_without_a_default_one_must_be_named() -> None:
    with pytest.raises(CliError) as caught:
        parse({**CATALOGUE, "default": None}).find_default()
    assert caught.value.code == "SLUG_NOT_FOUND"


def test_loads_a_file_by_path_and_by_url(tmp_path: Path) -> None:
    path = tmp_path / "my catalogue.json"
    path.write_text(json.dumps(CATALOGUE))
    for source in (str(path), path.as_uri()):
        entry = catalogue.load(source).entries[0]
        assert entry.url == (tmp_path / "faces" / "some-face.imx").as_uri()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"nothing\.json") as caught:
        catalogue.load(str(tmp_path / "nothing.json"))
    assert caught.value.code == "CATALOGUE_NOT_FOUND"


def test_the_bundled_catalogue_is_valid() -> None:
    models = catalogue.load()
    assert models.source == resources.find("showcase.json").as_uri()
    assert models.default in {entry.slug for entry in models.entries}
