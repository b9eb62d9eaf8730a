"""Cost of speech to mouth shapes, per frame of 40 ms, one thread.

``python -m benchmarks.speech`` prints one line per batch size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np

from engine.audio import decode
from engine.coefficients import SAMPLES_PER_FRAME
from engine.speech import SpeechNetwork, SpeechStream, process_batch

FRAMES = 250
HELLO = Path(__file__).parents[1] / "web" / "audio" / "hello.mp3"


def microseconds(work: Callable[[], object], repeats: int = FRAMES) -> float:
    """Median processor time of ``work``; unlike elapsed time it ignores what else runs."""
    durations = []
    for _ in range(repeats):
        began = time.thread_time()
        work()
        durations.append(time.thread_time() - began)
    return float(np.median(durations)) * 1e6


def main() -> None:
    """Measures the network alone and with all around it, through the engine's own streams."""
    network = SpeechNetwork()
    speech = decode(HELLO)
    frames = speech[: len(speech) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
    frames = frames.reshape(-1, SAMPLES_PER_FRAME)
    print("per frame of 40 ms and session, one thread, in microseconds")
    print(f"{'sessions':>9}{'network':>9}{'all':>9}")
    for batch in (1, 4, 16, 64):
        states = network.initial(batch)
        streams = [SpeechStream(network) for _ in range(batch)]
        # Every session says the same, each a frame later than the one before it.
        said = [[frames[(i - s) % len(frames)] for s in range(batch)] for i in range(FRAMES)]
        sounds, pcm = cycle([np.array(s) for s in said]), cycle(said)
        step = microseconds(lambda p=sounds, s=states: network.step(next(p), s))  # type: ignore[misc]
        both = microseconds(lambda p=pcm, s=streams: process_batch(s, next(p)))  # type: ignore[misc]
        print(f"{batch:>9}{step / batch:>9.0f}{both / batch:>9.0f}")


if __name__ == "__main__":
    main()
