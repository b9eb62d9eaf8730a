"""What one viewer of ``bithuman run`` costs and how long a word waits.

``python -m benchmarks.serve [avatar.imx]`` starts the server as a user would, connects one real
WebSocket client that speaks in real time, and prints

- from the command to the page's address and to the first frame,
- resident memory and the share of a core, idle and talking,
- from an audio chunk sent to the frame it made possible received, beyond the look-ahead: the clock
  starts when the last sample that a frame needs (its own and the look-ahead) leaves the client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmarks.server import DEFAULT, ROOT
from bithuman_cli import resources
from bithuman_cli.server.protocol import unpack_frame
from engine.audio import decode
from engine.coefficients import SAMPLE_RATE, SAMPLES_PER_FRAME
from engine.speech import LOOK_AHEAD_FRAMES

CHUNK_SECONDS = 0.02
UTTERANCE_SECONDS = 2.5
UTTERANCES = 8
IDLE_SECONDS = 5.0


@dataclass
class Received:
    """Frames of the utterance in progress, by arrival."""

    first_frame_at: float = 0.0
    spoken_at: list[float] = field(default_factory=list)
    pictures: int = 0
    gaps: list[float] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)


async def receive(socket: aiohttp.ClientWebSocketResponse, received: Received) -> None:
    """Note when frames arrive."""
    last = 0.0
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY:
            continue
        now = time.perf_counter()
        frame = unpack_frame(message.data)
        received.first_frame_at = received.first_frame_at or now
        received.pictures += bool(frame.image)
        if frame.audio:
            if received.spoken_at:
                received.gaps.append(now - last)
            received.spoken_at.append(now)
        last = now
        if frame.end_of_speech:
            received.done.set()


async def speak(
    socket: aiohttp.ClientWebSocketResponse, sound: NDArray[np.int16], received: Received
) -> list[float]:
    """Send an utterance in real time; returns seconds from chunk sent to frame received."""
    received.spoken_at.clear()
    received.done.clear()
    chunk = int(SAMPLE_RATE * CHUNK_SECONDS)
    sent_at: list[float] = []
    start = time.perf_counter()
    for position in range(0, len(sound), chunk):
        await asyncio.sleep(max(0.0, start + position / SAMPLE_RATE - time.perf_counter()))
        sent_at.append(time.perf_counter())
        await socket.send_bytes(sound[position : position + chunk].tobytes())
    await socket.send_str(json.dumps({"type": "flush"}))
    async with asyncio.timeout(30):
        await received.done.wait()
    return list(delays(sent_at, received.spoken_at, chunk))


def delays(sent_at: list[float], spoken_at: list[float], chunk: int) -> Iterator[float]:
    """Waiting time of each frame that did not have to wait for the end of the utterance."""
    for index, arrived in enumerate(spoken_at):
        last_sample = (index + 1 + LOOK_AHEAD_FRAMES) * SAMPLES_PER_FRAME - 1
        if last_sample // chunk < len(sent_at):
            yield arrived - sent_at[last_sample // chunk]


async def measure(url: str, process: psutil.Process, started: float) -> None:
    """One viewer: idle for a while, then several utterances."""
    sound = decode(resources.find("web") / "audio" / "hello.mp3")
    utterance = (sound * 32767).astype(np.int16)[: int(UTTERANCE_SECONDS * SAMPLE_RATE)]
    received = Received()
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}ws") as socket:
        await socket.send_json({"type": "hello", "protocol": 2, "modes": ["jpeg"]})
        receiver = asyncio.create_task(receive(socket, received))
        while not received.first_frame_at:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        print(f"first frame after the command  {received.first_frame_at - started:6.2f} s")
        await asyncio.sleep(1.0)
        before, begin = processor_seconds(process), time.perf_counter()
        pictures = received.pictures
        await asyncio.sleep(IDLE_SECONDS)
        took = time.perf_counter() - begin
        print(f"pictures per second            {(received.pictures - pictures) / took:6.1f}")
        share = (processor_seconds(process) - before) / took
        print(f"share of a core, idle          {100 * share:6.1f} %")
        waited: list[float] = []
        busy = talking = 0.0
        random.seed(1)
        for _ in range(UTTERANCES):
            before, begin = processor_seconds(process), time.perf_counter()
            waited += await speak(socket, utterance, received)
            busy += processor_seconds(process) - before
            talking += time.perf_counter() - begin
            await asyncio.sleep(0.3 + random.random() / 10)  # noqa: S311 - another phase each time
        receiver.cancel()
    print(f"share of a core, talking       {100 * busy / talking:6.1f} %")
    print(f"resident memory                {process.memory_info().rss / 2**20:6.0f} MiB")
    for name, values in (("chunk to frame", waited), ("gap between frames", received.gaps)):
        p50, p95, p99 = (1000 * float(np.percentile(values, q)) for q in (50, 95, 99))
        print(f"{name:<30} {p50:6.1f} ms median, {p95:.1f} p95, {p99:.1f} p99")


def processor_seconds(process: psutil.Process) -> float:
    """User and system time so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Start the server, measure, stop it."""
    parser = argparse.ArgumentParser(description="Measure one viewer of a live avatar.")
    parser.add_argument("avatar", type=Path, nargs="?", default=DEFAULT)
    options = parser.parse_args()
    started = time.perf_counter()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "bithuman_cli", "run", str(options.avatar.resolve())),
            *("--no-open", "--port", "0"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        if server.stdout is None:
            raise SystemExit("the server has no output")
        url = server.stdout.readline().strip()
        print(f"address after the command      {time.perf_counter() - started:6.2f} s")
        asyncio.run(measure(url, psutil.Process(server.pid), started))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=10)


if __name__ == "__main__":
    main()
