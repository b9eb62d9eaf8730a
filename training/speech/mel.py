"""Log-mel spectrogram, which the network hears.

Training computes it for whole excerpts with the FFT. The exported network contains it as two matrix
products, which for the four windows of one step take half as long; see :func:`spectrum`.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import SAMPLE_RATE

MEL_BANDS: Final = 80
MEL_HOP: Final = 160  # samples, 10 ms
MEL_WINDOW: Final = 400  # samples, 25 ms
EDGES: Final = 700.0 * (
    10.0 ** np.linspace(*np.log10(1.0 + np.array([40.0, 7800.0]) / 700.0), MEL_BANDS + 2) - 1.0
)  # Hz: band i rises from EDGES[i] to EDGES[i + 1] and falls until EDGES[i + 2]
_FFT: Final = 512
_BINS: Final = _FFT // 2  # the one at 8 kHz lies beyond the last band
_FLOOR: Final = 1e-7  # power; about the noise of 16-bit quantisation


def log_mel(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel frames of whole sounds.

    Frame ``j`` covers samples ``[160·j − 240, 160·j + 160)``; before the first sample there is
    silence. Values are ``log(power + 1e-7)`` shifted and scaled so that digital silence is exactly
    0 and loud speech about 4. The mean of each window is removed first: a DC offset has no effect.

    Filters: triangles equally spaced on the mel scale of O'Shaughnessy (1987), unit area.

    Args:
        sound: (…, n) float32 mono at 16 kHz in [-1, 1].

    Returns:
        (…, n // 160, 80) float32.
    """
    before = [(0, 0)] * (sound.ndim - 1) + [(MEL_WINDOW - MEL_HOP, 0)]
    history = np.pad(sound, before)
    windows = np.lib.stride_tricks.sliding_window_view(history, MEL_WINDOW, axis=-1)
    windows = windows[..., ::MEL_HOP, :][..., : sound.shape[-1] // MEL_HOP, :]
    centred = windows - windows[..., 1:].mean(axis=-1, keepdims=True)
    # Scaled by 1/n, which the filters undo: without a scale NumPy 2 computes in float64.
    parts = np.fft.rfft(centred * hann(), _FFT, norm="forward")[..., :_BINS]
    power = parts.real**2 + parts.imag**2
    return np.asarray(np.log(power.astype(np.float32) @ filters() + 1) / 4, np.float32)


def spectrum() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The spectrum of a window as matrices (200, 256), for its even and its odd part.

    Row ``i`` is for ``w[200 + i] ± w[200 - i]``. Taking the mean away and the Hann window, in which
    ``w[0]`` counts nothing, are part of them.
    """
    offsets = np.arange(MEL_WINDOW // 2)
    angles = 2.0 * np.pi / _FFT * np.outer(offsets, np.arange(_BINS))
    weights = hann()[MEL_WINDOW // 2 :, None] / _FFT
    cosines, sines = weights * np.cos(angles), weights * np.sin(angles)
    share = np.full((len(offsets), 1), 2.0)  # of the samples in the mean
    share[0] = 1.0
    cosines -= (share * cosines).sum(axis=0) / (MEL_WINDOW - 1)
    cosines[0] /= 2
    return cosines.astype(np.float32), sines.astype(np.float32)


@cache
def hann() -> NDArray[np.float32]:
    """Window (400,)."""
    samples = np.arange(MEL_WINDOW)
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * samples / MEL_WINDOW), np.float32)


@cache
def filters() -> NDArray[np.float32]:
    """(256, 80): from power to multiples of the floor."""
    bins = np.arange(_BINS) * (SAMPLE_RATE / _FFT)
    rising = (bins[:, None] - EDGES[:-2]) / (EDGES[1:-1] - EDGES[:-2])
    falling = (EDGES[2:] - bins[:, None]) / (EDGES[2:] - EDGES[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    # The lowest triangles are narrower than a bin: the limit keeps their noise down.
    triangles *= 4.0 / np.maximum(triangles.sum(axis=0, keepdims=True), 1e-3)
    triangles *= _FFT**2 / (MEL_WINDOW * _FLOOR)
    return np.asarray(triangles, np.float32)
