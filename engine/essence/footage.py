"""From clips of a person to base motion whose mouth is closed, and a bank of mouths that fits it.

A clip is tracked, steadied and cut into arcs that begin and end at one frame, the hub. In every
frame the jaw is closed by a warp where it is open, and the closed mouth of one of a few *sources*
is laid over it: frames in which the person held still with closed lips, from which the rig renders
the bank. So base frames and patches show the same mouth, in the light of the clip.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS, FPS
from engine.errors import InvalidVideo
from engine.essence import bank
from engine.essence.material import Look, Take, anchor_weights, widest
from engine.essence.parallel import ordered_map
from engine.essence.region import MouthRegion, mouth_region
from engine.face import topology
from engine.face.align import Crop
from engine.face.basis import load_basis
from engine.face.curves import smoothstep
from engine.face.field import Grid, ThinPlate
from engine.face.landmarks import head_pose
from engine.face.measure import eye_aspect, lip_gap
from engine.face.renderer import Renderer
from engine.face.warp import invert, pixel_map, resample
from engine.video.loops import SHORTEST, Plan, Signs, plan
from engine.video.morph import ease, morph
from engine.video.reader import VideoFile
from engine.video.steady import frame_matrices, transformed
from engine.video.track import Tracking, runs, track

__all__ = ["LONGEST", "Footage", "gesture_from_clip", "read_footage"]

Image = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Progress = Callable[[str, int, int], None]

LONGEST: Final = 60.0
"""Seconds of the longest clip that becomes an avatar."""
LONGEST_GESTURE: Final = 12.0
SHORTEST_GESTURE: Final = 0.6
SOURCES: Final = 5
GESTURE_SOURCES: Final = 2
_LEAST_TEMPLES: Final = 96.0  # px in the clip, as for photos
_GAIN: Final = (0.85, 1.18)  # how far a frame may be made darker or lighter
_GAIN_REACH: Final = 10.0  # frames over which that changes
_PARTED: Final = (0.03, 0.09)  # lip gap over mouth width from which the jaw is closed by a warp
_DISSOLVE: Final = 6  # frames on each side of a change of sources
_STAY: Final = 1.2  # degrees by which another source must fit better to be changed to
_NEIGHBOUR: Final = 2.5  # degrees from the middle of a cluster within which a source is looked for
_LIPS_REACH: Final = (0.1, 0.38)  # of the mouth width: where a mouth laid over a frame fades
_LOST: Final = 12  # frames for which the face may be lost in a gesture
_HALOS: Final = ((1.16, 0.45), (1.36, 0.08), (1.62, 0.0))
_TONES: Final = 36
_REST: Final = np.zeros(len(COEFFICIENTS), np.float32)
_RIGID: Final = list(topology.RIGID)
_NOSE_BASE: Final = 2


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
    """

    video: VideoFile
    usable: NDArray[np.bool_]
    matrices: Doubles
    points: Doubles
    gains: Floats
    size: tuple[int, int]

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
    return Signs(footage.points[:, _RIGID, :2] * unit, tones, eyes, gap, footage.usable)


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
        matrix = _similarity(points[_RIGID, :2], onto[_RIGID, :2])
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
        self._upper = np.array([i for i in _RIGID if height[i] >= height[_NOSE_BASE]])

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
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        source_map = pixel_map(invert(field), grid.cell, np.dstack([x, y]), (0, 0))
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
            step = footage.points[t, _RIGID, :2] - footage.points[t - 1, _RIGID, :2]
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


@dataclass(frozen=True)
class Base:
    """An idle loop from a clip.

    Attributes:
        take: the loop.
        sources: of its mouths, the hub first.
        region: where patches go.
        picture: the hub, mouth closed.
        plan: how the loop was found.
    """

    take: Take
    sources: list[Source]
    region: MouthRegion
    picture: Image
    plan: Plan


def base_from_footage(
    footage: Footage, tracking: Tracking, codebook: Floats, report: Progress
) -> Base:
    """Make the idle loop of a clip."""
    report("loop", 0, 1)
    scheme = plan(signs_of(footage, tracking))
    order, shares, hubs = _order(scheme)
    report("loop", 1, 1)
    picked = pick_sources(footage, tracking, scheme.hub, np.unique(order), SOURCES)
    report("sources", 0, len(picked))
    sources: list[Source] = []
    hub_picture = next(iter(footage.pictures([scheme.hub])))
    onto = footage.points[scheme.hub]
    for t in picked:
        picture = hub_picture if t == scheme.hub else next(iter(footage.pictures([t])))
        sources.append(Source.of(picture, footage.points[t], onto))
        report("sources", len(sources), len(picked))
    region = mouth_region(sources[0].look.renderer, codebook)
    cover = Cover(region, sources, codebook)
    points = footage.points[order]
    points += shares[:, None, None] * (onto - points)
    take, closed_hub = _covered(
        cover, points, hubs, lambda: footage.pictures(order), shares, hub_picture, onto
    )
    return Base(take, sources, region, closed_hub, scheme)


