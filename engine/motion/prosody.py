"""How something is said: loudness, pitch and rate of speech as it is heard, frame by frame."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS, SAMPLE_RATE

__all__ = ["Prosody"]

_SILENT: Final = -50.0  # dB of full scale
_LOWEST, _HIGHEST = 70.0, 400.0  # Hz, of voices
_FFT: Final = 2048
_VOICED: Final = 0.4  # least peak of the normalised autocorrelation
_ACCENT_DB, _ACCENT_OCTAVES = 4.0, 0.18
_SLOW, _VERY_SLOW = 1.0 / (1.5 * FPS), 1.0 / (12.0 * FPS)  # shares per frame
_AROUSED_DB, _AROUSED_OCTAVES = 7.0, 0.35
_AROUSED_RATE: Final = 4.0  # syllables a second more than usual
_SYLLABLE_DB: Final = 2.5  # least rise of a syllable from the dip before it
_CALM: Final = 1.0 / (2.0 * FPS)


class Prosody:
    """Loudness, pitch, rate and what stands out in them.

    Attributes:
        stress: 0 to 1, how much the frame just heard stands out from the last second and a half.
        arousal: -1 to 1, how excited the voice has become, compared with its own beginning.
    """

    def __init__(self) -> None:
        self.stress = 0.0
        self.arousal = 0.0
        self._loudness = self._usual_loudness = math.nan
        self._pitch = self._usual_pitch = math.nan
        self._rate = self._usual_rate = math.nan
        self._before = self._dip = _SILENT
        self._rising = False
        self._window = np.hanning(SAMPLE_RATE // FPS).astype(np.float32)

    def hear(self, audio: NDArray[np.int16] | None) -> None:
        """Take in a frame.

        Args:
            audio: int16 (640,) at 16 kHz, or None while nobody speaks.
        """
        self.stress = 0.0
        level = _SILENT
        if audio is not None:
            samples = audio.astype(np.float32) / np.float32(32768.0)
            level = 10.0 * math.log10(float(samples @ samples) / len(samples) + 1e-9)
        if audio is None or level <= _SILENT:
            self.arousal *= 1.0 - _CALM
            return
        pitch = self._octaves(samples)
        if math.isnan(self._loudness):
            self._loudness = self._usual_loudness = level
        rise = (level - self._loudness) / _ACCENT_DB
        self._loudness += _SLOW * (level - self._loudness)
        self._usual_loudness += _VERY_SLOW * (level - self._usual_loudness)
        if pitch is not None:
            if math.isnan(self._pitch):
                self._pitch = self._usual_pitch = pitch
            rise += (pitch - self._pitch) / _ACCENT_OCTAVES
            self._pitch += _SLOW * (pitch - self._pitch)
            self._usual_pitch += _VERY_SLOW * (pitch - self._usual_pitch)
            self.stress = min(1.0, max(0.0, (rise - 1.0) / 2.0))
        syllables = FPS * float(self._syllable(level))
        if math.isnan(self._rate):
            self._rate = self._usual_rate = 4.0
        self._rate += _SLOW * (syllables - self._rate)
        self._usual_rate += _VERY_SLOW * (syllables - self._usual_rate)
        excited = (self._loudness - self._usual_loudness) / _AROUSED_DB
        excited += (self._rate - self._usual_rate) / _AROUSED_RATE
        if not math.isnan(self._pitch):
            excited += (self._pitch - self._usual_pitch) / _AROUSED_OCTAVES
        self.arousal += _SLOW * (min(1.0, max(-1.0, excited)) - self.arousal)

    def _syllable(self, level: float) -> bool:
        """Whether loudness has just passed a peak (after Mermelstein, 1975)."""
        peak = self._rising and level < self._before and self._before - self._dip >= _SYLLABLE_DB
        if peak or level < self._dip:
            self._dip = level
        self._rising = level > self._before or (self._rising and level == self._before)
        self._before = level
        return peak

    def _octaves(self, samples: NDArray[np.float32]) -> float | None:
        """log2 of the pitch in Hz by autocorrelation; None where the frame is not voiced."""
        spectrum = np.fft.rfft(samples * self._window, _FFT)
        power = spectrum.real**2 + spectrum.imag**2
        correlation = np.fft.irfft(power, _FFT)
        first, last = int(SAMPLE_RATE / _HIGHEST), int(SAMPLE_RATE / _LOWEST)
        lag = first + int(np.argmax(correlation[first:last]))
        if correlation[lag] < _VOICED * correlation[0]:
            return None
        return math.log2(SAMPLE_RATE / lag)
