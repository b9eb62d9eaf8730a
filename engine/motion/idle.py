"""Loops an avatar plays: it breathes, sways, blinks and looks about; talks, or listens.

Rates and shapes follow the literature on people at rest in conversation: blinks every few seconds
with log-normal intervals, closing faster than opening (VanderWerf et al., 2003); saccades of a few
tens of milliseconds between fixations, large ones often hidden behind a blink (Evinger et al.,
1994); the eyes counter-rotate while the head sways (vestibulo-ocular reflex); about eighteen
breaths a minute, breathing out longer than in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS
from engine.motion import curves
from engine.motion.face import COLUMN, SIZE, Track

POSE_LIMIT = 4.0
"""No angle of the head exceeds this many degrees."""

_SWAY = np.array([0.9, 0.6, 0.6])  # degrees, slow drift of yaw, pitch, roll
_POSTURE = np.array([2.4, 1.3, 1.0])  # degrees, reach of the held postures
Manner = Literal["idle", "speaking", "listening"]
MANNERS: Final[tuple[Manner, ...]] = ("idle", "speaking", "listening")
"""What goes on meanwhile: nothing, the avatar speaks, or it listens to somebody."""

_REACH: Final = {"idle": 1.0, "speaking": 1.2, "listening": 0.45}  # of the postures
_HOLD: Final = {"idle": 2.8, "speaking": 1.9, "listening": 3.4}  # seconds, of one posture
_GLANCES: Final = {"idle": 0.3, "speaking": 0.25, "listening": 0.06}  # share away from the viewer
_BEAT: Final = (1.0, 2.4)  # degrees a head nods with a stressed syllable
_ASSENT: Final = (1.6, 2.6)  # degrees of a listener's nod
_TILT: Final = 1.6  # degrees a listener leans the head
_BREATH = 3.4  # seconds of one, on average
_BREATH_PITCH = 0.35  # degrees the chin rises while breathing in
_NOD_ON_BLINK = 0.25  # degrees the head dips with a blink

_CLOSE = 0.10 * FPS  # frames a lid takes to close, and to open
_OPEN = 0.15 * FPS
_BLINK_MARGIN = 8  # frames kept free of lid motion around the seam

_LOOK_AWAY = np.array([3.2, 1.8])  # degrees, spread of glances from the viewer's eyes
_GAZE_LIMIT = np.array([7.0, 4.5])


@dataclass(frozen=True)
class IdleMotion:
    """Curves of one seamless loop; frame ``len(self)`` would be frame 0.

    Attributes:
        pose: float32 (n, 3), yaw, pitch and roll of the head in degrees, each within ±4, with the
            signs of ``engine.face.landmarks.head_pose``: the nose goes to the left of the
            picture, down, and the head tilts clockwise.
        blink: float32 (n, 2), closure of the subject's left and right lid, 0 open to 1 closed.
        gaze: float32 (n, 2), rotation of the eyes in the head in degrees, to the right of the
            picture and up, from where the photo looks.
        breath: float32 (n,), lungs from 0 (empty) to 1 (full).
        brows: float32 (n,), how far the brows are raised, 0 to 1.
        fps: frames per second.
    """

    pose: NDArray[np.float32]
    blink: NDArray[np.float32]
    gaze: NDArray[np.float32]
    breath: NDArray[np.float32]
    brows: NDArray[np.float32]
    fps: int = FPS

    def __len__(self) -> int:
        return len(self.pose)

    def track(self) -> Track:
        """The same as a track."""
        values = np.zeros((len(self), SIZE), np.float32)
        values[:, :3], values[:, 3:5], values[:, 5:7] = self.pose, self.blink, self.gaze
        values[:, COLUMN["breath"]] = self.breath
        values[:, COLUMN["browInnerUp"]] = 0.8 * self.brows
        values[:, [COLUMN["browOuterUpLeft"], COLUMN["browOuterUpRight"]]] = self.brows[:, None]
        return Track(values)

    def rolled(self, frames: int) -> IdleMotion:
        """The same loop, begun so many frames later."""
        pose, blink, gaze, breath, brows = (
            np.roll(curve, -frames, axis=0)
            for curve in (self.pose, self.blink, self.gaze, self.breath, self.brows)
        )
        return IdleMotion(pose, blink, gaze, breath, brows, self.fps)


def idle(seconds: float = 12.0, seed: int = 0, manner: Manner = "idle") -> IdleMotion:
    """Synthesise a loop of idle motion.

    A speaker's head nods and brows rise in beats (Graf et al., 2002), a listener's eyes stay on
    the speaker and the head nods in small groups (Hadar et al., 1985).

    Args:
        seconds: length of the loop; at least 1, rounded to whole frames.
        seed: the same seed gives the same loop.
        manner: what goes on meanwhile.

    Returns:
        The curves, frame by frame at 25 FPS.

    Raises:
        ValueError: the loop would be shorter than a second.
    """
    frames = round(seconds * FPS)
    if frames < FPS:
        raise ValueError(f"an idle loop needs at least one second, not {seconds:g}")
    # One stream each, so that retuning one curve leaves the others as they were.
    head_rng, lid_rng, eye_rng, breath_rng, beat_rng = np.random.default_rng(seed).spawn(5)

    breath = _breath(frames, breath_rng)
    peaks = _blink_peaks(frames, lid_rng)
    blink = _lids(frames, peaks)
    pose = _head(frames, head_rng, manner)
    brows = np.zeros(frames)
    if manner == "speaking":
        beats, brows = _beats(frames, beat_rng)
        pose += beats
    elif manner == "listening":
        pose += _assent(frames, beat_rng)
    pose[:, 1] += _NOD_ON_BLINK * _dips(frames, peaks) - _BREATH_PITCH * (breath - breath.mean())
    pose = np.clip(pose, -POSE_LIMIT, POSE_LIMIT)
    gaze = _eyes(frames, eye_rng, peaks, _GLANCES[manner])
    # The eyes stay on their target while the head moves: against it, by the signs of both.
    gaze += pose[:, :2] - pose[:, :2].mean(axis=0)
    return IdleMotion(
        pose=pose.astype(np.float32),
        blink=blink.astype(np.float32),
        gaze=np.clip(gaze, -_GAZE_LIMIT, _GAZE_LIMIT).astype(np.float32),
        breath=breath.astype(np.float32),
        brows=brows.astype(np.float32),
    )


def _breath(frames: int, rng: np.random.Generator) -> curves.Curve:
    """Breaths of unequal length and depth: 40 % in, 50 % out, a short rest."""
    count = max(1, round(frames / FPS / _BREATH))
    lengths = np.exp(rng.normal(0.0, 0.08, count))
    lengths *= frames / lengths.sum()
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    depths = np.clip(rng.normal(0.9, 0.08, count), 0.7, 1.0)
    time = np.arange(frames, dtype=np.float64)
    curve = np.zeros(frames)
    for start, length, depth in zip(starts, lengths, depths, strict=True):
        phase = (time - start) / length
        inside = (phase >= 0.0) & (phase < 1.0)
        rise = 0.5 - 0.5 * np.cos(np.pi * np.clip(phase / 0.4, 0.0, 1.0))
        fall = 0.5 - 0.5 * np.cos(np.pi * np.clip((phase - 0.4) / 0.5, 0.0, 1.0))
        curve += inside * depth * (rise - fall)
    return np.roll(curve, int(rng.integers(frames)))


def _head(frames: int, rng: np.random.Generator, manner: Manner) -> NDArray[np.float64]:
    """Slow drift plus postures that are taken up and held for a few seconds."""
    drift = np.stack(
        [curves.periodic_noise(frames, FPS, rng, low=0.06, high=0.7, slope=1.2) for _ in range(3)],
        axis=1,
    )
    seconds = frames / FPS
    starts = FPS * curves.renewal_times(seconds, rng, mean=_HOLD[manner], spread=0.35, shortest=1.6)
    durations = np.minimum(FPS * rng.uniform(0.8, 1.4, len(starts)), frames / len(starts))
    postures = rng.normal(0.0, 1.0, (len(starts), 3))
    # A turned head also tilts a little the same way.
    postures[:, 2] = 0.8 * postures[:, 2] + 0.5 * postures[:, 0]
    postures -= postures.mean(axis=0)  # on average the head faces as in the photo
    postures *= rng.uniform(0.75, 1.0, 3) / np.maximum(np.abs(postures).max(axis=0), 1e-6)
    held = curves.periodic_holds(frames, starts, durations, postures)
    pose: NDArray[np.float64] = np.roll(
        drift * _SWAY + held * _POSTURE * _REACH[manner], int(rng.integers(frames)), axis=0
    )
    return pose


def _beats(
    frames: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nods of a speaker (frames, 3), and with some of them raised brows (frames,)."""
    pose, brows = np.zeros((frames, 3)), np.zeros(frames)
    times = curves.renewal_times(frames / FPS, rng, mean=0.85, spread=0.4, shortest=0.44)
    for time in times * FPS:
        strength = rng.uniform(*_BEAT)
        way = np.array([rng.normal(0, 0.45), 1.0, rng.normal(0, 0.35)])
        pose += strength * way * _bump(frames, time, 0.16 * FPS, 0.3 * FPS)[:, None]
        if rng.random() < 0.4:
            brows = np.maximum(
                brows, rng.uniform(0.15, 0.4) * _bump(frames, time, 0.2 * FPS, 0.5 * FPS)
            )
    return pose, brows


