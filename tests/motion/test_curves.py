import numpy as np
import pytest

from engine.motion import curves


def largest_step(curve: np.ndarray, order: int = 1) -> tuple[float, float]:
    """Largest difference of the given order inside the loop, and over its seam."""
    around = np.concatenate([curve, curve[: order + 1]])
    steps = np.abs(np.diff(around, n=order, axis=0))
    inside = len(curve) - order
    return float(steps[:inside].max()), float(steps[inside:].max())


def test_minimum_jerk_rests_at_both_ends() -> None:
    t = np.linspace(-0.5, 1.5, 2001)
    y = curves.minimum_jerk(t)
    assert y[0] == 0
    assert y[-1] == 1
    assert np.all(np.diff(y) >= 0)
    assert curves.minimum_jerk(0.5) == pytest.approx(0.5)
    assert curves.minimum_jerk(0.01) < 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_periodic_and_band_limited(seed: int) -> None:
    n, fps = 300, 25.0
    y = curves.periodic_noise(n, fps, np.random.default_rng(seed), low=0.1, high=0.7)
    assert np.abs(y).max() == pytest.approx(1.0)
    assert abs(y.mean()) < 1e-9
    spectrum = np.abs(np.fft.rfft(y))
    assert spectrum[int(0.7 * n / fps) + 1 :].max() < 1e-9 * spectrum.max()
    for order in (1, 2):
        inside, seam = largest_step(y, order)
        assert seam <= inside * 1.05


def test_noise_of_a_short_loop_still_moves() -> None:
    y = curves.periodic_noise(25, 25.0, np.random.default_rng(0), low=0.06, high=0.7)
    assert np.ptp(y) > 1


def test_holds_reach_their_values_and_close_the_loop() -> None:
    starts = np.array([10.0, 40.0, 95.0])
    durations = np.array([8.0, 10.0, 12.0])  # the last move runs over the end
    values = np.array([[1.0], [-2.0], [0.5]])
    y = curves.periodic_holds(100, starts, durations, values)
    assert y[30, 0] == pytest.approx(1.0)
    assert y[80, 0] == pytest.approx(-2.0)
    assert y[8, 0] == pytest.approx(0.5)
    inside, seam = largest_step(y)
    assert seam <= inside


@pytest.mark.parametrize("duration", [1.0, 3.0, 12.0, 60.0])
def test_renewal_times_fill_the_loop(duration: float) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        times = curves.renewal_times(duration, rng, mean=4.0, spread=0.4, shortest=1.6)
        gaps = np.diff([*times, duration])
        assert times[0] == 0
        assert np.all(gaps >= min(1.6, duration / len(times)) - 1e-6)
        assert gaps.sum() == pytest.approx(duration)
