"""A photo that can be told what to do with its face."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.coefficients import COEFFICIENTS, INDEX
from engine.face import topology
from engine.face.align import Crop, crop_face
from engine.face.basis import load_basis, speech_units
from engine.face.blendshapes import read_blendshapes
from engine.face.boxes import Box, corners, intersection, padded
from engine.face.creases import Creases
from engine.face.curves import smoothstep
from engine.face.eyes import build_eyes
from engine.face.field import Grid, Pose, build_fields
from engine.face.fit import FaceFit, fit_face
from engine.face.folds import Folds
from engine.face.glasses import stiffness, wears_glasses
from engine.face.landmarks import Landmarks
from engine.face.matte import Matte, composite, find_person
from engine.face.mouth import MouthInterior
from engine.face.seam import Seam
from engine.face.tones import measure_tones
from engine.face.warp import resample
from engine.face.window import Expressed, Window
from engine.pictures import even_size

__all__ = ["Layers", "Quality", "Renderer"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Quality = Literal["linear", "cubic"]

_REST: Final[Pose] = (0.0, 0.0, 0.0)
_SPLIT: Final = 0.003  # of the mouth width: layers that differ by less are the same
_SMILES: Final = ("mouthSmileLeft", "mouthSmileRight")
_RELEASE: Final = 0.35  # of a smile in the photo, taken back where the lips are rounded
_CREASED: Final = (0.2, 0.8)  # smiles from which on the skin is creased, and fully so
_CLOSED: Final = 0.6  # of a smile's creases go when the mouth closes, the rest when it rounds
# Places of ``Renderer._marks``: corners of the boxes of the eyes and the folds, inner lips.
_LEFT_EYE, _RIGHT_EYE, _FOLDS, _RINGS = np.s_[0:4], np.s_[4:8], np.s_[8:12], np.s_[12:34]
_MARKS: Final = 34
_STAGE_MARGIN: Final = 0.055  # of the frame

# Where the layers differ the most: the widest, longest and narrowest shapes of speech.
_EXTREMES: Final[tuple[Mapping[str, float], ...]] = (
    {"jawOpen": 0.68, "mouthLowerDown": 0.35, "mouthUpperUp": 0.25},
    {"mouthStretch": 0.4, "mouthSmile": 0.35, "jawOpen": 0.2},
    {"mouthPucker": 0.9, "mouthFunnel": 0.3},
    {"mouthFunnel": 0.6, "jawOpen": 0.4},
)


class Layers(NamedTuple):
    """A frame before its background.

    Attributes:
        picture: (H, W, 3) BGR uint8, the person and something beyond their edge.
        alpha: (H, W) uint8, their share of each pixel, as ``Matte.alpha``.
        wide: (H, W) uint8, as ``Matte.wide``.
    """

    picture: Image
    alpha: Image
    wide: Image


class Renderer:
    """Renders expressions, head poses, blinks and glances of one photo.

    Holds only numpy arrays: it can be pickled, forked and used from several threads at once.

    Attributes:
        image: (H, W, 3) BGR uint8 frame the photo was brought to; the rest pose.
        landmarks: (478, 3) float32 points in it, px.
        matte: the person apart from what is behind; None where they cannot be told apart. Where
            the matte is sure the head moves before an unmoved background, elsewhere the picture
            around the head moves along.
    """

    image: Image
    landmarks: Floats
    matte: Matte | None

    def __init__(self, image: Image, points: npt.NDArray[np.floating]) -> None:
        """Fit the rig to a frame.

        Args:
            image: (H, W, 3) BGR uint8, even sides.
            points: (478, 3) landmarks in it, px.
        """
        height, width = image.shape[:2]
        self.image = image
        self.landmarks = np.asarray(points, np.float32)
        self.matte = find_person(image, points)
        self._photo = _sheet(image, None if self.matte is None else self.matte.wide)
        scores = read_blendshapes(self.landmarks)
        smiles = (scores[_SMILES[0]], scores[_SMILES[1]])
        held = stiffness(points) if wears_glasses(image, points) else None
        self._fit: FaceFit = fit_face(load_basis(), points, smiles, held)
        self._smile_rows = [load_basis().index(name) for name in _SMILES]
        self._creased = float(smoothstep(*_CREASED, np.mean(smiles)))
        release = max(_RELEASE - self._fit.relaxed, 0.0)
        self._smile = {name: release * scores[name] for name in _SMILES}
        self._grid = Grid.over(width, height)
        upper, lower, pose = build_fields(self._fit, self._grid)
        tones = measure_tones(image, self._fit)
        interior = MouthInterior(image, self._fit, tones)
        self._eyes = build_eyes(image, self._fit)
        self._folds = Folds((width, height), self._fit, load_basis(), tones.saturation)
        self._creases = Creases(image, self._fit)
        self._layers, self._pose = (upper, lower), pose
        margin = round(_STAGE_MARGIN * max(width, height))
        # as far as a pose may carry the mouth, and a soft border
        self._stage = intersection(padded(self._split(), margin), (0, 0, width, height))
        self._seam = Seam(self._fit, interior, pose.pivot, self._stage, self.size)
        self._full = Window(self._grid, (0, 0, width, height), upper, pose)
        self._windows: dict[Box, tuple[Window, Window]] = {}
        self._cut: Image | None = None
        rings = self._fit.points[[*topology.UPPER_INNER, *topology.LOWER_INNER], :2]
        boxes = [corners(box) for box in (*(eye.box for eye in self._eyes), self._folds.box)]
        self._marks = self._pose.at(self._grid, np.concatenate([*boxes, rings]))

    @classmethod
    def from_image(
        cls, image: Image, landmarks: Landmarks, size: int = 512, crop: Crop = "auto"
    ) -> Renderer:
        """Crop a photo around a face and fit the rig.

        Args:
            image: (H, W, 3) BGR uint8 photo.
            landmarks: the face in it, from ``engine.face.landmarks.find_face``.
            size: side of the frame in px; the longer side where the crop is ``none``.
            crop: ``auto`` makes a square with the face at half its height, ``none`` keeps the
                whole photo.
        """
        frame, points = crop_face(image, landmarks.points, size, crop)
        return cls(frame, points)

    def enlarged(self, size: int) -> Renderer:
        """The same face fitted anew at another resolution, for supersampling.

        Args:
            size: longer side of the frame in px.
        """
        width, height = self.size
        scale = size / max(width, height)
        out = even_size(width, height, scale)
        image = cv2.resize(self.image, out, interpolation=cv2.INTER_LANCZOS4)
        factors = np.array([out[0] / width, out[1] / height, scale])
        shift = np.array([*(0.5 * factors[:2] - 0.5), 0.0])
        return Renderer(np.asarray(image, np.uint8), self.landmarks * factors + shift)

    def over(self, background: Image) -> Renderer:
        """The same face before another background.

        Args:
            background: (H, W, 3) BGR uint8.

        Raises:
            ValueError: there is no ``matte``.
        """
        matte = self.matte
        if matte is None:
            raise ValueError("the person cannot be told from the background")
        twin = copy.copy(self)
        twin.image = composite(matte.foreground, matte.alpha, background)
        twin._photo = _sheet(matte.foreground, matte.alpha)
        twin.matte = Matte(matte.alpha, matte.foreground, background, wide=matte.alpha, sure=True)
        return twin

    def before(self, background: Image) -> Renderer:
        """The same face with what is known to be behind it: shown where the head turns away.

        Args:
            background: (H, W, 3) BGR uint8, that of the ``matte`` where the person leaves it free.

        Raises:
            ValueError: there is no ``matte``.
        """
        return self._with_matte(background=background)

    def apart(self) -> Renderer:
        """The same face, the person moved alone however unsure their edge is.

        Raises:
            ValueError: there is no ``matte``.
        """
        return self._with_matte(sure=True)

    def _with_matte(self, **changes: Any) -> Renderer:
        if self.matte is None:
            raise ValueError("the person cannot be told from the background")
        twin = copy.copy(self)
        twin.matte = replace(self.matte, **changes)
        return twin

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame."""
        return self._grid.width, self._grid.height

    def render(
        self,
        coefficients: npt.NDArray[np.floating],
        *,
        pose: Pose = _REST,
        blink: tuple[float, float] = (0.0, 0.0),
        gaze: tuple[float, float] = (0.0, 0.0),
        units: Mapping[str, float] | None = None,
        close: float = 1.0,
        quality: Quality = "linear",
    ) -> Image:
        """Render a full frame.

        Args:
            coefficients: (16,) mouth shape; all zero is exactly closed lips.
            pose: yaw, pitch, roll in degrees relative to the photo, with the signs of
                ``engine.face.landmarks.head_pose``. Good to about ±10.
            blink: closure of the subject's left and right lid, 0 to 1.
            gaze: degrees the eyes turn: to the right of the picture, and up.
            units: further ARKit units by name, added on top: brows, cheeks, a one-sided smile.
            close: share of the photo's own mouth opening that is closed; 0 keeps a smile as is.
            quality: how the photo is sampled.

        Returns:
            (H, W, 3) BGR uint8.
        """
        cubic = quality == "cubic"
        face = self._express(coefficients, pose, units, close)
        source = self._full.source(face)
        matte = self._moving
        frame, wide = self._paint(self._photo, face, source, blink, gaze, cubic)
        return frame if matte is None else composite(frame, wide, matte.background)

    def layers(
        self,
        coefficients: npt.NDArray[np.floating],
        *,
        clean: bool = True,
        pose: Pose = _REST,
        blink: tuple[float, float] = (0.0, 0.0),
        gaze: tuple[float, float] = (0.0, 0.0),
        units: Mapping[str, float] | None = None,
        close: float = 1.0,
        quality: Quality = "linear",
    ) -> Layers:
        """Render a full frame without its background.

        Args:
            coefficients: as in ``render``, like everything below that is not said here.
            clean: take the colours of the background out of the edge, for another background.
            pose: yaw, pitch, roll in degrees.
            blink: closure of the lids.
            gaze: degrees the eyes turn.
            units: further ARKit units.
            close: share of the photo's own mouth opening that is closed.
            quality: how the photo is sampled.

        Raises:
            ValueError: there is no ``matte``.
        """
        matte = self.matte
        if matte is None:
            raise ValueError("the person cannot be told from the background")
        cubic = quality == "cubic"
        face = self._express(coefficients, pose, units, close)
        source = self._full.source(face)
        if not clean:
            picture, wide = self._paint(self._photo, face, source, blink, gaze, cubic)
            return Layers(picture, resample(matte.alpha, source, cubic=False), wide)
        if self._cut is None:
            self._cut = _sheet(matte.foreground, matte.alpha)
        picture, alpha = self._paint(self._cut, face, source, blink, gaze, cubic)
        return Layers(picture, alpha, resample(matte.wide, source, cubic=False))

    def _paint(
        self,
        photo: Image,
        face: Expressed,
        source: Floats,
        blink: tuple[float, float],
        gaze: tuple[float, float],
        cubic: bool,
    ) -> tuple[Image, Image]:
        """A full frame of the photo, or of a layer of it, and its fourth plane."""
        photo = self._creases.without(photo, face.unsmiled)
        seen = resample(photo, source, cubic)
        frame = np.asarray(cv2.cvtColor(seen, cv2.COLOR_BGRA2BGR), np.uint8)
        eyes = zip(self._eyes, blink, (_LEFT_EYE, _RIGHT_EYE), strict=True)
        for eye, closure, marks in eyes:
            if closure > 0 or any(gaze):
                x0, y0, x1, y1 = self._reach(eye.box, face.carried[marks])
                state = eye.state(closure, gaze)
                eye.paint(frame[y0:y1, x0:x1], source[y0:y1, x0:x1], photo, state, cubic)
        x0, y0, x1, y1 = self._stage
        mouth = frame[y0:y1, x0:x1]
        mouth[:] = self._with_mouth(mouth, photo, self._stage, face, cubic)
        depth = self._folds.strengths(face.strengths)
        if depth.any():
            x0, y0, x1, y1 = self._reach(self._folds.box, face.carried[_FOLDS])
            self._folds.shade(frame[y0:y1, x0:x1], source[y0:y1, x0:x1], depth)
        return frame, np.asarray(cv2.extractChannel(seen, 3), np.uint8)

    @property
    def _moving(self) -> Matte | None:
        """The matte if the person is moved alone."""
        return self.matte if self.moves_alone else None

    @property
    def moves_alone(self) -> bool:
        """Whether the head moves before an unmoved background."""
        return self.matte is not None and self.matte.sure

    def render_patch(
        self,
        coefficients: npt.NDArray[np.floating],
        box: Box,
        *,
        pose: Pose = _REST,
        units: Mapping[str, float] | None = None,
        close: float = 1.0,
        quality: Quality = "linear",
    ) -> Image:
        """Render only a window: that part of ``render``, eyes open.

        Args:
            coefficients: (16,) mouth shape.
            box: the window.
            pose: as in ``render``.
            units: as in ``render``.
            close: as in ``render``.
            quality: as in ``render``.

        Returns:
            (y1 - y0, x1 - x0, 3) BGR uint8.
        """
        cubic = quality == "cubic"
        face = self._express(coefficients, pose, units, close)
        upper, _ = self._window(box)
        source = upper.source(face)
        matte = self._moving
        photo = self._creases.without(self._photo, face.unsmiled)
        seen = resample(photo, source, cubic)
        patch = np.asarray(cv2.cvtColor(seen, cv2.COLOR_BGRA2BGR), np.uint8)
        x0, y0, x1, y1 = inner = intersection(box, self._stage)
        if x1 > x0 and y1 > y0:
            part = patch[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
            part[:] = self._with_mouth(part, photo, inner, face, cubic)
        self._folds.shade(patch, source, self._folds.strengths(face.strengths))
        if matte is None:
            return patch
        x0, y0, x1, y1 = box
        alpha = np.asarray(cv2.extractChannel(seen, 3), np.uint8)
        return composite(patch, alpha, matte.background[y0:y1, x0:x1])

    def posed_points(
        self,
        pose: Pose,
        coefficients: npt.NDArray[np.floating] | None = None,
        units: Mapping[str, float] | None = None,
    ) -> Floats:
        """The landmarks (478, 2), px, after a pose, a mouth shape (closed by default) and units.

        Blinks and glances move none of them.
        """
        zero = np.zeros(len(COEFFICIENTS), np.float32)
        face = self._express(zero if coefficients is None else coefficients, pose, units, 1.0)
        moved = self._fit.displaced(face.strengths, face.close, face.seal)
        return (moved + self._pose_at(self._fit.points[:, :2], pose)).astype(np.float32)

    def _express(
        self,
        coefficients: npt.NDArray[np.floating],
        pose: Pose,
        units: Mapping[str, float] | None,
        close: float,
    ) -> Expressed:
        vector = np.clip(np.asarray(coefficients, np.float32), 0, 1)
        if vector.shape != (len(COEFFICIENTS),):
            raise ValueError(f"coefficients must have shape (16,), not {vector.shape}")
        strengths, seal = speech_units(vector, units)
        # Nobody rounds the lips while smiling: orbicularis oris pulls against zygomaticus major.
        rounding = min(1.0, float(vector[INDEX["mouthPucker"]] + vector[INDEX["mouthFunnel"]]))
        if rounding > 0:
            for name, smile in self._smile.items():
                strengths[load_basis().index(name)] -= rounding * smile
        smiling = float(np.clip(strengths[self._smile_rows].mean(), 0, 1))
        unsmiled = self._creased * (_CLOSED * close + (1 - _CLOSED) * rounding) * (1 - smiling)
        lips, added = self._fit.lips(strengths, close, seal)
        carried = self._marks.displacement(pose) if any(pose) else np.zeros((_MARKS, 2), np.float32)
        return Expressed(strengths, close, seal, unsmiled, lips, added, pose, vector, carried)

    def _with_mouth(
        self, upper: Image, photo: Image, box: Box, face: Expressed, cubic: bool
    ) -> Image:
        """A window with the lower layer and the inside of the mouth, given its upper layer."""
        _, window = self._window(box)
        lower = resample(photo, window.source(face), cubic)
        below = np.asarray(cv2.cvtColor(lower, cv2.COLOR_BGRA2BGR), np.uint8)
        return self._seam.join(upper, below, box, face, face.carried[_RINGS])

    def _pose_at(self, points: Doubles, pose: Pose) -> Doubles:
        """Displacement (n, 2) of points of the photo under a pose."""
        if not any(pose):
            return np.zeros((len(points), 2))
        return self._pose.at(self._grid, points).displacement(pose).astype(np.float64)

    def _reach(self, box: Box, carried: Floats) -> Box:
        """The part of the frame in which a box of the photo appears when its corners moved."""
        moved = corners(box) + carried
        x0, y0 = np.floor(moved.min(0)).astype(int).tolist()
        x1, y1 = np.ceil(moved.max(0)).astype(int).tolist()
        return intersection((x0 - 4, y0 - 4, x1 + 5, y1 + 5), (0, 0, *self.size))

    def _window(self, box: Box) -> tuple[Window, Window]:
        """Upper and lower layer of a part of the frame, kept for the next frame."""
        if box not in self._windows:
            self._windows[box] = (
                Window(self._grid, box, self._layers[0], self._pose),
                Window(self._grid, box, self._layers[1], self._pose),
            )
        return self._windows[box]

    def _split(self) -> Box:
        """The part of the frame that the two layers show differently."""
        grid, k = self._grid, self._grid.cell
        split = np.zeros((grid.rows, grid.columns), np.float32)
        for extreme in _EXTREMES:
            vector = np.zeros(len(COEFFICIENTS), np.float32)
            for name, value in extreme.items():
                vector[INDEX[name]] = value
            face = self._express(vector, _REST, None, 1.0)
            upper, lower = (
                layer.displacement(face.strengths, 1, face.added) for layer in self._layers
            )
            np.maximum(split, np.linalg.norm(upper - lower, axis=2), out=split)
        active = split > _SPLIT * self._fit.mouth_width
        rows, columns = np.flatnonzero(active.any(1)), np.flatnonzero(active.any(0))
        return (
            int(columns[0]) * k,
            int(rows[0]) * k,
            int(columns[-1] + 1) * k,
            int(rows[-1] + 1) * k,
        )


def _sheet(colours: Image, alpha: Image | None) -> Image:
    """A picture and its alpha as one (H, W, 4), which OpenCV samples faster than (H, W, 3)."""
    full = np.full(colours.shape[:2], 255, np.uint8) if alpha is None else alpha
    return np.asarray(cv2.merge((*cv2.split(colours), full)), np.uint8)
