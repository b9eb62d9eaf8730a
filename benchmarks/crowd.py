"""Many WebSocket clients in a few processes, cheap enough not to be what is measured.

Each client is a connection of its own that follows RFC 6455 and PROTOCOL.md: it says hello, speaks
in real time in chunks of 40 ms, and notes when the frames arrive. What it shows is up to whoever
reads the numbers, so pictures are received and counted, not decoded. A process has one loop around
epoll for all its clients: with an event loop of tasks they cost as much as the server.
"""

from __future__ import annotations

import base64
import contextlib
import json
import multiprocessing
import os
import random
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import psutil  # type: ignore[import-untyped]

from engine.speech import LOOK_AHEAD_FRAMES

CHUNK_BYTES = 1280
CHUNK_SECONDS = 0.04
_SLOTS = 40  # in which clients speak within 40 ms, a millisecond each
_SLOT = CHUNK_SECONDS / _SLOTS
_CONNECT_SECONDS = 0.005  # between two that come
_HAS_AUDIO, _HAS_PICTURE = 1, 2
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_FRAME_HEADER = 8
_BUFFER = 1 << 20


@dataclass
class Report:
    """What clients saw since the last report.

    Attributes:
        frames: received in all.
        pictures: of these, with a picture.
        gaps: seconds between frames of a client.
        delays: seconds from the chunk that makes a frame possible to that frame.
        closed: connections that ended without being asked to.
        clients: connected at the end.
        rates: frames per second of each client that was there all the time.
        late: most seconds that a client spoke later than it should have: what is measured is only
            worth something while this is small.
    """

    frames: int = 0
    pictures: int = 0
    gaps: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    closed: int = 0
    clients: int = 0
    rates: list[float] = field(default_factory=list)
    late: float = 0.0

    def add(self, other: Report) -> None:
        """Take another one in."""
        self.frames += other.frames
        self.pictures += other.pictures
        self.gaps += other.gaps
        self.delays += other.delays
        self.closed += other.closed
        self.clients += other.clients
        self.rates += other.rates
        self.late = max(self.late, other.late)


def message(opcode: int, data: bytes) -> bytes:
    """A whole WebSocket message of a client."""
    # Clients must mask; a key of zeros leaves the bytes as they are and costs us nothing.
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    return head + b"\0\0\0\0" + data


