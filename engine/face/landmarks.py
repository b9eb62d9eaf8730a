"""Place 478 landmarks on a face, measure the head pose, and refuse what cannot work."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine import models
from engine.errors import InvalidImage
from engine.face import topology
from engine.face.detect import COMPARABLE, Detection, detect_faces

__all__ = [
    "GOOD_TEMPLE_DISTANCE",
    "MAX_YAW",
    "MIN_PRESENCE",
    "MIN_TEMPLE_DISTANCE",
    "Landmarks",
    "find_face",
    "follow_face",
    "head_pose",
    "landmarks",
]

MIN_TEMPLE_DISTANCE: Final = 64.0  # pixels
GOOD_TEMPLE_DISTANCE: Final = 96.0  # pixels; at 512 px the avatar of a smaller face looks soft
MAX_YAW: Final = 35.0  # degrees
MIN_PRESENCE: Final = 0.9  # people score above 0.999, a dog 0.1, a face upside down 0.8

_SIDE: Final = 256  # pixels the network sees
_MARGIN: Final = 1.5  # its crop, in face boxes: what it was trained with
_NEAR: Final = 0.03  # of the face: a crop that is off by less needs no other
_REFINEMENTS: Final = 2  # more passes, each on the crop that the last landmarks suggest

_Float = npt.NDArray[np.float32]
_Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Landmarks:
    """A face, measured.

    Attributes:
        points: float32 (478, 3); x and y in pixels of the picture, z in the same unit, smaller
            is nearer to the camera, 0 about the middle of the head. See
            :mod:`engine.face.topology` for the order.
        presence: probability in [0, 1] that this is a human face.
    """

    points: _Float
    presence: float

    @property
    def temple_distance(self) -> float:
        """Pixels between the temples: the size of the face that counts for quality."""
        right, left = self.points[[topology.RIGHT_TEMPLE, topology.LEFT_TEMPLE], :2]
        return float(np.linalg.norm(left - right))


def find_face(image: _Image, face: int | None = None) -> Landmarks:
    """Find the face to animate.

    Args:
        image: BGR uint8 (H, W, 3).
        face: which one to take when there are several, 1 for the largest.

    Raises:
        InvalidImage: ``NO_FACE``; ``SEVERAL_FACES`` when ``face`` was not given and a second
            face is large enough to be meant; ``NO_SUCH_FACE`` when there are fewer;
            ``FACE_TOO_SMALL`` below 64 pixels between the temples; ``EXTREME_POSE`` when the
            head is turned by more than 35°.
    """
    people = _people(image)
    if not people:
        raise InvalidImage(
            "There is no face in the picture.",
            code="NO_FACE",
            hint="Use a photo of a person who looks at the camera, in good light.",
        )
    if face is not None and not 1 <= face <= len(people):
        raise InvalidImage(
            f"There is no face {face}; the picture has {_count(len(people))}.",
            code="NO_SUCH_FACE",
            hint="Leave the number out."
            if len(people) == 1
            else f"Give a number from 1 (the largest) to {len(people)}.",
        )
    if face is None and len(people) > 1:
        least = max(MIN_TEMPLE_DISTANCE, COMPARABLE * people[0].temple_distance)
        meant = sum(person.temple_distance >= least for person in people)
        if meant > 1:
            raise InvalidImage(
                f"There are {_count(meant)} in the picture.",
                code="SEVERAL_FACES",
                hint=f"Choose one with --face 1 (the largest) to --face {meant}, or crop.",
            )
    chosen = people[(face or 1) - 1]
    _check(chosen)
    return chosen


def _count(faces: int) -> str:
    return "1 face" if faces == 1 else f"{faces} faces"


def _people(image: _Image) -> list[Landmarks]:
    """Every human face among the candidates, largest first, each once."""
    people: list[Landmarks] = []
    for detection in sorted(detect_faces(image), key=lambda face: face.score, reverse=True):
        person = landmarks(image, detection)
        if person.presence >= MIN_PRESENCE and not any(_same(person, other) for other in people):
            people.append(person)
    return sorted(people, key=lambda person: person.temple_distance, reverse=True)


def _same(a: Landmarks, b: Landmarks) -> bool:
    """Whether two candidates, say from two scales, have found one face."""
    apart = np.linalg.norm((a.points - b.points)[:, :2].mean(axis=0))
    return bool(apart < 0.6 * max(a.temple_distance, b.temple_distance))


def _check(person: Landmarks) -> None:
    width = person.temple_distance
    if width < MIN_TEMPLE_DISTANCE:
        raise InvalidImage(
            f"The face is too small: {width:.0f} pixels between the temples, "
            f"at least {MIN_TEMPLE_DISTANCE:.0f} are needed.",
            code="FACE_TOO_SMALL",
            hint="Use a larger picture or one taken from nearer.",
        )
    yaw = abs(head_pose(person.points)[0])
    if yaw > MAX_YAW:
        raise InvalidImage(
            f"The head is turned by {yaw:.0f}°; up to {MAX_YAW:.0f}° works.",
            code="EXTREME_POSE",
            hint="Use a photo in which the person faces the camera.",
        )


def landmarks(image: _Image, detection: Detection) -> Landmarks:
    """Place the landmarks of one face.

    The crop starts from the detection, turned so that the eyes are level, and is then taken
    again from the landmarks themselves, as MediaPipe does from frame to frame in a video.

    Args:
        image: BGR uint8 (H, W, 3).
        detection: where the face is.
    """
    box = np.array(detection.box).reshape(2, 2)
    centre, size = box.mean(axis=0), detection.size * _MARGIN
    angle = _roll(detection.keypoints[0], detection.keypoints[1])
    points, presence = _run(image, centre, size, angle)
    for _ in range(_REFINEMENTS):
        angle = _roll(points[topology.RIGHT_EYE_UPPER[0]], points[topology.LEFT_EYE_UPPER[-1]])
        upright = points[:, :2].astype(np.float64) @ _rotation(angle)
        low, high = upright.min(axis=0), upright.max(axis=0)
        centre = (low + high) / 2 @ _rotation(angle).T
        points, presence = _run(image, centre, float((high - low).max()) * _MARGIN, angle)
    return Landmarks(points, presence)


def follow_face(image: _Image, before: npt.NDArray[np.floating]) -> Landmarks:
    """Place the landmarks of a face that was elsewhere in the picture a moment ago.

    One pass of the network, a second where the face has moved far; low ``presence`` says that it
    is lost.

    Args:
        image: BGR uint8 (H, W, 3).
        before: (478, 3) points in the frame before.
    """
    points = np.asarray(before, np.float32)
    presence = 0.0
    for _ in range(2):
        angle = _roll(points[topology.RIGHT_EYE_UPPER[0]], points[topology.LEFT_EYE_UPPER[-1]])
        upright = points[:, :2].astype(np.float64) @ _rotation(angle)
        low, high = upright.min(axis=0), upright.max(axis=0)
        size = float((high - low).max())
        centre = (low + high) / 2 @ _rotation(angle).T
        points, presence = _run(image, centre, size * _MARGIN, angle)
        moved = points[:, :2].astype(np.float64) @ _rotation(angle)
        middle = (moved.min(axis=0) + moved.max(axis=0)) / 2
        if np.abs(middle - (low + high) / 2).max() < _NEAR * size:
            break
    return Landmarks(points, presence)


def _roll(right_eye: _Float, left_eye: _Float) -> float:
    """Angle of the line between the eyes, radians, positive clockwise in the picture."""
    return float(np.arctan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))


def _rotation(angle: float) -> npt.NDArray[np.float64]:
    """Turns row vectors from the picture into the crop when multiplied from the right."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _run(
    image: _Image, centre: npt.NDArray[np.floating], size: float, angle: float
) -> tuple[_Float, float]:
    """Evaluate the network on a turned square and bring its points back to the picture."""
    crop = _crop(image, centre, size, angle)
    session = models.session("face_landmarks.onnx")
    rgb = crop[None, :, :, ::-1].astype(np.float32) / 255
    raw, logit, *_ = session.run(None, {session.get_inputs()[0].name: rgb})
    local = raw.reshape(topology.POINTS, 3).astype(np.float64)
    scale = size / _SIDE
    flat = (local[:, :2] - _SIDE / 2) * scale @ _rotation(angle).T + centre
    points = np.column_stack([flat, local[:, 2] * scale]).astype(np.float32)
    return points, float(1 / (1 + np.exp(-np.clip(logit.item(), -80, 80))))


