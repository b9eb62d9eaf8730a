"""How a server is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any, Final

__all__ = ["Signals"]

_KILLED: Final = 130  # exit code of what Ctrl-C ends


class Signals:
    """What signals mean while the server runs.

    SIGTERM lets it finish its sentences, Ctrl-C only its goodbyes; Ctrl-C while it is ending kills
    it. Nothing changes off the main thread, where signals cannot be handled.

    Attributes:
        stop: set by the first signal.
        interrupted: whether that was Ctrl-C.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.interrupted = False
        self._loop = asyncio.get_running_loop()
        self._ending = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        with contextlib.suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: object) -> None:
        if number == signal.SIGINT:
            if self._ending:
                os._exit(_KILLED)  # with whatever it is doing; workers follow when it is gone
            self.interrupted = True
        self._ending = True
        self._loop.call_soon_threadsafe(self.stop.set)
