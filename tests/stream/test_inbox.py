"""What waits to be said: nothing is lost or counted twice, however it arrives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Failed, InvalidAudio
from engine.stream.inbox import Inbox, check_pcm

SOUND = (8_000 * np.sin(np.arange(3_000) / 9)).astype("<i2")


def pushed(inbox: Inbox, data: bytes, rate: int) -> None:
    inbox.append(inbox.accept(data, rate), rate)


@given(st.lists(st.integers(0, 2 * len(SOUND)), max_size=8), st.sampled_from([16_000, 24_000]))
def test_the_cut_into_bytes_makes_no_difference(cuts: list[int], rate: int) -> None:
    data = SOUND.tobytes()
    at_once, in_parts = Inbox(), Inbox()
    pushed(at_once, data, rate)
    places = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(places):
        pushed(in_parts, data[start:end], rate)
    for inbox in (at_once, in_parts):
        inbox.end()
    assert at_once.pending == in_parts.pending
    whole, parts = at_once.head(), in_parts.head()
    assert whole is not None
    assert parts is not None
    np.testing.assert_allclose(whole.wanted(), parts.wanted(), atol=1e-6)


def test_what_would_wait_too_long_is_refused_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.stream.inbox.MAX_QUEUED_SECONDS", 0.25)
    inbox = Inbox()
    pushed(inbox, SOUND.tobytes()[:-1], 16_000)
    pending = inbox.pending
    with pytest.raises(Failed) as refusal:
        inbox.accept(SOUND.tobytes(), 16_000)
    assert refusal.value.code == "QUEUE_FULL"
    assert inbox.pending == pending
    assert len(inbox.accept(SOUND.tobytes()[-1:], 16_000)) == 1  # half a sample had waited


def test_after_an_end_another_one_begins_and_clearing_forgets_both() -> None:
    inbox = Inbox()
    pushed(inbox, SOUND.tobytes(), 16_000)
    first = inbox.head()
    inbox.end()
    pushed(inbox, SOUND.tobytes(), 16_000)
    assert inbox.head() is first
    assert inbox.pending == 2 * len(SOUND)
    inbox.clear()
    assert (inbox.head(), inbox.pending, inbox.cleared) == (None, 0, 1)


def test_sound_is_bytes_or_an_array() -> None:
    check_pcm(SOUND)
    check_pcm(memoryview(SOUND.tobytes()))
    with pytest.raises(InvalidAudio, match="list"):
        check_pcm([0, 1])
