"""An open avatar, and the short way to use one."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from engine.stream.avatar import Avatar


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


def test_render_to_a_file(avatar: Avatar, speech: np.ndarray, tmp_path: Path) -> None:
    assert avatar.render(speech, tmp_path / "out.mp4") == 75
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 75


def test_words_ask_only_for_gestures_it_has(avatar: Avatar) -> None:
    assert avatar.gesture_for("Yes, wow!") is None
