"""Expression avatars, read back by the landmark network from the frames they draw."""

import io
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import engine
from engine import imx
from engine.audio import decode
from engine.coefficients import COEFFICIENTS, INDEX
from engine.director import Shot
from engine.errors import InvalidAvatar, InvalidImage, NotSupported
from engine.expression.player import ExpressionPlayer
from engine.face.image import load_image
from engine.face.landmarks import find_face, head_pose
from engine.face.measure import eye_aspect, lip_gap
from engine.face.renderer import Renderer
from engine.motion import EMOTIONS, GESTURES, FaceState, emotion
from engine.stream.avatar import Avatar
from engine.stream.types import FrameState

HELLO = Path(__file__).parents[2] / "web/audio/hello.mp3"


def mouth(**values: float) -> np.ndarray:
    vector = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        vector[INDEX[name]] = value
    return vector


def read(picture: np.ndarray) -> np.ndarray:
    return find_face(picture, face=1).points


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    sound = (decode(HELLO) * 32767).astype(np.int16)
    return np.tile(sound, 2)[: 15 * 16_000]


def test_what_it_is(live: Avatar) -> None:
    assert (live.kind, live.width, live.height) == ("expression", 512, 512)
    assert live.gestures == GESTURES
    assert live.emotions == EMOTIONS
    assert live.manifest.provenance.ai_generated
    with pytest.raises(NotSupported):
        _ = live.player
    with pytest.raises(NotSupported) as error:
        engine.open(live.path, model="wax")
    assert error.value.code == "MODEL"


def test_fifteen_seconds_of_speech_follow_what_is_commanded(
    live: Avatar, speech: np.ndarray, portraits: Path
) -> None:
    session = live.session(seed=3)
    session.push_audio(speech, last_chunk=True)
    still = read(live.compose(Shot()))
    own = find_face(load_image(portraits / "modern-court-jester.webp"), face=1)
    renderer = Renderer.from_image(load_image(portraits / "modern-court-jester.webp"), own, 512)
    player = ExpressionPlayer(renderer)
    moved = np.linalg.norm(still[:468, :2] - renderer.landmarks[:468, :2], axis=1)
    assert moved.mean() < 1.0  # px: the rest pose is the portrait
    rest, width = np.array(head_pose(still)), np.linalg.norm(still[61, :2] - still[291, :2])
    poses, mouths, blinks = [], [], 0
    for index in range(15 * 25):
        state = session.next_index()
        assert state.face is not None
        closed = state.face.blink.min() > 0.97
        if index % 12 and not (closed and blinks < 5):
            continue
        seen = read(live.compose(state))
        poses.append(np.array(head_pose(seen)) - rest - state.face.pose)
        mouths.append(lip_gap(seen) - lip_gap(player.landmarks(state)))
        if closed:
            blinks += 1
            assert max(eye_aspect(seen)) < 0.12
        elif state.face.blink.max() == 0:
            assert min(eye_aspect(seen)) > 0.2  # and open again
        assert np.linalg.norm(seen[13, :2] - seen[14, :2]) < 0.6 * width
    assert blinks >= 2
    assert np.sqrt((np.array(poses) ** 2).mean(axis=0)).max() < 1.5  # degrees
    assert np.sqrt((np.array(mouths) ** 2).mean()) < 0.04  # mouth widths


@pytest.mark.parametrize("name", EMOTIONS)
def test_closures_close_and_vowels_open_in_every_mood(live: Avatar, name: str) -> None:
    mood = emotion(name)
    closed = live.compose(Shot(face=mood, mouth=mouth(lipClosure=1, jawOpen=0.1)))
    opened = live.compose(Shot(face=mood, mouth=mouth(jawOpen=0.4, mouthLowerDown=0.2)))
    assert lip_gap(read(closed)) < 0.035
    assert lip_gap(read(opened)) > 0.12


def test_a_laugh_does_not_part_lips_that_have_to_meet(live: Avatar) -> None:
    laughing = FaceState.of(units={"jawOpen": 0.2, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.7})
    apart = live.compose(Shot(face=laughing, mouth=mouth()))
    meeting = live.compose(Shot(face=laughing, mouth=mouth(lipClosure=1)))
    assert lip_gap(read(meeting)) < 0.04 < lip_gap(read(apart))


