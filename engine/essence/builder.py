"""From a photo to an Essence avatar: fit, move, render the mouth bank, encode, write."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import models
from engine.alpha import pack_alpha, unpack_alpha
from engine.background import BackgroundSource
from engine.coefficients import COEFFICIENTS, FPS, INDEX
from engine.errors import Failed, NotSupported
from engine.essence import bank, clips, layout
from engine.essence.breath import Breath
from engine.essence.parallel import ordered_map
from engine.essence.region import MouthRegion, mouth_region
from engine.face import topology
from engine.face.align import Crop
from engine.face.matte import composite
from engine.face.renderer import Renderer
from engine.identity import Photo, before, fit_photo, provenance, thumbnail, webp
from engine.imx import Clip, Manifest, Mouth, write
from engine.motion import Track, gesture, idle
from engine.motion.face import COLUMN
from engine.motion.hubs import through_rest

__all__ = ["BuildResult", "Progress", "build"]

Image = NDArray[np.uint8]
Progress = Callable[[str, int, int], None]
"""Called with the stage (``fit``, ``idle``, ``mouths``, ``encode``, ``write``), steps done and
steps in all."""

SIZES: Final = range(128, 1081)
POSES: Final = 5
GESTURE_POSES: Final = 6
_LIPS: Final = tuple({i for ring in (*topology.UPPER_LIP, *topology.LOWER_LIP) for i in ring})
_LIP_WEIGHT: Final = 8.0  # a patch may miss the cheek by a pixel, the lips by a third of one
_NAME_LENGTH: Final = 120
GESTURES_KEPT: Final = ("nod", "shake", "tilt", "wink", "surprise", "think", "greet")
"""Gestures that are rendered into an avatar: those that read without the mouth, which belongs to
speech."""
_GESTURE_REACH: Final = 0.75  # a patch made for one pose fits others less well the further they are
_NEAR_MOUTH: Final = (
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
)
_RIG_VERSION: Final = 1
_ALPHA_CRF: Final = 26.0
_BACKDROP_QUALITY: Final = 95
_PATCH_QUALITIES: Final = (90, 87, 84, 81, 78, 75, 72, 69, 66, 60, 50)
_PATCH_BYTES: Final = 2_550_000  # all patches of a 512 px avatar; noisy photos get a lower quality


@dataclass(frozen=True)
class BuildResult:
    """What was built.

    Attributes:
        path: the file.
        manifest: its manifest.
        bytes: its size.
        seconds: how long the build took.
    """

    path: Path
    manifest: Manifest
    bytes: int
    seconds: float


def build(
    source: Photo | Renderer,
    *,
    out: str | os.PathLike[str],
    name: str,
    size: int = 512,
    crop: Crop = "auto",
    face: int | None = None,
    background: BackgroundSource | None = None,
    seconds: float = 12.0,
    seed: int = 0,
    licence: str = "",
    progress: Progress | None = None,
) -> BuildResult:
    """Turn a photo into an avatar file.

    The same photo, seed and options give the same file, byte for byte, when ``SOURCE_DATE_EPOCH``
    fixes the date that is recorded in it.

    Args:
        source: path, file content or BGR uint8 pixels of the photo; or a renderer that is
            already fitted, in which case ``size``, ``crop`` and ``face`` are not used.
        out: target ``.imx``; replaced only when the new one is complete.
        name: shown to the viewer.
        size: side of the square frame in pixels; the longer side for crop ``none``.
        crop: ``auto`` around the face, ``none`` the whole photo.
        face: which face, 1 the largest; None insists that there is only one.
        background: what to show behind the person instead of what the photo shows, see
            ``engine.identity.before``.
        seconds: length of the idle loop.
        seed: varies the idle motion.
        licence: of the picture, stored in the file.
        progress: told about every step, from the calling thread.

    Returns:
        Where it is, its manifest, size, and the time it took.

    Raises:
        InvalidImage: the photo or the face in it cannot be used.
        NotSupported: what ``before`` raises, ``SIZE_NOT_SUPPORTED`` or ``NAME_NOT_SUPPORTED``.
        Failed: ``WRITE_FAILED``.
    """
    started = time.perf_counter()
    target = Path(out)
    report = progress or (lambda stage, done, total: None)
    if size not in SIZES:
        raise NotSupported(
            f"the frame size {size} is not supported",
            code="SIZE_NOT_SUPPORTED",
            hint=f"Choose a size from {SIZES[0]} to {SIZES[-1]} pixels.",
        )
    # Known now: better to say so than after half a minute of work.
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
        raise NotSupported(
            f"an avatar cannot be named {name[:_NAME_LENGTH]!r}",
            code="NAME_NOT_SUPPORTED",
            hint=f"Choose a name of 1 to {_NAME_LENGTH} printable characters.",
        )
    if not target.parent.is_dir():
        raise Failed(f"cannot write {target}: the folder does not exist", code="WRITE_FAILED")
    if target.is_dir():
        raise Failed(f"cannot write {target}: it is a folder", code="WRITE_FAILED")

    report("fit", 0, 1)
    renderer, digest = fit_photo(source, size, crop, face)
    renderer = before(renderer, background)
    report("fit", 1, 1)

    report("idle", 0, 1)
    tracks, hubs = choreography(seconds, seed)
    poses = np.concatenate([track.pose for track in tracks.values()])
    centres, labels = bank_poses(tracks)
    codebook = load_codebook()
    region = mouth_region(renderer, codebook)
    affine = _placement(renderer, region, poses, centres, labels, codebook)
    report("idle", 1, 1)

    members = _mouths(renderer, region, codebook, centres, report)
    members |= _clips(renderer, region, tracks, report)
    ends = np.cumsum([len(track) for track in tracks.values()])[:-1]
    table = zip(tracks, np.split(labels, ends), np.split(affine, ends), strict=True)
    members[layout.CLIPS] = layout.format_clips(
        {name: (pose, place) for name, pose, place in table}, {"idle": hubs}
    )
    members[layout.CODEBOOK] = _npy(codebook)
    members[layout.MASK] = _png(region.mask)
    members[layout.THUMB] = thumbnail(renderer)

    report("write", 0, 1)
    width, height = renderer.size
    manifest = Manifest(
        kind="essence",
        name=name,
        width=width,
        height=height,
        rig_version=_RIG_VERSION,
        clips={
            name: Clip(
                layout.clip_name(name),
                len(track),
                loop=name == "idle",
                alpha=layout.alpha_name(name) if layout.alpha_name(name) in members else None,
            )
            for name, track in tracks.items()
        },
        gestures=GESTURES_KEPT,
        backdrop=layout.BACKDROP if layout.BACKDROP in members else None,
        mouth=Mouth(len(centres), len(codebook), region.box),
        licence=licence,
        provenance=provenance(digest),
    )
    stored = write(target, manifest, members)
    report("write", 1, 1)
    return BuildResult(target, stored, target.stat().st_size, time.perf_counter() - started)


def load_codebook() -> NDArray[np.float32]:
    """The mouth shapes a bank is rendered for: float32 (S, 16), row 0 at rest."""
    book = np.load(models.path("codebook.npy"), allow_pickle=False)
    return np.asarray(book, np.float32)


def _pose(row: NDArray[np.floating]) -> tuple[float, float, float]:
    yaw, pitch, roll = (float(angle) for angle in row)
    return yaw, pitch, roll


def _placement(
    renderer: Renderer,
    region: MouthRegion,
    poses: NDArray[np.float32],
    centres: NDArray[np.float64],
    labels: NDArray[np.int64],
    codebook: NDArray[np.float32],
) -> NDArray[np.float64]:
    """For every frame the affine map from patch pixels to frame pixels."""
    corner = np.array(region.box[:2], np.float64)
    lips = np.isin(region.anchors, _LIPS)
    weights = np.concatenate([np.where(lips, _LIP_WEIGHT, 1.0), np.full(lips.sum(), _LIP_WEIGHT)])
    widest = codebook[codebook[:, INDEX["jawOpen"]].argmax()]

    def points(pose: NDArray[np.floating]) -> NDArray[np.float32]:
        # The lips at both ends of their way: fitted to closed ones only, open ones would jump by
        # a third of a pixel where the bank pose changes.
        closed = renderer.posed_points(_pose(pose))[region.anchors]
        opened = renderer.posed_points(_pose(pose), widest)[region.anchors[lips]]
        return np.concatenate([closed, opened])

    banks = [points(centre) - corner for centre in centres]
    return np.stack(
        [
            bank.fit_affine(banks[label], points(pose), weights)
            for pose, label in zip(poses, labels, strict=True)
        ]
    )


def _mouths(
    renderer: Renderer,
    region: MouthRegion,
    codebook: NDArray[np.float32],
    centres: NDArray[np.float64],
    report: Progress,
) -> dict[str, bytes]:
    """One WebP patch per bank pose and shape; rest has none, it is the base frame."""

    def render(job: tuple[int, int]) -> Image:
        pose, shape = job
        patch = renderer.render_patch(
            codebook[shape], region.box, pose=_pose(centres[pose]), quality="cubic"
        )
        return region.flatten(patch)

    jobs = [(pose, shape) for pose in range(len(centres)) for shape in range(1, len(codebook))]
    pixels = renderer.size[0] * renderer.size[1]
    budget = _PATCH_BYTES * pixels / 512**2 / len(jobs)
    quality = _patch_quality([render(job) for job in jobs[::37]], budget)
    members: dict[str, bytes] = {}
    report("mouths", 0, len(jobs))
    for job, data in zip(
        jobs, ordered_map(lambda job: webp(render(job), quality), jobs), strict=True
    ):
        members[layout.patch_name(*job)] = data
        report("mouths", len(members), len(jobs))
    return members


def _patch_quality(samples: list[Image], budget: float) -> int:
    """The best WebP quality at which patches like these have ``budget`` bytes on average."""
    for quality in _PATCH_QUALITIES:
        if sum(len(webp(sample, quality)) for sample in samples) <= budget * len(samples):
            return quality
    return _PATCH_QUALITIES[-1]


def choreography(seconds: float, seed: int) -> tuple[dict[str, Track], list[int]]:
    """How an avatar moves: every clip, ``idle`` first, and the hubs of the loop.

    Args:
        seconds: length of the loop.
        seed: varies it.
    """
    motion, hubs = through_rest(idle(seconds, seed))
    return {"idle": motion.track(), **{name: _gesture(name) for name in GESTURES_KEPT}}, hubs


def bank_poses(tracks: Mapping[str, Track]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Poses to render mouths for, those of the loop first, and which of them each frame uses."""
    loop = tracks["idle"].pose
    others = np.concatenate([track.pose for name, track in tracks.items() if name != "idle"])
    usual, labels = bank.cluster_poses(loop, POSES)
    further, _ = bank.cluster_poses(others, GESTURE_POSES)
    centres = np.concatenate([usual, further])
    return centres, np.concatenate([labels, bank.nearest_poses(others, centres)])


