"""Tell a person from what is behind: how much of every pixel is theirs, and in which colour.

MediaPipe's selfie segmentation network says roughly where the person is. Graph cuts on a small
picture (Rother et al. 2004, "GrabCut") decide where it hesitates: hats, bells, patterned clothes.
A guided filter with the photo as guide (He et al. 2013, "Guided image filtering") finds the hairs,
and the colours behind them are taken out of the edge (Forte 2021, "Approximate fast foreground
colour estimation"), so that no rim of the old background is left in front of a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from engine import models
from engine.face import topology

__all__ = ["Matte", "composite", "find_person", "likelihood", "refined", "spread", "uncovered"]

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

_NETWORK_SIDE: Final = 256
_CUT_SIDE: Final = 256  # longer side of the picture that is cut: more is slower and no better
# The network was made for pictures that show more of the person than a portrait does: it is also
# shown the photo smaller, its border repeated above and beside it.
_ZOOMS: Final = (1.0, 0.8, 0.66)
_PERSON, _BEHIND = 0.75, 0.42  # what the network says beyond these is believed
_BELIEF_MARGIN: Final = 7  # px of the small picture: … but not this close to the edge
_CUTS: Final = 2
_HOLE, _ISLAND = 0.004, 0.01  # of the picture: what is smaller belongs to what is around it
_GUIDE_RADIUS: Final = 6  # px at a 512 px frame
_GUIDE_EPSILON: Final = 1e-4  # of the squared range: an edge fainter than 1 % is no edge
_LEAST, _MOST = 0.08, 0.92  # of the filter: beyond is nothing and all
_COLOUR_RADII: Final = (90, 6)  # px at a 512 px frame, as in the paper
_FAINT: Final = 0.02
_MARGIN, _MARGIN_BLUR = 5.0, 2.0  # px at a 512 px frame, of the wide alpha
_MOSTLY: Final = 0.6
_FACE_FOUND: Final = 0.6  # of the face oval, at least, has to be a person
_UNSURE: Final = 0.25  # of the person: where the network hesitates more, do not move the head alone


@dataclass(frozen=True)
class Matte:
    """A person apart from what is behind them.

    Attributes:
        alpha: uint8 (H, W), the share of the person in each pixel, 255 for all of it.
        foreground: uint8 (H, W, 3) BGR, the colour of the person, also where they are only part
            of a pixel; continued beyond their edge.
        background: uint8 (H, W, 3) BGR, what is behind; smoothly continued behind the person.
        wide: uint8 (H, W), an alpha that keeps a margin around the person. Over ``background`` the
            photo itself with this alpha is the photo again, down to the hairs that ``alpha``
            misses, and nothing of the person is left in the background when they move.
        sure: whether the edge is good enough to move the person before an unmoved background.
    """

    alpha: Image
    foreground: Image
    background: Image
    wide: Image
    sure: bool


def find_person(image: Image, points: npt.NDArray[np.floating]) -> Matte | None:
    """Cut out the person a face belongs to.

    Args:
        image: (H, W, 3) BGR uint8, head and shoulders.
        points: (478, 2 or 3) landmarks of the face in it, px.

    Returns:
        None where the network sees no person, as with some drawings.
    """
    height, width = image.shape[:2]
    unit = max(height, width) / 512
    shrink = _CUT_SIDE / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    oval = np.asarray(points, np.float32)[list(topology.FACE_OVAL), :2] * np.float32(shrink)
    face = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(face, np.rint(cv2.convexHull(oval)).astype(np.int32), 1)
    person = likelihood(image, size)
    if not face.any() or float(person[face > 0].mean()) < _FACE_FOUND:
        return None
    hesitant = ((person > 1 - _PERSON) & (person < _PERSON)).sum() / max((person > 0.5).sum(), 1)
    sure = bool(hesitant < _UNSURE)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    alpha = refined(image, _soft(_cut(small, person, face), (width, height)))
    photo = image.astype(np.float32)
    foreground = photo
    back = photo
    for radius in _COLOUR_RADII:
        side = max(1, round(radius * unit))
        foreground, back = _colours(photo, foreground, back, alpha, side)
    background, wide = _behind(photo, alpha, unit)
    # Both estimates are smooth. Where a pixel is mostly the person's, what is left of it when the
    # background is taken out is the better one.
    share = alpha[..., None]
    taken_out = np.clip((photo - (1 - share) * back) / np.maximum(share, 0.5), 0, 255)
    foreground += (taken_out - foreground) * np.clip((share - _MOSTLY) / (1 - _MOSTLY), 0, 1)
    # Far outside any colour would do; a smooth one leaves no edge for video codecs to blur.
    seen = (alpha > _FAINT).astype(np.float32)
    beyond = spread(foreground * seen[..., None], seen)
    foreground = beyond + (foreground - beyond) * seen[..., None]
    return Matte(_byte(alpha * 255), _byte(foreground), _byte(background), _byte(wide * 255), sure)


def _byte(values: Floats) -> Image:
    return np.asarray(np.rint(values), np.uint8)


def composite(foreground: Image, alpha: Image, background: Image) -> Image:
    """A person over a background.

    Args:
        foreground: (H, W, 3) uint8, not multiplied by ``alpha``.
        alpha: (H, W) uint8.
        background: (H, W, 3) uint8.

    Returns:
        New (H, W, 3) uint8, off by one at most where both show.
    """
    share = cv2.merge((alpha, alpha, alpha))
    front = cv2.multiply(foreground, share, scale=1 / 255)
    behind = cv2.multiply(background, cv2.bitwise_not(share), scale=1 / 255)
    return np.asarray(cv2.add(front, behind), np.uint8)


def likelihood(image: Image, size: tuple[int, int]) -> Floats:
    """How likely a person is in each pixel, as the network says.

    Args:
        image: (H, W, 3) BGR uint8.
        size: width and height of the answer.

    Returns:
        float32 (height, width) in [0, 1].
    """
    width, height = size
    total = np.zeros((height, width), np.float32)
    for zoom in _ZOOMS:
        inner = (max(1, round(_NETWORK_SIDE * zoom)),) * 2
        picture = np.asarray(cv2.resize(image, inner, interpolation=cv2.INTER_AREA), np.uint8)
        left, top = (_NETWORK_SIDE - inner[0]) // 2, _NETWORK_SIDE - inner[1]  # stand at the bottom
        right = _NETWORK_SIDE - inner[0] - left
        padded = cv2.copyMakeBorder(picture, top, 0, left, right, cv2.BORDER_REPLICATE)
        rgb: Floats = np.asarray(padded[:, :, ::-1], np.float32) * np.float32(1 / 255)
        seen: Floats = np.add(_network(rgb), _network(rgb[:, ::-1])[:, ::-1])
        seen = seen[top:, left : left + inner[0]]
        total += cv2.resize(np.ascontiguousarray(seen), size, interpolation=cv2.INTER_LINEAR)
    return total / np.float32(2 * len(_ZOOMS))


def _network(rgb: Floats) -> Floats:
    session = models.session("person_segmentation.onnx")
    result: Floats = session.run(None, {"input": np.ascontiguousarray(rgb)[None]})[0][0, :, :, 0]
    return result


def _cut(small: Image, person: Floats, face: Image) -> Image:
    """The person as 0 and 1, at the size of ``person``."""
    reach = np.ones((_BELIEF_MARGIN, _BELIEF_MARGIN), np.uint8)
    surely = (cv2.erode((person > _PERSON).astype(np.uint8), reach) > 0) | (face > 0)
    never = (cv2.erode((person < _BEHIND).astype(np.uint8), reach) > 0) & ~surely
    labels = np.where(person > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[surely] = cv2.GC_FGD
    labels[never] = cv2.GC_BGD
    undecided = (labels == cv2.GC_PR_FGD) | (labels == cv2.GC_PR_BGD)
    if undecided.any() and never.any():
        cv2.setRNGSeed(0)  # its colour models start at random: equal photos give equal files
        model = np.zeros((1, 65)), np.zeros((1, 65))
        no_box: Any = None  # OpenCV's stubs want a rectangle, which the labels replace
        cv2.grabCut(small, labels, no_box, *model, _CUTS, cv2.GC_INIT_WITH_MASK)
    inside: Image = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    for value, least in ((0, _HOLE), (1, _ISLAND)):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            (inside == value).astype(np.uint8), connectivity=4
        )
        for part in range(1, count):
            if stats[part, cv2.CC_STAT_AREA] < least * inside.size:
                inside[parts == part] = 1 - value
    return inside


def _soft(inside: Image, size: tuple[int, int]) -> Floats:
    blurred = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0)
    return np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR), np.float32)


def refined(image: Image, rough: Floats) -> Floats:
    """The share of the person in each pixel where it is known to some pixels.

    Args:
        image: (H, W, 3) BGR uint8.
        rough: (H, W) in [0, 1].

    Returns:
        float32 (H, W) in [0, 1], with the edges of the image.
    """
    guided = _guided(image, rough, max(1, round(_GUIDE_RADIUS * max(image.shape[:2]) / 512)))
    alpha: Floats = np.clip((guided - _LEAST) / (_MOST - _LEAST), 0, 1)
    return alpha


def _guided(image: Image, rough: Floats, radius: int) -> Floats:
    """``rough`` with the edges of ``image``: a guided filter with a colour guide."""
    guide: Floats = image.astype(np.float32) * np.float32(1 / 255)

    def mean(plane: npt.NDArray[np.float32]) -> Floats:
        side = 2 * radius + 1
        return np.asarray(
            cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT), np.float32
        )

    colour, level = mean(guide), mean(rough)
    shared = mean(guide * rough[..., None]) - colour * level[..., None]
    covariance = {
        (i, j): mean(guide[..., i] * guide[..., j])
        - colour[..., i] * colour[..., j]
        + (_GUIDE_EPSILON if i == j else 0.0)
        for i in range(3)
        for j in range(i, 3)
    }
    # The inverse of a symmetric 3x3 matrix by cofactors, in every pixel at once.
    a, b, c = covariance[0, 0], covariance[0, 1], covariance[0, 2]
    d, e, f = covariance[1, 1], covariance[1, 2], covariance[2, 2]
    cofactors = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e)
    last = a * d - b * b
    determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
    x, y, z = (shared[..., i] for i in range(3))
    slope: Floats = np.dstack(
        [
            (cofactors[0] * x + cofactors[1] * y + cofactors[2] * z) / determinant,
            (cofactors[1] * x + cofactors[3] * y + cofactors[4] * z) / determinant,
            (cofactors[2] * x + cofactors[4] * y + last * z) / determinant,
        ]
    )
    offset: Floats = level - (slope * colour).sum(2)
    result: Floats = (mean(slope) * guide).sum(2) + mean(offset)
    return result


def _colours(
    photo: Floats, foreground: Floats, background: Floats, alpha: Floats, side: int
) -> tuple[Floats, Floats]:
    """One step of the estimate of what both layers look like around each pixel."""

    def blur(plane: Floats) -> Floats:
        return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    share = alpha[..., None]
    near = blur(alpha)[..., None]
    front = blur(foreground * share) / (near + np.float32(1e-5))
    back = blur(background * (1 - share)) / (1 - near + np.float32(1e-5))
    front = front + share * (photo - share * front - (1 - share) * back)
    return np.clip(front, 0, 255), np.clip(back, 0, 255)


def uncovered(pictures: Iterable[tuple[Image, Image]]) -> Image:
    """What is behind a person, put together from pictures in which they hide different parts.

    Where the first shows it, it is as in the first. What is hidden in all is a smooth continuation.

    Args:
        pictures: each (H, W, 3) BGR uint8 with the share of the person, (H, W) uint8.

    Returns:
        (H, W, 3) BGR uint8.
    """
    (first, alpha), *others = pictures
    unit = max(alpha.shape) / 512
    known = _free(_wide(_share(alpha), unit))[..., None]
    seen: Floats = np.asarray(first * known, np.float32)
    total, count = np.zeros_like(seen), np.zeros_like(known)
    for picture, alpha in others:
        free = _free(_wide(_share(alpha), unit))[..., None]
        total += picture * free
        count += free
    gain: Floats = np.asarray((1 - known) / np.maximum(count, 1), np.float32)
    return _byte(_continued(seen + total * gain, (known + count * gain)[..., 0], first))


def _share(alpha: Image) -> Floats:
    return alpha.astype(np.float32) * np.float32(1 / 255)


def _wide(alpha: Floats, unit: float) -> Floats:
    """An alpha with a margin around the person."""
    margin = 2 * max(1, round(_MARGIN * unit)) + 1
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin))
    grown = cv2.dilate((alpha > _FAINT).astype(np.float32), reach)
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), _MARGIN_BLUR * unit), np.float32)


def _free(wide: Floats) -> Floats:
    """How sure it is that nothing of the person is in a pixel."""
    return np.asarray(np.clip(1 - 2 * wide, 0, 1), np.float32)


def _behind(photo: Floats, alpha: Floats, unit: float) -> tuple[Floats, Floats]:
    """The background with a smooth continuation behind the person, and the wide alpha."""
    wide = _wide(alpha, unit)
    known = _free(wide)
    return _continued(photo * known[..., None], known, photo), wide


def _continued(weighted: Floats, known: Floats, otherwise: npt.NDArray[Any]) -> Floats:
    """``spread``, or something else where nothing is known to be continued."""
    if known.any():
        return spread(weighted, known)
    return np.asarray(otherwise, np.float32)


def spread(weighted: Floats, weight: Floats) -> Floats:
    """Continue known pixels over unknown ones, coarse to fine (Gortler et al. 1996, push-pull).

    Args:
        weighted: (h, w, 3) colours times ``weight``.
        weight: (h, w) in [0, 1], how well each pixel is known.

    Returns:
        (h, w, 3) colours.
    """
    height, width = weight.shape
    if max(height, width) <= 2:
        total = max(float(weight.sum()), 1e-6)
        return np.broadcast_to(weighted.sum((0, 1)) / np.float32(total), weighted.shape).copy()
    half = (max(1, width // 2), max(1, height // 2))
    small = cv2.resize(weighted, half, interpolation=cv2.INTER_AREA)
    small_weight = np.asarray(cv2.resize(weight, half, interpolation=cv2.INTER_AREA), np.float32)
    # A pixel that is known at all counts as known one level up.
    gain = np.minimum(1 / np.maximum(small_weight, 1e-6), 4)
    coarse = spread(
        np.asarray(small, np.float32).reshape(half[1], half[0], 3) * gain[..., None],
        small_weight * gain,
    )
    filled = np.asarray(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
    result: Floats = weighted + filled * (1 - weight[..., None])
    return result
