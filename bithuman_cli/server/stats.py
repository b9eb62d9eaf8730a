"""What a server counts while it runs."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

__all__ = ["Histogram", "Stats"]

_MILLISECONDS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 40.0, 80.0, 160.0, 500.0, 1000.0)


class Histogram:
    """Counts of values by size.

    Args:
        bounds: upper bounds of the buckets, ascending; a last one without bound is added.

    Attributes:
        bounds: the same.
        counts: values in each bucket, one more than bounds.
        total: sum of all values.
    """

    def __init__(self, bounds: tuple[float, ...] = _MILLISECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Stats:
    """Totals since the start of the process.

    Attributes:
        sessions: begun.
        resumed: connections that went on with a session.
        refused: connections for which there was no place.
        frames_sent: frame messages.
        frames_late: turns that were skipped because the clock was more than a frame behind.
        frames_dropped: pictures left out, and silent frames not sent, for slow clients.
        audio_lag_ms: from the sound that a first frame of speech waited for to that frame sent.
        encode_ms: making a picture.
        network_ms: choosing the frames of one tick, the speech network included.
    """

    sessions: int = 0
    resumed: int = 0
    refused: int = 0
    frames_sent: int = 0
    frames_late: int = 0
    frames_dropped: int = 0
    audio_lag_ms: Histogram = field(default_factory=Histogram)
    encode_ms: Histogram = field(default_factory=Histogram)
    network_ms: Histogram = field(default_factory=Histogram)
