"""Speaks the sample that avatars say in the page: ``web/audio/hello.mp3``.

``python -m training.speech.hello [--work DIR]``; the voice is Kokoro's af_heart (Apache-2.0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np

from training.speech import fetch
from training.speech.kokoro import SAMPLE_RATE, Kokoro, phonemes

TEXT = (
    "Hello! I am an avatar, made from a single picture. "
    "A computer makes my face and my voice. "
    "Maybe my lips impress you: big purple bubbles! "
    "Now you say something."
)
TARGET = Path(__file__).resolve().parents[2] / "web" / "audio" / "hello.mp3"


def main() -> None:
    """Synthesises and encodes the sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/speech"))
    arguments = parser.parse_args()
    network = Kokoro(fetch.kokoro(arguments.work.resolve() / "downloads"))
    audio, _ = network.synthesise(phonemes(TEXT, "us"), "af_heart", 1.0)
    loud = np.flatnonzero(np.abs(audio) > 0.01)
    audio = audio[max(0, loud[0] - SAMPLE_RATE // 5) : loud[-1] + SAMPLE_RATE // 3]
    audio = audio * (0.8 / np.abs(audio).max())
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(TARGET), "w", format="mp3") as container:
        container.metadata["title"] = "Hello"
        container.metadata["comment"] = "AI-generated speech (Kokoro-82M, voice af_heart)"
        stream = container.add_stream("mp3", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(audio[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    print(f"{TARGET}: {len(audio) / SAMPLE_RATE:.1f} s, {TARGET.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
