"""How well clips join: optical flow at every join against that inside of clips.

    python -m benchmarks.joins showcase/*.imx

An hour of idling, talking, listening and gestures is directed, but not drawn. Then the flow is
measured between the pictures of every two frames that ever followed each other (DIS, Kroeger et
al., 2016; at 160x160, the 99th percentile over the picture). A *join* is any step but that to the
next frame of a clip, or the one before. Also told: how long a gesture takes to begin, and after how
long a minute of idling is seen again.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine import imx
from engine.coefficients import COEFFICIENTS, FPS
from engine.cue import Cue
from engine.essence import EssencePlayer

SIDE = 160
REST = np.zeros(len(COEFFICIENTS), np.float32)


@dataclass(frozen=True)
class Joins:
    """What was measured.

    Attributes:
        inside: 99th percentile of the flow inside of clips, px at 160x160.
        largest: the largest flow at a join.
        where: the two base frames of that join.
        kinds: the largest flow at each kind of join, such as ``idle to nod``.
        waits: frames from asking for a gesture to its first, median and largest.
        forced: the same where it was forced.
        arcs: different stretches of the idle clip in five minutes of idling.
        same: largest share of five minutes that any one stretch took.
    """

    inside: float
    largest: float
    where: tuple[int, int]
    kinds: dict[str, float]
    waits: tuple[float, int]
    forced: tuple[float, int]
    arcs: int
    same: float

    @property
    def ratio(self) -> float:
        """What has to be 1.5 at most."""
        return self.largest / self.inside


def measure(player: EssencePlayer, minutes: float = 60.0, seed: int = 0) -> Joins:
    """Measure the joins of an avatar."""
    rng = np.random.default_rng(seed)
    steps: set[tuple[int, int]] = set()
    waits: dict[bool, list[int]] = {False: [], True: []}
    director = player.director(seed)
    speaking = listening = False
    before = director.step(Cue(REST)).base
    asked: tuple[int, bool, str] | None = None
    for frame in range(round(minutes * 60 * FPS)):
        if rng.random() < 1 / (5 * FPS):
            speaking, listening = [(True, False), (False, True), (False, False)][rng.integers(3)]
        if asked is None and director.gestures and rng.random() < 1 / (3 * FPS):
            name, force = str(rng.choice(director.gestures)), bool(rng.random() < 0.3)
            if director.action is None or force:
                director.act(name, force=force)
                asked = frame, force, name
        elif director.action is not None and rng.random() < 0.003:
            director.stop_action()
            asked = None
        base = director.step(Cue(REST, None, speaking, listening)).base
        steps.add((before, base))
        before = base
        if asked is not None:
            first, frames = player.clips[asked[2]]
            if first <= base < first + frames:
                waits[asked[1]].append(frame - asked[0])
                asked = None
    picture = {base: _grey(player, base) for base in {b for step in steps for b in step}}
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    none: Any = None
    flows = {
        (a, b): float(
            np.percentile(np.linalg.norm(finder.calc(picture[a], picture[b], none), axis=2), 99)
        )
        for a, b in sorted(steps)
        if a != b
    }
    clip = {
        first + i: name for name, (first, frames) in player.clips.items() for i in range(frames)
    }
    inside = [f for (a, b), f in flows.items() if abs(a - b) == 1 and clip[a] == clip[b]]
    joins = {s: f for s, f in flows.items() if abs(s[0] - s[1]) != 1 or clip[s[0]] != clip[s[1]]}
    where = max(joins, key=joins.__getitem__)
    kinds: dict[str, float] = {}
    for (a, b), value in joins.items():
        kind = f"{clip[a]} to {clip[b]}"
        kinds[kind] = max(kinds.get(kind, 0.0), value)
    arcs, same = _repetition(player, seed)
    return Joins(
        float(np.percentile(inside, 99)),
        joins[where],
        where,
        kinds,
        _summary(waits[False]),
        _summary(waits[True]),
        arcs,
        same,
    )


def _grey(player: EssencePlayer, base: int) -> Any:
    small = cv2.resize(player.compose(base, None), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)


def _summary(waits: list[int]) -> tuple[float, int]:
    return (float(np.median(waits)), max(waits)) if waits else (0.0, 0)


def _repetition(player: EssencePlayer, seed: int) -> tuple[int, float]:
    """Stretches of two seconds in five minutes of idling: how many, and the most frequent one."""
    director = player.director(seed)
    bases = [director.step(Cue(REST)).base for _ in range(5 * 60 * FPS)]
    stretches = Counter(
        tuple(bases[i : i + 2 * FPS]) for i in range(0, len(bases) - 2 * FPS, 2 * FPS)
    )
    return len(stretches), max(stretches.values()) / sum(stretches.values())


def main(paths: list[str]) -> None:
    """Print the figures of some avatars."""
    for path in paths:
        with imx.Reader(Path(path)) as reader:
            player = EssencePlayer(reader)
        told = measure(player)
        print(f"{path}: {told.ratio:.2f} x the 99th percentile inside ({told.inside:.2f} px)")
        for kind, value in sorted(told.kinds.items(), key=lambda item: -item[1])[:4]:
            print(f"    {kind}: {value:.2f} px, {value / told.inside:.2f} x")
        for word, wait in (("asked for", told.waits), ("forced", told.forced)):
            print(
                f"    a gesture that is {word} begins after {wait[0] / FPS:.2f} s, "
                f"at most {wait[1] / FPS:.2f} s"
            )
        print(
            f"    five minutes of idling: {told.arcs} different stretches of 2 s, the most "
            f"frequent {told.same:.1%} of them"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
