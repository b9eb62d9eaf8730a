"""How many talking viewers one server carries, and whether it stays as it is for long.

``python -m benchmarks.serve_load [avatar.imx]`` starts the server as a user would, on two cores
(0 and 1), and connects more and more real WebSocket clients from the other cores, each of which
speaks all the time. For each mode it prints the largest number that all got 25 frames per second
with a gap of at most 60 ms in 99 of 100 frames, what they cost, and how long a chunk of sound
waited for its frame at 100 of them. Then it opens a page in Chromium, lets sessions come and go
for a while, and ends with a table of what was reached and what was aimed at.

On a machine of two cores clients, server and Chromium share them: the columns say how much of them
the server took and how much the clients. ``--workers 2`` runs two processes of the server.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.crowd import Crowd, Report
from benchmarks.server import DEFAULT, SERVER_CORES, Server, running
from bithuman_cli import resources
from engine.audio import decode

LEVELS = {
    "tiles": (100, 150, 200, 250, 300, 350, 400, 450, 500, 600),
    "jpeg": (50, 75, 100, 125, 150, 175, 200, 250, 300),
}
AIMS = {"tiles": 400, "jpeg": 150}
WARM_SECONDS = {"tiles": (3.0, 20.0), "jpeg": (25.0, 180.0)}  # at least, at most
GROWING = 0.4  # MiB in ten seconds: what viewers share is not all there yet
SETTLE_SECONDS = 2.5
OBSERVE_SECONDS = 6.0
WORST_GAP = 0.060
LEAST_RATE = 24.7


def percentile(values: list[float], q: float) -> float:
    """In milliseconds; 0 of nothing."""
    return 1000 * float(np.percentile(values, q)) if values else 0.0


def good(report: Report, wanted: int) -> bool:
    """Whether everybody got what they came for."""
    return (
        report.clients == wanted
        and min(report.rates) >= LEAST_RATE
        and percentile(report.gaps, 99) <= 1000 * WORST_GAP
        and report.pictures >= 0.99 * report.frames
    )


@dataclass
class Reached:
    """What a climb came to.

    Attributes:
        viewers: the most that were all served well.
        delay: milliseconds from chunk to frame at 100 viewers (or the most below), 95th percentile.
        extra: MB (10^6 bytes) of another viewer, once what all viewers share is there.
    """

    viewers: int = 0
    delay: float = 0.0
    extra: float = 0.0


def warmed_up(server: Server, least: float, most: float) -> float:
    """Wait until memory does not grow any more; returns it in MiB."""
    begin = time.monotonic()
    time.sleep(least)
    before, now = 0.0, server.memory
    while now - before > GROWING and time.monotonic() < begin + most - 10.0:
        time.sleep(10.0)
        before, now = now, server.memory
    return now


def climb(server: Server, crowd: Crowd, mode: str, most: int) -> Reached:
    """More and more viewers of a mode until some of them suffer; leaves none behind."""
    print(
        f"\n{mode}: viewers, cores of the server and of the clients, µs of the server per frame, "
        "frame gap p99, chunk to frame p50 / p95, slowest rate, memory"
    )
    levels = [level for level in LEVELS[mode] if level <= most]
    crowd.add(levels[0], mode)
    here, reached = levels[0], Reached()
    # What viewers share is made or loaded by the first of them, and cells by whoever comes by.
    shared = warmed_up(server, *WARM_SECONDS[mode])
    failures = 0
    for level in levels:
        crowd.add(level - here, mode)
        here = level
        time.sleep(SETTLE_SECONDS)
        before, clients, begin = (
            server.processor_seconds,
            crowd.processor_seconds,
            time.perf_counter(),
        )
        report = crowd.observe(OBSERVE_SECONDS)
        took = time.perf_counter() - begin
        busy = server.processor_seconds - before
        memory = server.memory
        delay = percentile(report.delays, 95)
        print(
            f"  {level:4}  {busy / took:4.2f} + {(crowd.processor_seconds - clients) / took:4.2f}  "
            f"{1e6 * busy / max(1, report.frames):5.0f} µs  {percentile(report.gaps, 99):6.1f} ms  "
            f"{percentile(report.delays, 50):6.1f} / {delay:.1f} ms  "
            f"{min(report.rates):5.2f}/s  {memory:.0f} MiB"
            + ("" if report.late < 0.01 else f"  (a client was {1000 * report.late:.0f} ms late)"),
            flush=True,
        )
        if level <= 100:
            reached.delay = delay
        if good(report, level):
            reached.viewers = level
            if level > levels[0]:
                reached.extra = (memory - shared) * 2**20 / 1e6 / (level - levels[0])
        else:
            failures += 1
            if failures > 1:  # one may be somebody else's on the machine
                break
    print(f"  reached: {reached.viewers}")
    crowd.leave()
    time.sleep(SETTLE_SECONDS)
    return reached


def soak(server: Server, crowd: Crowd, minutes: float) -> dict[str, float]:
    """Sessions of every kind come and go; returns what grew in the second half of the time.

    Before that a crowd fills most of what viewers share, whose size is bounded.

    Returns:
        ``memory`` in MiB, ``descriptors`` and ``tasks``, last minus first, each at a moment
        without sessions; ``late`` frames and connections ``closed`` by the server, which should
        be 0; ``rounds``; ``behind``, the most milliseconds that a client was late itself.
    """
    crowd.add(40, "jpeg")
    crowd.observe(5.0)
    crowd.leave()
    end = time.monotonic() + 60 * minutes
    warm = end - 30 * minutes
    first: tuple[float, int, int, int] | None = None
    rounds = closed = 0
    behind = 0.0
    now = (0.0, 0, 0, 0)
    while time.monotonic() < end or first is None or rounds < 2:
        rounds += 1
        crowd.add(12, "tiles")
        crowd.add(8, "jpeg")
        crowd.add(2, "h264")
        reports = [crowd.observe(2.0)]
        crowd.add(10, "tiles", talking=False)
        crowd.leave(12)
        crowd.leave(2, goodbye=False)
        reports.append(crowd.observe(2.0))
        crowd.leave()
        closed += sum(report.closed for report in reports)
        behind = max(behind, *(report.late for report in reports))
        server.end_sessions()
        time.sleep(0.5)
        now = (server.memory, server.descriptors, server.tasks, server.health()["frames_late"])
        if first is None and time.monotonic() >= warm:
            first = now
        print(
            f"  round {rounds}: {now[0]:.1f} MiB, {now[1]} descriptors, {now[2]} tasks, "
            f"{now[3]} late",
            flush=True,
        )
    grown = dict(
        zip(
            ("memory", "descriptors", "tasks", "late"),
            (round(float(b - a), 1) for a, b in zip(first, now, strict=True)),
            strict=True,
        )
    )
    return grown | {"closed": closed, "rounds": rounds, "behind": round(1000 * behind, 1)}


def main() -> None:
    """Start the server, measure, stop it."""
    parser = argparse.ArgumentParser(description="Measure many viewers of a live avatar.")
    parser.add_argument("avatar", type=Path, nargs="?", default=DEFAULT)
    parser.add_argument("--modes", nargs="*", default=list(LEVELS), choices=list(LEVELS))
    parser.add_argument("--most", type=int, default=1000, help="viewers at most")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server")
    parser.add_argument("--soak", type=float, metavar="MINUTES", default=2.0, help="0: none")
    parser.add_argument("--no-browser", action="store_true", help="without Chromium")
    options = parser.parse_args()
    cores = set(range(os.cpu_count() or 1)) - SERVER_CORES or SERVER_CORES
    samples = decode(resources.find("web") / "audio" / "hello.mp3")
    sound = (samples * 32767).astype(np.int16).tobytes()
    table: list[tuple[str, str, str]] = []
    print(f"server on cores {sorted(SERVER_CORES)}, clients on {sorted(cores)}")
    for mode in options.modes:
        # Each begins with a new server, or one would be served from what the other made.
        with running(options.avatar, ["--workers", str(options.workers)]) as server:
            crowd = Crowd(server.host, sound, cores)
            reached = climb(server, crowd, mode, options.most)
            crowd.close()
        table += [
            (f"{mode}: viewers", f"{reached.viewers}", f"{AIMS[mode]}"),
            (f"{mode}: chunk to frame at 100, p95", f"{reached.delay:.1f} ms", "15 ms"),
            (f"{mode}: another viewer", f"{reached.extra:.3f} MB", "0.2 MB"),
        ]
    if not options.no_browser:
        from benchmarks import browser  # needs playwright

        with running(options.avatar, []) as server:
            print("\nChromium, software rendering")
            found = browser.measure(f"http://{server.host}/")
            browser.report(found)
        table.append(
            ("frame against sound, p95", f"{found['frame against sound, p95']:.1f} ms", "20 ms")
        )
    if options.soak:
        with running(options.avatar, []) as server:
            print(f"\nsessions come and go for {options.soak:g} minutes")
            crowd = Crowd(server.host, sound, cores)
            grown = soak(server, crowd, options.soak)
            crowd.close()
        table += [
            ("soak: memory", f"{grown['memory']:+.1f} MiB", "5 MiB"),
            ("soak: descriptors, tasks", f"{grown['descriptors']:g}, {grown['tasks']:g}", "0, 0"),
            ("soak: late frames, closed", f"{grown['late']:g}, {grown['closed']:g}", "0, 0"),
        ]
    print()
    for name, value, aim in table:
        print(f"{name:<40} {value:>12}   aim {aim}")


if __name__ == "__main__":
    main()
