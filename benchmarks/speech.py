"""Cost of speech to mouth shapes: log-mel and network, per frame of 40 ms, one thread.

``python -m benchmarks.speech`` prints one line per batch size.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from engine.audio import LogMel
from engine.coefficients import SAMPLES_PER_FRAME
from engine.speech import SpeechNetwork, SpeechStream, process_batch

FRAMES = 250


def microseconds(work: Callable[[], object], repeats: int = FRAMES) -> float:
    """Median processor time of ``work``; unlike elapsed time it ignores what else runs."""
    durations = []
    for _ in range(repeats):
        began = time.thread_time()
        work()
        durations.append(time.thread_time() - began)
    return float(np.median(durations)) * 1e6


def main() -> None:
    """Measures log-mel, network and both together through the engine's own streams."""
    network = SpeechNetwork()
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLES_PER_FRAME).astype(np.float32)
    print("per frame of 40 ms and session, one thread, in microseconds")
    print(f"{'sessions':>9}{'log-mel':>9}{'network':>9}{'all':>9}")
    for batch in (1, 4, 16, 64):
        mel = np.ones((batch, 4, 80), np.float32)
        states = network.initial(batch)
        streams = [SpeechStream(network) for _ in range(batch)]
        mels = LogMel()
        log_mel = microseconds(lambda m=mels: m.process(noise))  # type: ignore[misc]
        step = microseconds(lambda m=mel, s=states: network.step(m, s)) / batch  # type: ignore[misc]
        both = microseconds(
            lambda s=streams, b=batch: process_batch(s, [noise] * b)  # type: ignore[misc]
        )
        print(f"{batch:>9}{log_mel:>9.0f}{step:>9.0f}{both / batch:>9.0f}")


if __name__ == "__main__":
    main()
