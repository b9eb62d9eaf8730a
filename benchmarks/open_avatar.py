"""What opening an avatar and composing its frames costs.

``python -m benchmarks.open_avatar [avatar.imx]`` takes the first bundled avatar by default.
Processor time is what counts: a busy machine stretches the time on the clock.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import cv2
import numpy as np

from engine import imx
from engine.essence import EssencePlayer

SHOWCASE = Path(__file__).parents[1] / "showcase"


def _peak() -> float:
    """Peak resident memory in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Open, compose and print."""
    parser = argparse.ArgumentParser(description="Measure opening an avatar.")
    parser.add_argument("avatar", type=Path, nargs="?")
    path = parser.parse_args().avatar or min(SHOWCASE.glob("*.imx"))
    cv2.setNumThreads(1)
    before = _peak()
    wall, work = time.perf_counter(), time.process_time()
    with imx.Reader(path) as reader:
        player = EssencePlayer(reader)
    wall, work = time.perf_counter() - wall, time.process_time() - work
    held = sum(len(player.base_jpeg(i)) for i in range(player.frames))
    print(f"{path.name}, {player.width}x{player.height}, {player.frames} frames")
    print(f"open {wall:.2f} s on the clock, {work:.2f} s of processor")
    print(f"base frames held as JPEG {held / 2**20:.1f} MiB")

    rng = np.random.default_rng(0)
    shapes = np.repeat(rng.integers(1, player.shapes, player.frames // 2 + 1), 2)
    out = np.empty((player.height, player.width, 3), np.uint8)
    for label, talking in (("at rest", False), ("speaking", True)):
        durations = []
        for frame in range(player.frames):
            begin = time.thread_time()
            player.compose(frame, int(shapes[frame]) if talking else None, out)
            durations.append(time.thread_time() - begin)
        median, worst = np.percentile(durations, (50, 95)) * 1e3
        print(f"compose {label}: median {median:.2f} ms, p95 {worst:.2f} ms")
    print(f"peak memory {_peak():.0f} MiB, {_peak() - before:.0f} of it for the avatar")


if __name__ == "__main__":
    main()
