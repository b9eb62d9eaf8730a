import numpy as np
import pytest

from engine.motion import IdleMotion, idle

SEEDS = range(40)


@pytest.fixture(scope="module")
def loops() -> list[IdleMotion]:
    return [idle(12.0, seed) for seed in SEEDS]


def blinks(loop: IdleMotion) -> np.ndarray:
    """Frames at which the lids are shut."""
    return np.flatnonzero(loop.blink[:, 0] > 0.99)


def test_shapes_types_and_ranges(loops: list[IdleMotion]) -> None:
    for loop in loops:
        n = len(loop)
        assert n == 300
        assert loop.pose.shape == (n, 3)
        assert loop.blink.shape == loop.gaze.shape == (n, 2)
        assert loop.breath.shape == (n,)
        for curve in (loop.pose, loop.blink, loop.gaze, loop.breath):
            assert curve.dtype == np.float32
            assert np.isfinite(curve).all()
        assert np.abs(loop.pose).max() <= 4
        assert loop.blink.min() >= 0
        assert loop.blink.max() <= 1
        assert loop.breath.min() >= 0
        assert loop.breath.max() <= 1


def test_the_seam_is_smooth(loops: list[IdleMotion]) -> None:
    """Position and velocity over the seam are no rougher than anywhere else in the loop."""
    for loop in loops:
        for curve in (loop.pose, loop.breath[:, None]):
            around = np.concatenate([curve, curve[:3]]).astype(np.float64)
            for order in (1, 2):
                steps = np.abs(np.diff(around, n=order, axis=0))
                n = len(loop) - order
                assert np.all(steps[n:].max(axis=0) <= 1.3 * steps[:n].max(axis=0))
        assert not loop.blink[:4].any()
        assert not loop.blink[-4:].any()


def test_the_head_moves_but_never_jerks(loops: list[IdleMotion]) -> None:
    for loop in loops:
        assert np.ptp(loop.pose[:, 0]) > 1.5  # visible sway
        speed = np.abs(np.diff(loop.pose, axis=0)) * loop.fps
        assert speed.max() < 12  # degrees per second
        assert np.abs(loop.pose.mean(axis=0)).max() < 1.2  # faces as in the photo


def test_sway_is_not_one_sine(loops: list[IdleMotion]) -> None:
    for loop in loops:
        power = np.abs(np.fft.rfft(loop.pose[:, 0] - loop.pose[:, 0].mean())) ** 2
        assert power.max() / power.sum() < 0.95


def test_blinks_come_at_human_intervals(loops: list[IdleMotion]) -> None:
    counts = np.array([len(blinks(loop)) for loop in loops])
    assert counts.min() >= 1
    per_minute = counts.mean() * 5
    assert 12 <= per_minute <= 22
    intervals = np.concatenate([np.diff(blinks(loop)) for loop in loops]) / 25
    single = intervals[intervals > 0.8]
    assert 3 <= single.mean() <= 5
    assert single.std() > 0.6  # not a metronome


def test_a_blink_closes_faster_than_it_opens(loops: list[IdleMotion]) -> None:
    for loop in loops:
        for peak in blinks(loop):
            before = np.count_nonzero(loop.blink[peak - 4 : peak, 0] > 0.01)
            after = np.count_nonzero(loop.blink[peak + 1 : peak + 5, 0] > 0.01)
            assert before in (2, 3)
            assert after in (3, 4)


def test_gaze_jumps_and_then_fixates(loops: list[IdleMotion]) -> None:
    for loop in loops:
        # The gaze relative to the room: head and eyes together.
        world = loop.gaze - loop.pose[:, :2]
        speed = np.linalg.norm(np.diff(world, axis=0), axis=1)
        assert np.median(speed) < 0.12  # fixation: still but for the clipped reflex
        assert speed.max() > 0.5  # at least one saccade


def test_same_seed_same_loop_other_seed_other_loop() -> None:
    a, b, c = idle(4, 7), idle(4, 7), idle(4, 8)
    for name in ("pose", "blink", "gaze", "breath"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
    assert not np.array_equal(a.pose, c.pose)


@pytest.mark.parametrize("seconds", [1, 1.5, 2, 5, 30])
def test_any_length(seconds: float) -> None:
    for seed in range(10):
        loop = idle(seconds, seed)
        assert len(loop) == round(seconds * 25)
        assert np.isfinite(loop.pose).all()
        assert np.abs(loop.pose).max() <= 4


def test_too_short_a_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one second"):
        idle(0.5)
