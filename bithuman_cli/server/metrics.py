"""What the server counts, in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from bithuman_cli.server.hub import Hub
from bithuman_cli.server.stats import Histogram

__all__ = ["CONTENT_TYPE", "expose"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def expose(hub: Hub) -> str:
    """All metrics of a server."""
    stats = hub.stats
    lines: list[str] = []
    gauges = (
        ("sessions", "Connected clients.", hub.sessions),
        ("sessions_waiting", "Sessions that wait to be resumed.", _waiting(hub)),
        ("max_sessions", "Clients served at once.", hub.max_sessions),
        ("resident_memory_bytes", "Memory of the process.", resident_bytes()),
        ("tasks", "Tasks of the event loop.", len(asyncio.all_tasks())),
    )
    counters = (
        ("sessions_begun_total", "Sessions begun.", stats.sessions),
        ("sessions_resumed_total", "Connections that went on with a session.", stats.resumed),
        ("sessions_refused_total", "Connections for which there was no place.", stats.refused),
        ("frames_sent_total", "Frame messages.", stats.frames_sent),
        ("frames_late_total", "Turns skipped by a late clock.", stats.frames_late),
        ("frames_dropped_total", "Pictures left out for slow clients.", stats.frames_dropped),
    )
    for kind, metrics in (("gauge", gauges), ("counter", counters)):
        for name, text, value in metrics:
            lines += [
                f"# HELP bithuman_{name} {text}",
                f"# TYPE bithuman_{name} {kind}",
                f"bithuman_{name} {value}",
            ]
    for name, text, histogram in (
        ("audio_lag", "From sound received to its frame sent.", stats.audio_lag_ms),
        ("encode", "Making a picture.", stats.encode_ms),
        ("network", "Choosing the frames of one tick.", stats.network_ms),
    ):
        lines += _histogram(f"bithuman_{name}_milliseconds", text, histogram)
    return "\n".join(lines) + "\n"


def resident_bytes() -> int:
    """Memory of this process that is in RAM; its greatest so far where that cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()


def _waiting(hub: Hub) -> int:
    return sum(not client.connected for client in hub.clients.values())


def _histogram(name: str, text: str, histogram: Histogram) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} histogram"
    below = 0
    for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
        below += count
        label = bound if isinstance(bound, str) else f"{bound:g}"
        yield f'{name}_bucket{{le="{label}"}} {below}'
    yield f"{name}_sum {histogram.total:.3f}"
    yield f"{name}_count {below}"
