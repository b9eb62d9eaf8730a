"""Closing the mouths in the frames of a clip, and where mouths from a bank go on them.

In every frame the jaw is closed by a warp where it is open, and the closed mouth of one of a few
*sources* is laid over it: frames in which the person held still with closed lips, from which the
rig renders the bank. So base frames and patches show the same mouth, in the light of the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS
from engine.essence import bank
from engine.essence.footage import RIGID, Footage
from engine.essence.material import Look, anchor_weights, widest
from engine.essence.region import MouthRegion
from engine.face import topology
from engine.face.basis import load_basis
from engine.face.curves import smoothstep
from engine.face.field import Grid, ThinPlate
from engine.face.landmarks import head_pose
from engine.face.measure import lip_gap
from engine.face.renderer import Renderer
from engine.face.warp import invert, pixel_map, resample
from engine.video.steady import transformed
from engine.video.track import Tracking

__all__ = ["Cover", "Source", "pick_sources", "similarity"]

Image = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_PARTED: Final = (0.03, 0.09)  # lip gap over mouth width from which the jaw is closed by a warp
_DISSOLVE: Final = 6  # frames on each side of a change of sources
_STAY: Final = 1.2  # degrees by which another source must fit better to be changed to
_NEIGHBOUR: Final = 2.5  # degrees from the middle of a cluster within which a source is looked for
_LIPS_REACH: Final = (0.1, 0.38)  # of the mouth width: where a mouth laid over a frame fades
_HALOS: Final = ((1.16, 0.45), (1.36, 0.08), (1.62, 0.0))
_REST: Final = np.zeros(len(COEFFICIENTS), np.float32)
_NOSE_BASE: Final = 2


@dataclass(frozen=True)
class Source:
    """A frame whose closed mouth is laid over others.

    Attributes:
        look: renders it; its picture is aligned with the hub's face.
        points: float64 (478, 3) landmarks of that picture, lips closed.
        pose: float64 (3,) of the head in the clip.
    """

    look: Look
    points: Doubles
    pose: Doubles

    @classmethod
    def of(cls, picture: Image, points: Doubles, onto: Doubles) -> Source:
        """Fit the rig to a frame.

        Args:
            picture: BGR uint8 (h, w, 3).
            points: (478, 3) landmarks in it.
            onto: (478, 3) landmarks of the hub.
        """
        matrix = similarity(points[RIGID, :2], onto[RIGID, :2])
        if not np.allclose(matrix, np.eye(2, 3), atol=1e-6):
            size = (picture.shape[1], picture.shape[0])
            picture = np.asarray(
                cv2.warpAffine(
                    picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
                ),
                np.uint8,
            )
        aligned = transformed(points[None], matrix[None])[0]
        renderer = Renderer(picture, aligned)
        closed = aligned.copy()
        closed[:, :2] = renderer.posed_points((0.0, 0.0, 0.0))
        return cls(Look(renderer), closed, np.array(head_pose(points)))


class Cover:
    """Closes mouths in the frames of a clip, and tells where patches go on them."""

    def __init__(self, region: MouthRegion, sources: Sequence[Source], codebook: Floats) -> None:
        self._region = region
        self._sources = sources
        self._lips, self._weights = anchor_weights(region)
        self._masks = [_around_lips(source.points, region) for source in sources]
        self._rests = [source.look.patch(_REST, region).astype(np.float32) for source in sources]
        corner = np.array(region.box[:2], np.float64)
        self._banks: list[tuple[Doubles, Doubles]] = []
        for source in sources:
            opened = source.points.copy()
            opened[:, :2] = source.look.renderer.posed_points((0.0, 0.0, 0.0), widest(codebook))
            mouth = np.concatenate(
                [source.points[region.anchors], opened[region.anchors[self._lips]]]
            )
            self._banks.append((mouth, mouth[:, :2] - corner))
        height = load_basis().neutral[:, 1]
        self._lower = np.flatnonzero(height < height[_NOSE_BASE])
        self._upper = np.array([i for i in RIGID if height[i] >= height[_NOSE_BASE]])

    def nearest(self, poses: Doubles, ends: bool) -> NDArray[np.int64]:
        """The source (n,) for each pose (n, 3) in degrees, changed seldom (Viterbi, 1967).

        Args:
            poses: of the head.
            ends: begin and end with the first source, the hub.
        """
        centres = np.stack([source.pose for source in self._sources])
        away = bank.pose_distance(poses, centres)
        if ends:
            away[[0, -1], 1:] += 1e6
        count, k = away.shape
        cost = away[0].copy()
        came = np.zeros((count, k), np.int64)
        for t in range(1, count):
            switch = cost.min() + _STAY * 4
            best = int(cost.argmin())
            came[t] = np.where(cost <= switch, np.arange(k), best)
            cost = np.minimum(cost, switch) + away[t]
        labels = np.zeros(count, np.int64)
        labels[-1] = int(cost.argmin())
        for t in range(count - 1, 0, -1):
            labels[t - 1] = came[t, labels[t]]
        return labels

    def affine(self, points: Doubles, source: int) -> Doubles:
        """Patch pixels to pixels of a frame with the landmarks (478, 3)."""
        mouth, bank_points = self._banks[source]
        moved = _rigid(self._sources[source].points, points)(mouth)
        return bank.fit_affine(bank_points, moved[:, :2], self._weights)

    def closed(self, picture: Image, points: Doubles, mix: Sequence[tuple[int, float]]) -> Image:
        """A frame with its mouth closed.

        Args:
            picture: BGR uint8 (h, w, 3).
            points: (478, 3) landmarks in it.
            mix: sources and their shares, which add up to 1.
        """
        picture = self._jaw_closed(picture, points, mix[0][0])
        size = (picture.shape[1], picture.shape[0])
        total = np.zeros((*picture.shape[:2], 3), np.float32)
        alpha = np.zeros(picture.shape[:2], np.float32)
        for source, share in mix:
            matrix = self.affine(points, source)
            drawn = cv2.warpAffine(
                self._rests[source],
                matrix,
                size,
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            )
            mask = cv2.warpAffine(self._masks[source], matrix, size) * np.float32(share)
            total += drawn * mask[..., None]
            alpha += mask
        mixed = picture + (total - picture * alpha[..., None])
        return np.asarray(np.rint(mixed).clip(0, 255), np.uint8)

    def _jaw_closed(self, picture: Image, points: Doubles, source: int) -> Image:
        """The lower face moved to where it is with a closed mouth."""
        share = float(smoothstep(*_PARTED, lip_gap(points)))
        if share < 0.02:
            return picture
        height, width = picture.shape[:2]
        goal = _rigid(self._sources[source].points, points)(self._sources[source].points)
        lower = self._lower[::2]
        moves = share * (goal - points)[:, :2]
        oval = list(topology.FACE_OVAL)[::2]
        centre = points[list(topology.FACE_OVAL), :2].mean(axis=0)
        xs, ys = np.linspace(0, width - 1, 7), np.linspace(0, height - 1, 7)
        border = np.array(
            [(x, y) for x in xs for y in (0, height - 1)]
            + [(x, y) for y in ys[1:-1] for x in (0, width - 1)]
        )
        controls = [points[lower, :2], points[self._upper, :2], border]
        values = [moves[lower], np.zeros((len(self._upper), 2)), np.zeros((len(border), 2))]
        down = points[oval, 1] > points[_NOSE_BASE, 1]
        for factor, carried in _HALOS:
            controls.append(centre + (points[oval, :2] - centre) * factor)
            values.append(moves[oval] * down[:, None] * carried)
        grid = Grid.over(width, height)
        places, ways = np.concatenate(controls), np.concatenate(values)
        kept = np.flatnonzero(((places >= -8) & (places < [width + 8, height + 8])).all(axis=1))
        spline = ThinPlate(places[kept], grid)
        field = spline.interpolate(list(range(len(kept))), ways[kept], 3e-4)
        field = field.reshape(grid.rows, grid.columns, 2) * np.float32(1 / grid.cell)
        source_map = pixel_map(invert(field), grid.cell, (0, 0, width, height))
        return resample(picture, source_map, True)

    def mixes(self, labels: NDArray[np.int64]) -> list[list[tuple[int, float]]]:
        """Sources and shares for every frame: those of a few frames around, nearest first."""
        out = []
        for t in range(len(labels)):
            near = labels[max(0, t - _DISSOLVE) : t + _DISSOLVE + 1]
            counts = np.bincount(near, minlength=len(self._sources))
            # At the hub all arcs meet: there is one source only.
            if t == 0 or t == len(labels) - 1:
                counts = np.eye(len(self._sources))[labels[t]]
            order = np.argsort(-counts, kind="stable")
            total = counts.sum()
            out.append([(int(k), float(counts[k] / total)) for k in order if counts[k] > 0])
        return out


def _around_lips(points: Doubles, region: MouthRegion) -> Floats:
    """Share (h, w) of a source's closed mouth in a frame: the lips and what is close to them.

    Not the outline of the jaw, which each frame has by itself: two would be seen.
    """
    x0, y0, x1, y1 = region.box
    ring = list(topology.UPPER_OUTER + topology.LOWER_OUTER[::-1])
    lips = points[ring, :2] - [x0, y0]
    right, left = points[[topology.RIGHT_MOUTH_CORNER, topology.LEFT_MOUTH_CORNER], :2]
    width = float(np.linalg.norm(left - right))
    outside = np.ones((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(outside, [np.rint(lips).astype(np.int32)], 0)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / width
    near: Floats = 1 - smoothstep(*_LIPS_REACH, away)
    return np.minimum(near, region.mask.astype(np.float32) / 255)


def pick_sources(
    footage: Footage, tracking: Tracking, hub: int, frames: NDArray[np.int64], count: int
) -> list[int]:
    """Frames from which mouths are rendered: the hub, and the calmest near each usual pose.

    Args:
        footage: the clip.
        tracking: of the clip.
        hub: first of the sources.
        frames: those that will be shown.
        count: sources wanted.
    """
    poses = tracking.pose.astype(np.float64)
    options = np.flatnonzero(footage.usable)
    centres, _ = bank.cluster_poses(poses[frames], count)
    away_from_hub = bank.pose_distance(centres, poses[hub][None])[:, 0]
    # The hub stands for the cluster that is nearest to it.
    centres = np.delete(centres, int(away_from_hub.argmin()), axis=0)
    gap = np.array([lip_gap(footage.points[t]) for t in options])
    shape = np.array([_lip_shape(footage.points[t]) for t in options])
    unlike = np.sqrt(((shape - _lip_shape(footage.points[hub])) ** 2).mean(axis=(1, 2)))
    speed = np.zeros(len(options))
    for i, t in enumerate(options):
        if t > 0 and footage.usable[t - 1]:
            step = footage.points[t, RIGID, :2] - footage.points[t - 1, RIGID, :2]
            speed[i] = np.linalg.norm(step, axis=1).mean() * 512 / max(footage.size)
    chosen = [hub]
    for centre in centres:
        away = bank.pose_distance(poses[options], centre[None])[:, 0]
        cost = gap / 0.02 + 20 * unlike + 0.4 * speed + away / _NEIGHBOUR
        best = int(options[cost.argmin()])
        apart = bank.pose_distance(poses[best][None], poses[chosen])[0].min()
        if apart > 0.8:
            chosen.append(best)
    return chosen


def _lip_shape(points: Doubles) -> Doubles:
    """The lips (m, 2) with the corners at 0 and 1."""
    lips = points[list(topology.UPPER_OUTER + topology.LOWER_OUTER), :2]
    right, left = points[[topology.RIGHT_MOUTH_CORNER, topology.LEFT_MOUTH_CORNER], :2]
    along = left - right
    length = float(along @ along)
    across = np.array([-along[1], along[0]])
    return np.stack([(lips - right) @ along, (lips - right) @ across], axis=1) / length


def similarity(source: Doubles, target: Doubles) -> Doubles:
    """Least-squares similarity (2, 3) in the plane (Umeyama, 1991)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    norm = float((a**2).sum())
    real = float((a * b).sum()) / norm
    turn = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / norm
    linear = np.array([[real, -turn], [turn, real]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])


def _rigid(source: Doubles, target: Doubles) -> Callable[[Doubles], Doubles]:
    """Carries points (n, 3) as the head moved from one set of landmarks to another.

    Similarity in space from the points that expressions hardly move (Umeyama, 1991).
    """
    a, b = source[RIGID], target[RIGID]
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    a, b = a - centre_a, b - centre_b
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    turn = (u * flip) @ vt
    scale = float((s * flip).sum() / (a**2).sum())
    return lambda points: scale * (points - centre_a) @ turn.T + centre_b
