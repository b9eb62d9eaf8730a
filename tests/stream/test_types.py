"""Frames and chunks."""

import threading

import numpy as np
import pytest

from engine.stream.types import AudioChunk, FrameState, VideoFrame


def test_audio_chunk() -> None:
    chunk = AudioChunk(np.arange(-320, 320, dtype=np.int16))
    assert chunk.duration == pytest.approx(0.04)
    assert chunk.sample_rate == 16_000
    np.testing.assert_array_equal(np.frombuffer(chunk.bytes, "<i2"), chunk.array)


def test_a_picture_is_composed_once_and_only_when_asked_for() -> None:
    calls: list[FrameState] = []

    def compose(state: FrameState) -> np.ndarray:
        calls.append(state)
        return np.zeros((4, 4, 3), np.uint8)

    frame = VideoFrame(FrameState(7, 3, 2, end_of_speech=True), compose)
    assert frame.has_image
    assert (frame.frame_index, frame.end_of_speech, frame.audio_chunk) == (7, True, None)
    assert calls == []
    threads = [threading.Thread(target=lambda: frame.bgr_image) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [frame.state]
    assert "idle" in repr(frame)