class Viewer:
    """One client.

    Args:
        host: and port, as in a URL.
        mode: wire mode.
        chunks: what it says over and over without a pause, as messages; none to keep silent.
        report: where to count.
    """

    def __init__(self, host: str, mode: str, chunks: list[bytes], report: Report) -> None:
        self.frames = 0
        self.shaken = False
        self.ended = False
        self._mode, self._chunks, self.report = mode, chunks, report
        self._at = random.randrange(max(1, len(chunks)))  # noqa: S311
        self._sent: list[float] = []
        self._heard = 0
        self._last = 0.0
        self._rest = b""  # the beginning of something that is not complete yet
        self._skip = 0  # bytes of a frame that are still to come
        self._flags = 0  # of that frame
        name, port = host.rsplit(":", 1)
        self.socket = socket.create_connection((name, int(port)), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.send(
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def read(self, buffer: bytearray) -> bool:
        """Take what has come; False at the end of the connection."""
        try:
            size = self.socket.recv_into(buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if size == 0:
            return False
        if self._skip:
            if size < self._skip:
                self._skip -= size
                return True
            at, self._skip = self._skip, 0
            self._frame(self._flags)
            return self._messages(buffer, at, size)
        if self._rest:
            data = bytearray(self._rest) + buffer[:size]
            self._rest = b""
            return self._messages(data, 0, len(data))
        return self._messages(buffer, 0, size)

    def _messages(self, data: bytearray, at: int, end: int) -> bool:
        if not self.shaken:
            body = data.find(b"\r\n\r\n", at, end)
            if body < 0:
                self._rest = bytes(data[at:end])
                return True
            if b" 101 " not in data[at:body]:
                return False
            self.shaken = True
            at = body + 4
            hello = {"type": "hello", "protocol": 2, "modes": [self._mode]}
            self.socket.send(message(_TEXT, json.dumps(hello).encode()))
        while at < end:
            size = data[at + 1] if at + 1 < end else 0
            head = 2 if size < 126 else 4 if size == 126 else 10
            if end - at >= head and size >= 126:
                size = int.from_bytes(data[at + 2 : at + head], "big")
            opcode = data[at] & 15
            seen = min(size, _FRAME_HEADER) if opcode == _BINARY else size
            if end - at < head + seen:
                self._rest = bytes(data[at:end])
                break
            body = at + head
            at = body + size
            if opcode == _BINARY:
                if at > end:
                    self._skip, self._flags = at - end, data[body + 7]
                    break
                self._frame(data[body + 7])
            elif opcode == _PING:
                self.socket.send(message(_PONG, bytes(data[body:at])))
            elif opcode == _CLOSE:
                return False
        return True

    def _frame(self, flags: int) -> None:
        now = time.perf_counter()
        report = self.report
        report.frames += 1
        self.frames += 1
        if flags & _HAS_PICTURE:
            report.pictures += 1
        if self._last:
            report.gaps.append(now - self._last)
        self._last = now
        if flags & _HAS_AUDIO:
            chunk = self._heard + LOOK_AHEAD_FRAMES
            self._heard += 1
            if chunk < len(self._sent):
                report.delays.append(now - self._sent[chunk])

    def speak(self) -> None:
        """Send the next chunk."""
        if not self.shaken or not self._chunks:
            return
        self._sent.append(time.perf_counter())
        try:
            self.socket.send(self._chunks[self._at])
        except OSError:
            return  # reading will tell
        self._at = (self._at + 1) % len(self._chunks)

    def leave(self, *, goodbye: bool = True) -> None:
        """Go, or be gone."""
        self.ended = True
        if not goodbye:
            linger = struct.pack("ii", 1, 0)  # the server is told by a reset
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.socket.close()
            return
        with contextlib.suppress(OSError):
            self.socket.send(message(_CLOSE, struct.pack("!H", 1000)))
        self.socket.close()


class _Loop:
    """The clients of one process."""

    def __init__(self, pipe: Connection, host: str, sound: bytes) -> None:
        self._pipe, self._host = pipe, host
        whole = len(sound) // CHUNK_BYTES * CHUNK_BYTES
        self._chunks = [
            message(_BINARY, sound[i : i + CHUNK_BYTES]) for i in range(0, whole, CHUNK_BYTES)
        ]
        self._report = Report()
        self._viewers: dict[int, Viewer] = {}
        self._slots: list[dict[int, Viewer]] = [{} for _ in range(_SLOTS)]
        self._coming: deque[Callable[[], Viewer]] = deque()
        self._epoll = select.epoll()
        self._since = time.perf_counter()

    def run(self) -> None:
        """Until told to stop."""
        commands = self._pipe.fileno()
        self._epoll.register(commands, select.EPOLLIN)
        buffer = bytearray(_BUFFER)
        start = time.monotonic()
        turn, connect_at = 0, 0.0
        while True:
            due = start + turn * _SLOT
            for descriptor, _ in self._epoll.poll(max(0.0, due - time.monotonic())):
                if descriptor == commands:
                    if not self._obey(self._pipe.recv()):
                        return
                elif (viewer := self._viewers.get(descriptor)) and not viewer.read(buffer):
                    self._report.closed += 1
                    viewer.ended = True
                    self._drop(descriptor)
                    viewer.socket.close()
            now = time.monotonic()
            if self._coming and now >= connect_at:
                self._connect(self._coming.popleft())
                connect_at = now + _CONNECT_SECONDS
                if not self._coming:
                    self._pipe.send(len(self._viewers))
            while (late := now - (start + turn * _SLOT)) >= 0:
                self._report.late = max(self._report.late, late)
                for viewer in self._slots[turn % _SLOTS].values():
                    viewer.speak()
                turn += 1

    def _connect(self, make: Callable[[], Viewer]) -> None:
        viewer = make()
        descriptor = viewer.socket.fileno()
        self._viewers[descriptor] = viewer
        random.choice(self._slots)[descriptor] = viewer  # noqa: S311
        self._epoll.register(descriptor, select.EPOLLIN)

    def _drop(self, descriptor: int) -> Viewer:
        self._epoll.unregister(descriptor)
        for slot in self._slots:
            slot.pop(descriptor, None)
        return self._viewers.pop(descriptor)

    def _obey(self, command: object) -> bool:
        match command:
            case ("add", int(count), str(mode), bool(talking)):
                chunks = self._chunks if talking else []
                for _ in range(count):
                    self._coming.append(lambda: Viewer(self._host, mode, chunks, self._report))
                if not count:
                    self._pipe.send(len(self._viewers))
            case ("leave", int() | None as count, bool(goodbye)):
                for descriptor in list(self._viewers)[:count]:
                    self._drop(descriptor).leave(goodbye=goodbye)
                self._pipe.send(len(self._viewers))
            case ("begin",):
                self._report.__init__()  # type: ignore[misc]
                for viewer in self._viewers.values():
                    viewer.frames = 0
                self._since = time.perf_counter()
                self._pipe.send(None)
            case ("report",):
                took = time.perf_counter() - self._since
                self._report.clients = len(self._viewers)
                self._report.rates = [v.frames / took for v in self._viewers.values()]
                self._pipe.send(self._report)
            case _:
                return False
        return True


def _main(pipe: Connection, host: str, sound: bytes, cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    _Loop(pipe, host, sound).run()


class Crowd:
    """Clients in several processes.

    Args:
        host: address and port of the server.
        sound: what they say.
        cores: where they run, a process on each.
    """

    def __init__(self, host: str, sound: bytes, cores: set[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for core in sorted(cores):
            ours, theirs = context.Pipe()
            process = context.Process(target=_main, args=(theirs, host, sound, {core}), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def add(self, count: int, mode: str, *, talking: bool = True) -> None:
        """Connect more clients."""
        shares = len(self._pipes)
        for k, pipe in enumerate(self._pipes):
            pipe.send(("add", (count + k) // shares, mode, talking))
        for pipe in self._pipes:
            pipe.recv()

    def leave(self, count: int | None = None, *, goodbye: bool = True) -> None:
        """Let the oldest go, or all; without a goodbye their connections are cut."""
        shares = len(self._pipes)
        for k, pipe in enumerate(self._pipes):
            pipe.send(("leave", None if count is None else (count + k) // shares, goodbye))
        for pipe in self._pipes:
            pipe.recv()

    def observe(self, seconds: float) -> Report:
        """Watch for a while."""
        for pipe in self._pipes:
            pipe.send(("begin",))
            pipe.recv()
        time.sleep(seconds)
        total = Report()
        for pipe in self._pipes:
            pipe.send(("report",))
            total.add(pipe.recv())
        return total

    @property
    def processor_seconds(self) -> float:
        """What the clients have cost so far, user and system time."""
        times = [psutil.Process(process.pid).cpu_times() for process in self._processes]
        return float(sum(t.user + t.system for t in times))

    def close(self) -> None:
        """End all."""
        for pipe in self._pipes:
            pipe.send(("stop",))
        for process in self._processes:
            process.join(5)