def _gesture(name: str) -> Track:
    """A gesture for a face whose mouth belongs to speech; it goes from rest to rest in a breath."""
    track = gesture(name).without_mouth()
    values = track.values[1:-1].copy()  # rest itself is a frame of the loop
    values[:, :3] *= _GESTURE_REACH
    values[:, 5:7] *= _GESTURE_REACH
    # A patch of the mouth covers some of the cheeks: they have to be as it shows them.
    values[:, [COLUMN[unit] for unit in _NEAR_MOUTH]] = 0.0
    values[:, COLUMN["breath"]] = 0.8 * np.sin(np.linspace(0, np.pi, len(values))) ** 2
    return Track(values)


def _clips(
    renderer: Renderer, region: MouthRegion, tracks: Mapping[str, Track], report: Progress
) -> dict[str, bytes]:
    """Every track as a video, its mouth closed."""
    rest = np.zeros(len(COEFFICIENTS), np.float32)
    breath = Breath(renderer, region.box[3])
    orders = {
        name: clips.loop_order(len(track)) if name == "idle" else list(range(len(track)))
        for name, track in tracks.items()
    }
    total, done = sum(map(len, orders.values())), 0
    report("encode", 0, total)
    members: dict[str, bytes] = {}
    for name, order in orders.items():
        track = tracks[name]

        alphas: list[bytes] = []

        def render(index: int, track: Track = track) -> tuple[Image, bytes]:
            state = track.frame(index)
            if not renderer.moves_alone or renderer.matte is None:
                frame = renderer.render(rest, quality="cubic", **state.arguments())
                breath.apply(frame, state.breath)
                return frame, b""
            layers = renderer.layers(rest, clean=False, quality="cubic", **state.arguments())
            for layer in layers:
                breath.apply(layer, state.breath)
            frame = composite(layers.picture, layers.wide, renderer.matte.background)
            return frame, pack_alpha(layers.alpha)

        def frames(
            order: list[int] = order, before: int = done, alphas: list[bytes] = alphas
        ) -> Iterator[Image]:
            for count, (image, alpha) in enumerate(ordered_map(render, order), 1):
                yield image
                if alpha:
                    alphas.append(alpha)
                report("encode", before + count, total)

        members[layout.clip_name(name)] = clips.encode(frames(), fps=FPS)
        if alphas:
            planes = map(unpack_alpha, alphas)
            members[layout.alpha_name(name)] = clips.encode(planes, fps=FPS, crf=_ALPHA_CRF)
        done += len(order)
    if renderer.moves_alone and renderer.matte is not None:
        members[layout.BACKDROP] = webp(renderer.matte.background, _BACKDROP_QUALITY)
    return members


def _png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def _npy(array: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
