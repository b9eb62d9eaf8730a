"""Finding stretches of a clip that begin and end alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.video.loops import Plan, Signs, plan, talking


def signs(
    path: np.ndarray, *, usable: np.ndarray | None = None, shut: tuple[int, ...] = ()
) -> Signs:
    """A head that moves along a path (n,) of pixels and does nothing else."""
    n = len(path)
    eyes = np.full(n, 0.3)
    eyes[list(shut)] = 0.05
    points = np.zeros((n, 5, 2))
    points[:, :, 0] = path[:, None]
    return Signs(
        points,
        np.zeros((n, 12), np.float32),
        eyes,
        np.zeros(n),
        np.ones(n, bool) if usable is None else usable,
    )


def ends(found: Plan) -> list[int]:
    return sorted({t for arc in found.arcs for t in arc})


def test_a_head_that_comes_back_is_cut_where_it_does() -> None:
    path = 30 * np.sin(np.arange(300) * 2 * np.pi / 60)
    found = plan(signs(path))
    assert not found.bounce
    assert len(found.arcs) >= 3
    assert np.ptp(path[ends(found)]) < 10
    assert found.hub in ends(found)


def test_arcs_do_not_leave_the_frames_that_can_be_used() -> None:
    path = 20 * np.sin(np.arange(400) * 2 * np.pi / 50)
    usable = np.ones(400, bool)
    usable[120:200] = False
    found = plan(signs(path, usable=usable))
    for first, end in found.arcs:
        assert usable[first:end].all()


def test_nothing_is_joined_in_a_blink() -> None:
    path = 20 * np.sin(np.arange(300) * 2 * np.pi / 75)
    shut = tuple(range(0, 300, 30))
    for t in ends(plan(signs(path, shut=shut))):
        assert min(abs(t - s) for s in shut) > 3


def test_the_loop_is_not_longer_than_a_file_can_hold() -> None:
    found = plan(signs(np.zeros(1500)))
    assert 10 * 25 < sum(end - first for first, end in found.arcs) <= 16 * 25


def test_there_and_back_is_the_last_resort() -> None:
    assert plan(signs(np.linspace(0, 300, 200))).bounce
    assert not plan(signs(np.linspace(0, 12, 200))).bounce


def test_it_is_known_where_the_person_talks() -> None:
    gap = np.zeros(300)
    gap[100:200] = 0.08 + 0.08 * np.sin(np.arange(100) * 1.1)  # four syllables a second
    gap[200:] = 0.12  # a smile that shows teeth is no speech
    clip = replace(signs(np.zeros(300)), gap=gap)
    assert [talking(clip, first, first + 90) for first in (0, 105, 205)] == [False, True, False]
