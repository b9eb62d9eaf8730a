import threading
import time

import pytest

from engine.essence.parallel import ordered_map


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ordered-map")]


def test_results_come_in_order_whatever_takes_longer() -> None:
    def work(n: int) -> int:
        time.sleep(0.002 * (n % 3))
        return n * n

    assert list(ordered_map(work, range(50))) == [n * n for n in range(50)]
    assert not workers()


def test_work_is_done_ahead_but_not_far() -> None:
    begun: list[int] = []
    results = ordered_map(lambda n: begun.append(n) or n, iter(range(1000)))
    assert next(results) == 0
    time.sleep(0.05)
    assert 1 < len(begun) < 20
    results.close()
    assert not workers()


def test_an_error_ends_everything() -> None:
    def work(n: int) -> int:
        if n == 5:
            raise KeyboardInterrupt
        return n

    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(ordered_map(work, range(1000)))
    assert not workers()


def test_nothing_to_do() -> None:
    assert list(ordered_map(str, [])) == []