def _crop(
    image: _Image, centre: npt.NDArray[np.floating], size: float, angle: float
) -> npt.NDArray[np.uint8]:
    """A square of the picture, turned upright and resampled to 256 × 256 pixels."""
    scale = _SIDE / size
    if scale < 0.5:
        # Bilinear sampling would skip pixels: average them first, only where the face is.
        reach = size * 0.75  # half the diagonal and a little
        corners = np.clip([centre - reach, centre + reach], 0, image.shape[1::-1])
        (left, top), (right, bottom) = corners.round().astype(int)
        width, height = (max(1, round(side * scale * 2)) for side in (right - left, bottom - top))
        part = image[top:bottom, left:right]
        if part.size:
            image = np.asarray(
                cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8
            )
            factor = np.array([width / (right - left), height / (bottom - top)])
            # pixel centres, not corners, are what warpAffine counts
            centre = (centre - [left, top] + 0.5) * factor - 0.5
            scale = _SIDE / (size * float(factor.mean()))
    linear = scale * _rotation(angle).T
    offset = _SIDE / 2 - linear @ centre
    return np.asarray(
        cv2.warpAffine(
            image,
            np.column_stack([linear, offset]),
            (_SIDE, _SIDE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


@functools.cache
def _canonical() -> npt.NDArray[np.float64]:
    """The rigid points of the canonical face, (33, 3), in picture axes, centred."""
    with np.load(models.path("face_basis.npz"), allow_pickle=False) as basis:
        neutral = basis["neutral"][list(topology.RIGID)].astype(np.float64)
    return np.asarray((neutral - neutral.mean(axis=0)) * [1, -1, -1])


def head_pose(points: npt.NDArray[np.floating]) -> tuple[float, float, float]:
    """Measure how the head is turned.

    The rotation R = Rz(roll) Ry(yaw) Rx(pitch) that best carries the canonical face onto the
    points (orthogonal Procrustes analysis: Kabsch 1976), in the axes of the picture: x right,
    y down, z away from the camera.

    Args:
        points: landmarks (478, 3) or (468, 3).

    Returns:
        Yaw, pitch and roll in degrees. Yaw is positive when the nose points to the left side
        of the picture, pitch when it points down, roll when the head leans clockwise.
    """
    seen = points[list(topology.RIGID)].astype(np.float64)
    u, _, vt = np.linalg.svd((seen - seen.mean(axis=0)).T @ _canonical())
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    yaw = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    pitch = np.arctan2(rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))
