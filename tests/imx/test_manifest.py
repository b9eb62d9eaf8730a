"""manifest.json: everything it can say survives, everything else is refused by field name."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import imx
from engine.errors import InvalidAvatar
from engine.imx import manifest as manifests

names = st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,12}(/[a-z0-9_][a-z0-9_.-]{0,12})?", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \n"), max_size=80)
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


@st.composite
def manifest_strategy(draw: st.DrawFn) -> imx.Manifest:
    members = draw(
        st.dictionaries(
            names, st.builds(imx.Member, st.integers(0, 1 << 28), digests), min_size=3, max_size=8
        )
    )
    listed = st.sampled_from(sorted(members))
    clip = st.builds(imx.Clip, listed, st.integers(1, 90_000), st.booleans())
    clips = draw(st.dictionaries(names, clip, max_size=3)) | {"idle": draw(clip)}
    width, height = draw(st.integers(16, 4096)), draw(st.integers(16, 4096))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    mouth = st.builds(
        imx.Mouth,
        st.integers(1, 100),
        st.integers(1, 1000),
        st.just((x0, y0, x1, y1)),
        listed,
        listed,
    )
    return imx.Manifest(
        kind="essence",
        name=draw(texts.filter(bool)),
        width=width,
        height=height,
        rig_version=draw(st.integers(0, 65536)),
        clips=clips,
        mouth=draw(mouth),
        gestures=tuple(draw(st.lists(st.sampled_from(sorted(clips)), max_size=3))),
        licence=draw(texts),
        provenance=draw(
            st.builds(
                imx.Provenance,
                st.just("") | digests,
                texts,
                texts,
                texts.filter(lambda text: len(text) <= 64),
                st.booleans(),
                texts,
            )
        ),
        members=members,
    )


@settings(max_examples=40, deadline=None)
@given(manifest_strategy())
def test_round_trip(manifest: imx.Manifest) -> None:
    assert manifests.parse(manifest.to_json()) == manifest


BASE = imx.Manifest(
    kind="essence",
    name="Jester",
    width=512,
    height=512,
    clips={"idle": imx.Clip("clips/idle.mp4", 300, loop=True)},
    mouth=imx.Mouth(4, 96, (160, 256, 352, 448)),
    members={
        name: imx.Member(1, "0" * 64)
        for name in ("clips/idle.mp4", "codebook.npy", "mouth/mask.png")
    },
)


def changed(path: str, value: object) -> bytes:
    root = BASE.to_dict()
    parts = path.split(".")
    target = root
    for part in parts[:-1]:
        target = target[part]
    if value is ...:
        del target[parts[-1]]
    else:
        target[parts[-1]] = value
    return json.dumps(root).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kind", "other"),
        ("kind", ...),
        ("name", ""),
        ("name", "x" * 121),
        ("name", "\x1b[2Jgone"),
        ("name", "right \u202e left"),
        ("name", 7),
        ("fps", 30),
        ("fps", True),
        ("width", 15),
        ("width", 1e3),
        ("width", 10**30),
        ("height", "512"),
        ("height", -512),
        ("clips", {}),
        ("clips", []),
        ("clips.idle", None),
        ("clips.idle.member", "clips/other.mp4"),
        ("clips.idle.frames", 0),
        ("clips.idle.frames", 10**9),
        ("clips.idle.loop", 1),
        ("clips", {"../idle": {}}),
        ("mouth", ...),
        ("mouth.roi", [0, 0, 513, 512]),
        ("mouth.roi", [10, 10, 10, 20]),
        ("mouth.roi", [0, 0, 10]),
        ("mouth.roi", [0, 0, 10, 10.5]),
        ("mouth.poses", 0),
        ("mouth.shapes", 100_000),
        ("mouth.mask", "nothing.png"),
        ("gestures", ["wave"]),
        ("gestures", "idle"),
        ("licence", None),
        ("provenance", ...),
        ("provenance.source_sha256", "abc"),
        ("provenance.ai_generated", "yes"),
        ("members", {"a": {"size": -1, "sha256": "0" * 64}}),
        ("members", {"a": {"size": 1, "sha256": "0" * 63}}),
        ("members", {"a": {"size": 1}}),
        ("members", {"a": 1}),
    ],
)
def test_refuses_and_names_the_field(path: str, value: object) -> None:
    with pytest.raises(InvalidAvatar) as caught:
        manifests.parse(changed(path, value))
    assert caught.value.member == "manifest.json"
    assert caught.value.code == "INVALID_IMX"
    assert path.split(".")[-1] in str(caught.value) or path.split(".")[0] in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b'{"version": NaN}',
        b'{"version": ' + b"9" * 5000 + b"}",
    ],
)
def test_refuses_bad_json(data: bytes) -> None:
    with pytest.raises(InvalidAvatar, match="not valid JSON"):
        manifests.parse(data)


@pytest.mark.parametrize("data", [b"[]", b"7", b'{"format": "something-else", "version": 1}'])
def test_other_json_is_another_format(data: bytes) -> None:
    with pytest.raises(InvalidAvatar) as caught:
        manifests.parse(data)
    assert caught.value.code == "NOT_IMX"


@pytest.mark.parametrize(("version", "word"), [(2, "Update"), (0, "again")])
def test_other_versions_are_refused_before_anything_else(version: int, word: str) -> None:
    data = json.dumps({"format": "bithuman-imx", "version": version}).encode()
    with pytest.raises(InvalidAvatar) as caught:
        manifests.parse(data)
    assert caught.value.code == "UNSUPPORTED_IMX_VERSION"
    assert word in caught.value.hint


def test_unknown_fields_are_ignored() -> None:
    root = BASE.to_dict() | {"later": {"a": 1}}
    assert manifests.parse(json.dumps(root).encode()) == BASE


def test_expression_needs_no_clips() -> None:
    portrait = dataclasses.replace(BASE, kind="expression", clips={}, mouth=None)
    assert manifests.parse(portrait.to_json()) == portrait


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".hidden",
        "a\\b",
        "C:a",
        "a\0b",
        "a\nb",
        "a b",
        "ünsafe",
        "ａ",  # full-width
        "a\u2024\u2024/b",  # one dot leaders
        "a\u2215b",  # division slash
        "x" * 129,
    ],
)
def test_unsafe_names(name: str) -> None:
    assert not manifests.safe_name(name)
