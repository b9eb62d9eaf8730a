import numpy as np
import pytest

from engine.motion import idle
from engine.motion.hubs import through_rest


@pytest.mark.parametrize("seed", range(8))
def test_a_loop_rests_at_its_hubs_and_lives_between_them(seed: int) -> None:
    loop = idle(12.0, seed)
    still, hubs = through_rest(loop)
    frames = len(loop)
    assert 2 <= len(hubs) <= 5
    assert hubs == sorted(set(hubs))
    for hub in hubs:
        around = [(hub + step) % frames for step in (-1, 0, 1)]
        assert np.abs(still.pose[hub]).max() == 0
        assert np.abs(still.gaze[hub]).max() == 0
        assert np.abs(still.pose[around]).max() < 0.05  # degrees: no speed either
        assert not still.blink[around].any()
        assert still.breath[hub] < 1e-3
    assert np.abs(still.pose).max() > 0.6 * np.abs(loop.pose).max()
    assert np.abs(np.diff(still.pose, axis=0)).max() < 1.0
    assert (still.blink <= loop.blink).all()
    assert still.blink.max() == 1.0
