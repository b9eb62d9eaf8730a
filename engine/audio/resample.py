"""Sample rate conversion that can be fed in pieces of any size."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import SAMPLE_RATE

RATES = range(1000, 768_001)
"""Rates in Hz that can be converted."""
_ZERO_CROSSINGS = 16  # of the sinc on each side: about 80 dB in the stop band with _KAISER_BETA
_KAISER_BETA = 8.0
_ROLLOFF = 0.94  # of the lower Nyquist frequency; leaves room for the transition band
_BLOCK = 8192  # outputs computed at a time, bounds the memory of a call
_SMALL_PRODUCT = 1 << 18  # multiplications; for more, OpenBLAS wakes up threads that then spin


class Resampler:
    """Polyphase windowed-sinc resampler without delay.

    Output sample ``n`` is the band-limited input at time ``n / rate_out``, so sound stays aligned
    with the clock it came with. The result does not depend on how the input is cut, and after
    :meth:`flush` the total length is ``round(samples · rate_out / rate_in)``.

    Method: Smith and Gossett, "A flexible sampling-rate conversion method", ICASSP 1984, with the
    exact rational phases tabulated.

    Args:
        rate_in: input rate in Hz, 1000 to 768000.
        rate_out: output rate in Hz.

    Raises:
        ValueError: a rate is outside that range.
    """

    def __init__(self, rate_in: int, rate_out: int = SAMPLE_RATE) -> None:
        for rate in (rate_in, rate_out):
            if rate not in RATES:
                raise ValueError(f"sample rate must be 1000 to 768000 Hz, not {rate}")
        divisor = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // divisor, rate_in // divisor
        self._bank, self._reach = _filters(self._up, self._down)
        self._matrix = _block_matrix(self._up, self._down)
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as if new."""
        self._history: NDArray[np.float32] = np.zeros(self._reach, np.float32)
        self._start = -self._reach  # input index of the first sample in the history
        self._received = 0
        self._emitted = 0

    def process(self, samples: NDArray[np.float32] | NDArray[np.int16]) -> NDArray[np.float32]:
        """Takes the next piece of input.

        Args:
            samples: (n,) mono, float32 in [-1, 1] or int16; n may be 0.

        Returns:
            All output that this input decides, float32 (m,).
        """
        fresh = _as_float(samples)
        self._received += len(fresh)
        if self._up == self._down:
            self._emitted = self._received
            return fresh
        self._history = np.concatenate([self._history, fresh])
        # Output n needs input up to floor(n·down/up) + reach.
        last = self._received - 1 - self._reach
        ready = (last * self._up + self._up - 1) // self._down + 1 if last >= 0 else 0
        return self._compute(ready)

    def flush(self) -> NDArray[np.float32]:
        """Ends the input: returns the remaining output and starts anew."""
        total = (2 * self._received * self._up + self._down) // (2 * self._down)
        if self._up == self._down:
            out = np.zeros(0, np.float32)
        else:
            needed = (max(total - 1, 0) * self._down) // self._up + self._reach + 1
            missing = max(0, needed - (self._start + len(self._history)))
            self._history = np.concatenate([self._history, np.zeros(missing, np.float32)])
            out = self._compute(total)
        self.reset()
        return out

    def _compute(self, until: int) -> NDArray[np.float32]:
        """Outputs from the last emitted one to ``until``, and drops input no longer needed."""
        count = max(0, until - self._emitted)
        out = np.empty(count, np.float32)
        # Whole blocks by one matrix product, the rest sample by sample.
        block = 0 if self._matrix is None else self._matrix.shape[1]
        head = min(count, -self._emitted % block) if block else count
        blocks = (count - head) // block if block else 0
        self._gather(out[:head], self._emitted)
        self._multiply(out[head : head + blocks * block], self._emitted + head)
        tail = head + blocks * block
        self._gather(out[tail:], self._emitted + tail)
        self._emitted = max(self._emitted, until)
        keep_from = (self._emitted * self._down) // self._up - self._reach + 1
        drop = max(0, keep_from - self._start)
        self._history = self._history[drop:].copy()
        self._start += drop
        return out

    def _multiply(self, out: NDArray[np.float32], first: int) -> None:
        """Fills whole blocks of outputs, the first of which has index ``first``."""
        if self._matrix is None or not len(out):
            return
        width, block = self._matrix.shape
        row = (first // self._up) * self._down - self._reach + 1 - self._start
        hop = block // self._up * self._down
        windows = np.lib.stride_tricks.sliding_window_view(self._history[row:], width)[::hop]
        rows_at_once = max(1, _SMALL_PRODUCT // (width * block))
        grid = out.reshape(-1, block)
        for k in range(0, len(grid), rows_at_once):
            part = grid[k : k + rows_at_once]
            # Copied, because BLAS takes no overlapping rows and NumPy's own product is slow.
            np.matmul(windows[k : k + len(part)].copy(), self._matrix, out=part)

    def _gather(self, out: NDArray[np.float32], first: int) -> None:
        """Fills outputs one by one, the first of which has index ``first``."""
        taps = self._bank.shape[1]
        for k in range(0, len(out), _BLOCK):
            part = out[k : k + _BLOCK]
            base, phase = np.divmod(
                np.arange(first + k, first + k + len(part), dtype=np.int64) * self._down, self._up
            )
            rows = base - self._reach + 1 - self._start
            windows = np.lib.stride_tricks.sliding_window_view(self._history, taps)
            np.einsum("ij,ij->i", windows[rows], self._bank[phase], out=part)


def _as_float(samples: NDArray[np.float32] | NDArray[np.int16]) -> NDArray[np.float32]:
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768.0)
    return np.asarray(samples, np.float32)


@lru_cache(maxsize=16)
def _filters(up: int, down: int) -> tuple[NDArray[np.float32], int]:
    """Taps for every phase.

    Returns:
        Array (up, 2·reach), whose row p weighs the inputs ``base - reach + 1 … base + reach`` for
        an output that lies p/up of a sample after input ``base``; and the reach in samples.
    """
    if up == down:
        return np.ones((1, 1), np.float32), 0
    cutoff = min(1.0, up / down) * _ROLLOFF  # of the input's Nyquist frequency
    reach = int(np.ceil(_ZERO_CROSSINGS / cutoff))
    offset = np.arange(-reach + 1, reach + 1)[None, :] - np.arange(up)[:, None] / up
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1.0 - (offset / reach) ** 2, 0.0, None)))
    taps = np.sinc(offset * cutoff) * window
    taps /= taps.sum(axis=1, keepdims=True)  # equal gain at every phase: constants stay constant
    return taps.astype(np.float32), reach


@lru_cache(maxsize=16)
def _block_matrix(up: int, down: int) -> NDArray[np.float32] | None:
    """The filters of several periods side by side, as one matrix (inputs, outputs).

    None for ratios whose period is so long that the matrix would be large and mostly zeros.
    """
    if up == down or up > 1024:
        return None
    bank, _ = _filters(up, down)
    periods = max(1, 64 // up)
    taps = bank.shape[1]
    base, phase = np.divmod(np.arange(periods * up) * down, up)
    matrix = np.zeros((int(base[-1]) + taps, periods * up), np.float32)
    for column, (start, p) in enumerate(zip(base, phase, strict=True)):
        matrix[start : start + taps, column] = bank[p]
    return matrix
