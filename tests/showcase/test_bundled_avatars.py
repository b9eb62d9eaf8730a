"""The avatars that come with the project: intact, small, marked, and with lips that meet."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import engine
from benchmarks.mouth_shapes import measure
from bithuman_cli import catalogue
from engine import imx
from engine.coefficients import INDEX
from engine.director import Shot
from engine.essence import EssencePlayer
from engine.face.landmarks import find_face
from engine.face.measure import lip_gap

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = catalogue.parse(
    (ROOT / "showcase.json").read_bytes(), (ROOT / "showcase.json").as_uri()
)
SLUGS = [entry.slug for entry in CATALOGUE.entries]
MAX_BYTES = 4_000_000


def avatar_file(slug: str) -> Path:
    return ROOT / "showcase" / f"{slug}.imx"


def test_catalogue_lists_every_bundled_avatar() -> None:
    assert set(SLUGS) == {path.stem for path in (ROOT / "showcase").glob("*.imx")}


def test_the_jester_is_the_default_and_not_alone() -> None:
    assert CATALOGUE.default == "modern-court-jester"
    assert len(SLUGS) >= 2


@pytest.mark.parametrize("slug", SLUGS)
def test_file_is_the_one_the_catalogue_describes(slug: str) -> None:
    entry = CATALOGUE.find(slug)
    path = avatar_file(slug)
    data = path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256)
    assert len(data) <= MAX_BYTES
    with imx.Reader(path) as reader:
        manifest = reader.manifest
    assert (manifest.name, manifest.kind) == (entry.name, entry.kind)
    assert (manifest.width, manifest.height) == (entry.width, entry.height)
    assert manifest.licence == entry.licence != ""
    assert manifest.provenance.ai_generated
    assert "AI-generated" in manifest.provenance.notice


@pytest.mark.parametrize("slug", SLUGS)
def test_avatar_was_built_from_the_portrait_in_the_tree(slug: str) -> None:
    portrait = ROOT / "training" / "showcase" / "portraits" / f"{slug}.webp"
    assert portrait.stat().st_size <= 700_000
    with imx.Reader(avatar_file(slug)) as reader:
        source = reader.manifest.provenance.source_sha256
    assert source == hashlib.sha256(portrait.read_bytes()).hexdigest()


@pytest.mark.parametrize("slug", SLUGS)
def test_face_fills_the_frame(slug: str) -> None:
    with engine.open(avatar_file(slug)) as avatar:
        frames = [avatar.compose(Shot(index)) for index in (0, 60, 120)]
    for frame in frames:
        # At least as large as on a passport photo: half of the frame is face.
        assert np.ptp(find_face(frame).points[:468, 1]) >= 0.4 * frame.shape[0]


@pytest.mark.parametrize("slug", SLUGS)
def test_lips_meet_vowels_open_and_nothing_else_moves(slug: str) -> None:
    with imx.Reader(avatar_file(slug)) as reader:
        mouths = measure(EssencePlayer(reader))
    assert mouths.rest <= 0.02
    assert mouths.sealed <= 0.02
    assert mouths.vowels >= 0.2
    assert mouths.outside == 0


@pytest.mark.parametrize("slug", SLUGS)
def test_smiling_lips_meet_and_open_as_well(slug: str) -> None:
    with imx.Reader(avatar_file(slug)) as reader:
        player = EssencePlayer(reader)
    book = player.codebook
    wide = int(book[:, INDEX["jawOpen"]].argmax())
    for name in ("smile", "laugh"):
        first, frames = player.clips[name]
        middle = first + frames // 2
        assert lip_gap(find_face(player.compose(middle, None)).points) <= 0.035
        assert lip_gap(find_face(player.compose(middle, wide)).points) >= 0.14


@pytest.mark.parametrize("slug", SLUGS)
def test_thumbnail_shows_the_avatar(slug: str) -> None:
    with imx.Reader(avatar_file(slug)) as reader:
        thumb = cv2.imdecode(np.frombuffer(reader.read("thumb.webp"), np.uint8), cv2.IMREAD_COLOR)
    find_face(thumb)
