"""Other backgrounds behind an avatar: in pictures, in frames of a session, in files with alpha."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import engine
from engine.alpha import unpack_alpha
from engine.director import Shot
from engine.errors import Failed, NotSupported
from engine.stream.avatar import Avatar
from tests.stream.conftest import FRAMES, RED, SIZE, person, standing

Wav = Callable[[np.ndarray, int], Path]
BLUE = np.full((SIZE, SIZE, 3), (255, 0, 0), np.uint8)


@pytest.fixture(scope="module")
def floating(cut_out_path: Path) -> Avatar:
    return engine.open(cut_out_path, background="transparent")


def decoded(path: Path) -> list[np.ndarray]:
    """BGRA pictures of a file, its alpha as a browser would see it."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        if stream.codec_context.name != "vp9":
            return [frame.to_ndarray(format="bgra") for frame in file.decode(stream)]
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own knows no alpha
        frames = [frame for packet in file.demux(stream) for frame in decoder.decode(packet)]
    pictures = []
    for frame in frames:
        assert frame.format.name == "yuva420p"
        pictures.append(frame.reformat(format="bgra", src_colorspace=6).to_ndarray())
    return pictures


def over(bgra: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    share = bgra[:, :, 3:] / 255.0
    return bgra[:, :, :3] * share + np.array(colour) * (1 - share)


def wanted(index: int, colour: tuple[int, int, int]) -> np.ndarray:
    paint, alpha = person(index)
    return paint * alpha[..., None] + np.array(colour) * (1 - alpha[..., None])


@pytest.mark.parametrize("index", [0, 7, FRAMES - 1])
def test_a_colour_replaces_the_wall(cut_out_path: Path, index: int) -> None:
    avatar = engine.open(cut_out_path, background="#0000ff")
    picture = avatar.compose(Shot(index))
    difference = np.abs(picture - wanted(index, (255, 0, 0)))
    assert difference.mean() < 4
    # nothing of the green wall is left: green is low in both the disc and the colour behind it
    assert picture[:, :, 1].max() < 80
    assert np.abs(picture[:8, :8].astype(int) - (255, 0, 0)).max() < 6


def test_a_picture_stands_still_behind_it(cut_out_path: Path) -> None:
    stripes = np.zeros((SIZE, SIZE, 3), np.uint8)
    stripes[:, ::8] = 255
    avatar = engine.open(cut_out_path, background=stripes)
    for index in (0, 10, 20):
        corner = avatar.compose(Shot(index))[:20]
        assert np.abs(corner.astype(int) - stripes[:20])[:, 1:].mean() < 12


def test_transparent_frames_fit_any_background(floating: Avatar) -> None:
    for index in (0, 7):
        picture, alpha = floating.compose_cut(Shot(index))
        truth = person(index)[1]
        assert np.abs(alpha / 255.0 - truth).max() < 0.12
        for colour in ((255, 255, 255), (0, 0, 0), (0, 255, 0)):
            shown = over(np.dstack([picture, alpha]), colour)
            assert np.abs(shown - wanted(index, colour)).mean() < 3
        assert np.abs(picture[alpha > 60] - np.array(RED)).mean() < 12  # no green in the edge


def test_none_is_the_avatar_itself(cut_out_path: Path) -> None:
    plain = engine.open(cut_out_path)
    same = engine.open(cut_out_path, background="none")
    np.testing.assert_array_equal(plain.compose(Shot(3)), same.compose(Shot(3)))
    assert np.abs(plain.compose(Shot(3)).astype(int) - standing(3)).mean() < 4
    again = plain.with_background("#ffffff").with_background(None)
    np.testing.assert_array_equal(plain.compose(Shot(3)), again.compose(Shot(3)))


def test_words_taken_away_stay_away_before_another_background(cut_out_path: Path) -> None:
    avatar = engine.open(cut_out_path).with_words({"no": None})
    assert "no" not in avatar.words
    floating = avatar.with_background("transparent")
    for other in (floating, floating.opaque, floating.with_background("none")):
        assert other.words == avatar.words


def test_a_mouth_is_drawn_on_every_background(cut_out_path: Path) -> None:
    for background in ("none", "white", "transparent"):
        avatar = engine.open(cut_out_path, background=background)
        closed, opened = (avatar.compose(Shot(0, patch)) for patch in (None, 7))
        assert np.abs(closed.astype(int) - opened)[56:72, 40:56].mean() > 20


def test_an_avatar_without_a_matte_says_so(avatar_path: Path) -> None:
    with pytest.raises(NotSupported) as error:
        engine.open(avatar_path, background="transparent")
    assert error.value.code == "MATTE"
    with pytest.raises(NotSupported):
        engine.open(avatar_path).with_background("white")
    closed = engine.open(avatar_path)
    closed.close()
    with pytest.raises(Failed):
        closed.with_background("white")


def test_frames_of_a_session_have_alpha(floating: Avatar, cut_out_path: Path) -> None:
    frame = floating.session(seed=0).next_frame()
    assert frame.bgra_image.shape == (SIZE, SIZE, 4)
    np.testing.assert_array_equal(frame.bgra_image[:, :, 3], frame.alpha)
    assert frame.alpha[64, 48] == 255
    assert frame.alpha[2, 2] == 0
    plain = engine.open(cut_out_path).session(seed=0).next_frame()
    assert (plain.alpha == 255).all()
    assert plain.bgr_image.shape == (SIZE, SIZE, 3)


def test_iterating_gives_rgba_where_asked(floating: Avatar, speech: np.ndarray) -> None:
    rgba = list(floating.render(speech[:1280], alpha=True))
    assert [picture.shape for picture in rgba] == [(SIZE, SIZE, 4)] * 2
    assert np.abs(rgba[0][64, 30, :3] - np.array(RED[::-1])).max() < 12
    assert next(iter(floating.render(speech[:640]))).shape == (SIZE, SIZE, 3)


def test_for_the_wire(floating: Avatar) -> None:
    jpeg, png = floating.compose_cut_jpeg(Shot(5))
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(unpack_alpha(png), floating.compose_cut(Shot(5))[1])
    assert not floating.opaque.transparent


@pytest.mark.parametrize("name", ["a.webm", "a.mov", "frames/"])
def test_files_carry_the_alpha(
    floating: Avatar, speech: np.ndarray, tmp_path: Path, name: str
) -> None:
    result = engine.write_video(floating, speech[: 640 * 12], f"{tmp_path}/{name}", quality="HIGH")
    assert (result.frames, result.width, result.height) == (12, SIZE, SIZE)
    if name == "frames/":
        files = sorted((tmp_path / name).glob("*.png"))
        assert [file.name for file in files][:2] == ["frame-000000.png", "frame-000001.png"]
        pictures = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
        assert result.bytes == sum(f.stat().st_size for f in (tmp_path / name).iterdir())
        assert b"AI-generated" in files[0].read_bytes()
    else:
        pictures = decoded(tmp_path / name)
        with av.open(str(tmp_path / name)) as file:
            tags = {key.lower(): value for key, value in file.metadata.items()}
            assert tags["comment"] == "AI-generated"
            assert file.streams.video[0].average_rate == 25
    assert len(pictures) == 12
    for index, picture in enumerate(pictures):
        truth = person(index)[1]
        assert picture[64, 40, 3] >= 250
        assert picture[:10, :, 3].max() <= 5
        assert np.abs(picture[:, :, 3] / 255.0 - truth).mean() < 0.01
        assert np.abs(over(picture, (255, 255, 255)) - wanted(index, (255,) * 3))[:44].mean() < 4


@pytest.mark.parametrize("name", ["a.webm", "a.mov", "frames/"])
def test_every_sound_sample_keeps_its_place(
    cut_out_path: Path, speech_like: Callable[..., np.ndarray], wav: Wav, tmp_path: Path, name: str
) -> None:
    sound = speech_like(1.0, 48_000)
    source = wav((sound * 32767).astype(np.int16), 48_000)
    with engine.open(cut_out_path) as avatar:
        engine.write_video(avatar, source, f"{tmp_path}/{name}")
    if name == "frames/":
        with wave.open(str(tmp_path / name / "audio.wav")) as file:
            assert (file.getframerate(), file.getnframes()) == (48_000, 48_000)
            heard = np.frombuffer(file.readframes(48_000), np.int16) / 32768
    else:
        with av.open(str(tmp_path / name)) as file:
            frames = list(file.decode(file.streams.audio[0]))
        parts = [frame.to_ndarray().reshape(-1) for frame in frames]
        heard = np.concatenate(parts).astype(np.float64)
        if heard.max() > 2:
            heard /= 32768
        assert frames[0].time == pytest.approx(0, abs=1e-3)
        assert abs(len(heard) - 48_000) <= 1
    part = slice(4000, 40_000)
    scores = {
        shift: float(np.dot(sound[part], heard[4000 + shift : 40_000 + shift]))
        for shift in range(-400, 401)
    }
    assert max(scores, key=lambda shift: scores[shift]) == 0


def test_opaque_webm_and_mov(avatar_path: Path, speech: np.ndarray, tmp_path: Path) -> None:
    with engine.open(avatar_path) as avatar:
        for name in ("a.webm", "a.mov"):
            engine.write_video(avatar, speech[:3200], tmp_path / name, quality="HIGH")
            with av.open(str(tmp_path / name)) as file:
                (first, *_) = file.decode(file.streams.video[0])
            assert "a" not in first.format.name.removeprefix("yuv")
            shown = first.to_ndarray(format="bgr24")
            assert np.abs(shown.astype(int) - avatar.compose(Shot())).mean() < 8


def test_mp4_cannot_be_transparent(floating: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(NotSupported) as error:
        engine.write_mp4(floating, speech, tmp_path / "a.mp4")
    assert error.value.code == "NO_ALPHA"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.avi", "a.png", "a.webm.txt", "a", "-"])
def test_unknown_suffixes(floating: Avatar, speech: np.ndarray, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotSupported) as error:
        engine.write_video(floating, speech, tmp_path / name)
    assert error.value.code == "OUTPUT_FORMAT"


def test_a_folder_is_complete_or_not_there(
    floating: Avatar, speech: np.ndarray, tmp_path: Path
) -> None:
    target = tmp_path / "frames"
    with pytest.raises(RuntimeError, match="enough"):
        engine.write_video(floating, speech, target, format="png", progress=_give_up)
    assert not list(tmp_path.iterdir())
    target.mkdir()
    engine.write_video(floating, speech[:640], f"{target}/")
    assert len(list(target.iterdir())) == 2
    with pytest.raises(Failed) as error:
        engine.write_video(floating, speech[:640], target, format="png")
    assert error.value.code == "WRITE_FAILED"
    assert len(list(target.iterdir())) == 2
    assert len(list(tmp_path.iterdir())) == 1


def _give_up(done: int, total: int | None) -> None:
    if done > 3:
        raise RuntimeError("enough")


def test_the_background_goes_on_beside_a_picture_of_another_shape(
    cut_out_path: Path, speech: np.ndarray, tmp_path: Path
) -> None:
    with engine.open(cut_out_path, background="#0000ff") as avatar:
        engine.write_mp4(avatar, speech[:1280], tmp_path / "a.mp4", target_size="192x96")
    with av.open(str(tmp_path / "a.mp4")) as file:
        picture = next(file.decode(file.streams.video[0])).to_ndarray(format="bgr24")
    assert picture.shape == (96, 192, 3)
    assert np.abs(picture[:, :40].astype(int) - (255, 0, 0)).mean() < 12
    assert picture[64, 80, 2] > 140
