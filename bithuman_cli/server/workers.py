"""Several processes behind one port: a Python process fills one core, however many there are."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

__all__ = ["crew"]

_LOG = logging.getLogger(__name__)

_PATIENCE: Final = 10.0  # seconds that workers have for their goodbyes


@contextlib.contextmanager
def crew(count: int) -> Iterator[int]:
    """Run the body in ``count`` processes; only in the first of them does it return.

    The others inherit what is open (the listening socket) and are ended when the body of the
    first one is over, or when that process dies. Enter before there are threads.

    Args:
        count: processes, this one included.

    Yields:
        Number of this process; 0 for the first.
    """
    alive, lifeline = os.pipe()
    children: list[int] = []
    for number in range(1, count):
        child = os.fork()
        if child == 0:
            os.close(lifeline)
            threading.Thread(target=_follow, args=(alive,), daemon=True).start()
            # An exit code instead of a return: what called us is the first process's business.
            code = 1
            try:
                yield number
                code = 0
            except KeyboardInterrupt:
                code = 0
            except BaseException:
                _LOG.exception("a worker failed")
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    try:
        yield 0
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        _wait(children)
        os.close(lifeline)
        os.close(alive)


def _follow(alive: int) -> None:
    os.read(alive, 1)  # nothing is ever written: it returns when the first process has ended
    os.kill(os.getpid(), signal.SIGTERM)


def _wait(children: list[int]) -> None:
    deadline = time.monotonic() + _PATIENCE
    waiting = list(children)
    while waiting:
        waiting = [child for child in waiting if os.waitpid(child, os.WNOHANG)[0] == 0]
        if waiting and time.monotonic() > deadline:
            for child in waiting:
                _LOG.warning("a worker does not stop, killing it")
                os.kill(child, signal.SIGKILL)
            deadline += _PATIENCE
        time.sleep(0.02)
