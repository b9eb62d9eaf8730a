"""The clock of all sessions of a process: 25 frames per second each, many in one go."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final, Protocol

from bithuman_cli.server.stats import Stats
from engine.coefficients import FPS
from engine.stream.session import Session, next_indices
from engine.stream.types import FrameState

__all__ = ["Clock", "Paced", "Ticker"]

_LOG = logging.getLogger(__name__)

_SLOTS: Final = 8  # in a frame: turns are rounded to 5 ms, so that sessions share them
_SLOT: Final = 1.0 / (FPS * _SLOTS)
_JITTER: Final = 0.002  # seconds between the first possible frame of speech and its turn, or more
# With so many clients they share every second slot: what a batch costs beside its sessions is
# worth more than the few milliseconds.
_CROWD: Final = 128


class Clock(Protocol):
    """What an event loop knows of time."""

    def time(self) -> float:
        """Seconds since some moment."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> asyncio.TimerHandle:
        """Call something then, unless it is cancelled before."""


class Paced(Protocol):
    """What the ticker needs of a client."""

    @property
    def session(self) -> Session:
        """Makes the frames."""

    def turn(self, now: float, step: float) -> tuple[bool, bool]:
        """A frame is due.

        Args:
            now: when it was due, by the clock.
            step: seconds by which a turn can come early.

        Returns:
            Whether it had better wait for sound that is a little late, and whether the next one
            should come a little early.
        """

    def offer(self, state: FrameState) -> None:
        """Here it is."""

    def fail(self) -> None:
        """Log the exception being handled and end this session."""


class Ticker:
    """Gives every client a frame each 40 ms.

    Time is cut into slots of 5 ms. A client has its turn every eighth of them; all whose turn it
    is are evaluated in one batch. The schedule is absolute, so lateness does not add up. After a
    stall of more than a frame the missed turns are skipped, since bursts help nobody.

    Sound that comes after its turn is served in the next slot, and the turns that follow move one
    slot later: one late piece changes little, a way that has become longer is followed. What turns
    are later than they have to be is made up for little by little, see `Pace`.

    Args:
        stats: where late frames and the time of evaluation are counted.
        clock: gives the clock; called when it is needed, since event loops come and go.
    """

    def __init__(self, stats: Stats, clock: Callable[[], Clock] = asyncio.get_running_loop) -> None:
        self._stats = stats
        self._clock = clock
        self._slots: dict[int, dict[Paced, None]] = {}
        self._turns: dict[Paced, int] = {}
        self._after: dict[Paced, int] = {}  # turns that follow one that makes up for another
        self._next = -1  # slot that is being waited for
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, client: Paced) -> None:
        """Begin with a client, in the least busy of the next slots."""
        first = self._shared(self._now() + 1)
        slots = range(first, first + _SLOTS, self._grid)
        self._place(client, min(slots, key=lambda slot: len(self._slots.get(slot, ()))))

    def remove(self, client: Paced) -> None:
        """Stop; nothing happens if the client has no turns."""
        turn = self._turns.pop(client, None)
        self._after.pop(client, None)
        if turn is not None:
            self._leave(client, turn)

    @property
    def _grid(self) -> int:
        return 1 if len(self._turns) <= _CROWD else 2

    def _shared(self, slot: int) -> int:
        """The next slot that is in use."""
        return slot + -slot % self._grid

    def make_up(self, client: Paced) -> None:
        """Give a client whose sound was late a turn now; those that follow keep their times."""
        following = self._turns.get(client)
        self.bring_forward(client, 0.0)
        if following is not None and self._turns[client] < following:
            self._after[client] = following + 1

    def bring_forward(self, client: Paced, jitter: float = _JITTER) -> None:
        """Advance the turn of a client that can speak now, or has to be silent.

        Its frame would otherwise wait for up to 40 ms. Later frames follow at even gaps.
        """
        turn = self._turns.get(client)
        soon = self._shared(self._now(jitter) + 1)
        if turn is not None and soon < turn:
            self._leave(client, turn)
            self._place(client, soon)

    @property
    def time(self) -> float:
        """What the clock says, in seconds."""
        return self._clock().time()

    def _now(self, ahead: float = 0.0) -> int:
        return math.floor((self.time + ahead) / _SLOT)

    def _place(self, client: Paced, slot: int) -> None:
        self._turns[client] = slot
        self._slots.setdefault(slot, {})[client] = None
        if self._timer is None or slot < self._next:
            self._wait_for(slot)

    def _leave(self, client: Paced, slot: int) -> None:
        clients = self._slots[slot]
        del clients[client]
        if not clients:
            del self._slots[slot]

    def _wait_for(self, slot: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = slot
        self._timer = self._clock().call_at(slot * _SLOT, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = max(self._now(), self._next)
        grid = self._grid
        due: list[Paced] = []
        for slot in sorted(slot for slot in self._slots if slot <= now):
            stalled = (now - slot) // _SLOTS
            following = slot + (1 + stalled) * _SLOTS
            clients = self._slots.pop(slot)
            self._stats.frames_late += stalled * len(clients)
            for client in clients:
                # Sound a few milliseconds late delays its frame by as much, not by a whole turn.
                waits, early = client.turn(slot * _SLOT, grid * _SLOT)
                if not waits:
                    due.append(client)
                after = following - grid if early else following
                if client in self._after:
                    after = max(self._after.pop(client), slot + _SLOTS // 2)
                turn = self._shared(max(after, now + 1))
                self._turns[client] = turn
                self._slots.setdefault(turn, {})[client] = None
        if due:
            self._advance(due)
        if self._slots and self._timer is None:
            self._wait_for(min(self._slots))

    def _advance(self, clients: list[Paced]) -> None:
        begin = time.perf_counter()
        try:
            states = next_indices([client.session for client in clients])
        except Exception:
            if len(clients) == 1:
                clients[0].fail()
                return
            # One bad session must not take the others with it.
            _LOG.exception("a batch of sessions failed, going on one by one")
            for client in clients:
                self._advance([client])
            return
        self._stats.network_ms.observe(1000 * (time.perf_counter() - begin))
        for client, state in zip(clients, states, strict=True):
            try:
                client.offer(state)
            except Exception:
                client.fail()
