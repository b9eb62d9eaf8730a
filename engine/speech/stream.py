"""Streams of speech, and the gate that lets the mouth rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.mel import LogMel
from engine.coefficients import COEFFICIENTS, SAMPLES_PER_FRAME
from engine.speech.network import MEL_FRAMES, SpeechNetwork

LOOK_AHEAD_FRAMES: Final = 2  # 80 ms: the row of frame m is known after frame m + 2 is heard

_GATE_LEVEL = 1e-3  # RMS of a frame, -60 dBFS
_RELEASE = (2.0 / 3.0, 1.0 / 3.0)  # what is left of the row in the frames after the last sound
# The tongue does not show while the lips are shut.
_VISIBLE = [i for i, name in enumerate(COEFFICIENTS) if not name.startswith("tongue")]
_REST = 0.05  # a row whose largest value is below this is rest …
_MOVING = 0.12  # … and above this is left alone


class SilenceGate:
    """Makes rest exact: rows of frames in which nobody speaks become zeros.

    Two things bring a row to zero. *Level*: no sound above -60 dBFS in the frame or in the
    look-ahead after it; the mouth then closes over two frames, so that it rests within 120 ms and
    the gap of a stop consonant passes. *Motion*: the network itself says that the mouth hardly
    moves, as it has learned to for noise, clicks and music; small rows are faded to zero without
    a step. Sealed lips (m, b, p) have large values and are never faded.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as if new."""
        self._quiet_frames = LOOK_AHEAD_FRAMES + len(_RELEASE) + 1

    def apply(self, rows: NDArray[np.float32], pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gates the rows that the network gave for the frames of ``pcm``.

        Args:
            rows: (n, 16) float32.
            pcm: (640·n,) float32, the sound that was consumed for these rows.

        Returns:
            (n, 16) float32, a new array.
        """
        frames = pcm.reshape(len(rows), SAMPLES_PER_FRAME)
        loud = frames.std(axis=1) > _GATE_LEVEL  # deviation: a DC offset is silence
        gain = np.empty(len(rows), np.float32)
        for i, sounds in enumerate(loud):
            self._quiet_frames = 0 if sounds else self._quiet_frames + 1
            # Row i belongs to the frame LOOK_AHEAD_FRAMES back, so as many quiet frames mean
            # that the row's own frame was the last one with sound.
            step = self._quiet_frames - LOOK_AHEAD_FRAMES
            gain[i] = 1.0 if step <= 0 else _RELEASE[step - 1] if step <= len(_RELEASE) else 0.0
        size = rows[:, _VISIBLE].max(axis=1)
        gain *= np.clip((size - _REST) / (_MOVING - _REST), 0.0, 1.0)
        return rows * gain[:, None]


class SpeechStream:
    """One speaker's sound turned into mouth coefficients as it arrives.

    Args:
        network: shared by any number of streams; the one that ships with the engine if None.
    """

    def __init__(self, network: SpeechNetwork | None = None) -> None:
        self.network = network or _shared_network()
        self._mel = LogMel()
        self._gate = SilenceGate()
        self._state = self.network.initial()

    def reset(self) -> None:
        """Forgets everything that was heard, as if new."""
        self._mel.reset()
        self._gate.reset()
        self._state = self.network.initial()

    def process(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Consumes whole frames.

        The row given for frame ``m`` (counted from the first one after construction or reset)
        belongs to frame ``m - LOOK_AHEAD_FRAMES``; the first LOOK_AHEAD_FRAMES rows belong to no
        frame and are to be dropped.

        Args:
            pcm: (640·n,) float32 mono at 16 kHz in [-1, 1].

        Returns:
            (n, 16) float32 in [0, 1]; exactly 0 where nobody speaks.
        """
        return process_batch([self], [pcm])[0]


def process_batch(
    streams: Sequence[SpeechStream], pcm: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Like :meth:`SpeechStream.process` for several streams of one network at once.

    Args:
        streams: distinct streams that share a network.
        pcm: what each of them consumes, (640·n,) float32; n may differ between streams.

    Returns:
        (n, 16) float32 per stream.
    """
    if not streams:
        return []
    network = streams[0].network
    mel: list[NDArray[np.float32]] = []
    for stream, samples in zip(streams, pcm, strict=True):
        if samples.ndim != 1 or len(samples) % SAMPLES_PER_FRAME:
            raise ValueError(f"pcm must be (640·n,), not {samples.shape}")
        if stream.network is not network:
            raise ValueError("the streams of a batch must share one network")
        mel.append(stream._mel.process(samples).reshape(-1, MEL_FRAMES, 80))
    rows = [np.empty((len(m), len(COEFFICIENTS)), np.float32) for m in mel]
    for k in range(max(len(m) for m in mel)):
        active = [i for i, m in enumerate(mel) if k < len(m)]
        out, states = network.step(
            np.stack([mel[i][k] for i in active]),
            np.concatenate([streams[i]._state for i in active]),
        )
        for j, i in enumerate(active):
            rows[i][k] = out[j]
            streams[i]._state = states[j : j + 1]
    return [s._gate.apply(r, p) for s, r, p in zip(streams, rows, pcm, strict=True)]


def coefficients(
    pcm: NDArray[np.float32], network: SpeechNetwork | None = None
) -> NDArray[np.float32]:
    """Coefficients of a whole recording.

    Args:
        pcm: (n,) float32 mono at 16 kHz in [-1, 1].
        network: the one that ships with the engine if None.

    Returns:
        (ceil(n / 640), 16) float32; row i belongs to samples 640·i to 640·i + 639.
    """
    frames = -(-len(pcm) // SAMPLES_PER_FRAME)
    padded = np.zeros((frames + LOOK_AHEAD_FRAMES) * SAMPLES_PER_FRAME, np.float32)
    padded[: len(pcm)] = pcm
    return SpeechStream(network).process(padded)[LOOK_AHEAD_FRAMES:]


@cache
def _shared_network() -> SpeechNetwork:
    return SpeechNetwork()