def _covered(
    cover: Cover,
    points: Doubles,
    hubs: tuple[int, ...],
    pictures: Callable[[], Iterator[Image]],
    shares: Doubles,
    hub_picture: Image,
    onto: Doubles,
    loop: bool = True,
) -> tuple[Take, Image]:
    """A take with closed mouths, and its hub."""
    poses = np.array([head_pose(p) for p in points])
    bounds = [*hubs, len(points)] if loop else [0, len(points)]
    labels = np.concatenate(
        [cover.nearest(poses[a:b], loop) for a, b in itertools.pairwise(bounds)]
    )
    mixes = [mix for a, b in itertools.pairwise(bounds) for mix in cover.mixes(labels[a:b])]
    affine = np.stack([cover.affine(p, int(k)) for p, k in zip(points, labels, strict=True)])

    def close(job: tuple[int, Image]) -> Image:
        i, picture = job
        drawn = morph(picture, hub_picture, float(shares[i]))
        return cover.closed(drawn, points[i], mixes[i])

    def frames() -> Iterator[tuple[Image, bytes]]:
        return ((picture, b"") for picture in ordered_map(close, enumerate(pictures())))

    closed_hub = cover.closed(hub_picture, onto, [(0, 1.0)])
    return Take(frames, labels, affine, loop=loop, hubs=hubs), closed_hub


def _order(scheme: Plan) -> tuple[list[int], Doubles, tuple[int, ...]]:
    """Frames of the loop, the share of the hub in each, and where it passes the hub."""
    if scheme.bounce:
        first, end = scheme.arcs[0]
        there = _eased(first, end - 1)
        return [*there, *there[-2:0:-1]], np.zeros(2 * len(there) - 2), (0,)
    order: list[int] = []
    shares: list[float] = []
    hubs = []
    for first, end in scheme.arcs:
        hubs.append(len(order))
        order += range(first, end)
        shares += [ease(i, end - first) for i in range(end - first)]
    return order, np.array(shares), tuple(hubs)


def _eased(first: int, last: int, turn: float = 10.0) -> list[int]:
    """Frames from first to last that begin and end slowly: steps grow over ``turn`` frames."""
    way = float(last - first)
    count = int(way + turn)
    speed = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / turn)
    at = np.concatenate([[0.0], np.cumsum(speed)])
    return [int(t) for t in np.rint(first + at / at[-1] * way)]