def _assent(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Nods of a listener, two or three together (frames, 3), and a head that leans."""
    pose = np.zeros((frames, 3))
    pose[:, 2] = rng.choice([-1.0, 1.0]) * _TILT
    for start in curves.renewal_times(frames / FPS, rng, mean=3.0, spread=0.3, shortest=2.0) * FPS:
        size = rng.uniform(*_ASSENT)
        for nod in range(int(rng.integers(2, 4))):
            at = start + (0.8 + 0.42 * nod) * FPS
            pose[:, 1] += size * 0.7**nod * _bump(frames, at, 0.18 * FPS, 0.24 * FPS)
    return pose


def _bump(frames: int, peak: float, rise: float, fall: float) -> curves.Curve:
    """Up to 1 and down again around the loop, at rest at both ends."""
    offset = np.mod(np.arange(frames) - peak + frames / 2, frames) - frames / 2
    up = curves.minimum_jerk(1.0 + offset / rise)
    down = 1.0 - curves.minimum_jerk(offset / fall)
    return np.where(offset <= 0, up, down)


def _blink_peaks(frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Frames at which the lids meet, none so near the seam that a blink would cross it."""
    times = curves.renewal_times(frames / FPS, rng, mean=4.0, spread=0.4, shortest=1.6)
    gaps = np.diff(np.concatenate([times, [frames / FPS]]))
    # Start the loop inside the longest gap between two blinks.
    longest = int(np.argmax(gaps))
    seam = times[longest] + gaps[longest] * rng.uniform(0.35, 0.65)
    peaks = np.sort(np.mod(times - seam, frames / FPS)) * FPS
    doubles = peaks[rng.random(len(peaks)) < 0.12] + rng.uniform(0.36, 0.5) * FPS
    frames_of = np.unique(np.round(np.concatenate([peaks, doubles])).astype(np.int64))
    return frames_of[(frames_of >= _BLINK_MARGIN) & (frames_of < frames - _BLINK_MARGIN)]


def _lids(frames: int, peaks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Closure of both lids; a lid falls faster than it rises."""
    time = np.arange(frames, dtype=np.float64)
    curve = np.zeros(frames)
    for peak in peaks:
        offset = time - peak
        closing = curves.minimum_jerk(1.0 + offset / _CLOSE)
        opening = 1.0 - curves.minimum_jerk(offset / _OPEN)
        curve = np.maximum(curve, np.where(offset <= 0, closing, opening))
    return np.repeat(curve[:, None], 2, axis=1)


def _dips(frames: int, peaks: NDArray[np.int64]) -> curves.Curve:
    """A slow bump around every blink, periodic, 0 to 1."""
    time = np.arange(frames, dtype=np.float64)
    curve = np.zeros(frames)
    for peak in peaks:
        offset = np.mod(time - peak - 2 + frames / 2, frames) - frames / 2
        curve += np.exp(-0.5 * (offset / 5.0) ** 2)
    return curve


def _eyes(
    frames: int, rng: np.random.Generator, blink_peaks: NDArray[np.int64], glances: float
) -> NDArray[np.float64]:
    """Fixations on the viewer's eyes and mouth, with short glances away."""
    seconds = frames / FPS
    starts = np.round(FPS * curves.renewal_times(seconds, rng, mean=1.3, spread=0.5, shortest=0.44))
    starts = np.mod(starts + int(rng.integers(frames)), frames)
    starts.sort()
    targets = np.empty((len(starts), 2))
    away = False
    for i in range(len(starts)):
        # Never two glances in a row: the listener's attention stays with the viewer.
        away = not away and rng.random() < glances
        targets[i] = rng.normal(0.0, _LOOK_AWAY) if away else rng.normal(0.0, [0.9, 0.6])
    targets -= np.median(targets, axis=0)
    sizes = np.linalg.norm(targets - np.roll(targets, 1, axis=0), axis=1)
    # Hide a large shift behind a blink that is about to happen anyway.
    for i in np.flatnonzero(sizes > 3.0).tolist():
        if len(blink_peaks):
            nearest = blink_peaks[np.argmin(np.abs(blink_peaks - starts[i]))]
            if abs(nearest - starts[i]) < 0.5 * FPS:
                starts[i] = nearest - 1
    order = np.argsort(starts, kind="stable")
    starts, targets, sizes = starts[order], targets[order], sizes[order]
    # Main sequence of saccades (Bahill et al., 1975): 2.2 ms per degree + 21 ms.
    durations = np.maximum((0.0022 * sizes + 0.021) * FPS, 1.0)
    return curves.periodic_holds(frames, starts, durations, targets)
