"""What a live Expression avatar costs: opening a photo, drawing a frame, changing the face.

    python -m benchmarks.expression [photo.jpg]

One thread draws; times are processor times of the whole process. Then the same at 720x1280, and
how many sessions a server carries on two cores (0 and 1) with one process and with two, all
talking, each with 25 frames per second and a gap of at most 60 ms in 99 of 100 frames.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import cv2
import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

import engine
from benchmarks.crowd import Crowd
from benchmarks.serve_load import good, percentile
from benchmarks.server import SERVER_CORES, running
from bithuman_cli import resources
from engine.audio import decode
from engine.expression import ExpressionPlayer
from engine.expression.builder import describe
from engine.identity import fit_photo
from engine.stream.avatar import Avatar

ROOT = Path(__file__).resolve().parents[1]
PORTRAITS = ROOT / "training" / "showcase" / "portraits"
SECONDS = 20
TALL = (720, 1280)
LEVELS = (1, 2, 3, 4, 5, 6, 8, 10)
OBSERVE_SECONDS = 12.0  # a frame at the edge of the window must not decide


def speech() -> NDArray[np.int16]:
    """Somebody who talks for ``SECONDS``."""
    sound = (decode(resources.find("web") / "audio" / "hello.mp3") * 32767).astype(np.int16)
    return np.tile(sound, -(-SECONDS * 16_000 // len(sound)))[: SECONDS * 16_000]


def frames(avatar: Avatar, sound: NDArray[np.int16]) -> None:
    """Draw a talk and print what frames cost."""
    session = avatar.session(seed=1)
    session.push_audio(sound, last_chunk=True)
    states = [session.next_index() for _ in range(SECONDS * engine.FPS)]
    times: list[float] = []
    blinking: list[float] = []
    for state in states:
        begin = time.process_time()
        avatar.compose_jpeg(state)
        took = 1000 * (time.process_time() - begin)
        times.append(took)
        if state.face is not None and state.face.blink.any():
            blinking.append(took)
    p50, p99 = (float(np.percentile(times, q)) for q in (50, 99))
    print(f"frame with its JPEG  {p50:6.2f} ms median, {p99:.2f} p99")
    print(f"  of those blinking  {float(np.median(blinking)):6.2f} ms median")


def tall(photo: Path) -> Avatar:
    """The same face in a frame of 720x1280."""
    width, height = TALL
    image = cv2.imread(str(photo), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{photo} cannot be read")
    image = cv2.resize(image, (width, round(image.shape[0] * width / image.shape[1])))
    above = (height - image.shape[0]) // 2
    below = height - image.shape[0] - above
    padded = cv2.copyMakeBorder(image, above, below, 0, 0, cv2.BORDER_REPLICATE)
    renderer, digest = fit_photo(np.asarray(padded, np.uint8), height, "none")
    return Avatar(ExpressionPlayer(renderer), describe(renderer, "Tall", digest), photo)


def sessions(photo: Path, sound: NDArray[np.int16], workers: int) -> None:
    """More and more viewers until some of them suffer."""
    cores = set(range(os.cpu_count() or 1)) - SERVER_CORES or SERVER_CORES
    print(
        f"\n--workers {workers}: sessions, cores of the server, frame gap p99, slowest rate, memory"
    )
    reached = 0
    with running(photo, ["--model", "expression", "--workers", str(workers)]) as server:
        crowd = Crowd(server.host, sound.tobytes(), cores)
        here = 0
        for level in LEVELS:
            crowd.add(level - here, "jpeg")
            here = level
            time.sleep(2.0)
            before, begin = server.processor_seconds, time.perf_counter()
            report = crowd.observe(OBSERVE_SECONDS)
            share = (server.processor_seconds - before) / (time.perf_counter() - begin)
            print(
                f"  {level:2}  {share:4.2f}  {percentile(report.gaps, 99):6.1f} ms  "
                f"{min(report.rates):5.2f}/s  {server.memory:.0f} MiB",
                flush=True,
            )
            if not good(report, level):
                break
            reached = level
        crowd.close()
    print(f"  reached: {reached}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure a live Expression avatar.")
    parser.add_argument(
        "photo", type=Path, nargs="?", default=PORTRAITS / "modern-court-jester.webp"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sound = speech()
    begin = time.perf_counter()
    with engine.open(options.photo, model="expression") as avatar:
        print(f"open                 {time.perf_counter() - begin:6.2f} s")
        frames(avatar, sound)
        begin = time.perf_counter()
        avatar.session().set_identity(PORTRAITS / "studio-host.webp")
        print(f"another face         {time.perf_counter() - begin:6.2f} s")
    print(f"resident memory      {psutil.Process().memory_info().rss / 2**20:6.0f} MiB")
    print(f"\n{TALL[0]}x{TALL[1]}")
    with tall(options.photo) as avatar:
        frames(avatar, sound)
    for workers in (1, 2):
        sessions(options.photo, sound, workers)


if __name__ == "__main__":
    main()
