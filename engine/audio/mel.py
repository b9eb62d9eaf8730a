"""Log-mel spectrogram, frame by frame."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import SAMPLE_RATE

MEL_BANDS: Final = 80
MEL_HOP: Final = 160  # samples, 10 ms
_WINDOW: Final = 400  # samples, 25 ms
_FFT: Final = 512
_LOWEST, _HIGHEST = 40.0, 7800.0  # Hz
_FLOOR: Final = 1e-7  # power; about the noise of 16-bit quantisation
_BLOCK = 4096  # frames transformed at a time, bounds the memory of a call


class LogMel:
    """Streaming log-mel spectrogram with hop-aligned causal windows.

    Frame ``j`` covers samples ``[160·j − 240, 160·j + 160)``; before the first sample there is
    silence. Every 160 samples therefore give exactly one frame, at once, and 640 samples give
    four. Values are ``log(power + 1e-7)`` shifted and scaled so that digital silence is exactly 0
    and loud speech about 4. The mean of each window is removed first: a DC offset has no effect.

    Filters: triangles equally spaced on the mel scale of O'Shaughnessy (1987), unit area.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as if new."""
        self._pending: NDArray[np.float32] = np.zeros(_WINDOW - MEL_HOP, np.float32)

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes the next samples.

        Args:
            samples: (n,) float32 mono at 16 kHz in [-1, 1]; n may be any number.

        Returns:
            (frames, 80) float32, one row per 160 samples received.
        """
        windows = self.windows(samples)
        out = np.empty((len(windows), MEL_BANDS), np.float32)
        for first in range(0, len(windows), _BLOCK):
            out[first : first + _BLOCK] = log_mel(windows[first : first + _BLOCK])
        return out

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Like :meth:`process`, but stops before :func:`log_mel`, to do that for many at once.

        Returns:
            (frames, 400) float32, a read-only view.
        """
        signal = np.concatenate((self._pending, samples), dtype=np.float32)
        frames = (len(signal) - (_WINDOW - MEL_HOP)) // MEL_HOP
        self._pending = signal[frames * MEL_HOP :].copy()
        step = signal.itemsize
        return np.lib.stride_tricks.as_strided(
            signal, (frames, _WINDOW), (MEL_HOP * step, step), writeable=False
        )


def log_mel(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel values of windows of 400 samples: (…, 400) float32 -> (…, 80) float32."""
    hann, filters = _tables()
    centred = windows - windows.mean(axis=-1, keepdims=True)
    spectrum = np.fft.rfft(centred * hann, _FFT, axis=-1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    scaled = (power.astype(np.float32) / np.float32(_WINDOW)) @ filters
    level = np.log(scaled + np.float32(_FLOOR)) - np.float32(np.log(_FLOOR))
    return np.asarray(level * np.float32(0.25), np.float32)


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Window (400,) and filter matrix (257, 80)."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)
    edges_mel = np.linspace(_to_mel(_LOWEST), _to_mel(_HIGHEST), MEL_BANDS + 2)
    edges = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    bins = np.arange(_FFT // 2 + 1) * (SAMPLE_RATE / _FFT)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    # The lowest triangles are narrower than a bin: the limit keeps their noise down.
    triangles *= 4.0 / np.maximum(triangles.sum(axis=0, keepdims=True), 1e-3)
    return hann.astype(np.float32), triangles.astype(np.float32)


def _to_mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))
