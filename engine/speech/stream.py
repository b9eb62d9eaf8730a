"""Streams of speech, and the gate that lets the mouth rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS, FPS, INDEX, SAMPLES_PER_FRAME
from engine.speech.effort import Effort
from engine.speech.gain import Gain
from engine.speech.network import SpeechNetwork

LOOK_AHEAD_FRAMES: Final = 2  # 80 ms: the row of frame m is known after frame m + 2 is heard

_BLOCK = 250 * SAMPLES_PER_FRAME  # of a recording at a time, bounds the memory of a call
_GATE_LEVEL = 1e-6  # mean power of a frame, -60 dBFS
_DECAYED = 10**-2.7  # what is left of a voice when it has died away: -27 dB of its loudest frame
_FORGET = 10 ** (
    -1.0 / FPS
)  # … which is forgotten by 10 dB a second: a soft voice after a loud one
_RELEASE = (2.0 / 3.0, 1.0 / 3.0)  # what is left of the last row with sound, and of the next
# The tongue does not show while the lips are shut.
_visible = itemgetter(*(i for i, n in enumerate(COEFFICIENTS) if not n.startswith("tongue")))
# What a raised voice widens. The closing of the lips follows the jaw, so that they still meet.
_OPENING = [INDEX[name] for name in ("jawOpen", "mouthClose", "mouthLowerDown", "mouthUpperUp")]
_MEAN = np.full(SAMPLES_PER_FRAME, 1 / SAMPLES_PER_FRAME, np.float32)
_REST = 0.05  # a row whose largest value is below this is rest …
_MOVING = 0.12  # … and above this is left alone


class SilenceGate:
    """Makes rest exact: rows of frames in which nobody speaks become zeros.

    Two things bring a row to zero. *Level*: no sound in the frame or in the look-ahead after it,
    that is, none above -60 dBFS and none less than 27 dB below the loudest of the last second:
    rooms let a voice die away slowly, and the mouth does not wait for that. It closes over the last
    frame with sound and the next one, so that it rests within 80 ms and the gap of a stop consonant
    passes. *Motion*: the network itself says that the mouth hardly
    moves, as it has learned to for noise, clicks and music; small rows are faded to zero without
    a step. Sealed lips (m, b, p) have large values and are never faded.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as if new."""
        self._quiet_frames = LOOK_AHEAD_FRAMES + len(_RELEASE)
        self._loudest = 0.0

    def apply(self, rows: NDArray[np.float32], pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gates the rows that the network gave for the frames of ``pcm``.

        Args:
            rows: (n, 16) float32.
            pcm: (640·n,) float32, the sound that was consumed for these rows.

        Returns:
            (n, 16) float32, a new array.
        """
        gains = np.array(self.gains(rows.tolist(), _powers(pcm)), np.float32)
        return np.asarray(rows * gains[:, None], np.float32)

    def gains(self, rows: Sequence[Sequence[float]], powers: Sequence[float]) -> list[float]:
        """What each row is multiplied by.

        Args:
            rows: 16 values each.
            powers: mean power of the frames that were consumed for them.
        """
        gains = []
        for row, power in zip(rows, powers, strict=True):
            self._loudest = max(power, self._loudest * _FORGET)
            sounds = power > max(_GATE_LEVEL, self._loudest * _DECAYED)
            self._quiet_frames = 0 if sounds else self._quiet_frames + 1
            # Row i belongs to the frame LOOK_AHEAD_FRAMES back, so as many quiet frames mean
            # that the row's own frame was the last one with sound.
            late = self._quiet_frames - LOOK_AHEAD_FRAMES + 1
            level = 1.0 if late <= 0 else _RELEASE[late - 1] if late <= len(_RELEASE) else 0.0
            motion = (max(_visible(row)) - _REST) / (_MOVING - _REST)
            gains.append(level * min(max(motion, 0.0), 1.0))
        return gains


def _powers(pcm: NDArray[np.float32]) -> list[float]:
    """Mean power of each frame of (640·n,) samples, offsets not counted."""
    return [
        float(frame.dot(frame)) / SAMPLES_PER_FRAME - float(frame.dot(_MEAN)) ** 2
        for frame in pcm.reshape(-1, SAMPLES_PER_FRAME)
    ]


class SpeechStream:
    """One speaker's sound turned into mouth coefficients as it arrives.

    Args:
        network: shared by any number of streams; the one that ships with the engine if None.
    """

    def __init__(self, network: SpeechNetwork | None = None) -> None:
        self.network = network or _shared_network()
        self._gain = Gain()
        self._gate = SilenceGate()
        self._effort = Effort()
        self._state = self.network.initial()

    def reset(self) -> None:
        """Forgets everything that was heard, as if new."""
        self._gain.reset()
        self._gate.reset()
        self._effort.reset()
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
    for stream, samples in zip(streams, pcm, strict=True):
        if samples.ndim != 1 or len(samples) % SAMPLES_PER_FRAME:
            raise ValueError(f"pcm must be (640·n,), not {samples.shape}")
        if stream.network is not network:
            raise ValueError("the streams of a batch must share one network")
    if len(streams) == 1:
        return [_process(streams, pcm[0][None])[0]]
    # Streams that got equally much make a rectangle, computed in a few calls. Live sessions all
    # get one frame at a time.
    groups: dict[int, list[int]] = {}
    for i, samples in enumerate(pcm):
        groups.setdefault(len(samples), []).append(i)
    out: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(streams)
    for members in groups.values():
        rows = _process([streams[i] for i in members], np.array([pcm[i] for i in members]))
        for i, row in zip(members, rows, strict=True):
            out[i] = row
    return out


def _process(streams: Sequence[SpeechStream], pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Streams of one network and (streams, 640·n) samples -> (streams, n, 16) coefficients."""
    network = streams[0].network
    batch, count = len(streams), pcm.shape[1] // SAMPLES_PER_FRAME
    states = streams[0]._state if batch == 1 else np.concatenate([s._state for s in streams])
    powers = [_powers(samples) for samples in pcm]
    gains = [s._gain.gains(p) for s, p in zip(streams, powers, strict=True)]
    if any(gain != 1 for row in gains for gain in row):
        frames = pcm.reshape(batch, count, SAMPLES_PER_FRAME)
        pcm = (frames * np.array(gains, np.float32)[..., None]).reshape(pcm.shape)
    steps = []
    for k in range(count):
        frame = pcm[:, k * SAMPLES_PER_FRAME : (k + 1) * SAMPLES_PER_FRAME]
        rows, states = network.step(frame, states)
        steps.append(rows.tolist())
    # Calls of NumPy cost more than the few numbers of a row do in Python.
    values = []
    for i, (stream, heard) in enumerate(zip(streams, powers, strict=True)):
        stream._state = states[i : i + 1]
        found = [step[i] for step in steps]
        levels, efforts = stream._gate.gains(found, heard), stream._effort.gains(heard)
        for row, level, effort in zip(found, levels, efforts, strict=True):
            if level != 1:
                row[:] = [level * value for value in row]
            if effort != 1:
                for j in _OPENING:
                    row[j] = min(effort * row[j], 1.0)
        values.append(found)
    return np.array(values, np.float32).reshape(batch, count, len(COEFFICIENTS))


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
    stream = SpeechStream(network)
    parts = [stream.process(padded[i : i + _BLOCK]) for i in range(0, len(padded), _BLOCK)]
    return np.concatenate(parts)[LOOK_AHEAD_FRAMES:]


@cache
def _shared_network() -> SpeechNetwork:
    return SpeechNetwork()
