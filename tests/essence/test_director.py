"""The walk through the clips of an avatar, without pictures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.cue import Cue
from engine.errors import NotSupported
from engine.essence.director import Course, EssenceDirector, travel_of
from engine.essence.layout import Walk
from engine.essence.selector import ShapeBook
from engine.motion import ALIASES, GESTURES

HUBS = (0, 40, 90, 120, 170, 200)
KINDS = ("idle", "idle", "idle", "speaking", "speaking", "listening")
LOOP = 240
CLIPS = {"idle": (0, LOOP), "nod": (LOOP, 30), "laugh": (LOOP + 30, 50)}
REST = np.zeros(16, np.float32)
BOOK = ShapeBook(np.eye(16, dtype=np.float32)[[0, 0]] * np.array([[0], [1]], np.float32))


def director(
    walk: Walk | None = None, *, pace: float = 1.0, seed: int | None = 0
) -> EssenceDirector:
    """A head that moves ``pace`` pixels a frame, one in a hundred frames four."""
    travel = np.full(LOOP + 80, pace)
    travel[::50] = 4.0
    whole = Walk(HUBS, KINDS, reversible=True, mouths={LOOP + 40: 1})
    return EssenceDirector(Course(CLIPS, walk or whole, travel), BOOK, seed)


def shown(who: EssenceDirector, frames: int, **cue: bool) -> list[int]:
    return [who.step(Cue(REST, None, **cue)).base for _ in range(frames)]


def kind_of(base: int) -> str:
    return KINDS[int(np.searchsorted(HUBS, base, "right")) - 1]


@pytest.mark.parametrize("reversible", [False, True])
def test_it_goes_from_hub_to_hub_for_ever(reversible: bool) -> None:
    who = director(Walk(HUBS, KINDS, reversible=reversible))
    bases = shown(who, 4000)
    assert bases[0] == 0
    for a, b in itertools.pairwise(bases):
        step = (b - a) % LOOP
        near_hub = {a, (a + 1) % LOOP, (a - 1) % LOOP} & set(HUBS)
        assert step == 1 or (reversible and step == LOOP - 1) or (near_hub and b in HUBS)
    assert {kind_of(base) for base in bases if base not in HUBS} == {"idle"}


def test_nothing_is_repeated_at_once_and_no_two_sessions_are_alike() -> None:
    bases = shown(director(), 25 * 300)
    starts = [b for b in bases if b in HUBS]
    assert len(starts) > 100
    orders = {tuple(shown(director(seed=seed), 1000)) for seed in range(6)}
    assert len(orders) == 6
    assert shown(director(seed=3), 1000) == shown(director(seed=3), 1000)


@pytest.mark.parametrize("manner", ["speaking", "listening"])
def test_what_goes_on_decides_what_is_played(manner: str) -> None:
    who = director()
    shown(who, 30)
    bases = shown(who, 400, **{manner: True})
    changed = next(i for i, base in enumerate(bases) if kind_of(base) == manner)
    assert changed <= 30  # not after the whole of an arc
    assert {kind_of(base) for base in bases[changed + 1 :] if base not in HUBS} == {manner}
    later = shown(who, 400)
    assert {kind_of(base) for base in later[60:] if base not in HUBS} == {"idle"}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("after", range(0, 200, 13))
def test_a_gesture_begins_within_a_second_wherever_it_is_asked_for(after: int, force: bool) -> None:
    who = director(pace=0.3)
    shown(who, after)
    who.act("nod", force=force)
    assert who.action == "nod"
    bases = shown(who, 25)
    first = bases.index(CLIPS["nod"][0])
    assert first <= (8 if force else 14)
    before = bases[first - 1] if first else None
    assert before is None or min(min((before - h) % LOOP, (h - before) % LOOP) for h in HUBS) <= 8


def test_on_the_way_it_moves_no_faster_than_ever() -> None:
    travel = np.full(LOOP + 80, 1.0)
    for after in range(5, 200, 7):
        who = director(pace=1.0)
        bases = shown(who, after)
        who.act("nod")
        while bases[-1] < LOOP:
            bases += shown(who, 1)
        for a, b in itertools.pairwise(bases[after - 1 : -1]):
            if abs(a - b) < 20:
                assert travel[min(a, b) : max(a, b)].sum() <= 4


def test_a_gesture_runs_once_and_the_walk_goes_on() -> None:
    who = director()
    shown(who, 10)
    who.act("laugh")
    bases = shown(who, 120)
    first, frames = CLIPS["laugh"]
    at = bases.index(first)
    assert bases[at : at + frames] == list(range(first, first + frames))
    assert bases[at + frames] in HUBS
    assert who.action is None


def test_a_gesture_waits_for_another_unless_it_is_forced() -> None:
    for force in (False, True):
        who = director()
        who.act("laugh")
        shown(who, 8)
        who.act("nod", force=force)
        bases = shown(who, 80)
        complete = CLIPS["laugh"][0] + 49 in bases
        assert complete is not force
        assert CLIPS["nod"][0] + 29 in bases


def test_a_gesture_that_is_stopped_goes_back_or_on() -> None:
    first, frames = CLIPS["laugh"]
    for after in (8, frames - 8):
        who = director()
        who.act("laugh")
        bases = shown(who, after)
        who.stop_action()
        while who.action is not None:
            bases += shown(who, 1)
        assert set(np.abs(np.diff(bases))) == {1}
        assert bases[-1] in (first, first + frames - 1)
        assert shown(who, 1)[0] in HUBS


def test_the_mouth_of_a_gesture_is_there_while_nothing_is_said() -> None:
    for speaking, expected in ((False, 1), (True, None)):
        who = director()
        who.act("laugh")
        shots = [who.step(Cue(REST, None, speaking)) for _ in range(30)]
        (shot,) = (shot for shot in shots if shot.base == LOOP + 40)
        assert shot.patch == expected


def test_files_that_know_no_hubs_play_their_loop() -> None:
    who = director(Walk())
    assert shown(who, 2 * LOOP + 5) == [i % LOOP for i in range(2 * LOOP + 5)]
    assert who.gestures == ()
    with pytest.raises(NotSupported):
        who.act("nod")


def test_names_people_know() -> None:
    assert set(ALIASES.values()) <= set(GESTURES)
    assert not set(ALIASES) & set(GESTURES)
    who = director()
    who.act("talk_head_nod_subtle")
    assert who.action == "nod"
    who.act("laugh_react")
    with pytest.raises(NotSupported) as caught:
        who.act("moonwalk")
    assert caught.value.code == "GESTURE"
    assert "nod" in caught.value.hint


def test_travel_is_how_far_the_patch_goes() -> None:
    affine = np.zeros((5, 2, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = 1
    affine[:, 0, 2] = [0, 1, 3, 10, 14]
    travel = travel_of({"idle": (0, 3), "nod": (3, 2)}, affine, (8, 8))
    assert travel.tolist() == [1, 2, 0, 4, 0]
