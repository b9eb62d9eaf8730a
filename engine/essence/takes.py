"""What an avatar takes from clips of a person: the idle loop with its bank of mouths, and gestures.

A clip is cut into arcs that begin and end at one frame, the hub.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.alpha import pack_alpha
from engine.coefficients import FPS
from engine.errors import InvalidVideo
from engine.essence.cover import Cover, Source, pick_sources, similarity
from engine.essence.footage import RIGID, Footage, Progress, no_person, put_before, signs_of
from engine.essence.material import Take
from engine.essence.parallel import ordered_map
from engine.essence.region import MouthRegion, mouth_region
from engine.face import topology
from engine.face.curves import smoothstep
from engine.face.landmarks import head_pose
from engine.face.matte import uncovered
from engine.face.measure import lip_gap
from engine.face.renderer import Renderer
from engine.video.cutout import Cutout
from engine.video.loops import Plan, Signs, plan, talking
from engine.video.morph import ease, morph
from engine.video.reader import VideoFile
from engine.video.steady import transformed
from engine.video.track import Tracking, runs, track

__all__ = ["Base", "base_from_footage", "cutout_like", "gesture_from_clip"]

Image = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

LONGEST_GESTURE: Final = 12.0
SHORTEST_GESTURE: Final = 0.6
SOURCES: Final = 5
GESTURE_SOURCES: Final = 2
_ROOM_FRAMES: Final = 24  # looked at for what is behind the person
_CHOICE: Final = 2  # arcs of a kind, or one would be seen again and again
_LOST: Final = 12  # frames for which the face may be lost in a gesture


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
    footage: Footage, tracking: Tracking, codebook: Floats, report: Progress, *, apart: bool = False
) -> Base:
    """Make the idle loop of a clip.

    Args:
        footage: the clip.
        tracking: of the face in it.
        codebook: (S, 16).
        report: told about the stages ``loop`` and ``sources``.
        apart: insist on a matte; without it there is one where it is sure.

    Raises:
        NotSupported: ``MATTE``, there is none to insist on.
    """
    report("loop", 0, 1)
    signs = signs_of(footage, tracking)
    scheme = plan(signs)
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
    face = sources[0].look.renderer
    if apart:
        if face.matte is None:
            raise no_person(footage)
        face = face.apart()
    cutout = cutout_like(face)
    if cutout is not None:
        room = _room(footage, cutout, face, np.unique(order))
        sources[0] = replace(sources[0], look=replace(sources[0].look, renderer=room))
    region = mouth_region(face, codebook)
    cover = Cover(region, sources, codebook)
    points = footage.points[order]
    points += shares[:, None, None] * (onto - points)
    take, closed_hub = _covered(
        cover, points, hubs, lambda: footage.pictures(order), shares, hub_picture, onto, cutout
    )
    take = replace(take, kinds=_kinds(signs, scheme))
    return Base(take, sources, region, closed_hub, scheme)


def _kinds(signs: Signs, scheme: Plan) -> tuple[str, ...]:
    """What goes on in each arc; nothing where there is too little of either to choose from."""
    kinds = tuple("speaking" if talking(signs, *arc) else "idle" for arc in scheme.arcs)
    enough = all(kinds.count(kind) >= _CHOICE for kind in ("speaking", "idle"))
    return kinds if enough else ()


def _room(footage: Footage, cutout: Cutout, face: Renderer, frames: NDArray[np.int64]) -> Renderer:
    """The hub with what its person hides, as far as other frames show it."""
    sample = frames[np.linspace(0, len(frames) - 1, min(_ROOM_FRAMES, len(frames))).astype(int)]
    others = ((picture, cutout.alpha(picture)) for picture in footage.pictures(sample.tolist()))
    return face.before(uncovered([(face.image, cutout.alpha(face.image, 1.0)), *others]))


def cutout_like(face: Renderer) -> Cutout | None:
    """Cuts the person out of pictures like that of a face; None where it is not sure of its own."""
    return Cutout(face.image, face.matte.alpha) if face.matte and face.matte.sure else None


def _covered(
    cover: Cover,
    points: Doubles,
    hubs: tuple[int, ...],
    pictures: Callable[[], Iterator[Image]],
    shares: Doubles,
    hub_picture: Image,
    onto: Doubles,
    cutout: Cutout | None,
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

    def close(job: tuple[int, Image]) -> tuple[Image, bytes]:
        i, picture = job
        share = float(shares[i])
        closed = cover.closed(morph(picture, hub_picture, share), points[i], mixes[i])
        return closed, pack_alpha(cutout.alpha(closed, share)) if cutout else b""

    def frames() -> Iterator[tuple[Image, bytes]]:
        return ordered_map(close, enumerate(pictures()))

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
    cutout: Cutout | None,
    background: Image | None,
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
        cutout: cuts the person out of pictures like the one at rest; None for no matte.
        background: BGR uint8, what is shown behind the person instead of what is there; None to
            leave it.
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
    onto = similarity(ends[RIGID, :2], rest_points[RIGID, :2])
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
    if background is not None:
        footage = put_before(footage, background)
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

    take, _ = _covered(
        cover, led, (), pictures, shares, rest_picture, rest_points, cutout, loop=False
    )
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
