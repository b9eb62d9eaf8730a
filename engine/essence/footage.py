"""A clip of a person in the frame of an avatar: tracked, steadied, and evened out in its light."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS
from engine.errors import InvalidVideo, NotSupported
from engine.essence.backdrop import exchanged
from engine.essence.parallel import ordered_map
from engine.face import topology
from engine.face.align import Crop
from engine.face.matte import find_person, uncovered
from engine.face.measure import eye_aspect, lip_gap
from engine.video.cutout import Cutout
from engine.video.loops import SHORTEST, Signs
from engine.video.reader import VideoFile
from engine.video.steady import frame_matrices, transformed
from engine.video.track import Tracking, runs, track

__all__ = [
    "LONGEST",
    "RIGID",
    "Footage",
    "digest_of",
    "no_person",
    "put_before",
    "read_footage",
    "signs_of",
]

Image = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Progress = Callable[[str, int, int], None]

LONGEST: Final = 60.0
"""Seconds of the longest clip that becomes an avatar."""
_LEAST_TEMPLES: Final = 96.0  # px in the clip
_GAIN: Final = (0.85, 1.18)  # how far a frame may be made darker or lighter
_GAIN_REACH: Final = 10.0  # frames over which that changes
_TONES: Final = 36  # pixels along a side of the picture by which frames are compared
RIGID: Final = list(topology.RIGID)
"""Points that expressions hardly move, as an index."""


@dataclass(frozen=True)
class Footage:
    """A clip in the frame of an avatar.

    Attributes:
        video: the file.
        usable: bool (n,) frames in which the face can be used.
        matrices: float64 (n, 2, 3) pixels of the clip to those of the avatar.
        points: float64 (n, 478, 3) landmarks in the avatar's pixels.
        gains: float32 (n, 3) factors for blue, green and red that even out the light.
        size: width and height of the avatar.
        stage: done to every picture in the end.
    """

    video: VideoFile
    usable: NDArray[np.bool_]
    matrices: Doubles
    points: Doubles
    gains: Floats
    size: tuple[int, int]
    stage: Callable[[Image], Image] | None = None

    def pictures(self, order: Sequence[int]) -> Iterator[Image]:
        """Frames in the avatar's frame, BGR uint8, mouths as they are.

        Args:
            order: frames wanted, in stretches that go up or down.
        """
        position = 0
        while position < len(order):
            stretch = _stretch(order, position)
            low, high = min(stretch), max(stretch)
            wanted = set(stretch)
            if stretch[0] <= stretch[-1]:
                repeats = {t: stretch.count(t) for t in wanted}
                for t, image in self._read(low, high + 1):
                    for _ in range(repeats.get(t, 0)):
                        yield image
            else:
                for end in range(high + 1, low, -FPS):  # a second at a time is held
                    held = dict(self._read(max(low, end - FPS), end))
                    for t in stretch:
                        if end - FPS <= t < end:
                            yield held[t]
            position += len(stretch)

    def _read(self, first: int, end: int) -> Iterator[tuple[int, Image]]:
        frames, stage = self._framed(first, end), self.stage
        if stage is None:
            return frames
        return ordered_map(lambda item: (item[0], stage(item[1])), frames)

    def _framed(self, first: int, end: int) -> Iterator[tuple[int, Image]]:
        video = self.video
        longer = max(video.width, video.height)
        scale = float(np.sqrt(np.linalg.det(self.matrices[first, :, :2])))
        # No more pixels than the avatar shows.
        longest = min(longer, int(np.ceil(longer * min(1.0, 1.1 * scale))))
        for t, image in video.frames(longest, first, end):
            ratio = np.array([image.shape[1] / video.width, image.shape[0] / video.height])
            matrix = self.matrices[t].copy()
            # Pixel centres: x in the video is (x + 1/2) * ratio - 1/2 here.
            matrix[:, 2] += matrix[:, :2] @ (0.5 / ratio - 0.5)
            matrix[:, :2] /= ratio
            picture = cv2.warpAffine(
                image, matrix, self.size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            if np.abs(self.gains[t] - 1).max() > 0.004:
                picture = np.rint(picture * self.gains[t]).clip(0, 255)
            yield t, np.asarray(picture, np.uint8)


def _stretch(order: Sequence[int], start: int) -> list[int]:
    """From ``start`` on as long as it goes one way."""
    stretch = [order[start]]
    way = 0
    for t in order[start + 1 :]:
        step = (t > stretch[-1]) - (t < stretch[-1])
        if step and way and step != way:
            break
        # A gap of seconds is better sought than decoded.
        if abs(t - stretch[-1]) > 4 * FPS:
            break
        way = way or step
        stretch.append(t)
    return stretch


def read_footage(
    path: Path, size: int, crop: Crop, face: int | None, report: Progress
) -> tuple[Footage, Tracking]:
    """Track a clip and bring it into the frame of an avatar.

    Raises:
        InvalidVideo: ``VIDEO_TOO_SHORT``, ``FACE_TOO_SMALL``, or as `track`.
    """
    video = VideoFile(path)
    tracking = track(video, LONGEST, face, lambda done, total: report("track", done, total))
    seconds = float(tracking.usable.sum()) / FPS
    whole = len(tracking) / FPS
    longest = max((b - a for a, b in runs(tracking.usable)), default=0) / FPS
    if seconds < SHORTEST or longest < SHORTEST / 2:
        said = (
            f"{video.name} is {whole:.1f} seconds long"
            if seconds > whole - 0.5
            else f"The face can be used in only {seconds:.1f} of the {whole:.1f} seconds of "
            f"{video.name}"
            if seconds < SHORTEST
            else f"The face is never in view for {SHORTEST / 2:.1f} seconds on end in {video.name}"
        )
        raise InvalidVideo(
            f"{said}; at least {SHORTEST:.0f} are needed.",
            code="VIDEO_TOO_SHORT",
            hint="Film one person who faces the camera, head and shoulders, for 10 to 60 seconds.",
        )
    right, left = (
        tracking.points[tracking.usable][:, i, :2]
        for i in (topology.RIGHT_TEMPLE, topology.LEFT_TEMPLE)
    )
    temples = float(np.median(np.linalg.norm(left - right, axis=1)))
    if temples < _LEAST_TEMPLES:
        raise InvalidVideo(
            f"The face in {video.name} is too small: {temples:.0f} pixels between the temples, "
            f"at least {_LEAST_TEMPLES:.0f} are needed.",
            code="FACE_TOO_SMALL",
            hint="Use a larger video or one taken from nearer.",
        )
    matrices, out = frame_matrices(tracking, (video.width, video.height), size, crop)
    footage = Footage(
        video,
        tracking.usable,
        matrices,
        transformed(tracking.points, matrices),
        np.ones((len(tracking), 3), np.float32),
        out,
    )
    return replace(footage, gains=_gains(footage, tracking)), tracking


def put_before(footage: Footage, background: Image) -> Footage:
    """The person of a clip before another background.

    Args:
        footage: the clip.
        background: BGR uint8 of the size of the avatar.

    Raises:
        NotSupported: ``MATTE``, the person cannot be told from what is behind.
    """
    usable = np.flatnonzero(footage.usable)
    faces = footage.points[usable]
    usual = int(usable[np.abs(faces - np.median(faces, axis=0)).sum((1, 2)).argmin()])
    picture = next(iter(footage.pictures([usual])))
    matte = find_person(picture, footage.points[usual])
    if matte is None:
        raise no_person(footage)
    cutout = Cutout(picture, matte.alpha)

    def stage(image: Image) -> Image:
        alpha = cutout.alpha(image)
        return exchanged(image, alpha, uncovered([(image, alpha)]), background)

    return replace(footage, stage=stage)


def no_person(footage: Footage) -> NotSupported:
    """The error of a clip whose person is wanted without what is behind."""
    return NotSupported(
        f"the person in {footage.video.name} cannot be told from the background",
        code="MATTE",
        hint="Film one person before a plain background.",
    )


def _gains(footage: Footage, tracking: Tracking) -> Floats:
    """Factors that keep the tone of the face: cameras change their exposure as they like."""
    small = tracking.small
    ratio = np.array([small.shape[2], small.shape[1]]) / [footage.video.width, footage.video.height]
    tones = np.full((len(small), 3), np.nan, np.float32)
    for t in np.flatnonzero(footage.usable):
        oval = tracking.points[t, list(topology.FACE_OVAL), :2] * ratio
        x0, y0 = np.floor(oval.min(axis=0)).astype(int).clip(0)
        x1, y1 = np.ceil(oval.max(axis=0)).astype(int)
        y1 -= (y1 - y0) // 3  # without the mouth
        tones[t] = small[t, y0 : y1 + 1, x0 : x1 + 1].reshape(-1, 3).mean(axis=0)
    target = np.nanmedian(tones, axis=0)
    gains = np.ones_like(tones)
    for first, end in runs(footage.usable):
        part = target / np.maximum(tones[first:end], 1.0)
        gains[first:end] = cv2.GaussianBlur(
            part, (1, 0), 0.01, sigmaY=_GAIN_REACH, borderType=cv2.BORDER_REPLICATE
        )
    return gains.clip(*_GAIN)


def signs_of(footage: Footage, tracking: Tracking) -> Signs:
    """By what the frames of a clip are compared."""
    n = len(tracking)
    unit = 512 / max(footage.size)
    small = tracking.small
    ratio = np.array([small.shape[2], small.shape[1]]) / [footage.video.width, footage.video.height]
    tones = np.full((n, _TONES * _TONES * 3), np.nan, np.float32)
    eyes, gap = np.full(n, np.nan), np.full(n, np.nan)
    shrink = _TONES / np.array(footage.size)
    hide: Image | None = None
    for t in np.flatnonzero(footage.usable):
        eyes[t] = min(eye_aspect(footage.points[t]))
        gap[t] = lip_gap(footage.points[t])
        matrix = footage.matrices[t] * shrink[:, None]
        matrix[:, :2] /= ratio
        picture = cv2.warpAffine(
            small[t], matrix, (_TONES, _TONES), borderMode=cv2.BORDER_REPLICATE
        )
        if hide is None:
            mouth = footage.points[t, topology.UPPER_LIP_CENTRE, :2] * shrink
            hide = np.ones((_TONES, _TONES, 1), np.uint8)
            cv2.circle(hide, (int(mouth[0]), int(mouth[1])), _TONES // 6, 0, -1)
        tones[t] = (picture * footage.gains[t] * hide).ravel()
    return Signs(footage.points[:, RIGID, :2] * unit, tones, eyes, gap, footage.usable)


def digest_of(path: Path) -> str:
    """SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
