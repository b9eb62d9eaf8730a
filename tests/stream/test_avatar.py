"""Opening avatars by path and slug, and the two-line way to use them."""

import gc
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import engine
from engine import imx
from engine.errors import AvatarError, Failed, InvalidAudio, InvalidAvatar
from engine.stream.avatar import Avatar
from engine.stream.types import Shot


def test_what_it_is(avatar: Avatar, avatar_path: Path) -> None:
    assert (avatar.name, avatar.width, avatar.height, avatar.fps) == ("Test Card", 96, 96, 25)
    assert avatar.player.frames == 30
    assert avatar.kind == "essence"
    assert avatar.gestures == ()
    assert avatar.path == avatar_path
    assert avatar.info["kind"] == "essence"
    assert "members" not in avatar.info
    assert repr(avatar) == "<Avatar 'Test Card', 96x96>"


def test_frames_of_an_array(avatar: Avatar, speech: np.ndarray) -> None:
    pictures = list(avatar.render(speech))
    assert len(pictures) == 75
    assert all(p.shape == (96, 96, 3) and p.dtype == np.uint8 for p in pictures)
    session = avatar.session()
    session.push_audio(speech, last_chunk=True)
    for picture in pictures:
        np.testing.assert_array_equal(picture, session.next_frame().rgb_image)


def test_all_kinds_of_sound_give_the_same_frames(avatar: Avatar, speech: np.ndarray) -> None:
    expected = list(avatar.render(speech))
    data = speech.tobytes()
    for audio in (
        data,
        bytearray(data),
        memoryview(data),
        speech.astype(np.float32) / 32768,
        [speech[:100], data[200:201], data[201:5000], speech[2500:2501], data[5002:]],
        (data[i : i + 333] for i in range(0, len(data), 333)),
    ):
        frames = list(avatar.render(audio))
        assert len(frames) == 75
        np.testing.assert_array_equal(frames, expected)


def test_a_file(avatar: Avatar, speech: np.ndarray, wav: Callable[[np.ndarray, int], Path]) -> None:
    path = wav(speech, 16_000)
    pictures = list(avatar.render(path))
    assert len(pictures) == 75
    np.testing.assert_array_equal(pictures, list(avatar.render(speech)))
    assert len(list(avatar.render(str(path)))) == 75


def test_a_name_with_a_colon_is_no_address(
    avatar: Avatar,
    speech: np.ndarray,
    wav: Callable[[np.ndarray, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    wav(speech, 16_000).rename("talk-10:30.wav")
    assert len(list(avatar.render("talk-10:30.wav"))) == 75
    assert avatar.render("talk-10:30.wav", "out-10:30.mp4") == 75
    assert Path("out-10:30.mp4").stat().st_size > 0


def test_stopping_early(avatar: Avatar, speech: np.ndarray) -> None:
    taken = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            taken.append(1)
            yield speech[:16_000]

    frames = avatar.render(endless())
    next(frames)
    frames.close()
    assert len(taken) == 1


def test_what_cannot_be_said(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio) as caught:
        list(avatar.render(tmp_path / "none.wav"))
    assert caught.value.code == "AUDIO_NOT_FOUND"
    for wrong in ([1.0, 2.0], 7, ["text"], np.zeros(4, np.int64)):
        with pytest.raises(InvalidAudio):
            list(avatar.render(wrong))
    assert list(avatar.render(b"")) == []


def test_render_to_a_file(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    assert avatar.render(speech, tmp_path / "out.mp4") == 75
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 75


def test_handles_share_memory_until_the_last_is_closed(avatar_path: Path) -> None:
    with engine.open(avatar_path) as one, engine.open(str(avatar_path)) as two:
        assert one.player is two.player
        player = weakref.ref(one.player)
        one.close()
        with pytest.raises(Failed) as caught:
            one.compose(Shot())
        assert caught.value.code == "CLOSED"
        assert two.compose(Shot()).shape == (96, 96, 3)
    gc.collect()
    assert player() is None


def test_a_file_that_was_replaced_is_opened_anew(avatar_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.imx"
    shutil.copy(avatar_path, path)
    with engine.open(path) as one:
        shutil.copy(avatar_path, tmp_path / "b.imx")
        os.utime(tmp_path / "b.imx", ns=(1, 1))
        (tmp_path / "b.imx").replace(path)
        with engine.open(path) as two:
            assert one.player is not two.player


def test_slugs(avatar_path: Path, private_home: Path, tmp_path: Path) -> None:
    with pytest.raises(AvatarError) as caught:
        engine.open("test-card")
    assert caught.value.code == "MODEL_NOT_FOUND"
    assert "bithuman pull test-card" in caught.value.hint
    folder = private_home / "cache" / "showcase"
    folder.mkdir(parents=True)
    shutil.copy(avatar_path, folder / "test-card.imx")
    assert engine.open("test-card").name == "Test Card"
    with pytest.raises(AvatarError):
        engine.open("test-card", cache=tmp_path)


def test_slugs_without_the_variable(
    avatar_path: Path, private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BITHUMAN_CACHE_DIR")
    folder = private_home / ".cache" / "bithuman" / "showcase"
    folder.mkdir(parents=True)
    shutil.copy(avatar_path, folder / "test-card.imx")
    assert engine.open("test-card").path == folder / "test-card.imx"


@pytest.mark.parametrize(
    "name", ["none.imx", "some/where", "../up", "Not A Slug", "", "a\0b", "x" * 5000]
)
def test_missing_paths(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AvatarError) as caught:
        engine.open(name)
    assert caught.value.code in ("FILE_NOT_FOUND", "NOT_IMX", "READ_FAILED")


def test_damaged_and_foreign_files(avatar_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.imx"
    path.write_bytes(avatar_path.read_bytes()[:-100])
    with pytest.raises(InvalidAvatar):
        engine.open(path)


def test_an_expression_avatar_without_its_portrait(tmp_path: Path) -> None:
    path = tmp_path / "portrait.imx"
    imx.write(path, imx.Manifest(kind="expression", name="P", width=512, height=512), {})
    with pytest.raises(InvalidAvatar) as caught:
        engine.open(path)
    assert caught.value.member == "portrait.webp"


def test_words_ask_only_for_gestures_it_has(avatar: Avatar) -> None:
    assert avatar.gesture_for("Yes, wow!") is None
