"""One face through a clip: its landmarks in every frame, and which frames can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import FPS
from engine.errors import InvalidImage, InvalidVideo
from engine.face import topology
from engine.face.landmarks import MIN_PRESENCE, Landmarks, find_face, follow_face, head_pose
from engine.video.reader import VideoFile

__all__ = ["Tracking", "runs", "smoothed", "track"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

_SIDE: Final = 1280  # pixels of the longer side, for finding landmarks
_SMALL: Final = 20_000  # pixels of the pictures kept to compare frames
_GREY: Final = 640  # pixels of the longer side, for the motion of the camera
MAX_YAW: Final = 25.0
MAX_PITCH: Final = 25.0
_LEAST_TEMPLES: Final = 48.0  # pixels at _SIDE
_JUMP: Final = 0.35  # of the face, from one frame to the next: another shot, or another person
_CUT: Final = 40.0  # mean change of the small pictures, of 255
_SAVGOL: Final = np.array([-2, 3, 6, 7, 6, 3, -2]) / 21.0
_PERSON: Final = (1.9, 1.7)  # half width and height of what belongs to a person, in temples
_FEATURES: Final = 200
_FEW: Final = 10  # corners, too few to tell the motion of the camera from theirs


@dataclass(frozen=True)
class Tracking:
    """What is known of a clip after it has been read once; n frames, 25 a second.

    Attributes:
        points: float32 (n, 478, 3) landmarks in pixels of the clip, smoothed over time; NaN where
            the face is lost.
        pose: float32 (n, 3) yaw, pitch, roll in degrees, see ``head_pose``.
        usable: bool (n,), the face is there and faces the camera.
        camera: float64 (n, 2, 3) similarity that carries pixels of a frame to where the camera
            saw them in the first frame of the shot.
        small: uint8 (n, h, w, 3) the frames, small.
    """

    points: Floats
    pose: Floats
    usable: NDArray[np.bool_]
    camera: NDArray[np.float64]
    small: Image

    def __len__(self) -> int:
        return len(self.points)


def track(
    video: VideoFile,
    longest: float,
    face: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tracking:
    """Read a clip and follow the face in it.

    Args:
        video: the clip.
        longest: seconds a clip may have.
        face: which face, 1 the largest; None insists that there is only one.
        progress: told the frames done and about how many there are.

    Raises:
        InvalidVideo: ``VIDEO_TOO_LONG``, ``NO_FACE``, or what `find_face` says of its frames.
    """
    expected = round((video.seconds or 0) * FPS)
    if expected > longest * FPS + FPS / 2:
        raise _too_long(video, expected / FPS, longest)
    points: list[Floats] = []
    found: list[bool] = []
    cameras: list[NDArray[np.float64]] = []
    smalls: list[Image] = []
    scale = max(video.width, video.height) / min(_SIDE, max(video.width, video.height))
    camera = _Camera()
    current: Landmarks | None = None
    chosen: Landmarks | None = None  # the person that the clip is about
    trouble: InvalidImage | None = None
    for index, image in video.frames(_SIDE):
        if index > longest * FPS + FPS / 2:
            raise _too_long(video, video.seconds, longest)
        small = _small(image)
        cut = bool(smalls) and float(np.abs(small.astype(int) - smalls[-1]).mean()) > _CUT
        before, current = current, None
        if before is not None and not cut:
            current = _followed(image, before)
        if current is None:
            try:
                current = _found(image, face, chosen)
            except InvalidImage as error:
                trouble = trouble or error
        if current is not None and chosen is None:
            chosen = current
        seen = current is not None
        points.append(
            current.points * np.float32(scale)
            if current is not None
            else np.full((topology.POINTS, 3), np.nan, np.float32)
        )
        # A face that jumps is another's, or another shot: a stretch ends there.
        jumps = before is not None and current is not None and not _near(current, before)
        cameras.append(
            camera.step(image, None if current is None else current.points, cut or jumps)
        )
        found.append(seen and not jumps)
        smalls.append(small)
        if progress is not None:
            progress(index + 1, max(expected, index + 1))
    if not any(found):
        if trouble is not None and trouble.code != "NO_FACE":
            raise InvalidVideo(f"{video.name}: {trouble}", code=trouble.code, hint=trouble.hint)
        raise InvalidVideo(
            f"There is no face in {video.name}.",
            code="NO_FACE",
            hint="Use a clip of a person who looks at the camera, in good light.",
        )
    raw = np.stack(points)
    seen_frames = np.array(found)
    pose = np.full((len(raw), 3), np.nan, np.float32)
    pose[seen_frames] = [head_pose(p) for p in raw[seen_frames]]
    usable = seen_frames & _facing(pose) & _inside(raw, video)
    matrices = np.stack(cameras)
    matrices[:, :, 2] *= scale
    return Tracking(smoothed(raw, runs(seen_frames)), pose, usable, matrices, np.stack(smalls))


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frame and end of every stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def smoothed(values: Floats, stretches: list[tuple[int, int]]) -> Floats:
    """Values (n, …) smoothed within stretches of frames, without lag (Savitzky and Golay, 1964).

    Quadratic over seven frames: three nods a second keep nine tenths of their way.
    """
    out = values.copy()
    half = len(_SAVGOL) // 2
    for first, end in stretches:
        part = values[first:end].astype(np.float64)
        if len(part) < len(_SAVGOL):
            continue
        # Mirrored through the end points, which stay where they are.
        head = 2 * part[:1] - part[1 : half + 1][::-1]
        tail = 2 * part[-1:] - part[-half - 1 : -1][::-1]
        padded = np.concatenate([head, part, tail])
        out[first:end] = sum(weight * padded[i : i + len(part)] for i, weight in enumerate(_SAVGOL))
    return out


def _followed(image: Image, before: Landmarks) -> Landmarks | None:
    now = follow_face(image, before.points)
    return now if now.presence >= MIN_PRESENCE and now.temple_distance > _LEAST_TEMPLES else None


def _found(image: Image, face: int | None, chosen: Landmarks | None) -> Landmarks | None:
    """The face to follow in a frame; once it is known, the largest that is of about its size."""
    now = find_face(image, face if chosen is None else 1)
    if chosen is not None and not 0.5 < now.temple_distance / chosen.temple_distance < 2:
        return None
    return now


def _near(now: Landmarks, before: Landmarks) -> bool:
    apart = np.linalg.norm((now.points - before.points)[:, :2].mean(axis=0))
    return bool(apart < _JUMP * before.temple_distance)


def _facing(pose: Floats) -> NDArray[np.bool_]:
    limit = np.array([MAX_YAW, MAX_PITCH, 30.0])
    return np.asarray((np.abs(np.nan_to_num(pose, nan=99.0)) <= limit).all(axis=1))


def _inside(points: Floats, video: VideoFile) -> NDArray[np.bool_]:
    """Where all of the face is in the picture."""
    oval = np.nan_to_num(points[:, list(topology.FACE_OVAL), :2], nan=-1.0)
    low, high = oval.min(axis=1), oval.max(axis=1)
    size = [video.width, video.height]
    return np.asarray(((low >= 0) & (high <= size)).all(axis=1))


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = (_SMALL / (height * width)) ** 0.5
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


class _Camera:
    """How the camera moves, from what is not the person.

    Corners behind the person are found in a key frame (Shi and Tomasi, 1994) and followed in those
    after it (Lucas and Kanade, 1981); the similarity that most of them obey (RANSAC: Fischler and
    Bolles, 1981) says where the camera is. Errors do not add up until there is a new key frame.
    """

    def __init__(self) -> None:
        self._key: Image | None = None
        self._before: Image | None = None
        self._corners: Floats = np.empty((0, 1, 2), np.float32)  # in the key frame
        self._now: Floats = self._corners  # where they were last
        self._key_to_first = np.eye(3)
        self._to_first = np.eye(3)

    def step(self, image: Image, points: Floats | None, broken: bool) -> NDArray[np.float64]:
        """Similarity (2, 3) from this frame to the first of the shot."""
        height, width = image.shape[:2]
        scale = min(1.0, _GREY / max(height, width))
        size = (round(width * scale), round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        if broken:
            self._to_first = np.eye(3)
        if broken or not self._follow(grey, scale):
            self._restart(grey, points, scale)
        self._before = grey
        return self._to_first[:2].copy()

    def _follow(self, grey: Image, scale: float) -> bool:
        """Take the corners along; false where too few are left."""
        if self._key is None or self._before is None or len(self._corners) < _FEW:
            return False
        moved, good = _lucas_kanade(self._before, grey, self._now, self._now)
        # Once more from the key frame itself, or small errors would add up.
        moved, sure = _lucas_kanade(self._key, grey, self._corners, moved)
        kept = good & sure
        if kept.sum() < _FEW:
            return False
        back, inliers = cv2.estimateAffinePartial2D(
            moved[kept], self._corners[kept], method=cv2.RANSAC, ransacReprojThreshold=0.8
        )
        if back is None or inliers.sum() < max(_FEW, 0.5 * kept.sum()):
            return False
        step = np.vstack([back, [0, 0, 1]])
        step[:2, 2] /= scale
        self._to_first = self._key_to_first @ step
        self._now = moved
        if kept.sum() < 0.6 * len(kept):
            self._key = None  # the next frame begins anew, from a place that is known
        return True

    def _restart(self, grey: Image, points: Floats | None, scale: float) -> None:
        mask = None if points is None else _background(grey.shape, points * np.float32(scale))
        corners: Any = cv2.goodFeaturesToTrack(grey, _FEATURES, 0.01, 7, mask=mask, blockSize=7)
        self._corners = self._corners[:0] if corners is None else np.asarray(corners, np.float32)
        self._key, self._now = grey, self._corners
        self._key_to_first = self._to_first.copy()


def _lucas_kanade(
    before: Image, now: Image, corners: Floats, guess: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    moved, good, _ = cv2.calcOpticalFlowPyrLK(
        before, now, corners, guess.copy(), winSize=(21, 21), flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    return np.asarray(moved, np.float32), np.asarray(good).ravel() == 1


def _background(shape: tuple[int, ...], points: Floats) -> Image:
    """Where neither head nor body are."""
    mask = np.full(shape[:2], 255, np.uint8)
    right, left = points[[topology.RIGHT_TEMPLE, topology.LEFT_TEMPLE], :2]
    temples = float(np.linalg.norm(left - right))
    middle = points[list(topology.FACE_OVAL), :2].mean(axis=0)
    x0, x1 = middle[0] - _PERSON[0] * temples, middle[0] + _PERSON[0] * temples
    y0 = middle[1] - _PERSON[1] * temples
    cv2.rectangle(mask, (int(x0), int(y0)), (int(x1), shape[0]), 0, -1)
    return mask


def _too_long(video: VideoFile, seconds: float | None, longest: float) -> InvalidVideo:
    length = f"{seconds:.0f} seconds long" if seconds else "longer"
    return InvalidVideo(
        f"{video.name} is {length}; clips of up to {longest:.0f} seconds can be used.",
        code="VIDEO_TOO_LONG",
        hint=f"Cut out the best part: ffmpeg -ss 0 -t {longest:.0f} -i {video.name} part.mp4",
    )
