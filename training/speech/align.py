"""Forced alignment: phone times of recordings, and the timing bias of the synthesisers.

PocketSphinx (PyPI, with its US English acoustic model) aligns recorded English to its transcript.
The recordings are for measuring only; nothing of them ends up in the network.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder

from engine import audio as sound_files
from training.speech import fetch, phones, piper, recordings, shards, sphinx
from training.speech.config import TIMING_BIAS, Config
from training.speech.shards import Segment, Utterance

_ASTERISK = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_TRANSCRIPT = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
_SPOKEN = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six",
    "7": "seven", "8": "eight", "9": "nine", "#": "pound", "*": "star", "&": "and",
}  # fmt: skip
_SPHINX = Path("/usr/share/pocketsphinx/test/data")


def align(config: Config) -> None:
    """Aligns the recordings, has Piper speak, and measures biases into ``runs/bias.json``."""
    if not shards.count(config.shards, "recorded"):
        minutes = config.recorded_minutes
        shards.write(config.shards / "recorded" / "0000.npz", list(_recordings(minutes)))
    recordings.align_recordings(config)
    if not config.is_quick and not shards.count(config.shards, "piper"):
        voice = fetch.piper(config.downloads)
        shards.write(config.shards / "piper" / "0000.npz", list(piper.utterances(voice)))
    path = config.runs / "bias.json"
    if not path.exists():
        config.runs.mkdir(parents=True, exist_ok=True)
        measured = {
            source: bias
            for source in (*config.hours, "piper")
            if (bias := measure_bias(config, source)) is not None
        }
        path.write_text(json.dumps(measured, indent=1))
    for source, (median, spread, count) in json.loads(path.read_text()).items():
        print(
            f"{source}: own phone times {1000 * median:+.0f} ms (spread {1000 * spread:.0f}) after "
            f"PocketSphinx at {count} bilabials, corrected by {1000 * TIMING_BIAS[source]:.0f} ms"
        )


def force(audio: NDArray[np.int16], text: str) -> list[Segment] | None:
    """Phones (ARPAbet) and their times; None where a word is unknown or nothing fits."""
    text = text.lower().replace("’", "'")
    for symbol, name in _SPOKEN.items():
        text = text.replace(symbol, f" {name} ")
    words = re.sub(r"[^a-z' ]", " ", text).split()
    decoder = Decoder(lm=None, loglevel="FATAL", bestpath=False)
    if not words or any(decoder.lookup_word(w) is None for w in words):
        return None
    return sphinx.decode(decoder, audio, words)


def measure_bias(
    config: Config, source: str, utterances: int = 25
) -> tuple[float, float, int] | None:
    """How much later than PocketSphinx a synthesiser's own times are at bilabials.

    Returns:
        Median and median absolute deviation in seconds, and the number of bilabials; None for
        sources that speak no English.
    """
    late: list[float] = []
    done = 0
    for utterance in shards.read_all(config.shards, [source]):
        if utterance.language not in ("en", "en-us", "us", "gb") or not utterance.text:
            continue
        aligned = force(utterance.audio, utterance.text)
        if aligned is None:
            continue
        own = _bilabials(utterance.segments, source)
        reference = _bilabials(aligned, "recorded")
        for t in own:
            if len(reference):
                nearest = reference[np.argmin(np.abs(reference - t))]
                if abs(nearest - t) < 0.15:
                    late.append(float(t - nearest))
        done += 1
        if done >= utterances:
            break
    if len(late) < 10:
        return None
    median = float(np.median(late))
    return median, float(np.median(np.abs(np.array(late) - median))), len(late)


def _bilabials(segments: list[Segment] | tuple[Segment, ...], source: str) -> NDArray[np.float64]:
    """Middles of p, b, m at the times given, without bias correction."""
    bias = TIMING_BIAS[source]
    utterance = Utterance(
        np.zeros(0, np.int16), [(s, a + bias, b + bias) for s, a, b in segments], "", source, ""
    )
    return np.array(
        [(a + b) / 2 for c, a, b in phones.intervals(utterance) if c == phones.BILABIAL]
    )


def _recordings(minutes: float) -> Iterator[Utterance]:
    """The asterisk woman up to ``minutes``, and all of the LibriVox man and the card readers."""
    seconds = 0.0
    for name, text in _asterisk_prompts():
        path = _ASTERISK / f"{name}.g722"
        if seconds > minutes * 60 or not path.exists():
            continue
        audio = sphinx.read_g722(path)
        if not 1.5 <= len(audio) / 16_000 <= 15:
            continue
        segments = force(audio, text)
        if segments is not None:
            seconds += len(audio) / 16_000
            yield Utterance(audio, segments, "recorded:asterisk woman", "recorded", "en", text)
    for folder, speaker, transcript in (
        ("librivox", "LibriVox man", "transcription"),
        ("cards", "card readers", "cards.transcription"),
    ):
        for line in (_SPHINX / folder / transcript).read_text().splitlines():
            text, _, name = line.strip().rpartition("(")
            text = re.sub(r"</?s>", "", text)
            sound = sound_files.decode(_SPHINX / folder / f"{name.rstrip(')')}.wav")
            audio = (sound * 32767).astype(np.int16)
            segments = force(audio, text)
            if segments is not None:
                yield Utterance(audio, segments, f"recorded:{speaker}", "recorded", "en", text)


def _asterisk_prompts() -> Iterator[tuple[str, str]]:
    lines = gzip.decompress(_TRANSCRIPT.read_bytes()).decode().splitlines()
    for line in lines:
        name, separator, text = line.partition(": ")
        if separator and not line.startswith(";") and "[" not in text:
            yield name.strip(), text.strip()
