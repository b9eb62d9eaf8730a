"""Avatars from clips: clips rendered here, by the rig, and filmed with a camera that shakes."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

import engine
from engine import imx
from engine.coefficients import INDEX
from engine.errors import InvalidVideo, NotSupported
from engine.essence import EssencePlayer, build
from engine.essence.choreography import GESTURES_KEPT
from engine.face.landmarks import find_face, follow_face
from engine.face.measure import eye_aspect, lip_gap
from engine.face.renderer import Renderer
from engine.product import BuildResult
from engine.video.reader import VideoFile
from engine.video.track import track
from tests.video import film

SIZE = 256


@pytest.fixture(scope="module")
def talking(renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of somebody who talks half of the time, 30 frames a second, portrait format."""
    face = renderer.over(film.room(renderer.size))
    people = film.people(face, 182, talking=0.5, seed=5)
    pictures = film.filmed(people, (360, 480), zoom=0.72, shake=1.0, noise=2)
    return film.write(tmp_path_factory.mktemp("clips") / "talking.mp4", pictures, fps=30)


@pytest.fixture(scope="module")
def wave(renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A greeting of one second and a half, from further away and in warmer light."""
    people = film.people(renderer, 38, seed=9, gestures={4: "greet"})
    pictures = film.filmed(people, (420, 420), zoom=0.7, shake=0.5, noise=1)
    warm = (np.rint(p * [0.9, 1.0, 1.05]).clip(0, 255).astype(np.uint8) for p in pictures)
    return film.write(tmp_path_factory.mktemp("clips") / "wave.mp4", warm)


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def result(
    talking: Path,
    wave: Path,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int, int]],
) -> BuildResult:
    return build(
        talking,
        out=tmp_path_factory.mktemp("built") / "person.imx",
        name="A person",
        size=SIZE,
        gestures={"wave": wave},
        words={"good morning": "wave", "yes": None},
        progress=lambda *step: steps.append(step),
    )


@pytest.fixture(scope="module")
def player(result: BuildResult) -> EssencePlayer:
    with imx.Reader(result.path) as reader:
        return EssencePlayer(reader)


def frames_of(player: EssencePlayer, clip: str, step: int) -> range:
    first, frames = player.clips[clip]
    return range(first, first + frames, step)


def test_what_is_in_it(result: BuildResult, talking: Path) -> None:
    manifest = result.manifest
    assert (manifest.width, manifest.height) == (SIZE, SIZE)
    assert manifest.gestures == (*GESTURES_KEPT, "wave")
    assert manifest.provenance.source_sha256 == hashlib.sha256(talking.read_bytes()).hexdigest()
    assert "a video" in manifest.provenance.notice
    assert 60 <= manifest.clips["idle"].frames <= 150
    assert result.bytes < 2_200_000  # small frames need more for each pixel


def test_every_stage_is_reported_to_its_end(
    result: BuildResult, steps: list[tuple[str, int, int]]
) -> None:
    stages = list(dict.fromkeys(stage for stage, _, _ in steps))
    assert stages == ["track", "loop", "sources", "gesture wave", "encode", "mouths", "write"]
    for stage in stages:
        done, total = next((d, t) for s, d, t in reversed(steps) if s == stage)
        assert abs(done - total) <= (1 if stage in ("track", "gesture wave") else 0)


@pytest.mark.parametrize("clip", ["idle", "wave"])
def test_the_mouth_is_closed_however_much_the_person_talks(
    player: EssencePlayer, clip: str
) -> None:
    for base in frames_of(player, clip, 7):
        assert lip_gap(find_face(player.compose(base, None)).points) <= 0.02, base


@pytest.mark.parametrize("clip", ["idle", "wave"])
def test_it_speaks_in_every_pose(player: EssencePlayer, clip: str) -> None:
    book = player.codebook
    wide = int(book[:, INDEX["jawOpen"]].argmax())
    sealed = int(np.flatnonzero(book[:, INDEX["lipClosure"]] > 0.9)[0])
    for base in frames_of(player, clip, 20):
        assert lip_gap(find_face(player.compose(base, wide)).points) >= 0.2, base
        assert lip_gap(find_face(player.compose(base, sealed)).points) <= 0.02, base


def test_its_own_words_begin_its_own_gestures(result: BuildResult) -> None:
    with engine.open(result.path) as avatar:
        assert avatar.gesture_for("Good morning, all!") == "wave"
        assert avatar.gesture_for("Yes.") is None
        assert avatar.gesture_for("Never.") == "shake"
        other = avatar.with_words({"never": "wave", "good morning": None})
        assert other.gesture_for("Never. Good morning.") == "wave"
        assert other.gesture_for("Good morning.") is None
        with pytest.raises(NotSupported):
            avatar.with_words({"never": "fly"})
        session = other.session(seed=0)
        session.hear_text("never")
        assert session.action == "wave"


def test_speaking_moves_nothing_but_the_mouth(player: EssencePlayer) -> None:
    for clip in ("idle", "wave"):
        for base in frames_of(player, clip, 15):
            rest, talking = player.compose(base, None), player.compose(base, 40)
            x0, y0, x1, y1 = player.patch_box(base)
            assert (talking != rest).any()
            talking[y0:y1, x0:x1] = rest[y0:y1, x0:x1]
            assert np.array_equal(talking, rest)


def test_it_moves_as_the_person_did(player: EssencePlayer) -> None:
    points = find_face(player.compose(player.hubs[0], None)).points
    eyes = []
    for base in frames_of(player, "idle", 1):
        points = follow_face(player.compose(base, None), points).points
        eyes.append(np.mean(eye_aspect(points)))
    assert min(eyes) < 0.6 * np.median(eyes)  # blinked
    assert np.ptp(player.affine[frames_of(player, "idle", 1), :, 2], axis=0).max() > 1.0


def test_the_room_stands_still(player: EssencePlayer) -> None:
    """The camera shook by pixels."""
    rows = [
        cv2.cvtColor(player.compose(base, None), cv2.COLOR_BGR2GRAY)[:16].astype(np.float32)
        for base in frames_of(player, "idle", 10)
    ]
    steps = [cv2.phaseCorrelate(a, b)[0] for a, b in itertools.pairwise(rows)]
    assert np.abs(steps).max() < 0.6


def test_the_loop_and_the_gesture_have_no_jumps(player: EssencePlayer) -> None:
    """The largest optical flow at a joint is no more than 1.5 times that inside of clips."""
    first, frames = player.clips["wave"]
    hub = player.hubs[0]
    loop = player.clips["idle"][1]
    order = [*range(loop), hub, *range(first, first + frames), hub]
    grey = [
        cv2.cvtColor(cv2.resize(player.compose(base, None), (160, 160)), cv2.COLOR_BGR2GRAY)
        for base in order
    ]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    moved = np.array(
        [
            np.percentile(np.linalg.norm(flow.calc(a, b, None), axis=2), 99)
            for a, b in itertools.pairwise(grey)
        ]
    )
    joints = np.zeros(len(moved), bool)
    joints[[loop - 1, loop, len(moved) - 1]] = True
    assert moved[joints].max() <= 1.5 * np.percentile(moved[~joints], 99)


def test_the_colours_of_a_gesture_are_those_of_the_avatar(player: EssencePlayer) -> None:
    def skin(base: int) -> np.ndarray:
        x, y = find_face(player.compose(base, None)).points[4, :2].astype(int)
        return player.compose(base, None)[y - 20 : y + 5, x - 20 : x + 20].mean(axis=(0, 1))

    first, frames = player.clips["wave"]
    assert np.abs(skin(first + frames // 2) - skin(player.hubs[0])).max() < 8


def test_the_person_of_a_clip_can_be_cut_out(player: EssencePlayer) -> None:
    cut_out = player.over(None)
    for clip in ("idle", "nod", "wave"):
        for base in frames_of(cut_out, clip, 20):
            alpha = cut_out.alpha(base)
            x, y = find_face(player.compose(base, None)).points[4, :2].astype(int)
            assert alpha[y - 30 : y + 30, x - 25 : x + 25].min() > 250
            assert alpha[:12, :12].max() < 40
            assert alpha[:12, -12:].max() < 40
            assert 0.2 < alpha.mean() / 255 < 0.8


def test_a_background_can_be_built_in_behind_a_photo_and_a_clip(wave: Path, tmp_path: Path) -> None:
    built = build(
        grey_photo(),
        out=tmp_path / "blue.imx",
        name="x",
        size=128,
        seconds=3,
        background="#2040ff",
        gestures={"wave": wave},
    )
    with imx.Reader(built.path) as reader:
        blue = EssencePlayer(reader)
    for base in (0, *frames_of(blue, "wave", 8)):
        corner = blue.compose(base, None)[:10, :10].reshape(-1, 3).mean(axis=0)
        assert np.abs(corner - [255, 64, 32]).max() < 12


def test_same_clip_same_pictures(talking: Path, tmp_path: Path) -> None:
    clip = VideoFile(cut(talking, tmp_path / "part.mp4", list(range(12))))
    once, again = track(clip, 60), track(clip, 60)
    assert np.array_equal(once.points, again.points, equal_nan=True)
    assert np.array_equal(once.camera, again.camera)
    for (_, a), (_, b) in zip(clip.frames(), clip.frames(), strict=True):
        assert np.array_equal(a, b)


def cut(source: Path, target: Path, order: list[int]) -> Path:
    pictures = dict(VideoFile(source).frames())
    return film.write(target, (pictures[i] for i in order))


def test_too_short(talking: Path, tmp_path: Path) -> None:
    clip = cut(talking, tmp_path / "short.mp4", list(range(60)))
    with pytest.raises(InvalidVideo) as caught:
        build(clip, out=tmp_path / "x.imx", name="x", size=SIZE)
    assert caught.value.code == "VIDEO_TOO_SHORT"
    assert "2.4 seconds" in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / "x.imx").exists()


def test_too_long(tmp_path: Path) -> None:
    grey = np.full((48, 64, 3), 90, np.uint8)
    clip = film.write(tmp_path / "long.mp4", itertools.repeat(grey, 61 * 25))
    with pytest.raises(InvalidVideo) as caught:
        build(clip, out=tmp_path / "x.imx", name="x")
    assert caught.value.code == "VIDEO_TOO_LONG"
    assert "61 seconds" in str(caught.value)


def test_nobody_there(tmp_path: Path) -> None:
    grey = np.full((96, 128, 3), 90, np.uint8)
    clip = film.write(tmp_path / "empty.mp4", itertools.repeat(grey, 8))
    for arguments in ({"source": clip}, {"source": grey_photo(), "gestures": {"wave": clip}}):
        with pytest.raises(InvalidVideo) as caught:
            build(**arguments, out=tmp_path / "x.imx", name="x", size=128, seconds=1)
        assert caught.value.code == "NO_FACE"


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawing of a face, which the segmentation network takes for no person, before a camera."""
    picture = film.sketch(cv2.resize(cv2.imread(str(grey_photo())), (256, 256)))
    sways = np.sin(np.linspace(0, 20, 126))
    moved = (
        cv2.warpAffine(
            picture,
            np.array([[1, 0, s], [0, 1, s / 2]]),
            (256, 256),
            borderMode=cv2.BORDER_REPLICATE,
        )
        for s in sways
    )
    return film.write(tmp_path_factory.mktemp("clips") / "drawing.mp4", moved)


@pytest.mark.parametrize("background", ["transparent", "#2040ff"])
def test_somebody_who_cannot_be_cut_out_of_a_clip(
    drawing: Path, tmp_path: Path, background: str
) -> None:
    with pytest.raises(NotSupported) as caught:
        build(drawing, out=tmp_path / "x.imx", name="x", size=128, background=background)
    assert caught.value.code == "MATTE"
    assert "drawing.mp4" in str(caught.value)
    assert not list(tmp_path.iterdir())


def grey_photo() -> Path:
    return Path(__file__).parents[1] / "data" / "face_front.webp"


@pytest.mark.parametrize("name", ["", "Wave", "my wave", "../x", "idle", "x" * 41])
def test_a_gesture_that_cannot_be_named_so(talking: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotSupported) as caught:
        build(talking, out=tmp_path / "x.imx", name="x", gestures={name: talking})
    assert caught.value.code == "GESTURE_NAME"
