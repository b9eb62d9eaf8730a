"""Small thread-safe caches bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Least recently used values.

    Args:
        limit: bytes kept; the newest value is kept even if it alone is larger.
        size: bytes of a value.

    Attributes:
        limit: the same; may be changed.
    """

    def __init__(self, limit: int, size: Callable[[V], int]) -> None:
        self.limit = limit
        self._size = size
        self._bytes = 0
        self._items: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of ``key``, made if it is not here; shared by all callers."""
        with self._lock:
            found = self._items.get(key)
            if found is not None:
                self._items.move_to_end(key)
                return found
        # Made outside the lock: two threads may make the same value, none waits for another's.
        made = make()
        with self._lock:
            if key not in self._items:
                self._items[key] = made
                self._bytes += self._size(made)
            while self._bytes > self.limit and len(self._items) > 1:
                _, dropped = self._items.popitem(last=False)
                self._bytes -= self._size(dropped)
        return made


class ArrayCache(Cache[K, NDArray[np.uint8]]):
    """Least recently used arrays, read-only.

    Args:
        limit: bytes kept.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit, lambda array: array.nbytes)

    def get(self, key: K, make: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The array of ``key``, made if it is not here; shared by all callers."""

        def frozen() -> NDArray[np.uint8]:
            made = make()
            made.flags.writeable = False
            return made

        return super().get(key, frozen)
