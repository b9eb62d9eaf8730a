"""The blocking interface."""

from pathlib import Path

import numpy as np

from engine import Bithuman


def test_compose(avatar_path: Path, speech: np.ndarray) -> None:
    with Bithuman.load(avatar_path, api_secret="not needed") as avatar:
        assert (avatar.frame_width, avatar.frame_height) == (96, 96)
        frames = list(avatar.compose(speech))
        assert [frame.frame_idx for frame in frames] == list(range(75))
        assert all(frame.bgr.shape == (96, 96, 3) for frame in frames)
        np.testing.assert_array_equal(np.concatenate([f.audio.array for f in frames]), speech)


def test_compose_at_another_size(avatar_path: Path, speech: np.ndarray) -> None:
    avatar = Bithuman.load(avatar_path)
    frames = [frame.bgr for frame in avatar.compose(speech, output_size=(200, 120))]
    assert all(frame.shape == (120, 200, 3) for frame in frames)
    assert len({id(frame) for frame in frames}) == 75  # none is overwritten by the next
    assert frames[0][60, 100].mean() > 40
    assert not frames[0][:, :40].any()
    avatar.close()
