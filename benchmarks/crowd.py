"""Many WebSocket clients in a few processes, cheap enough not to be what is measured.

Each client is a connection of its own that follows RFC 6455 and PROTOCOL.md: it says hello, speaks
in real time in chunks of 40 ms, and notes when the frames arrive.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import random
import struct
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from engine.speech import LOOK_AHEAD_FRAMES

CHUNK_BYTES = 1280
CHUNK_SECONDS = 0.04
_HAS_AUDIO, _HAS_PICTURE = 1, 2


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
    """

    frames: int = 0
    pictures: int = 0
    gaps: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    closed: int = 0
    clients: int = 0
    rates: list[float] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take another one in."""
        self.frames += other.frames
        self.pictures += other.pictures
        self.gaps += other.gaps
        self.delays += other.delays
        self.closed += other.closed
        self.clients += other.clients
        self.rates += other.rates


class Viewer(asyncio.Protocol):
    """One client.

    Args:
        host: and port, as in a URL.
        mode: wire mode.
        sound: PCM16 16 kHz, spoken over and over without a pause; ``b""`` to keep silent.
        report: where to count.
    """

    def __init__(self, host: str, mode: str, sound: bytes, report: Report) -> None:
        self._host, self._mode, self._sound = host, mode, sound
        self.report = report
        self.ended = False
        self.frames = 0
        self._buffer = bytearray()
        self._shaken = False
        self._last = 0.0
        self._sent: list[float] = []
        self._heard = 0
        self._at = random.randrange(0, max(1, len(sound)), CHUNK_BYTES)  # noqa: S311
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Cut what comes into messages."""
        self._buffer += data
        if not self._shaken:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self._buffer[:end]:
                self._transport.close()
                return
            self._shaken = True
            del self._buffer[: end + 4]
            hello = {"type": "hello", "protocol": 2, "modes": [self._mode]}
            self._send(0x81, json.dumps(hello).encode())
            if self._sound:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(random.random(), self._speak, None)  # noqa: S311
        buffer, at = self._buffer, 0
        while len(buffer) >= at + 2:
            size, head = buffer[at + 1], 2
            if size == 126:
                if len(buffer) < at + 4:
                    break
                size, head = struct.unpack_from("!H", buffer, at + 2)[0], 4
            elif size == 127:
                if len(buffer) < at + 10:
                    break
                size, head = struct.unpack_from("!Q", buffer, at + 2)[0], 10
            if len(buffer) < at + head + size:
                break
            self._message(buffer[at] & 15, at + head, size)
            at += head + size
        del buffer[:at]

    def connection_lost(self, error: Exception | None) -> None:
        """Count an end that was not asked for."""
        del error
        self.report.closed += not self.ended
        self.leave()

    def leave(self) -> None:
        """Go."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._transport.is_closing():
            self._send(0x88, struct.pack("!H", 1000))
            self._transport.close()

    def _message(self, opcode: int, at: int, size: int) -> None:
        if opcode == 9:
            self._send(0x8A, bytes(self._buffer[at : at + size]))
        if opcode != 2:
            return
        now = time.perf_counter()
        flags = self._buffer[at + 7]
        report = self.report
        report.frames += 1
        self.frames += 1
        report.pictures += bool(flags & _HAS_PICTURE)
        if self._last:
            report.gaps.append(now - self._last)
        self._last = now
        if flags & _HAS_AUDIO:
            chunk = self._heard + LOOK_AHEAD_FRAMES
            self._heard += 1
            if chunk < len(self._sent):
                report.delays.append(now - self._sent[chunk])

    def _speak(self, due: float | None) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() if due is None else due
        chunk = self._sound[self._at : self._at + CHUNK_BYTES]
        self._at = (self._at + CHUNK_BYTES) % (len(self._sound) // CHUNK_BYTES * CHUNK_BYTES)
        self._sent.append(time.perf_counter())
        self._send(0x82, chunk)
        self._timer = loop.call_at(due + CHUNK_SECONDS, self._speak, due + CHUNK_SECONDS)

    def _send(self, first: int, data: bytes) -> None:
        # Clients must mask; a key of zeros leaves the bytes as they are and costs us nothing.
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", first, 0x80 | size)
        else:
            head = struct.pack("!BBH", first, 0x80 | 126, size)
        self._transport.write(head + b"\0\0\0\0" + data)


async def _run(pipe: Connection, host: str, sound: bytes) -> None:
    loop = asyncio.get_running_loop()
    name, port = host.rsplit(":", 1)
    report = Report()
    viewers: list[Viewer] = []
    since = time.perf_counter()
    while True:
        if not pipe.poll():
            await asyncio.sleep(0.01)
            continue
        match pipe.recv():
            case ("add", int(count), str(mode), bool(talking)):
                for _ in range(count):
                    _, viewer = await loop.create_connection(
                        lambda mode=mode, talking=talking: Viewer(  # type: ignore[misc]
                            host, mode, sound if talking else b"", report
                        ),
                        name,
                        int(port),
                    )
                    viewers.append(viewer)
                    await asyncio.sleep(0.005)
                pipe.send(len(viewers))
            case ("leave", count):
                for viewer in viewers[:count]:
                    viewer.leave()
                del viewers[:count]
                pipe.send(len(viewers))
            case ("begin",):
                report.__init__()  # type: ignore[misc]
                for viewer in viewers:
                    viewer.frames = 0
                since = time.perf_counter()
                pipe.send(None)
            case ("report",):
                took = time.perf_counter() - since
                report.clients = sum(not viewer.ended for viewer in viewers)
                report.rates = [viewer.frames / took for viewer in viewers]
                pipe.send(report)
            case _:
                return


def _main(pipe: Connection, host: str, sound: bytes, cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    asyncio.run(_run(pipe, host, sound))


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

    def leave(self, count: int | None = None) -> None:
        """Let the oldest go, or all."""
        shares = len(self._pipes)
        for k, pipe in enumerate(self._pipes):
            pipe.send(("leave", None if count is None else (count + k) // shares))
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

    def close(self) -> None:
        """End all."""
        for pipe in self._pipes:
            pipe.send(("stop",))
        for process in self._processes:
            process.join(5)
