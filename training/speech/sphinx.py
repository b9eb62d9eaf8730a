"""PocketSphinx's forced alignment, and the recordings it is used on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder

from training.speech.shards import Segment


def decode(
    decoder: Decoder, audio: NDArray[np.int16], words: Sequence[str]
) -> list[Segment] | None:
    """Phones of ``words``, which the decoder knows, and their times; None where nothing fits."""
    # A short floor of noise on both sides: the model knows no digital silence.
    pad = 4000
    floor = np.random.default_rng(0).normal(0, 5, len(audio) + 2 * pad)
    floor[pad:-pad] += audio
    raw = np.clip(floor, -32768, 32767).astype(np.int16).tobytes()
    decoder.set_align_text(" ".join(words))
    _process(decoder, raw)
    if decoder.hyp() is None:
        return None
    decoder.set_alignment()  # a second pass, from words to phones; it has no hypothesis to ask for
    _process(decoder, raw)
    alignment = decoder.get_alignment()
    if alignment is None:
        return None
    offset = pad / 16_000
    return [
        (p.name, p.start * 0.01 - offset, (p.start + p.duration) * 0.01 - offset)
        for p in alignment.phones()
    ]


def _process(decoder: Decoder, raw: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(raw, full_utt=True)
    decoder.end_utt()


def read_g722(path: Path) -> NDArray[np.int16]:
    """Telephone recordings at 16 kHz."""
    with av.open(str(path), format="g722") as container:
        frames = [f.to_ndarray().ravel() for f in container.decode(container.streams.audio[0])]
    return np.concatenate(frames).astype(np.int16)
