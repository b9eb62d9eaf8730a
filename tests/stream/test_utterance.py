"""The queue of samples behind an utterance."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.stream.utterance import SampleQueue


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9_000)), max_size=20))
def test_first_in_first_out(steps: list[tuple[bool, int]]) -> None:
    queue = SampleQueue()
    put = got = 0
    for append, count in steps:
        if append:
            queue.append(np.arange(put, put + count, dtype=np.float32))
            put += count
        else:
            taken = queue.take(count)
            assert len(taken) == min(count, put - got)
            np.testing.assert_array_equal(taken, np.arange(got, got + len(taken)))
            got += len(taken)
        assert len(queue) == put - got


def test_room_is_reused() -> None:
    queue = SampleQueue()
    for _ in range(10_000):
        queue.append(np.ones(640, np.float32))
        assert len(queue.take(640)) == 640
    assert len(queue._data) <= 2 * 640


def test_a_long_wait_leaves_no_room_behind() -> None:
    queue = SampleQueue()
    queue.append(np.ones(160_000, np.float32))
    queue.take(160_000)
    for _ in range(500):
        queue.append(np.ones(640, np.float32))
        queue.take(640)
    assert len(queue._data) <= 2 * 640