def gesture_from_clip(
    name: str,
    path: Path,
    rest_picture: Image,
    rest_points: Doubles,
    region: MouthRegion,
    codebook: Floats,
    report: Progress,
) -> tuple[Take, list[Source]]:
    """A gesture from the user's own clip of the same person.

    The clip is moved, turned and scaled so that the face at its beginning and end lies on the face
    at rest, its colours are matched there, and it grows out of the picture at rest and back.

    Args:
        name: of the gesture, for progress and errors.
        path: the clip.
        rest_picture: BGR uint8, the avatar at rest.
        rest_points: (478, 3) landmarks in it.
        region: where patches go.
        codebook: (S, 16).
        report: told about the stage ``gesture NAME``.

    Returns:
        The take, whose ``pose`` counts from the first of its own sources, and these.

    Raises:
        InvalidVideo: the clip holds no usable face, is too short or too long.
    """
    video, stage = VideoFile(path), f"gesture {name}"
    tracking = track(video, LONGEST_GESTURE, 1, lambda done, total: report(stage, done, total))
    seen = np.flatnonzero(tracking.usable)
    if len(seen) < SHORTEST_GESTURE * FPS:
        raise InvalidVideo(
            f"The face can be used in only {len(seen) / FPS:.1f} seconds of {video.name}.",
            code="VIDEO_TOO_SHORT",
            hint="Film the gesture with the face towards the camera all the time.",
        )
    first, last = int(seen[0]), int(seen[-1])
    lost = max((b - a for a, b in runs(~tracking.usable[first : last + 1])), default=0)
    if lost > _LOST:
        raise InvalidVideo(
            f"The face is lost for {lost / FPS:.1f} seconds in the middle of {video.name}.",
            code="FACE_LOST",
            hint="Hands and turns must not hide the face.",
        )
    frames = np.arange(first, last + 1)
    flat = tracking.points[seen].reshape(len(seen), -1)
    points = np.stack(
        [np.interp(frames, seen, flat[:, i]) for i in range(flat.shape[1])], axis=1
    ).reshape(len(frames), -1, 3)
    ends = np.concatenate([points[:4], points[-4:]]).mean(axis=0)
    onto = _similarity(ends[_RIGID, :2], rest_points[_RIGID, :2])
    size = (rest_picture.shape[1], rest_picture.shape[0])
    matrices = np.full((len(tracking), 2, 3), np.nan)
    still = np.vstack([onto, [0, 0, 1]])
    for t in frames:
        # Steadied against the first frame, which the ends are close to.
        back = np.linalg.inv(np.vstack([tracking.camera[first], [0, 0, 1]]))
        step = back @ np.vstack([tracking.camera[t], [0, 0, 1]])
        matrices[t] = (still @ step)[:2]
    everything = np.full((len(tracking), topology.POINTS, 3), np.nan)
    everything[frames] = transformed(points, matrices[frames])
    footage = Footage(
        video,
        tracking.usable,
        matrices,
        everything,
        np.ones((len(tracking), 3), np.float32),
        size,
    )
    sources_at = _gesture_sources(footage, tracking, seen)
    pictures_of_ends = [next(iter(footage.pictures([t]))) for t in (first, last)]
    tone = _tone(pictures_of_ends, everything[[first, last]], rest_picture, rest_points)
    sources = []
    for at in sources_at:
        picture = _toned(next(iter(footage.pictures([at]))), tone)
        sources.append(Source.of(picture, everything[at], rest_points))
    cover = Cover(region, sources, codebook)
    shares = np.array([ease(i + 1, len(frames) + 1) for i in range(len(frames))])
    led = everything[frames] + shares[:, None, None] * (rest_points - everything[frames])
    corners = np.array([[0, 0], [video.width, 0], [video.width, video.height], [0, video.height]])

    def pictures() -> Iterator[Image]:
        for t, picture in zip(frames, footage.pictures(frames.tolist()), strict=True):
            covered = _covered_by(transformed(corners[None], matrices[t][None])[0], size)
            toned = _toned(picture, tone)
            if covered is not None:
                mixed = rest_picture + (toned - rest_picture.astype(np.float32)) * covered
                toned = np.asarray(np.rint(mixed), np.uint8)
            yield toned

    take, _ = _covered(cover, led, (), pictures, shares, rest_picture, rest_points, loop=False)
    return take, sources


def _gesture_sources(footage: Footage, tracking: Tracking, seen: NDArray[np.int64]) -> list[int]:
    gap = np.array([lip_gap(footage.points[t]) for t in seen])
    start = int(seen[int(gap.argmin())])
    return pick_sources(footage, tracking, start, seen, GESTURE_SOURCES)


def _tone(
    pictures: list[Image], points: Doubles, rest: Image, rest_points: Doubles
) -> tuple[Doubles, Doubles]:
    """Factor and offset per channel that give the faces in pictures the tone of that at rest."""

    def face(picture: Image, landmarks: Doubles) -> NDArray[np.float64]:
        mask = np.zeros(picture.shape[:2], np.uint8)
        oval = landmarks[list(topology.FACE_OVAL), :2]
        inner = oval.mean(axis=0) + (oval - oval.mean(axis=0)) * 0.8
        cv2.fillConvexPoly(mask, np.rint(inner).astype(np.int32), 1)
        return picture[mask > 0].astype(np.float64)

    here = np.concatenate([face(p, q) for p, q in zip(pictures, points, strict=True)])
    there = face(rest, rest_points)
    factor = (there.std(axis=0) / np.maximum(here.std(axis=0), 1.0)).clip(0.8, 1.25)
    return factor, there.mean(axis=0) - factor * here.mean(axis=0)


def _toned(picture: Image, tone: tuple[Doubles, Doubles]) -> Image:
    factor, offset = tone
    return np.asarray(np.rint(picture * factor + offset).clip(0, 255), np.uint8)


def _covered_by(corners: Doubles, size: tuple[int, int]) -> Floats | None:
    """Share (h, w, 1) of a clip in the frame, soft along its edges; None if it is all of it."""
    width, height = size
    if (
        corners[[0, 3], 0].max() <= 0
        and corners[[0, 1], 1].max() <= 0
        and corners[[1, 2], 0].min() >= width
        and corners[[2, 3], 1].min() >= height
    ):
        return None
    soft = max(size) // 24
    inside = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(inside, np.rint(corners).astype(np.int32), 1)
    padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    away = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return smoothstep(0, soft, away)[..., None]


def _similarity(source: Doubles, target: Doubles) -> Doubles:
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
    a, b = source[_RIGID], target[_RIGID]
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    a, b = a - centre_a, b - centre_b
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    turn = (u * flip) @ vt
    scale = float((s * flip).sum() / (a**2).sum())
    return lambda points: scale * (points - centre_a) @ turn.T + centre_b


def digest_of(path: Path) -> str:
    """SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