def test_gestures_by_the_sdk(live: Avatar) -> None:
    for name in GESTURES:
        session = live.session(seed=2)
        plain = live.session(seed=2)
        session.act(name)
        assert session.action == name
        difference = 0.0
        for _ in range(40):
            a, b = session.next_index().face, plain.next_index().face
            assert a is not None
            assert b is not None
            difference = max(difference, float(np.abs(a.vector - b.vector).max()))
        assert difference > 0.2, name


def test_the_face_is_swapped_in_mid_sentence_without_losing_a_frame(
    live: Avatar, portraits: Path, speech: np.ndarray
) -> None:
    session = live.with_words({"never": None}).session(seed=4)
    session.push_audio(speech[: 16_000 * 8], last_chunk=True)
    states: list[FrameState] = [session.next_index() for _ in range(10)]
    old = session.avatar
    swap = threading.Thread(target=session.set_identity, args=(portraits / "studio-host.webp",))
    swap.start()
    while swap.is_alive():
        states.append(session.next_index())
        session.avatar.compose(states[-1])
        time.sleep(0.005)
    states += [session.next_index() for _ in range(5)]
    assert session.avatar is not old
    assert [s.frame_index for s in states] == list(range(len(states)))
    played = np.concatenate([s.audio for s in states if s.audio is not None])
    np.testing.assert_array_equal(played, speech[: len(played)])
    session.hear_text("Never!")  # the new face answers to the same words
    assert session.action is None
    # Another face: darker skin.
    before, after = (a.compose(Shot()) for a in (old, session.avatar))
    assert before[200:300, 200:300].mean() > after[200:300, 200:300].mean() + 20


def test_a_bad_picture_changes_nothing(live: Avatar) -> None:
    session = live.session()
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    for image in (b"no picture", noise):
        with pytest.raises(InvalidImage):
            session.set_identity(image)
    assert session.avatar is live


def test_of_two_faces_the_one_asked_for_last_stays(live: Avatar, portraits: Path) -> None:
    asked, there = threading.Event(), threading.Event()

    class Slow:
        """The path of a photo that takes its time to arrive."""

        def __fspath__(self) -> str:
            asked.set()
            there.wait(60)
            return str(portraits / "modern-court-jester.webp")

    session = live.session()
    first = threading.Thread(target=session.set_identity, args=(Slow(),))
    first.start()
    assert asked.wait(60)
    session.set_identity(portraits / "studio-host.webp")
    last = session.avatar
    there.set()
    first.join()
    assert session.avatar is last


async def test_async_swap_and_control(portraits: Path) -> None:
    runtime = await engine.AsyncBithuman.create(
        model_path=portraits / "modern-court-jester.webp", model="expression"
    )
    await runtime.set_identity(portraits / "studio-host.webp")
    await runtime.push(engine.VideoControl(action="nod", emotion="joy", emotion_intensity=0.5))
    with pytest.raises(NotSupported, match="not a number"):
        await runtime.push(engine.VideoControl(emotion="joy", emotion_intensity=float("nan")))
    assert runtime.session.action == "nod"
    with pytest.raises(NotSupported):
        await runtime.push(engine.VideoControl(action="moonwalk"))


