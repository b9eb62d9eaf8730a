"""Find faces in a picture.

The network is MediaPipe's short-range face detector (BlazeFace: Bazarevsky et al., 2019,
arXiv:1907.05047). It sees 128 × 128 pixels and finds faces between about a sixth and the whole
of them, so a large picture is searched at several scales with overlapping windows, from the
whole picture to a size below which no usable face is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from engine import models

__all__ = ["Detection", "detect_faces"]

_WINDOW: Final = 128  # pixels the network sees
_SHRINK: Final = 0.6  # each finer scale looks at windows this much smaller
_STRIDE: Final = 0.64  # step between windows, in windows; the overlap holds a whole small face
_SMALLEST_FACE: Final = 0.15  # of a window: what the network still finds
_MIN_FACE: Final = 64  # pixels; smaller boxes are not worth a search
_MIN_SCORE: Final = 0.5
_SURE_SCORE: Final = 0.75  # a sleeve or a dog may look like a face, but hardly this much
_SAME_FACE: Final = 0.3  # overlap (intersection over union) above which two boxes are one face
# A face below this part of the largest one is not looked for: a bystander, a poster.
COMPARABLE: Final = 1 / 3

_Float = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Detection:
    """A face-like region.

    Attributes:
        score: the network's confidence in [0, 1].
        box: x0, y0, x1, y1 in pixels of the picture, from the brows to the chin; it may reach
            beyond the picture.
        keypoints: float32 (6, 2), pixels: the subject's right eye, left eye, tip of the nose,
            mouth, right ear, left ear.
    """

    score: float
    box: tuple[float, float, float, float]
    keypoints: _Float

    @property
    def size(self) -> float:
        """Longer side of the box in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def _anchor_grid() -> _Float:
    """Anchor centres (896, 2) in the unit square, in the order of the network's outputs."""
    centres = []
    for cells, per_cell in ((16, 2), (8, 6)):
        axis = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(axis, axis, indexing="ij")
        centres.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(centres).astype(np.float32)


_ANCHORS: Final = _anchor_grid()


def detect_faces(image: npt.NDArray[np.uint8]) -> list[Detection]:
    """Find every face of at least 64 pixels that is comparable to the largest in size.

    These are candidates: animals and drawings pass too. The landmark network tells whether a
    candidate is a human face.

    Args:
        image: BGR uint8 (H, W, 3).

    Returns:
        Largest first; empty when there is none.
    """
    height, width = image.shape[:2]
    window = float(max(height, width))
    found: list[Detection] = []
    while True:
        found = _merge([*found, *_search(image, window)])
        largest = max((face.size for face in found if face.score >= _SURE_SCORE), default=0.0)
        if _SMALLEST_FACE * window <= max(_MIN_FACE, COMPARABLE * largest):
            return sorted(found, key=lambda face: face.size, reverse=True)
        window *= _SHRINK


def _search(image: npt.NDArray[np.uint8], window: float) -> Iterator[Detection]:
    """Run the network over windows of the given side in pixels."""
    scale = _WINDOW / window
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (width, height), interpolation=method)
    to_image = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
    for top in _starts(height):
        for left in _starts(width):
            crop = small[top : top + _WINDOW, left : left + _WINDOW]
            pad_y, pad_x = ((_WINDOW - side) // 2 for side in crop.shape[:2])
            tile = np.zeros((_WINDOW, _WINDOW, 3), np.float32)
            tile[pad_y : pad_y + crop.shape[0], pad_x : pad_x + crop.shape[1]] = crop[..., ::-1]
            origin = np.array([left - pad_x, top - pad_y], np.float32)
            for score, points in _run(tile / 127.5 - 1):
                corners = (points * _WINDOW + origin) * to_image
                (x0, y0), (x1, y1) = corners[:2]
                yield Detection(score, (float(x0), float(y0), float(x1), float(y1)), corners[2:])


def _starts(length: int) -> list[int]:
    """First pixels of windows that cover ``length`` pixels evenly."""
    room = max(0, length - _WINDOW)
    count = 1 + int(np.ceil(room / (_STRIDE * _WINDOW)))
    return [round(start) for start in np.linspace(0, room, count)]


def _run(tile: _Float) -> list[tuple[float, _Float]]:
    """Candidates in one window.

    Returns:
        Score and points (8, 2) in the unit square: two box corners, then the keypoints.
    """
    session = models.session("face_detector.onnx")
    raw, logits = session.run(None, {session.get_inputs()[0].name: tile[None]})
    scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -80, 80)))
    found = np.flatnonzero(scores >= _MIN_SCORE)
    values = raw[0, found].reshape(-1, 8, 2) / _WINDOW
    centre = values[:, :1] + _ANCHORS[found, None]
    half = values[:, 1:2] / 2
    keypoints = values[:, 2:] + _ANCHORS[found, None]
    points = np.concatenate([centre - half, centre + half, keypoints], axis=1).astype(np.float32)
    return list(zip(scores[found].tolist(), points, strict=True))


def _merge(candidates: list[Detection]) -> list[Detection]:
    """Weighted non-maximum suppression: overlapping candidates become their mean by score.

    Section 5 of the BlazeFace paper: steadier than keeping only the best candidate.
    """
    rest = sorted(candidates, key=lambda face: face.score, reverse=True)
    merged = []
    while rest:
        group = [face for face in rest if _overlap(face.box, rest[0].box) > _SAME_FACE]
        rest = [face for face in rest[1:] if face not in group]
        weights = np.array([face.score for face in group])
        box = np.average([face.box for face in group], axis=0, weights=weights)
        points = np.average([face.keypoints for face in group], axis=0, weights=weights)
        x0, y0, x1, y1 = box.tolist()
        merged.append(Detection(group[0].score, (x0, y0, x1, y1), points.astype(np.float32)))
    return merged


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)
