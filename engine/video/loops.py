"""Stretches of a clip that begin and end alike, so that each can follow any other.

After Schödl et al. (2000), "Video textures": frames are compared, and the cheapest ways from one
back to one like it are kept. One frame, the *hub*, is chosen for all of them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS
from engine.video.track import runs

__all__ = ["Plan", "Signs", "plan", "talking"]

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

SHORTEST: Final = 5.0
"""Seconds in which the face has to be usable."""
_LEAST_ARC: Final = 1.6 * FPS
_LEAST_LOOP: Final = 2.4 * FPS
_LONGEST: Final = 16.0 * FPS
_ALIKE: Final = 1.0  # distance up to which frames are joined through the hub
_TOLERABLE: Final = 2.2  # up to which a loop is closed rather than played there and back
_BOUNCE: Final = 7.0 * FPS
_CANDIDATES: Final = 90
_EYES: Final = 3  # frames around a join without a blink
_PX: Final = 8.0  # at a 512 px frame: this much displacement, or
_GREY: Final = 12.0  # this much change of tone is a distance of 1
_TALKING: Final = 0.01  # mean change of the gap between the lips, of the mouth width a frame
_OPEN: Final = 0.45  # how much less a frame with an open mouth is worth


@dataclass(frozen=True)
class Signs:
    """By what frames are compared; n frames, those that cannot be used may hold anything.

    Attributes:
        points: float64 (n, m, 2) of the head, px at a 512 px frame.
        tones: float32 (n, k) of the picture without the mouth, 0 to 255.
        eyes: float64 (n,) eye aspect.
        gap: float64 (n,) inner lips apart, over the mouth width.
        usable: bool (n,).
    """

    points: Doubles
    tones: Floats
    eyes: Doubles
    gap: Doubles
    usable: NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """How a clip becomes a loop.

    Attributes:
        hub: the frame through which every arc passes.
        arcs: first frame and end; each begins and ends near enough to the hub to be joined to it.
        bounce: there was nothing alike: the only arc is to be played there and back.
        distance: the largest distance of an end from the hub; 1 is where a join might be seen.
    """

    hub: int
    arcs: tuple[tuple[int, int], ...]
    bounce: bool
    distance: float


def plan(signs: Signs) -> Plan:
    """Find the hub and the arcs.

    Args:
        signs: with at least one usable run of `_LEAST_LOOP` frames.
    """
    awake = _awake(signs)
    candidates = np.flatnonzero(signs.usable & awake)
    calm = signs.gap[candidates]
    # Closed mouths first, then spread over the clip.
    good = candidates[calm <= max(0.035, float(np.quantile(calm, 0.35)))]
    hubs = good[:: max(1, len(good) // _CANDIDATES)]
    best: tuple[float, Plan] | None = None
    for hub in hubs.tolist():
        distance = _distance(signs, hub)
        ends = _alike(signs, distance, awake, hub)
        arcs = _chosen(signs, ends)
        length = sum(b - a for a, b in arcs)
        if length < _LEAST_LOOP:
            continue
        used = sorted({t for arc in arcs for t in arc})
        misfit = float(distance[used].sum())
        worth = sum(_worth(signs, a, b) for a, b in arcs) - 1.2 * FPS * misfit
        worth += 0.8 * FPS * min(len(arcs), 4)  # several arcs are a walk, one is a loop
        if best is None or worth > best[0]:
            best = worth, Plan(hub, tuple(arcs), False, float(distance[used].max()))
    return best[1] if best is not None else _seam(signs, awake)


def talking(signs: Signs, first: int, end: int) -> bool:
    """Whether the person talks in most of an arc: their lips move all the time."""
    return float(np.abs(np.diff(signs.gap[first:end])).mean()) > _TALKING


def _distance(signs: Signs, hub: int) -> Doubles:
    """How unlike the hub every frame is."""
    moved = np.sqrt(((signs.points - signs.points[hub]) ** 2).sum(axis=2).mean(axis=1))
    toned = np.sqrt(((signs.tones - signs.tones[hub]) ** 2).mean(axis=1))
    distance = moved / _PX + toned / _GREY
    return np.where(signs.usable, np.nan_to_num(distance, nan=np.inf), np.inf)


def _awake(signs: Signs) -> NDArray[np.bool_]:
    """Frames around which the eyes are open."""
    usual = float(np.median(signs.eyes[signs.usable]))
    shut = np.nan_to_num(signs.eyes, nan=0.0) < 0.75 * usual
    near = np.convolve(shut, np.ones(2 * _EYES + 1), "same") > 0
    return ~near


def _alike(signs: Signs, distance: Doubles, awake: NDArray[np.bool_], hub: int) -> list[list[int]]:
    """For every run the frames at which the clip passes the hub, apart by the shortest arc."""
    found: list[list[int]] = []
    for first, end in runs(signs.usable):
        near = [t for t in range(first, end) if awake[t] and distance[t] <= _ALIKE]
        taken: list[int] = [hub] if first <= hub < end else []
        for t in sorted(near, key=lambda t: distance[t]):
            if all(abs(t - other) >= _LEAST_ARC for other in taken):
                taken.append(t)
        found.append(sorted(taken))
    return found


def _chosen(signs: Signs, ends: list[list[int]]) -> list[tuple[int, int]]:
    """Arcs between neighbouring ends, the best that fit into the length of a loop, in order."""
    arcs = [(a, b) for row in ends for a, b in itertools.pairwise(row)]
    arcs = [arc for arc in arcs if arc[1] - arc[0] <= _LONGEST]
    arcs.sort(key=lambda arc: -_worth(signs, *arc) / (arc[1] - arc[0]))
    kept: list[tuple[int, int]] = []
    length = 0
    for a, b in arcs:
        if length + b - a <= _LONGEST:
            kept.append((a, b))
            length += b - a
    return sorted(kept)


def _worth(signs: Signs, first: int, end: int) -> float:
    """Frames of an arc, those with an open mouth for less."""
    opened = np.clip((signs.gap[first:end] - 0.04) / 0.1, 0, 1)
    return float((1 - _OPEN * opened).sum())


def _seam(signs: Signs, awake: NDArray[np.bool_]) -> Plan:
    """The best loop of one arc, or there and back."""
    best: tuple[float, float, int, int] | None = None
    stretches = runs(signs.usable)
    for first, end in stretches:
        starts = range(first, end - int(_LEAST_LOOP), 3)
        for a in starts:
            if not awake[a]:
                continue
            distance = _distance(signs, a)
            last = min(end, a + int(_LONGEST))
            tail = np.arange(a + int(_LEAST_LOOP), last)
            tail = tail[awake[tail]]
            if not len(tail):
                continue
            # A second more of loop is worth a little of a worse seam.
            cost = distance[tail] - 0.06 * (tail - a) / FPS
            b = int(tail[np.argmin(cost)])
            if best is None or cost.min() < best[0]:
                best = float(cost.min()), float(distance[b]), a, b
    if best is not None and best[1] <= _TOLERABLE:
        return Plan(best[2], ((best[2], best[3]),), False, best[1])
    first, end = max(stretches, key=lambda run: run[1] - run[0])
    length = min(end - first, int(_BOUNCE))
    options = [a for a in range(first, end - length + 1) if awake[a]] or [first]
    start = max(options, key=lambda a: _worth(signs, a, a + length))
    return Plan(start, ((start, start + length),), True, 0.0)
