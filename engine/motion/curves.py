"""Smooth curves over a loop of frames.

Everything here is periodic: sample ``n`` equals sample 0, with its velocity, so that a loop built
from these curves has no visible seam.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]


def minimum_jerk(t: Curve | float) -> Curve:
    """Ease from 0 to 1 the way a limb does (Flash and Hogan, 1985).

    Args:
        t: progress; clamped to [0, 1].

    Returns:
        Position in [0, 1], with zero velocity and acceleration at both ends.
    """
    x = np.clip(np.asarray(t, np.float64), 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x * x)


def periodic_noise(
    frames: int,
    fps: float,
    rng: np.random.Generator,
    *,
    low: float,
    high: float,
    slope: float = 1.0,
) -> Curve:
    """Band-limited noise that repeats after ``frames`` samples.

    A random Fourier series over those harmonics of the loop that lie in the band. The lowest
    harmonic is always used, so that a short loop still moves.

    Args:
        frames: length of the loop.
        fps: frames per second.
        rng: source of the random amplitudes and phases.
        low: lower edge of the band in Hz.
        high: upper edge of the band in Hz.
        slope: amplitudes fall as ``frequency ** -slope``.

    Returns:
        Float64 (frames,), zero mean, largest magnitude exactly 1.
    """
    base = fps / frames
    first = max(1, round(low / base))
    harmonics = np.arange(first, max(first, int(high / base)) + 1)
    scale = harmonics.astype(np.float64) ** -slope
    cosine, sine = rng.standard_normal((2, len(harmonics))) * scale
    angle = 2.0 * np.pi * np.arange(frames)[:, None] * harmonics / frames
    curve: Curve = np.cos(angle) @ cosine + np.sin(angle) @ sine
    curve -= curve.mean()
    curve /= np.abs(curve).max()
    return curve


def periodic_holds(
    frames: int, starts: Curve, durations: Curve, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Hold values and move between them with minimum-jerk transitions, around the loop.

    Args:
        frames: length of the loop.
        starts: (k,) ascending frame times in [0, frames) at which a move begins.
        durations: (k,) length of each move in frames; a move ends before the next begins.
        values: (k, d) value reached by each move. The first move starts from the last value.

    Returns:
        Float64 (frames, d).
    """
    time = np.arange(frames, dtype=np.float64)
    out = np.repeat(values[-1:], frames, axis=0)
    previous = values[-1]
    wrapped = np.zeros_like(out)
    for start, duration, value in zip(starts, durations, values, strict=True):
        step = value - previous
        out += minimum_jerk((time - start) / duration)[:, None] * step
        # The tail of a move that runs over the end of the loop is played at its beginning.
        wrapped += (minimum_jerk((time + frames - start) / duration) - 1.0)[:, None] * step
        previous = value
    return out + wrapped


def renewal_times(
    duration: float,
    rng: np.random.Generator,
    *,
    mean: float,
    spread: float,
    shortest: float,
) -> Curve:
    """Event times around a loop with log-normal intervals.

    Args:
        duration: length of the loop in seconds.
        rng: source of randomness.
        mean: mean interval in seconds; none is drawn longer than twice this.
        spread: standard deviation of the logarithm of an interval.
        shortest: no interval, including the one over the seam, is shorter (seconds); it yields
            when the loop is too short for even one.

    Returns:
        Ascending times in seconds in [0, duration), at least one. The first is 0: shift them.
    """
    intervals: list[float] = []
    mu = float(np.log(mean) - 0.5 * spread**2)
    total = 0.0
    while not intervals or total + 0.5 * mean < duration:
        interval = float(np.clip(rng.lognormal(mu, spread), shortest, 2.0 * mean))
        intervals.append(interval)
        total += interval
    while len(intervals) > 1 and len(intervals) * shortest > duration:
        intervals.pop()
    # Stretch what exceeds the shortest interval, so that the intervals fill the loop exactly.
    floor = min(shortest, duration / len(intervals))
    slack = np.asarray(intervals) - floor + 1e-9
    filled = floor + slack * ((duration - len(intervals) * floor) / slack.sum())
    return np.concatenate([[0.0], np.cumsum(filled)[:-1]])
