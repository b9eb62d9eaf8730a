"""What happens to speech before a microphone hears it, and sounds that are no speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.speech.mel import EDGES, MEL_BANDS

Audio = NDArray[np.float32]
RATE = 16_000
_CLIP = 10 * RATE
# What sounds without speech are, and how often.
_NEGATIVES = {
    "silence": 0.08, "noise": 0.16, "clicks": 0.1, "music": 0.1, "instruments": 0.32,
    "breaths": 0.08, "laughter": 0.08, "crowd": 0.08,
}  # fmt: skip


class Augmenter:
    """Changes batches of sound.

    Args:
        generator: source of randomness.
        clips: how many pieces of music are made to take excerpts from.
        instruments: (n, samples) music of instruments and choirs as :mod:`training.speech.music`
            plays it; without it all music is synthetic.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        clips: int = 60,
        instruments: Audio | None = None,
    ) -> None:
        self._rng = generator
        self._warps = [_warp(factor) for factor in np.linspace(0.86, 1.16, 31)]
        self._noises = [_coloured(generator, 1 << 20, tilt) for tilt in (0, 0.25, 0.5, 0.75, 0.95)]
        # Costly to make, so made once; excerpts of them are used.
        self._clips = {
            "music": [self._make_music(_CLIP) for _ in range(clips)],
            "clicks": [self._make_clicks(_CLIP) for _ in range(clips)],
        }
        if instruments is not None and len(instruments):
            self._clips["instruments"] = list(instruments)

    def __call__(self, batch: Audio) -> Audio:
        """Noise, babble, reverberation and level: (B, n) -> (B, n), a new array.

        Works on speech scaled to about 0.7 at its peak; the result is within [-1, 1].
        """
        rng, (rows, length) = self._rng, batch.shape
        out = batch.copy()
        level = np.sqrt((batch**2).mean(axis=1, keepdims=True)) + 1e-4
        if rng.random() < 0.3:
            out = self._reverberate(out)
        # From a car to a quiet room: from 20 dB on noise hides the bursts of p and b.
        snr = rng.uniform(3, 36, (rows, 1))
        noise = np.stack([self.noise(length) for _ in range(rows)])
        # A room's noise comes and goes in level; pauses are not digital silence.
        out += noise * level * _decibels(-snr) * (rng.random((rows, 1)) < 0.7)
        babble = np.roll(batch, 1, axis=0) + np.roll(batch, 2, axis=0)
        out += babble * _decibels(-rng.uniform(14, 35, (rows, 1))) * (rng.random((rows, 1)) < 0.12)
        for row in np.flatnonzero(rng.random(rows) < 0.1):
            out[row] += self.crowd(batch) * level[row] * float(_decibels(-rng.uniform(5, 25)))
        for row in out:
            if rng.random() < 0.15:
                row += self.clicks(length) * float(_decibels(rng.uniform(-30, -8)))
            if rng.random() < 0.1:
                row += self.music(length) * float(_decibels(rng.uniform(-45, -22)))
            if rng.random() < 0.1:  # somebody speaks over music: the mouth must not rest
                row += self.instruments(length) * float(_decibels(rng.uniform(-40, -12)))
            if rng.random() < 0.1:
                row += self.breaths(length) * float(_decibels(rng.uniform(-45, -25)))
            if rng.random() < 0.1:
                row += self.hum(length) * float(_decibels(rng.uniform(-50, -25)))
        peak = np.abs(out).max(axis=1, keepdims=True) + 1e-3
        out *= 0.7 / peak * _decibels(rng.uniform(-30, 6, (rows, 1)))
        return np.clip(out, -1, 1).astype(np.float32)

    def negative(self, length: int, speech: Audio) -> Audio:
        """A sound during which the mouth rests.

        Noise, clicks, music, breaths, laughter, many voices far away, hum, silence.

        Args:
            length: samples wanted.
            speech: (B, length), what the crowd far away is made of.
        """
        rng = self._rng
        out = np.zeros(length, np.float32)
        kind = str(rng.choice([*_NEGATIVES], p=[*_NEGATIVES.values()]))
        if kind == "silence":
            return out
        if kind == "noise" or rng.random() < 0.3:
            out += self.noise(length) * float(_decibels(rng.uniform(-70, -18)))
        if kind == "clicks" or (kind == "noise" and rng.random() < 0.3):
            out += self.clicks(length) * float(_decibels(rng.uniform(-25, 0)))
        if kind == "music":
            out += self.music(length) * float(_decibels(rng.uniform(-32, -3)))
        if kind == "instruments":
            out += self.instruments(length) * float(_decibels(rng.uniform(-32, 2)))
        if kind == "breaths":
            out += self.breaths(length) * float(_decibels(rng.uniform(-35, -12)))
        if kind == "laughter":
            out += self.laughter(length) * float(_decibels(rng.uniform(-30, -4)))
        if kind == "crowd":
            out += self.crowd(speech) * float(_decibels(rng.uniform(-55, -27)))
        if rng.random() < 0.15:
            out += self.hum(length) * float(_decibels(rng.uniform(-45, -15)))
        return np.clip(out, -1, 1)

    def noise(self, length: int) -> Audio:
        """Coloured noise of RMS 1 with a slowly changing level."""
        rng = self._rng
        source = self._noises[rng.integers(len(self._noises))]
        start = int(rng.integers(0, len(source) - length))
        out = source[start : start + length].copy()
        if rng.random() < 0.5:
            out *= self._envelope(length, 0.5, float(rng.uniform(0, 6)))
        return out

    def clicks(self, length: int) -> Audio:
        """Keys, taps and knocks: short decaying bursts."""
        return self._excerpt("clicks", length)

    def music(self, length: int) -> Audio:
        """Chords and melodies of plucked or held tones, some with a beat; RMS about 0.3."""
        return self._excerpt("music", length)

    def instruments(self, length: int) -> Audio:
        """Sampled instruments and choirs with drums, RMS about 0.3; synthetic music without."""
        return self._excerpt("instruments" if "instruments" in self._clips else "music", length)

    def crowd(self, speech: Audio) -> Audio:
        """Many voices at once in a large room, RMS 1: nobody can be made out."""
        rng = self._rng
        chosen = rng.choice(len(speech), min(len(speech), int(rng.integers(5, 9))), replace=False)
        out = np.zeros(speech.shape[1], np.float32)
        for row in speech[chosen]:
            level = float(np.sqrt((row**2).mean())) + 1e-4
            out += np.roll(row, int(rng.integers(len(row)))) * (rng.uniform(0.5, 1) / level)
        size = 8000
        tail = rng.normal(0, 1, size) * np.exp(-np.arange(size) / RATE * rng.uniform(6, 15))
        total = 1 << int(np.ceil(np.log2(len(out) + size)))
        far = np.fft.irfft(np.fft.rfft(out, total) * np.fft.rfft(tail, total), total)[: len(out)]
        return np.asarray(far / (far.std() + 1e-9), np.float32)

    def laughter(self, length: int) -> Audio:
        """Somebody laughs: breathy calls, four to six a second, falling in pitch and loudness.

        After the description of Bachorowski, Smoski and Owren, "The acoustic features of human
        laughter", 2001. Peak about 1.
        """
        rng = self._rng
        out = np.zeros(length, np.float32)
        at = float(rng.uniform(0, 0.5))
        while at < length / RATE:
            calls = int(rng.integers(3, 10))
            gap = 1 / rng.uniform(3.8, 6.5)
            pitch = rng.uniform(120, 280) * (2 if rng.random() < 0.5 else 1)
            formants = rng.uniform((450, 1100, 2300), (950, 1900, 3000))
            voiced = rng.random() < 0.75
            for call in range(calls):
                size = int(gap * rng.uniform(0.75, 1.0) * RATE)
                start = int((at + call * gap) * RATE)
                t = np.arange(size) / RATE
                aspirated = int(size * rng.uniform(0.3, 0.5))
                breath = self._resonant(rng.normal(0, 1, size), formants)
                sound = breath / (np.abs(breath).max() + 1e-9) * rng.uniform(0.15, 0.5)
                if voiced:
                    f0 = pitch * (1 + 0.25 * np.sin(np.pi * t / t[-1])) * 0.97**call
                    phase = 2 * np.pi * np.cumsum(f0) / RATE
                    tone = sum(np.sin(k * phase) / k for k in range(1, 1 + int(3500 / pitch)))
                    rising = np.clip((np.arange(size) - aspirated) / (0.02 * RATE), 0, 1)
                    tone = self._resonant(np.asarray(tone), formants)
                    sound = sound + rising * tone / (np.abs(tone).max() + 1e-9)
                sound *= np.sin(np.pi * np.arange(size) / size) ** 0.5 * 0.93**call
                part = sound[: max(0, length - start)]
                out[start : start + len(part)] += part.astype(np.float32)
            at += calls * gap + rng.uniform(0.2, 1.0)
        return out

    @staticmethod
    def _resonant(sound: NDArray[np.float64], formants: NDArray[np.float64]) -> NDArray[np.float64]:
        f = np.fft.rfftfreq(len(sound), 1 / RATE)
        gain = sum(
            1 / (1 + ((f - centre) / (60 + 0.06 * centre)) ** 2) / (1 + i)
            for i, centre in enumerate(formants)
        )
        return np.asarray(np.fft.irfft(np.fft.rfft(sound) * (gain + 0.01), len(sound)))

    def _excerpt(self, kind: str, length: int) -> Audio:
        clips = self._clips[kind]
        clip = clips[int(self._rng.integers(len(clips)))]
        start = int(self._rng.integers(0, len(clip) - length))
        return clip[start : start + length].copy()

    def _make_clicks(self, length: int) -> Audio:
        rng = self._rng
        out = np.zeros(length, np.float32)
        for _ in range(int(rng.poisson(length / RATE * rng.uniform(1, 8)))):
            size = int(rng.uniform(0.002, 0.06) * RATE)
            t = np.arange(size) / size
            burst = (
                rng.normal(0, 1, size)
                if rng.random() < 0.6
                else np.sin(2 * np.pi * rng.uniform(80, 3000) * np.arange(size) / RATE)
            )
            start = int(rng.integers(0, length))
            part = (burst * np.exp(-t * rng.uniform(3, 12)) * rng.uniform(0.2, 1))[: length - start]
            out[start : start + len(part)] += part.astype(np.float32)
        return out

    def _make_music(self, length: int) -> Audio:
        rng = self._rng
        out = np.zeros(length, np.float32)
        beat = rng.uniform(0.12, 0.6)
        scale = np.array([0, 2, 4, 5, 7, 9, 11, 12]) + rng.integers(36, 60)
        held = rng.random() < 0.4
        tilt = rng.uniform(0.5, 2.0)
        vibrato = rng.uniform(0, 0.01) if rng.random() < 0.3 else 0.0
        at = -rng.uniform(0, beat)
        while at < length / RATE:
            duration = beat * rng.choice([1, 1, 2, 4])
            start = max(0, int(at * RATE))
            size = min(length - start, int(duration * RATE * (1.0 if held else 1.5)))
            if size > 32:
                t = np.arange(size, dtype=np.float32) / RATE
                envelope = np.minimum(1, t / 0.01) * (
                    np.minimum(1, (size / RATE - t) / 0.03)
                    if held
                    else np.exp(-t * rng.uniform(2, 12))
                )
                for note in rng.choice(scale, rng.integers(1, 4)) + 12 * rng.integers(0, 3):
                    f0 = 440 * 2 ** ((note - 69) / 12)
                    phase = 2 * np.pi * f0 * t
                    if vibrato:
                        phase = phase + 2 * np.pi * f0 * vibrato * np.sin(2 * np.pi * 5.5 * t) / 34
                    tone = np.zeros(size, np.float32)
                    for harmonic in range(1, 1 + int(rng.integers(1, 9))):
                        if f0 * harmonic < 7600:
                            tone += np.sin(harmonic * phase) / harmonic**tilt
                    out[start : start + size] += (tone * envelope).astype(np.float32)
            at += duration
        if rng.random() < 0.4:
            for onset in np.arange(rng.uniform(0, beat), length / RATE, beat * 2):
                start = int(onset * RATE)
                size = min(length - start, 2400)
                drum = rng.normal(0, 1, size) * np.exp(-np.arange(size) / rng.uniform(150, 600))
                out[start : start + size] += drum.astype(np.float32)
        return out * np.float32(0.3 / (np.sqrt((out**2).mean()) + 1e-3))

    def breaths(self, length: int) -> Audio:
        """Noise in the band of breath with a slow swell, peak about 1."""
        rng = self._rng
        out = np.zeros(length, np.float32)
        for _ in range(int(rng.integers(1, 3))):
            size = int(rng.uniform(0.2, 0.8) * RATE)
            spectrum = np.fft.rfft(rng.normal(0, 1, size))
            f = np.fft.rfftfreq(size, 1 / RATE)
            centre, width = rng.uniform(500, 2500), rng.uniform(300, 1500)
            shaped = np.fft.irfft(spectrum * np.exp(-(((f - centre) / width) ** 2)), size)
            shaped *= np.sin(np.pi * np.arange(size) / size) ** 2
            start = int(rng.integers(0, length))
            part = (shaped / (np.abs(shaped).max() + 1e-6))[: length - start]
            out[start : start + len(part)] += part.astype(np.float32)
        return out

    def hum(self, length: int) -> Audio:
        """Mains hum with harmonics."""
        rng = self._rng
        t = np.arange(length) / RATE
        base = rng.choice([50.0, 60.0])
        out = sum(
            rng.uniform(0, 1) / k * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6))
            for k in (1, 2, 3, 5)
        )
        return np.asarray(out, np.float32)

    def equalise(self, mel: Audio) -> Audio:
        """Microphones, phones and codecs, done to normalised log-mel frames (B, T, 80)."""
        rng, (rows, _, bands) = self._rng, mel.shape
        # Longer and shorter throats (Jaitly and Hinton, "Vocal tract length perturbation", 2013).
        warped = [
            row @ self._warps[int(rng.integers(len(self._warps)))] if rng.random() < 0.6 else row
            for row in mel
        ]
        mel = np.stack(warped)
        knots = rng.normal(0, 2.2 / 4, (rows, 6)) * (rng.random((rows, 1)) < 0.7)
        grid = np.linspace(0, 5, bands)
        curve = np.stack([np.interp(grid, np.arange(6), k) for k in knots]).astype(np.float32)
        out = mel + curve[:, None, :] * (mel > 0.15)  # digital silence stays silent
        for row in out:
            if rng.random() < 0.25:
                row[:, int(rng.integers(48, 76)) :] = 0.15
            if rng.random() < 0.15:
                row[:, : int(rng.integers(2, 9))] = 0.15
        return np.maximum(out, 0)

    def _reverberate(self, batch: Audio) -> Audio:
        rng, (rows, length) = self._rng, batch.shape
        size = 4096
        decay = rng.uniform(12, 40, (rows, 1))
        tail = rng.normal(0, 1, (rows, size)) * np.exp(-np.arange(size) / RATE * decay)
        tail /= np.linalg.norm(tail, axis=1, keepdims=True)
        tail *= rng.uniform(0.1, 0.7, (rows, 1)) * (rng.random((rows, 1)) < 0.6)
        tail[:, 0] += 1
        total = 1 << int(np.ceil(np.log2(length + size)))
        wet = np.fft.irfft(
            np.fft.rfft(batch, total) * np.fft.rfft(tail.astype(np.float32), total), total
        )
        return np.asarray(wet[:, :length], np.float32)

    def _envelope(self, length: int, period: float, depth_db: float) -> Audio:
        points = max(2, int(length / RATE / period) + 2)
        knots = self._rng.uniform(-depth_db, depth_db, points)
        return np.asarray(
            _decibels(np.interp(np.linspace(0, points - 1, length), np.arange(points), knots)),
            np.float32,
        )


def _warp(factor: float) -> Audio:
    """(80, 80) matrix that moves what is at f to factor · f in log-mel frames."""
    centres = EDGES[1:-1]
    source = np.interp(centres / factor, centres, np.arange(MEL_BANDS))
    low = np.minimum(source.astype(int), MEL_BANDS - 2)
    part = source - low
    out = np.zeros((MEL_BANDS, MEL_BANDS), np.float32)
    out[low, np.arange(MEL_BANDS)] = 1 - part
    out[low + 1, np.arange(MEL_BANDS)] += part
    return out


def _decibels(value: float | NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(10 ** (np.asarray(value) / 20), np.float32)


def _coloured(generator: np.random.Generator, length: int, tilt: float) -> Audio:
    spectrum = np.fft.rfft(generator.normal(0, 1, length))
    spectrum *= (np.arange(len(spectrum)) + 200.0) ** -tilt
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / noise.std(), np.float32)
