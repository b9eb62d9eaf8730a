"""From a photo or a clip to an Essence avatar: move, render the mouth bank, encode, write."""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import models
from engine.alpha import unpack_alpha
from engine.background import Background, BackgroundSource, parse_background
from engine.coefficients import FPS
from engine.errors import NotSupported
from engine.essence import choreography as rig
from engine.essence import clips, footage, layout
from engine.essence.material import Material, Take
from engine.essence.parallel import ordered_map
from engine.essence.region import mouth_region
from engine.essence.takes import base_from_footage, cutout_like, gesture_from_clip
from engine.face.align import Crop
from engine.face.renderer import Renderer
from engine.identity import Photo, before, fit_photo, lasting, provenance, thumbnail, webp
from engine.imx import Clip, Manifest, Mouth, write
from engine.motion import keywords
from engine.motion.keywords import Words
from engine.product import NAME_LENGTH, BuildResult, Progress, check_order
from engine.video.reader import VideoFile
from engine.video.sniff import is_video

__all__ = ["BuildResult", "Progress", "build"]

Image = NDArray[np.uint8]
_GESTURE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RIG_VERSION: Final = 1
_LONGEST_LOOP: Final = 60.0  # seconds, as of clips
_ALPHA_CRF: Final = 26.0
_BACKDROP_QUALITY: Final = 95
_PATCH_QUALITIES: Final = (90, 87, 84, 81, 78, 75, 72, 69, 66, 60, 50, 45, 40)
_FILE_BYTES: Final = 3_900_000  # of a 512 px avatar: 4 MB at most
_OTHER_BYTES: Final = 300_000  # of it, neither clips nor patches
_LEAST_PATCH_BYTES: Final = 1_500_000  # of the patches of one whose clips are large
_USUAL_LOOKS: Final = 10  # that they are for; each look from a clip adds its share


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
    gestures: Mapping[str, str | os.PathLike[str]] | None = None,
    words: Words | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Turn a photo, or a clip of a person, into an avatar file.

    The same source, seed and options give the same file, byte for byte, on the same machine and
    with sides that are multiples of 128 (see ``clips.encode``), when ``SOURCE_DATE_EPOCH`` fixes
    the date that is recorded in it.

    Args:
        source: path, file content or BGR uint8 pixels of a photo; or the path of a video file, 5
            to 60 seconds of a person who faces the camera, whose own motion the avatar keeps; or
            a renderer that is already fitted, in which case ``size``, ``crop`` and ``face`` are
            not used.
        out: target ``.imx``; replaced only when the new one is complete.
        name: shown to the viewer.
        size: side of the square frame in pixels; the longer side for crop ``none``.
        crop: ``auto`` around the face, ``none`` the whole picture.
        face: which face, 1 the largest; None insists that there is only one.
        background: what to show behind the person instead of what the photo shows, see
            ``engine.identity.before``.
        seconds: length of the idle loop of a photo, up to 60.
        seed: varies the idle motion of a photo.
        licence: of the picture, stored in the file.
        gestures: name to the path of a clip of the same person, up to 12 seconds, that shows the
            gesture; replaces a gesture of that name.
        words: words or phrases to gestures that they begin, see ``engine.motion.keywords``.
        progress: told about every step, from the calling thread.

    Returns:
        Where it is, its manifest, size, and the time it took.

    Raises:
        InvalidImage: the photo or the face in it cannot be used.
        InvalidVideo: the same of a clip.
        NotSupported: what ``before`` raises, ``SIZE_NOT_SUPPORTED``, ``NAME_NOT_SUPPORTED``,
            ``LICENCE_NOT_SUPPORTED``, ``SECONDS``, ``GESTURE_NAME``, or ``GESTURE`` for words that
            begin none.
        Failed: ``WRITE_FAILED``.
    """
    started = time.perf_counter()
    target = Path(out)
    report = progress or (lambda stage, done, total: None)
    wanted = {key: Path(path) for key, path in (gestures or {}).items()}
    check_order(target, name, size, licence)
    if not 0 < seconds <= _LONGEST_LOOP:
        raise NotSupported(
            f"an idle loop of {seconds} seconds is not supported",
            code="SECONDS",
            hint=f"Choose up to {_LONGEST_LOOP:.0f} seconds.",
        )
    _check_gestures(wanted)
    keywords.check(words or {}, {*rig.GESTURES_KEPT, *wanted}, "gestures.json")

    codebook = load_codebook()
    behind = parse_background(background)
    apart = behind is not None and behind.transparent
    scenery = None if apart else behind
    if isinstance(source, str | os.PathLike):
        source = lasting(Path(source))
    if isinstance(source, Path) and is_video(source):
        material = _from_clip(source, size, crop, face, scenery, apart, codebook, report)
    else:
        report("fit", 0, 1)
        renderer, digest = fit_photo(source, size, crop, face)
        renderer = before(renderer, behind)
        report("fit", 1, 1)
        report("idle", 0, 1)
        material = _from_photo(renderer, digest, seconds, seed, codebook)
        report("idle", 1, 1)
    for gesture, path in wanted.items():
        _add_gesture(material, gesture, path, scenery, codebook, report)

    region, takes = material.region, material.takes
    members = _clips(material, report)
    members |= _mouths(material, codebook, sum(map(len, members.values())), report)
    members[layout.CLIPS] = layout.format_clips(
        {key: (take.pose, take.affine) for key, take in takes.items()},
        {key: take.more() for key, take in takes.items()},
    )
    if words:
        table = json.dumps(dict(words), ensure_ascii=False, indent=1, sort_keys=True)
        members[layout.WORDS] = table.encode() + b"\n"
    members[layout.CODEBOOK] = _npy(codebook)
    members[layout.MASK] = _png(region.mask)
    members[layout.THUMB] = thumbnail(material.rest)

    report("write", 0, 1)
    width, height = material.size
    manifest = Manifest(
        kind="essence",
        name=name,
        width=width,
        height=height,
        rig_version=_RIG_VERSION,
        clips={
            key: Clip(
                layout.clip_name(key),
                len(take),
                loop=take.loop,
                alpha=layout.alpha_name(key) if layout.alpha_name(key) in members else None,
            )
            for key, take in takes.items()
        },
        gestures=tuple(key for key in takes if key != "idle"),
        backdrop=layout.BACKDROP if layout.BACKDROP in members else None,
        mouth=Mouth(len(material.looks), len(codebook), region.box),
        licence=licence,
        provenance=provenance(material.digest, material.source),
    )
    stored = write(target, manifest, members)
    report("write", 1, 1)
    return BuildResult(target, stored, target.stat().st_size, time.perf_counter() - started)


def check_gesture_name(name: str) -> None:
    """Refuse what cannot name a gesture.

    Raises:
        NotSupported: ``GESTURE_NAME``.
    """
    if _GESTURE_NAME.fullmatch(name) is None or name == "idle":
        raise NotSupported(
            f"a gesture cannot be named {name[:NAME_LENGTH]!r}",
            code="GESTURE_NAME",
            hint="Use 1 to 40 lower-case letters, digits and underscores, a letter first.",
        )


def load_codebook() -> NDArray[np.float32]:
    """The mouth shapes a bank is rendered for: float32 (S, 16), row 0 at rest."""
    book = np.load(models.path("codebook.npy"), allow_pickle=False)
    return np.asarray(book, np.float32)


def _check_gestures(gestures: Mapping[str, Path]) -> None:
    """Refuse names and files that cannot be gestures, before any work."""
    for gesture, path in gestures.items():
        check_gesture_name(gesture)
        VideoFile(path)


def _from_photo(
    renderer: Renderer, digest: str, seconds: float, seed: int, codebook: NDArray[np.float32]
) -> Material:
    """An avatar whose every frame the rig draws."""
    moves = rig.choreography(seconds, seed)
    region = mouth_region(renderer, codebook)
    looks, labels = rig.looks_for(renderer, moves.tracks, rig.GESTURE_POSES)
    takes = {
        key: rig.drawn(renderer, region, track, looks, labels[key], codebook)
        for key, track in moves.tracks.items()
    }
    takes["idle"] = replace(
        takes["idle"], loop=True, hubs=moves.hubs, kinds=moves.kinds, reversible=True
    )
    for key, mouth in moves.mouths.items():
        takes[key] = replace(takes[key], mouth=rig.shapes_for(mouth, codebook))
    picture = rig.rest_picture(renderer, region)
    backdrop = renderer.matte.background if renderer.moves_alone and renderer.matte else None
    return Material(renderer.size, region, looks, takes, renderer, picture, digest, backdrop)


def _from_clip(
    path: Path,
    size: int,
    crop: Crop,
    face: int | None,
    scenery: Background | None,
    apart: bool,
    codebook: NDArray[np.float32],
    report: Progress,
) -> Material:
    """An avatar that moves as the person in a clip does; the rig draws its gestures."""
    shot, tracking = footage.read_footage(path, size, crop, face, report)
    if scenery is not None:
        shot = footage.put_before(shot, scenery.picture(*shot.size))
    base = base_from_footage(shot, tracking, codebook, report, apart=apart)
    rest = base.sources[0].look.renderer
    looks = [source.look for source in base.sources]
    takes = {"idle": base.take}
    backdrop = rest.matte.background if rest.moves_alone and rest.matte else None
    tracks, mouths = rig.gestures(breath=0.5)  # the body as the clip shows it
    further, labels = rig.looks_for(rest, tracks, rig.GESTURE_POSES)
    # The first of them is the face at rest, which is the first source.
    further[0] = looks[0]
    for key, track in tracks.items():
        take = rig.drawn(rest, base.region, track, further, labels[key], codebook)
        pose = np.where(take.pose > 0, take.pose + len(looks) - 1, 0)
        mouth = rig.shapes_for(mouths[key], codebook) if key in mouths else ()
        takes[key] = replace(take, pose=pose, mouth=mouth)
    looks += further[1:]
    digest = footage.digest_of(path)
    return Material(
        shot.size,
        base.region,
        looks,
        takes,
        rest,
        base.picture,
        digest,
        backdrop,
        "a video",
    )


def _add_gesture(
    material: Material,
    name: str,
    path: Path,
    scenery: Background | None,
    codebook: NDArray[np.float32],
    report: Progress,
) -> None:
    take, sources = gesture_from_clip(
        name,
        path,
        material.picture,
        np.asarray(material.rest.landmarks, np.float64),
        material.region,
        codebook,
        cutout_like(material.rest) if material.backdrop is not None else None,
        None if scenery is None else scenery.picture(*material.size),
        report,
    )
    material.takes[name] = replace(take, pose=take.pose + len(material.looks))
    material.looks += [source.look for source in sources]


def _mouths(
    material: Material, codebook: NDArray[np.float32], spent: int, report: Progress
) -> dict[str, bytes]:
    """One WebP patch per look and shape; rest has none, it is the base frame.

    Together with the bytes ``spent`` on clips they make a file of the usual size.
    """
    looks, region = material.looks, material.region

    def render(job: tuple[int, int]) -> Image:
        look, shape = job
        return region.flatten(looks[look].patch(codebook[shape], region))

    jobs = [(look, shape) for look in range(len(looks)) for shape in range(1, len(codebook))]
    pixels = material.size[0] * material.size[1]
    share = max(1.0, len(looks) / _USUAL_LOOKS)
    # Small pictures take more bytes for each of their pixels.
    scale = (pixels / 512**2) ** 0.6
    room = max(_FILE_BYTES * scale - _OTHER_BYTES - spent, _LEAST_PATCH_BYTES * scale) * share
    budget = room / len(jobs)
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


def _clips(material: Material, report: Progress) -> dict[str, bytes]:
    """Every take as a video, and who is the person in it as another."""
    takes, backdrop = material.takes, material.backdrop
    total = sum(len(clips.loop_order(len(t))) if t.loop else len(t) for t in takes.values())
    done = 0
    report("encode", 0, total)
    members: dict[str, bytes] = {}
    for name, take in takes.items():
        alphas: list[bytes] = []

        def frames(take: Take = take, alphas: list[bytes] = alphas) -> Iterator[Image]:
            nonlocal done
            lap: list[tuple[Image, bytes]] = []
            again = len(clips.loop_order(len(take))) - len(take) if take.loop else 0
            for frame in take.frames():
                if len(lap) < again:
                    lap.append(frame)
                alphas.append(frame[1])
                yield frame[0]
                done += 1
                report("encode", done, total)
            for picture, alpha in lap:
                alphas.append(alpha)
                yield picture
                done += 1
                report("encode", done, total)

        members[layout.clip_name(name)] = clips.encode(frames(), fps=FPS)
        if backdrop is not None:
            planes = map(unpack_alpha, alphas)
            members[layout.alpha_name(name)] = clips.encode(planes, fps=FPS, crf=_ALPHA_CRF)
    if backdrop is not None:
        members[layout.BACKDROP] = webp(backdrop, _BACKDROP_QUALITY)
    return members


def _png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def _npy(array: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
