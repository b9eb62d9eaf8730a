import threading

import numpy as np
import pytest

from engine.essence.cache import ArrayCache


def block(value: int) -> np.ndarray:
    return np.full(100, value, np.uint8)


def test_keeps_the_recently_used() -> None:
    cache: ArrayCache[int] = ArrayCache(250)
    made: list[int] = []

    def get(key: int) -> np.ndarray:
        def make() -> np.ndarray:
            made.append(key)
            return block(key)

        return cache.get(key, make)

    get(1), get(2), get(1), get(3)  # 3 pushes out 2
    assert made == [1, 2, 3]
    assert get(1)[0] == 1
    assert get(2)[0] == 2
    assert made == [1, 2, 3, 2]


def test_an_array_above_the_limit_is_still_served() -> None:
    cache: ArrayCache[int] = ArrayCache(10)
    assert cache.get(1, lambda: block(7))[0] == 7
    assert cache.get(2, lambda: block(8))[0] == 8


def test_arrays_are_shared_and_read_only() -> None:
    cache: ArrayCache[int] = ArrayCache(1000)
    first = cache.get(1, lambda: block(1))
    assert cache.get(1, lambda: block(2)) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 3


def test_many_threads() -> None:
    cache: ArrayCache[int] = ArrayCache(350)
    wrong: list[int] = []

    def work(seed: int) -> None:
        keys = np.random.default_rng(seed).integers(0, 8, 500).tolist()
        wrong.extend(k for k in keys if cache.get(k, lambda k=k: block(k))[50] != k)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
