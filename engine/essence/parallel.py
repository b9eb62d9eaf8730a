"""Work spread over two threads with the results in order.

Threads suffice: OpenCV, x264 and libwebp release the interpreter lock. Nothing survives an
interruption, and results do not depend on timing, so a build is reproducible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WORKERS = 2
_AHEAD = 4 * WORKERS  # results in flight: bounds memory when the consumer is the slow part

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Like ``map``, computed ahead by two threads, with few results waiting at any time.

    An error in ``function``, or closing the iterator, cancels what has not begun.
    """
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="ordered-map")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
