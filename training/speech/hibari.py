"""Hibari (Apache-2.0): one voice of Kokoro made a hundred times faster, and many voices made of it.

The network gives a spectral envelope, noise and pitch instead of sound. Stretched along frequency
and spoken at another pitch they are the voice of a longer or shorter throat: the speakers that
training lacks, with phone times that are exact.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.speech import texts
from training.speech.festival import to_16k
from training.speech.kokoro import SAMPLE_RATE, exposed, phonemes
from training.speech.shards import Segment, Utterance

Spectrum = NDArray[np.float32]

_DURATIONS = "/Clip_output_0"
_FFT, _HOP = 1200, 300  # of its inverse STFT, samples at 24 kHz
_VOICED = 40.0  # Hz, and below it nothing is voiced
_HIGHEST = 11_000.0  # Hz, of the harmonics


class Hibari:
    """The network with its durations exposed, one thread.

    Args:
        folder: what :func:`training.speech.fetch.hibari` returned.
    """

    def __init__(self, folder: Path) -> None:
        self._session = exposed(folder / "hibari.onnx", _DURATIONS)
        self._vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text())

    def synthesise(
        self,
        phones: str,
        generator: np.random.Generator,
        speed: float = 1.0,
        pitch: float = 1.0,
        throat: float = 1.0,
        breath: float = 1.0,
    ) -> tuple[NDArray[np.float32], list[Segment]]:
        """Speaks Kokoro phonemes.

        Args:
            phones: as :func:`training.speech.kokoro.phonemes` gives them.
            generator: of the noise.
            speed: 2 is twice as fast.
            pitch: factor on the voice's own.
            throat: factor on the frequencies of all resonances; below 1 a longer throat.
            breath: factor on the noise.

        Returns:
            float32 audio at 24 kHz and (phoneme, start, end) in seconds.
        """
        tokens = [c for c in phones if c in self._vocabulary]
        ids = [0, *(self._vocabulary[c] for c in tokens), 0]
        harmonic, angle, noise, free, phase, f0, durations = self._session.run(
            None, {"ids": np.array([ids], np.int64), "speed": np.array([speed], np.float32)}
        )
        count = harmonic.shape[2]
        magnitude, turn, hiss, rest = (
            _stretched(x[0], throat)
            for x in (np.exp(np.minimum(harmonic, 7)), np.tanh(angle), np.exp(noise), np.exp(free))
        )
        voice = _stft(_pulses(f0[0] * pitch), count)
        white = generator.standard_normal((2, *hiss.shape), dtype=np.float32)
        spectrum = (
            magnitude * np.exp(1j * np.pi * turn) * voice
            + breath * hiss * (white[0] + 1j * white[1])
            + rest * np.exp(1j * phase[0])
        )
        audio = _inverse(spectrum.astype(np.complex64))
        # A frame of the network lasts as long as the hop.
        ends = np.cumsum(durations.ravel()) * (len(audio) / durations.sum() / SAMPLE_RATE)
        starts = np.concatenate([[0.0], ends[:-1]])
        symbols = ["_", *tokens, "_"]
        return audio, [
            (s, float(a), float(b)) for s, a, b in zip(symbols, starts, ends, strict=True)
        ]


def utterances(folder: Path, seed: int) -> Iterator[Utterance]:
    """Endless English sentences, each by another speaker."""
    generator = random.Random(seed)  # noqa: S311
    noise = np.random.default_rng(seed)
    network = Hibari(folder)
    while True:
        accent = generator.choice(("us", "us", "gb"))
        text = texts.said("en", generator)
        phones = phonemes(text, accent)
        if not 8 < len(phones) < 150:
            continue
        # Men have longer throats and lower voices: both go together, not strictly.
        throat = generator.uniform(0.8, 1.15)
        pitch = 2 ** generator.gauss(4 * np.log2(throat) + 0.1, 0.25)
        audio, segments = network.synthesise(
            phones,
            noise,
            speed=generator.uniform(0.85, 1.3),
            pitch=float(np.clip(pitch, 0.4, 1.6)),
            throat=throat,
            breath=2 ** generator.uniform(-1, 1),
        )
        peak = float(np.abs(audio).max())
        audio *= np.float32(min(1.0, 0.9 / max(peak, 1e-3)))
        yield Utterance(
            to_16k(audio, SAMPLE_RATE), segments, f"hibari:{throat:.2f}", "hibari", accent, text
        )


def _stretched(spectrum: Spectrum, factor: float) -> Spectrum:
    """Moves what is at f to factor · f, along the first axis."""
    bins = len(spectrum)
    at = np.minimum(np.arange(bins) / factor, bins - 1)
    low = np.minimum(at.astype(int), bins - 2)
    part = (at - low).astype(np.float32)[:, None]
    return np.asarray(spectrum[low] * (1 - part) + spectrum[low + 1] * part, np.float32)


def _pulses(f0: NDArray[np.float32]) -> NDArray[np.float32]:
    """A band-limited pulse train: all harmonics below 11 kHz with amplitude 1."""
    at = (np.arange(len(f0) * _HOP) + 0.5) / _HOP - 0.5
    f = np.interp(at, np.arange(len(f0)), f0)
    voiced = f > _VOICED
    f = np.maximum(f, _VOICED)
    phase = 2 * np.pi * (np.cumsum(f / SAMPLE_RATE) % 1)
    harmonics = np.floor(_HIGHEST / f) + 0.5
    # Σ cos(h·t) = sin((H + ½)·t) / (2·sin(t/2)) - ½, whose limit at t = 0 is H.
    below = 2 * np.sin(phase / 2)
    near = np.abs(below) < 2e-3
    below[near] = 1
    out = np.where(near, harmonics, np.sin(harmonics * phase) / below) - 0.5
    return np.asarray(out * voiced, np.float32)


def _window() -> NDArray[np.float32]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT), np.float32)


def _stft(sound: NDArray[np.float32], count: int) -> NDArray[np.complex64]:
    padded = np.pad(sound, _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][:count]
    # Scaled so that a cosine of amplitude 1 has magnitude 1.
    return np.asarray(np.fft.rfft(frames * (_window() * 4 / _FFT), axis=1).T, np.complex64)


def _inverse(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    frames = np.fft.irfft(spectrum.T, _FFT, axis=1) * _window()
    count = len(frames)
    parts = _FFT // _HOP
    out = np.zeros((count + parts - 1, _HOP))
    weight = np.zeros_like(out)
    for k in range(parts):
        out[k : k + count] += frames[:, k * _HOP : (k + 1) * _HOP]
        weight[k : k + count] += _window()[k * _HOP : (k + 1) * _HOP] ** 2
    whole = (out / np.maximum(weight, 1e-9)).ravel()
    return np.asarray(whole[_FFT // 2 : _FFT // 2 + count * _HOP], np.float32)