@pytest.fixture(scope="module")
def stored(portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("expression") / "host.imx"
    result = engine.build_expression(
        portraits / "studio-host.webp", out=path, name="Host", size=320, licence="CC0-1.0"
    )
    assert result.bytes < 200_000
    return path


def test_a_file_plays_like_the_photo_it_was_made_of(stored: Path, portraits: Path) -> None:
    with engine.open(stored) as avatar:
        assert (avatar.kind, avatar.name, avatar.width) == ("expression", "Host", 320)
        picture = avatar.compose(Shot())
        with imx.Reader(stored) as reader:
            data = np.frombuffer(reader.read("portrait.webp"), np.uint8)
        portrait = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert portrait is not None
        # Identity: at rest, the landmarks are those of the photo.
        apart = np.linalg.norm((read(picture) - read(portrait))[:, :2], axis=1)
        assert np.sqrt(np.mean(apart**2)) < 0.6
        assert apart.max() < 2.0  # the lips of the photo are not quite closed
        jpeg = avatar.compose_jpeg(Shot())
    again = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert again is not None
    assert np.abs(again.astype(int) - picture).mean() < 3
    assert lip_gap(read(picture)) < 0.03


def test_a_video_of_it_moves_the_whole_face(live: Avatar, tmp_path: Path) -> None:
    for quality in ("MEDIUM", "HIGH"):
        result = engine.write_mp4(live, HELLO, tmp_path / "a.mp4", quality=quality, limit=1.2)
        assert result.frames == 30
        with av.open(str(tmp_path / "a.mp4")) as file:
            images = [f.to_ndarray(format="bgr24") for f in file.decode(video=0)]
        points = np.array([read(image)[:, :2] for image in images[::6]])
        nose = points[:, 1]
        assert np.ptp(nose, axis=0).max() > 0.5  # the head moves
        gap = np.linalg.norm(points[:, 13] - points[:, 14], axis=1)
        assert np.ptp(gap) > 3  # and the mouth


def test_damaged_files_name_the_member(stored: Path, tmp_path: Path) -> None:
    with imx.Reader(stored) as reader:
        manifest = reader.manifest
        members = {name: reader.read(name) for name in reader.members}
    points = io.BytesIO()
    np.save(points, np.zeros((478, 3), np.float32))
    for name, content in (
        ("portrait.webp", b"RIFF"),
        ("portrait.webp", members["thumb.webp"]),
        ("portrait.webp", None),
        ("landmarks.npy", points.getvalue()),
        ("landmarks.npy", b"\x80\x04"),
        ("landmarks.npy", None),
    ):
        changed = {k: v for k, v in {**members, name: content}.items() if v is not None}
        imx.write(tmp_path / "bad.imx", manifest, changed)
        with pytest.raises(InvalidAvatar) as error:
            engine.open(tmp_path / "bad.imx")
        assert error.value.member == name


def test_high_quality_shows_the_photo_at_its_own_resolution(
    speech: np.ndarray, tmp_path: Path
) -> None:
    photo = Path(__file__).parents[2] / "training/showcase/portraits/studio-host.webp"
    with engine.open(photo, model="expression") as avatar:
        sharpness = {}
        for quality in ("MEDIUM", "HIGH"):
            out = tmp_path / f"{quality}.mp4"
            made = engine.write_video(avatar, speech[:1280], out, quality=quality)
            with av.open(str(out)) as file:
                frame = next(file.decode(file.streams.video[0])).to_ndarray(format="gray")
            side = 720
            face = cv2.resize(frame, (side, side), interpolation=cv2.INTER_CUBIC)[200:560, 200:520]
            sharpness[quality] = cv2.Laplacian(face.astype(np.float32), cv2.CV_32F).std()
            assert made.frames == 2
        assert 640 < made.width == made.height < 768  # of the photo's 768, the head and shoulders
        assert sharpness["HIGH"] > 1.3 * sharpness["MEDIUM"]
        small = engine.write_video(
            avatar, speech[:640], tmp_path / "small.mp4", quality="HIGH", target_size=256
        )
        assert (small.width, small.height) == (256, 256)


def test_high_quality_of_a_file_is_supersampled(live: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "a.imx"
    engine.build_expression(live.path, out=path, name="A", size=256)
    with engine.open(path, background="#20c040") as avatar:
        larger, shown = avatar.fine()
        assert shown == (256, 256)
        assert (larger.width, larger.height) == (512, 512)
        picture = larger.compose(Shot())
        assert picture.shape == (512, 512, 3)
        assert np.abs(picture[:8, :8].astype(int) - (0x40, 0xC0, 0x20)).max() <= 2
        reduced = cv2.resize(picture, shown, interpolation=cv2.INTER_AREA)
        assert np.abs(reduced.astype(int) - avatar.compose(Shot())).mean() < 4
        same, shown = avatar.fine(most=256)
        assert (same.width, same.height) == shown == (256, 256)
