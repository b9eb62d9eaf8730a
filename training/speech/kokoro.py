"""Kokoro-82M (Apache-2.0) on the CPU, with the time of every phoneme.

The network's duration predictor is one of its inner tensors: exposed as an output it gives the
number of 25 ms frames of each input token.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from scipy.signal import resample_poly

from training.speech import texts
from training.speech.config import HELD_OUT_SPEAKERS
from training.speech.espeak import espeak
from training.speech.festival import to_16k
from training.speech.shards import Segment, Utterance

SAMPLE_RATE = 24_000
_SAMPLES_PER_DURATION = 600
_DURATIONS = "/encoder/Clip_output_0"
_MIXED = 0.5  # of the sentences are spoken by a voice between two others
# Language -> espeak-ng's voice, and the texts it reads.
_ESPEAK_VOICE = {
    "us": "en-us", "gb": "en", "es": "es-419", "it": "it", "pt": "pt-br", "fr": "fr", "hi": "hi",
    "ja": "ja", "zh": "cmn",
}  # fmt: skip
_TEXTS = {
    "us": "en", "gb": "en", "es": "es", "it": "it", "pt": "pt", "fr": "fr", "hi": "hi", "ja": "ja",
    "zh": "zh",
}  # fmt: skip
# First letter of a voice -> the language it was trained on.
_OWN_LANGUAGE = {
    "a": "us", "b": "gb", "e": "es", "i": "it", "p": "pt", "f": "fr", "h": "hi", "j": "ja",
    "z": "zh",
}  # fmt: skip
# espeak's Mandarin as Kokoro writes it: affricates are one letter, h is a mark, tones are arrows.
_MANDARIN = (
    ("^", ""), ("tɕ", "ʨ"), ("ts.", "ꭧ"), ("ts", "ʦ"), ("s.", "ʂ"), ("ph", "pʰ"), ("th", "tʰ"),
    ("kh", "kʰ"), ("ʨh", "ʨʰ"), ("ʦh", "ʦʰ"), ("ꭧh", "ꭧʰ"), ("onɡ", "ʊŋ"), ("o-", "ɤ"),
    ("i.", "ɨ"), ("ɜ", ""), ("1", "→"), ("2", "↗"), ("3", "↓"), ("4", "↘"), ("5", ""),
)  # fmt: skip
# espeak's English as Kokoro was trained to read it (the mapping of its `misaki` front end).
_ENGLISH = (
    ("ʔˌn\u0329", "tᵊn"), ("ʔn", "tᵊn"), ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"),
    ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("ə^l", "ᵊl"), ("ʲO", "jO"), ("ʲQ", "jQ"), ("\u0303", ""),
    ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"), ("ɬ", "l"),
)  # fmt: skip
_AMERICAN = (("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", ""), ("ɚ", "əɹ"))
_BRITISH = (("e^ə", "ɛː"), ("iə", "ɪə"), ("ə^ʊ", "Q"), ("o^ʊ", "Q"))


def phonemes(text: str, language: str) -> str:
    """Kokoro's phonemes of ``text``; ``language`` is a key of _ESPEAK_VOICE."""
    espeak().voice(_ESPEAK_VOICE[language])
    out = ""
    for part in re.findall(r"[^,;:.!?]+|[,;:.!?]", text):
        if part in ",;:.!?":
            out += part
            continue
        phones = espeak().phonemes(part)
        if language in ("us", "gb"):
            for old, new in _ENGLISH:
                phones = phones.replace(old, new)
            phones = re.sub(r"(\S)\u0329", r"ᵊ\1", phones)
            for old, new in _AMERICAN if language == "us" else _BRITISH:
                phones = phones.replace(old, new)
        elif language == "zh":
            for old, new in _MANDARIN:
                phones = phones.replace(old, new)
        elif language == "ja":  # the vowels of Japanese carry marks that Kokoro does not know
            phones = unicodedata.normalize("NFD", phones)
            phones = phones.replace("\u0308", "").replace("\u031e", "")
            phones = phones.replace("d^ʑ", "ʥ").replace("t^ɕ", "ʨ")
        out += (" " if out else "") + phones.replace("^", "")
    return out


def exposed(path: Path, tensor: str) -> onnxruntime.InferenceSession:
    """A network with one more output, a tensor inside of it; one thread."""
    model = onnx.load(str(path))
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


class Kokoro:
    """The network with its durations exposed, one thread.

    Args:
        folder: what :func:`training.speech.fetch.kokoro` returned.
    """

    def __init__(self, folder: Path) -> None:
        self._session = exposed(folder / "kokoro.onnx", _DURATIONS)
        self._vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text())["vocab"]
        self.voices = {
            p.stem: np.fromfile(p, np.float32).reshape(-1, 256)
            for p in sorted((folder / "voices").glob("*.bin"))
        }

    def mix(self, first: str, second: str, share: float) -> str:
        """Adds a voice between two, ``share`` of the way to the second; returns its name."""
        name = f"{first}+{second}"
        self.voices[name] = (1 - share) * self.voices[first] + share * self.voices[second]
        return name

    def synthesise(
        self, phones: str, voice: str, speed: float = 1.0
    ) -> tuple[NDArray[np.float32], list[Segment]]:
        """Speaks Kokoro phonemes.

        Returns:
            float32 audio at 24 kHz and (phoneme, start, end) in seconds.
        """
        tokens = [c for c in phones if c in self._vocabulary]
        ids = [0, *(self._vocabulary[c] for c in tokens), 0]
        style = self.voices[voice][len(tokens) - 1 : len(tokens)]
        audio, durations = self._session.run(
            None,
            {
                "tokens": np.array([ids], np.int64),
                "style": style,
                "speed": np.array([speed], np.float32),
            },
        )
        ends = np.cumsum(durations.ravel()) * (_SAMPLES_PER_DURATION / SAMPLE_RATE)
        starts = np.concatenate([[0.0], ends[:-1]])
        symbols = ["_", *tokens, "_"]
        return np.asarray(audio, np.float32).ravel(), [
            (s, float(a), float(b)) for s, a, b in zip(symbols, starts, ends, strict=True)
        ]


def utterances(folder: Path, seed: int) -> Iterator[Utterance]:
    """Endless sentences over all voices, and over mixtures of two that share a language."""
    generator = random.Random(seed)  # noqa: S311
    network = Kokoro(folder)
    voices = sorted(network.voices)
    known = [v for v in voices if f"kokoro:{v}" not in HELD_OUT_SPEAKERS]
    while True:
        voice = generator.choice(voices)
        language = _OWN_LANGUAGE[voice[0]]
        text = texts.said(_TEXTS[language], generator)
        phones = phonemes(text, language)
        if not 8 < len(phones) < 150:
            continue
        speed = generator.uniform(0.85, 1.25)
        others = [v for v in known if v[0] == voice[0] and v != voice]
        if voice in known and others and generator.random() < _MIXED:
            voice = network.mix(voice, generator.choice(others), generator.uniform(0.3, 0.7))
        audio, segments = network.synthesise(phones, voice, speed)
        yield Utterance(
            to_16k(audio, SAMPLE_RATE), segments, f"kokoro:{voice}", "kokoro", language, text
        )


def at_rate(audio: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resamples Kokoro's 24 kHz."""
    divisor = int(np.gcd(rate, SAMPLE_RATE))
    return np.asarray(resample_poly(audio, rate // divisor, SAMPLE_RATE // divisor), np.float32)
