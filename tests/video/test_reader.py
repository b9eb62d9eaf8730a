"""Reading clips: whatever their rate and shape, 25 upright pictures a second."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import InvalidVideo
from engine.video.reader import VideoFile
from engine.video.sniff import is_video
from tests.video import film


def written(path: Path, pictures: list[np.ndarray], fps: float = 25) -> Path:
    return film.write(path, iter(pictures), fps=fps, crf=2)


def counting(frames: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Frame i is grey 20 + 4 i, with a white mark in the left top corner."""
    pictures = []
    for i in range(frames):
        picture = np.full((size[1], size[0], 3), 20 + 4 * i, np.uint8)
        picture[:16, :16] = 255
        pictures.append(picture)
    return pictures


def number(picture: np.ndarray) -> float:
    height, width = picture.shape[:2]
    return (float(np.median(picture[height // 3 :, width // 2 :, 1])) - 20) / 4


@pytest.mark.parametrize("rate", [10, 24, 25, 29.97, 50, 60])
def test_every_rate_becomes_25_a_second(tmp_path: Path, rate: float) -> None:
    path = written(tmp_path / "clip.mp4", counting(48), rate)
    frames = list(VideoFile(path).frames())
    assert [index for index, _ in frames] == list(range(len(frames)))
    assert abs(len(frames) - 48 / rate * 25) <= max(1, 0.75 * 25 / rate)
    for index, picture in frames:
        assert abs(number(picture) - index * rate / 25) <= max(1.0, 0.5 * rate / 25 + 0.4)


def test_a_part_of_a_clip(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.mp4", counting(55))
    part = list(VideoFile(path).frames(start=20, stop=30))
    assert [index for index, _ in part] == list(range(20, 30))
    assert all(abs(number(picture) - index) < 0.6 for index, picture in part)


def turned(path: Path, degrees: int) -> Path:
    """Write a rotation into the track header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    matrix = {
        90: (0, one, 0, -one, 0, 0),
        180: (-one, 0, 0, 0, -one, 0),
        270: (0, -one, 0, one, 0, 0),
    }[degrees]
    data[at : at + 24] = struct.pack(">6i", *matrix)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    path = turned(written(tmp_path / "clip.mp4", counting(3)), degrees)
    video = VideoFile(path)
    size = (48, 64) if degrees != 180 else (64, 48)
    assert (video.width, video.height) == size
    _, picture = next(video.frames())
    assert picture.shape == (size[1], size[0], 3)
    bright = np.argwhere(picture[:, :, 0] > 200).mean(axis=0) / picture.shape[:2]
    # The mark of the left top corner, turned clockwise.
    right, bottom = {90: (True, False), 180: (True, True), 270: (False, True)}[degrees]
    assert (bright[1] > 0.5, bright[0] > 0.5) == (right, bottom)


def test_large_pictures_are_read_small(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.mp4", counting(2, (640, 360)))
    video = VideoFile(path)
    assert (video.width, video.height) == (640, 360)
    assert next(video.frames(320))[1].shape == (180, 320, 3)


@pytest.mark.parametrize("height", [360, 720])
def test_colours_are_those_of_the_standard(tmp_path: Path, height: int) -> None:
    colour = (40, 90, 200)
    picture = np.full((height, height * 16 // 9, 3), colour, np.uint8)
    path = film.write(tmp_path / "clip.mp4", iter([picture]))
    # The encoder wrote BT.601 and said nothing; larger pictures are taken to be BT.709.
    _, read = next(VideoFile(path).frames())
    off = np.abs(read.reshape(-1, 3).mean(axis=0) - colour).max()
    assert off < 4 if height < 720 else 4 < off < 40


def test_what_is_not_a_video(tmp_path: Path) -> None:
    missing = tmp_path / "no.mp4"
    with pytest.raises(InvalidVideo) as caught:
        VideoFile(missing)
    assert caught.value.code == "FILE_NOT_FOUND"
    for name, content in {
        "text.mp4": b"not a video" * 50,
        "empty.mp4": b"",
        "list.mp4": b"ffconcat version 1.0\nfile /etc/hostname\n",  # which FFmpeg refuses to open
        "cut.mp4": written(tmp_path / "clip.mp4", counting(9)).read_bytes()[:900],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidVideo) as caught:
            VideoFile(tmp_path / name)
        assert caught.value.code == "VIDEO_UNREADABLE"
        assert name in str(caught.value)


def test_videos_are_told_from_pictures(tmp_path: Path) -> None:
    clip = written(tmp_path / "clip.mp4", counting(2))
    assert is_video(clip)
    assert is_video(written(tmp_path / "clip.mkv", counting(2)))
    for name in ("a.png", "a.jpg", "a.webp"):
        cv2.imwrite(str(tmp_path / name), counting(1)[0])
        assert not is_video(tmp_path / name)
    assert not is_video(tmp_path / "missing.mp4")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    source = tmp_path / "whole.mp4"
    if not source.exists():
        film.write(source, iter(counting(12)))
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    with contextlib.suppress(InvalidVideo):
        for index, picture in VideoFile(path).frames(64):
            assert 0 <= index < 100_000
            assert max(picture.shape[:2]) <= 64
            if index > 200:
                break
