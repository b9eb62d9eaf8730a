"""Several processes behind one port: a Python process fills one core, however many there are."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from engine import errors
from engine.errors import AvatarError, Failed

__all__ = ["Patience", "supervise"]

_LOG = logging.getLogger(__name__)

_LOOK: Final = 0.1  # seconds between two looks at the workers
_LONGEST_REASON: Final = 1 << 16
_KILLED: Final = 130  # exit code of what a second Ctrl-C ends

Work = Callable[[int, bool], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """With workers that die.

    Attributes:
        first: seconds until one that died is started again; twice as many each time.
        most: but no more than these.
        steady: seconds after which it is taken to be well: then counting begins anew.
        deaths: in a row, after which the whole server gives up.
        goodbye: seconds that workers have to end when they are told to.
    """

    first: float = 0.5
    most: float = 30.0
    steady: float = 30.0
    deaths: int = 5
    goodbye: float = 15.0


def supervise(
    count: int,
    work: Work,
    started: Callable[[int], None] = lambda _: None,
    patience: Patience = Patience(),
) -> None:
    """Run ``work`` in ``count`` processes, and again in place of one that dies.

    This process only watches; the others inherit what it has open. SIGTERM and Ctrl-C are passed
    on to them, a second Ctrl-C kills them. They end, too, when this process is gone. Call it in
    the main thread, before there are others.

    Args:
        count: processes besides this one.
        work: called in each with its number, from 0, and whether one with that number died before.
        started: called in this process with the number of one that was started.
        patience: with those that die.

    Raises:
        AvatarError: what ``work`` raised, of its kind, or ``WORKERS_FAILED``: one keeps dying. The
            others have ended then.
        KeyboardInterrupt: Ctrl-C, after all have ended.
    """
    alive, lifeline = os.pipe()
    workers = [_Worker(number, patience) for number in range(count)]
    try:
        with _signals(workers) as received:
            try:
                while not received:
                    for worker in workers:
                        if worker.due:
                            worker.start(work, alive, lifeline)
                            started(worker.number)
                    time.sleep(_LOOK)
                    for worker in workers:
                        worker.look()
            finally:
                _end(workers, received[0] if received else signal.SIGTERM, patience.goodbye)
        if received[0] == signal.SIGINT:
            raise KeyboardInterrupt
    finally:
        os.close(lifeline)
        os.close(alive)


class _Worker:
    """A place for a process, and who has it at the moment.

    Args:
        number: of the place.
        patience: with whoever dies.

    Attributes:
        number: as given.
        process: its id; None without one.
    """

    def __init__(self, number: int, patience: Patience) -> None:
        self.number = number
        self.process: int | None = None
        self._patience = patience
        self._begin = 0.0
        self._again_at = 0.0
        self._deaths = 0
        self._started = False
        self._report = -1  # where its error would be told

    @property
    def due(self) -> bool:
        """Whether it is time to start a process."""
        return self.process is None and time.monotonic() >= self._again_at

    def start(self, work: Work, alive: int, lifeline: int) -> None:
        """Fork; returns in this process only."""
        self._report, told = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        again, self._started = self._started, True
        process = os.fork()
        if process == 0:
            os.close(self._report)
            os.close(lifeline)
            _be_worker(lambda: work(self.number, again), alive, told)
        os.close(told)
        os.set_blocking(self._report, False)
        self.process, self._begin = process, time.monotonic()

    def look(self) -> None:
        """See whether it has died, and when it comes back.

        Raises:
            AvatarError: it had a reason, or dies all the time.
        """
        if self.process is None:
            return
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process == 0:
            return
        self.process = None
        reason = b""
        with contextlib.suppress(BlockingIOError):  # somebody else still has the other end
            reason = os.read(self._report, _LONGEST_REASON)
        os.close(self._report)
        if reason:
            raise _error(json.loads(reason))
        patience = self._patience
        code = os.waitstatus_to_exitcode(status)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if time.monotonic() - self._begin >= patience.steady:
            self._deaths = 0
        self._deaths += 1
        if self._deaths >= patience.deaths:
            raise Failed(
                f"A worker process died {self._deaths} times in a row, at last with {how}.",
                code="WORKERS_FAILED",
                hint="What it said is above; without a word it is often too little memory.",
            )
        wait = min(patience.first * 2 ** (self._deaths - 1), patience.most)
        self._again_at = time.monotonic() + wait
        _LOG.warning(
            "a worker ended with %s, starting it again in %.3g s",
            how,
            wait,
            extra={"event": "worker_died", "worker": self.number, "pid": process},
        )


def _be_worker(work: Callable[[], None], alive: int, told: int) -> None:
    """What a forked process does until it ends; never returns."""
    # An exit code instead of a return: what called us is the first process's business.
    code = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C of a terminal is for the first process to pass on
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        threading.Thread(target=_follow, args=(alive,), daemon=True).start()
        work()
        code = 0
    except KeyboardInterrupt:
        code = 0
    except AvatarError as error:
        reason = {
            "kind": type(error).__name__,
            "message": str(error),
            "code": error.code,
            "hint": error.hint,
        }
        os.write(told, json.dumps(reason).encode())
    except BaseException:
        _LOG.exception("a worker failed")
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _follow(alive: int) -> None:
    os.read(alive, 1)  # nothing is ever written: it returns when the first process has ended
    os.kill(os.getpid(), signal.SIGTERM)


def _error(reason: dict[str, Any]) -> AvatarError:
    """The error that a worker told of."""
    kind: type[AvatarError] = getattr(errors, reason["kind"], AvatarError)
    return kind(reason["message"], code=reason["code"], hint=reason["hint"])


@contextlib.contextmanager
def _signals(workers: Iterable[_Worker]) -> Iterator[list[int]]:
    """Those that told this process to end, while the body runs."""
    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            for worker in workers:
                if worker.process is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.process, signal.SIGKILL)
            os._exit(_KILLED)
        received.append(number)

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(workers: Iterable[_Worker], number: int, patience: float) -> None:
    """Tell all to end, and see to it."""
    waiting = [worker.process for worker in workers if worker.process is not None]
    for process in waiting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
    deadline = time.monotonic() + patience
    while waiting:
        waiting = [process for process in waiting if os.waitpid(process, os.WNOHANG)[0] == 0]
        if waiting and time.monotonic() > deadline:
            for process in waiting:
                _LOG.warning("a worker does not stop, killing it")
                os.kill(process, signal.SIGKILL)
            deadline += patience
        time.sleep(_LOOK / 5)
