"""Sound of every kind that an avatar can say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidAudio
from engine.stream.avatar import Avatar


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


def test_what_cannot_be_said(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio) as caught:
        list(avatar.render(tmp_path / "none.wav"))
    assert caught.value.code == "AUDIO_NOT_FOUND"
    for wrong in ([1.0, 2.0], 7, ["text"], np.zeros(4, np.int64)):
        with pytest.raises(InvalidAudio):
            list(avatar.render(wrong))
    assert list(avatar.render(b"")) == []
