"""What a live Expression avatar costs: opening a photo, drawing a frame, changing the face.

    python -m benchmarks.expression [photo.jpg]

One thread draws; times are processor times of the whole process.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import psutil  # type: ignore[import-untyped]

import engine
from bithuman_cli import resources
from engine.audio import decode

ROOT = Path(__file__).resolve().parents[1]
PORTRAITS = ROOT / "training" / "showcase" / "portraits"
SECONDS = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure a live Expression avatar.")
    parser.add_argument(
        "photo", type=Path, nargs="?", default=PORTRAITS / "modern-court-jester.webp"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sound = (decode(resources.find("web") / "audio" / "hello.mp3") * 32767).astype(np.int16)
    sound = np.tile(sound, -(-SECONDS * 16_000 // len(sound)))[: SECONDS * 16_000]
    begin = time.perf_counter()
    with engine.open(options.photo, model="expression") as avatar:
        print(f"open                 {time.perf_counter() - begin:6.2f} s")
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
        begin = time.perf_counter()
        session.set_identity(PORTRAITS / "studio-host.webp")
        print(f"another face         {time.perf_counter() - begin:6.2f} s")
    print(f"resident memory      {psutil.Process().memory_info().rss / 2**20:6.0f} MiB")


if __name__ == "__main__":
    main()
