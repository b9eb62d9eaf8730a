"""Log-mel spectrogram, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
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
_ROWS = 48  # transformed at a time, so that what lies between stays in the cache
# Rows of a matrix product that stays on the caller's thread: with more of them the library wakes
# threads of its own, which then fight over the cores with everything else in the process.
_PRODUCT = 12


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
        return log_mel(self.windows(samples))

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Like :meth:`process`, but stops before :func:`log_mel`.

        Returns:
            (frames, 400) float32, overlapping views: not to be written to.
        """
        out: NDArray[np.float32] = windows([self], samples[None])[0]
        return out


def windows(streams: Sequence[LogMel], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The next windows of several streams, to transform them all in one call of :func:`log_mel`.

    Args:
        streams: distinct.
        samples: (streams, n) float32, the next samples of each. Streams of one call must have
            received equally many samples, counted modulo 160.

    Returns:
        (streams, frames, 400) float32, overlapping views: not to be written to.
    """
    pending = len(streams[0]._pending)
    signal = np.empty((len(streams), pending + samples.shape[1]), np.float32)
    signal[:, :pending] = np.concatenate([s._pending for s in streams]).reshape(-1, pending)
    signal[:, pending:] = samples
    frames = (signal.shape[1] - (_WINDOW - MEL_HOP)) // MEL_HOP
    for stream, rest in zip(streams, signal[:, frames * MEL_HOP :].copy(), strict=True):
        stream._pending = rest
    row_step, step = signal.strides
    # What as_strided does, at a fifth of its cost.
    return np.ndarray(
        (len(streams), frames, _WINDOW),
        np.float32,
        signal,
        strides=(row_step, MEL_HOP * step, step),
    )


def log_mel(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel values of windows of 400 samples: (…, 400) float32 -> (…, 80) float32."""
    flat = windows.reshape(-1, _WINDOW) if windows.ndim != 2 else windows
    level = np.empty((len(flat), MEL_BANDS), np.float32)
    for i in range(0, len(flat), _ROWS):
        _power(flat[i : i + _ROWS], level[i : i + _ROWS])
    level += 1
    np.log(level, out=level)
    level *= np.float32(0.25)
    return level.reshape(*windows.shape[:-1], MEL_BANDS)


def _power(windows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Power per band, in multiples of the floor: (n, 400) -> (n, 80), n at most _ROWS."""
    hann, filters = _tables()
    mean = np.einsum("ij->i", windows)
    mean *= np.float32(1 / _WINDOW)
    centred = windows - mean[:, None]
    centred *= hann
    # Scaled by 1/n, which the filters undo: without a scale NumPy 2 computes in float64.
    parts = np.fft.rfft(centred, _FFT, norm="forward")
    parts = parts.astype(np.complex64, copy=False).view(np.float32)
    parts *= parts
    power = parts[:, 0::2] + parts[:, 1::2]
    for i in range(0, len(power), _PRODUCT):
        np.matmul(power[i : i + _PRODUCT], filters, out=out[i : i + _PRODUCT])


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Window (400,), and filters (257, 80) from power to multiples of the floor."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)
    edges_mel = np.linspace(_to_mel(_LOWEST), _to_mel(_HIGHEST), MEL_BANDS + 2)
    edges = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    bins = np.arange(_FFT // 2 + 1) * (SAMPLE_RATE / _FFT)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    # The lowest triangles are narrower than a bin: the limit keeps their noise down.
    triangles *= 4.0 / np.maximum(triangles.sum(axis=0, keepdims=True), 1e-3)
    triangles *= _FFT**2 / (_WINDOW * _FLOOR)
    return hann.astype(np.float32), triangles.astype(np.float32)


def _to_mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))
