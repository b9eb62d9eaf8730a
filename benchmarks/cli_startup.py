"""How long ``bithuman --help`` takes: what every command pays before it starts to work.

Run it with ``python benchmarks/cli_startup.py [--runs 20]``. Processor time is printed as well,
since a busy machine stretches the time on the clock.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 0.3  # seconds of processor time: a regression, on any machine of this decade


def main() -> None:
    """Measure and print; exit with 1 if start-up has become slow."""
    parser = argparse.ArgumentParser(description="Measure how long bithuman --help takes.")
    parser.add_argument("--runs", type=int, default=20)
    runs: int = parser.parse_args().runs

    script = Path(sys.executable).with_name("bithuman")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "bithuman_cli"]
    walls, works = [], []
    for _ in range(runs + 1):
        work, start = _children_seconds(), time.perf_counter()
        subprocess.run([*command, "--help"], check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - start)
        works.append(_children_seconds() - work)
    wall, work = statistics.median(walls[1:]), statistics.median(works[1:])  # the first may compile
    print(
        f"bithuman --help: {wall * 1000:.0f} ms on the clock (fastest {min(walls) * 1000:.0f} ms), "
        f"{work * 1000:.0f} ms of processor time, median of {runs} runs"
    )
    if work > LIMIT:
        sys.exit(f"that is more than {LIMIT * 1000:.0f} ms of processor time")


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
