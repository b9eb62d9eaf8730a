"""Gestures of a bundled Essence avatar by way of the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import engine
from engine import AsyncBithuman, Avatar, Session, VideoControl

JESTER = Path(__file__).parents[2] / "showcase" / "modern-court-jester.imx"
TONE = (8000 * np.sin(np.arange(16_000) * 0.1)).astype(np.int16)


@pytest.fixture(scope="module")
def jester() -> Iterator[Avatar]:
    with engine.open(JESTER) as avatar:
        yield avatar


async def acting(jester: Avatar, **flags: bool) -> tuple[Session, tuple[int, int]]:
    """A conversation a third of a second into thinking, and the frames of that gesture."""
    runtime = await AsyncBithuman.create(avatar=jester)
    await runtime.push(VideoControl(action="think", force_action=True, **flags))
    first, frames = jester.player.clips["think"]
    for _ in range(30):
        if runtime.session.next_index().base == first:
            break
    for _ in range(8):
        runtime.session.next_index()
    return runtime.session, (first, frames)


def shown(session: Session, clip: tuple[int, int]) -> int:
    """Frames of the gesture that are still shown."""
    count = 0
    while session.action is not None and count < 200:
        base = session.next_index().base
        count += clip[0] <= base < clip[0] + clip[1]
    return count


@pytest.mark.parametrize("stops", [False, True])
async def test_a_gesture_can_end_when_the_user_speaks(jester: Avatar, stops: bool) -> None:
    session, clip = await acting(jester, stop_on_user_speech=stops)
    session.listening = True
    assert (shown(session, clip) <= 10) is stops


@pytest.mark.parametrize("stops", [False, True])
async def test_a_gesture_can_end_when_the_avatar_speaks(jester: Avatar, stops: bool) -> None:
    session, clip = await acting(jester, stop_on_agent_speech=stops)
    session.push_audio(TONE, 16_000, last_chunk=True)
    assert (shown(session, clip) <= 12) is stops


async def test_forced_gestures_begin_at_once_and_others_within_a_second(jester: Avatar) -> None:
    for force, limit in ((True, 20), (False, 25)):
        runtime = await AsyncBithuman.create(avatar=jester)
        for _ in range(37):
            runtime.session.next_index()
        await runtime.push(VideoControl(action=["talk_head_nod_subtle"], force_action=force))
        first, _ = jester.player.clips["nod"]
        assert first in [runtime.session.next_index().base for _ in range(limit)]
