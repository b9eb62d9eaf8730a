"""A small thread-safe cache bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)


class ArrayCache(Generic[K]):
    """Least recently used arrays.

    Args:
        limit: bytes kept; the newest array is kept even if it alone is larger.

    Attributes:
        limit: the same; may be changed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._bytes = 0
        self._items: OrderedDict[K, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The array of ``key``, made if it is not here; read-only and shared by all callers."""
        with self._lock:
            found = self._items.get(key)
            if found is not None:
                self._items.move_to_end(key)
                return found
        # Made outside the lock: two threads may make the same array, none waits for another's.
        made = make()
        made.flags.writeable = False
        with self._lock:
            if key not in self._items:
                self._items[key] = made
                self._bytes += made.nbytes
            while self._bytes > self.limit and len(self._items) > 1:
                _, dropped = self._items.popitem(last=False)
                self._bytes -= dropped.nbytes
        return made
