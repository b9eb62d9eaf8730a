"""How an avatar moves that comes from a photo: every clip drawn by the rig."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.alpha import pack_alpha
from engine.coefficients import COEFFICIENTS, INDEX
from engine.essence import bank
from engine.essence.breath import Breath
from engine.essence.material import Look, Take, place
from engine.essence.parallel import ordered_map
from engine.essence.region import MouthRegion
from engine.essence.selector import ShapeBook, ShapeSelector
from engine.face.field import Pose
from engine.face.matte import composite
from engine.face.renderer import Renderer
from engine.motion import GESTURES, UNITS, Track, gesture, idle
from engine.motion.face import COLUMN
from engine.motion.hubs import through_rest
from engine.motion.idle import MANNERS

__all__ = ["GESTURES_KEPT", "Choreography", "choreography", "drawn", "gestures", "looks_for"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

POSES: Final = 5
GESTURE_POSES: Final = 3
_SMILES: Final = (0.35, 0.75)  # of the smile of a gesture: how far looks of the bank smile
GESTURES_KEPT: Final = GESTURES
"""Gestures that are rendered into an avatar."""
_REST: Final = np.zeros(len(COEFFICIENTS), np.float32)
_GESTURE_REACH: Final = 0.75  # a patch made for one pose fits others less well the further they are
_MOVES: Final = 0.05  # a mouth that moves less is closed
_SPEAKING: Final = 0.45  # length of the loop for speaking, of that for idling
_LISTENING: Final = 0.45
_SHORTEST: Final = 2.0  # seconds of a loop
_SMILE: Final = ("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight")
_FROWN: Final = ("mouthFrownLeft", "mouthFrownRight")
# A patch of the mouth covers some of the cheeks: they have to be as it shows them.
_NEAR_MOUTH: Final = tuple(name for name in UNITS if name.startswith(("cheek", "noseSneer")))


@dataclass(frozen=True)
class Choreography:
    """How an avatar moves.

    Attributes:
        tracks: every clip, ``idle`` first; mouths closed, but that they smile.
        hubs: of the idle clip.
        kinds: what goes on from each of them to the next.
        mouths: for gestures that open or round the lips, float32 (n, 16) how, while nothing is
            said.
    """

    tracks: dict[str, Track]
    hubs: tuple[int, ...]
    kinds: tuple[str, ...]
    mouths: dict[str, Floats]


def choreography(seconds: float, seed: int) -> Choreography:
    """The motion of an avatar that the rig draws.

    The idle clip is three loops, one after the other, for idling, speaking and listening. All of
    them pass through rest, so that a director may walk from any to any.

    Args:
        seconds: length of the loop for idling; the others are shorter.
        seed: varies it.
    """
    tracks, hubs, kinds = [], [], []
    length = 0
    shares = zip(MANNERS, (1.0, _SPEAKING, _LISTENING), strict=True)
    for number, (manner, share) in enumerate(shares):
        loop, rests = through_rest(
            idle(max(_SHORTEST, seconds * share), seed + 1000 * number, manner)
        )
        loop = loop.rolled(rests[0])
        hubs += [length + rest - rests[0] for rest in rests]
        kinds += [manner] * len(rests)
        tracks.append(loop.track().values)
        length += len(loop)
    moves, mouths = gestures()
    whole = {"idle": Track(np.concatenate(tracks)), **moves}
    return Choreography(whole, tuple(hubs), tuple(kinds), mouths)


def gestures(breath: float = 0.0) -> tuple[dict[str, Track], dict[str, Floats]]:
    """The gestures of `GESTURES_KEPT`, and the mouths of those that need them.

    Args:
        breath: at which the body rests.
    """
    tracks, mouths = {}, {}
    for name in GESTURES_KEPT:
        track = gesture(name)
        tracks[name] = _closed(track, breath)
        mouth = np.zeros((len(track) - 2, len(COEFFICIENTS)), np.float32)
        for unit in ("jawOpen", "mouthPucker", "mouthUpperUp"):
            column = unit if unit in COLUMN else f"{unit}Left"
            mouth[:, INDEX[unit]] = track.values[1:-1, COLUMN[column]]
        if mouth.max() > _MOVES:
            mouths[name] = mouth
    return tracks, mouths


def smile_of(track: Track) -> Floats:
    """How far each frame smiles, (n,), 1 as the widest of all gestures."""
    return np.asarray(track.unit("mouthSmileLeft") / _widest_smile(), np.float32)


def looks_for(
    renderer: Renderer, tracks: Mapping[str, Track], poses: int
) -> tuple[list[Look], dict[str, NDArray[np.int64]]]:
    """Looks for clips, and which of them each frame uses.

    Args:
        renderer: the face.
        tracks: what they have to fit; ``idle``, if it is there, has looks of its own first.
            Without it the first look is the face at rest.
        poses: looks for all clips but ``idle`` that do not smile.
    """
    loop = tracks.get("idle")
    others = [track for name, track in tracks.items() if name != "idle"]
    plain = np.concatenate([track.pose[smile_of(track) < _SMILES[0] / 2] for track in others])
    usual = np.zeros((1, 3)) if loop is None else bank.cluster_poses(loop.pose, POSES)[0]
    centres = np.concatenate([usual, bank.cluster_poses(plain, poses, usual)[0]])
    looks = [Look(renderer, _pose(centre)) for centre in centres]
    levels = np.array([0.0, *_SMILES])
    # Which level each frame is nearest to.
    grades = {
        name: np.abs(smile_of(track)[:, None] - levels).argmin(axis=1)
        for name, track in tracks.items()
    }
    for grade, level in enumerate(_SMILES, 1):
        held = [track.pose[grades[name] == grade] for name, track in tracks.items()]
        pose = np.concatenate(held).mean(axis=0)
        strongest = _smile_units()
        looks.append(
            Look(renderer, _pose(pose), {unit: level * v for unit, v in strongest.items()})
        )
    labels = {}
    for name, track in tracks.items():
        near = usual if name == "idle" else centres
        chosen = bank.nearest_poses(track.pose, near)
        labels[name] = np.where(grades[name] > 0, len(centres) + grades[name] - 1, chosen)
    return looks, labels


def shapes_for(mouths: Floats, codebook: Floats) -> tuple[int, ...]:
    """The shapes of a bank that show mouths (n, 16) best; 0 where they are closed."""
    selector = ShapeSelector(ShapeBook(codebook))
    return tuple(selector.select(row) or 0 for row in mouths)


@functools.cache
def _smile_units() -> dict[str, float]:
    """Units of the widest smile of all gestures."""
    values = np.concatenate([gesture(name).values for name in GESTURES_KEPT])
    row = values[values[:, COLUMN["mouthSmileLeft"]].argmax()]
    return {unit: float(row[COLUMN[unit]]) for unit in _SMILE}


def _widest_smile() -> float:
    return _smile_units()["mouthSmileLeft"]


def drawn(
    renderer: Renderer,
    region: MouthRegion,
    track: Track,
    looks: list[Look],
    labels: NDArray[np.int64],
    codebook: Floats,
) -> Take:
    """A clip that the rig draws."""
    breath = Breath(renderer, region.box[3])

    def render(index: int) -> tuple[Image, bytes]:
        state = track.frame(index)
        if not renderer.moves_alone or renderer.matte is None:
            frame = renderer.render(_REST, quality="cubic", **state.arguments())
            breath.apply(frame, state.breath)
            return frame, b""
        layers = renderer.layers(_REST, clean=False, quality="cubic", **state.arguments())
        for layer in layers:
            breath.apply(layer, state.breath)
        frame = composite(layers.picture, layers.wide, renderer.matte.background)
        return frame, pack_alpha(layers.alpha)

    def frames() -> Iterator[tuple[Image, bytes]]:
        return ordered_map(render, range(len(track)))

    smile, widest = smile_of(track), _smile_units()
    held = [
        Look(renderer, _pose(pose), {unit: float(s) * v for unit, v in widest.items()} if s else {})
        for pose, s in zip(track.pose, smile, strict=True)
    ]
    return Take(frames, labels, place(region, looks, labels, held, codebook))


def rest_picture(renderer: Renderer, region: MouthRegion) -> Image:
    """The frame in which all clips of a photo begin and end."""
    frame = renderer.render(_REST, quality="cubic")
    Breath(renderer, region.box[3]).apply(frame, 0.0)
    return frame


def _pose(row: NDArray[np.floating]) -> Pose:
    yaw, pitch, roll = (float(angle) for angle in row)
    return yaw, pitch, roll


def _closed(track: Track, breath: float) -> Track:
    """A gesture whose lips stay together; from rest to rest in a breath."""
    values = track.without_mouth().values[1:-1].copy()  # rest itself is a frame of the loop
    values[:, :3] *= _GESTURE_REACH
    values[:, 5:7] *= _GESTURE_REACH
    values[:, [COLUMN[unit] for unit in _NEAR_MOUTH]] = 0.0
    # Smiles go with the looks of the bank: the same units in the same proportion, on both sides.
    smiles = track.values[1:-1, [COLUMN[unit] for unit in _SMILE[:2]]].mean(axis=1)
    for unit, strength in _smile_units().items():
        values[:, COLUMN[unit]] = smiles / _widest_smile() * strength
    for unit in _FROWN:
        values[:, COLUMN[unit]] = track.values[1:-1, COLUMN[unit]]
    rise = np.sin(np.linspace(0, np.pi, len(values))) ** 2
    values[:, COLUMN["breath"]] = breath + (0.8 - breath) * rise
    return Track(values)
