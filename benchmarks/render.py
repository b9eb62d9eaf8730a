"""How fast a video is made, on one core.

Usage: python -m benchmarks.render [AVATAR.imx [AUDIO]]

CPU seconds are those of all threads. Without arguments the first bundled avatar speaks the bundled
sample.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print a line per quality, and the most memory used."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import engine

    arguments = sys.argv[1:]
    path = arguments[0] if arguments else str(min((ROOT / "showcase").glob("*.imx")))
    audio = arguments[1] if arguments[1:] else str(min((ROOT / "web" / "audio").iterdir()))
    with engine.open(path) as avatar, tempfile.TemporaryDirectory() as folder:
        print(f"{avatar.name}, {avatar.width}x{avatar.height}, one core")
        out = Path(folder) / "out.mp4"
        engine.write_mp4(avatar, audio, out, limit=1)  # networks and codecs are loaded
        for quality in ("LOW", "MEDIUM", "HIGH"):
            wall, cpu = time.perf_counter(), time.process_time()
            result = engine.write_mp4(avatar, audio, out, quality=quality)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(
                f"{quality:<7} {result.seconds / wall:5.1f} x real time"
                f" ({result.seconds / cpu:.1f} by CPU time,"
                f" {cpu / result.frames * 1000:.2f} ms a frame),"
                f" {result.bytes * 8 / result.seconds / 1000:.0f} kbit/s"
            )
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")


if __name__ == "__main__":
    main()
