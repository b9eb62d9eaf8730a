"""Colours taken from the photo, so that what is drawn belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.face import topology
from engine.face.boxes import Box
from engine.face.curves import catmull_rom, fill, smoothstep
from engine.face.fit import FaceFit

__all__ = ["LUMA", "Tones", "measure_tones", "photo_opening"]

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

LUMA: Final = np.array([0.114, 0.587, 0.299], np.float32)  # ITU-R BT.601, BGR

_SKIN: Final = (50, 280, 205, 425, 187, 411, 101, 330)
_LIPS: Final = (0, 17, 15, 16, 85, 315, 84, 314)
_OVER_LIP: Final = (164, 167, 393, 165, 391, 37, 267)
_HAIR: Final = (0.65, 0.40)  # of the skin's light over the lip: no moustache, and surely one
_AROUND_MOUTH: Final = (164, 167, 393, 18, 83, 313, 57, 287)
_TEETH_TINT: Final = np.array([0.84, 0.96, 1.03])


@dataclass(frozen=True)
class Tones:
    """BGR colours, float64 (3,), and what the photo's own opening shows.

    Attributes:
        saturation: 0 for a black and white photo, 1 for ordinary skin.
        shows_teeth: the photo shows teeth well enough to use its own pixels for them.
        moustache: 0 for none, 1 for one that hangs over the lip.
    """

    skin: npt.NDArray[np.float64]
    lip: npt.NDArray[np.float64]
    teeth: npt.NDArray[np.float64]
    gum: npt.NDArray[np.float64]
    tongue: npt.NDArray[np.float64]
    cavity: npt.NDArray[np.float64]
    saturation: float
    shows_teeth: bool
    moustache: float


def photo_opening(fit: FaceFit) -> npt.NDArray[np.float64]:
    """Polygon (n, 2) of the opening between the lips in the photo itself."""
    upper = catmull_rom(fit.points[list(topology.UPPER_INNER), :2])
    lower = catmull_rom(fit.points[list(topology.LOWER_INNER), :2])
    return np.concatenate([upper, lower[::-1]])


def measure_tones(image: Image, fit: FaceFit) -> Tones:
    """Measure skin, lips and eye white, and derive teeth, gums, tongue and the dark behind them.

    The tints follow the photo's saturation: black and white stays black and white.
    """
    skin, lip = _median_at(image, fit, _SKIN), _median_at(image, fit, _LIPS)
    light = float(skin @ LUMA)
    over_lip = float(_median_at(image, fit, _OVER_LIP) @ LUMA)
    moustache = float(smoothstep(*_HAIR, over_lip / max(light, 1)))
    white = _eye_white(image, fit, skin)
    # eyes in shadow, or narrowed, show no white that teeth could be judged by
    trust = float(np.clip((float(white @ LUMA) / max(light, 1) - 0.8) / 0.3, 0, 1))
    plain = 0.55 * _TEETH_TINT + 0.45 * np.clip(skin / max(light, 1), 0.6, 1.3)
    white = trust * white + (1 - trust) * 1.15 * light * plain
    saturation = float(np.clip(np.ptp(skin) / max(skin.max(), 1) / 0.30, 0, 1))

    brightness = 0.62 * float(white @ LUMA) + 0.60 * light
    # a hat shades the cheeks more than the mouth, a beard darkens only the mouth
    light = max(light, 0.92 * float(_median_at(image, fit, _AROUND_MOUTH) @ LUMA))
    brightness = max(brightness, 0.62 * float(white @ LUMA) + 0.60 * light)
    most = max(1.28 * light, 160.0, min(0.92 * float(white @ LUMA), 196.0))
    brightness = min(float(np.clip(brightness, 1.10 * light, most)), 232)
    tint = 0.55 * _TEETH_TINT / float(_TEETH_TINT @ LUMA)
    tint = tint + 0.35 * np.clip(white / max(float(white @ LUMA), 1), 0.75, 1.2)
    tint = tint + 0.10 * np.clip(skin / max(light, 1), 0.6, 1.3)
    teeth = np.clip(brightness * (1 + (tint - 1) * saturation), 0, 248)

    shows_teeth = False
    height, width = image.shape[:2]
    inside = image[fill([photo_opening(fit)], (0, 0, width, height)) > 0.95].astype(np.float64)
    if fit.gap > 0.09 and len(inside) > 60:
        bright = inside @ LUMA
        own = _chroma(skin[None])[0]
        toothy = (bright > 0.62 * light) & ((_chroma(inside) < 1.1 * own) | (own < 0.06))
        shows_teeth = bool(toothy.mean() > 0.33)
        if shows_teeth:
            teeth = np.clip(np.median(inside[bright > np.percentile(bright, 60)], 0), 0, 250)

    def muted(colour: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        grey = float(colour @ LUMA)
        muted: npt.NDArray[np.float64] = grey + (colour - grey) * saturation
        return muted

    return Tones(
        skin=skin,
        lip=lip,
        teeth=teeth,
        gum=muted(lip * [0.9, 0.8, 1.0]),
        tongue=muted(0.55 * lip * [0.85, 0.80, 1.0] + np.array([17.5, 17.5, 37.5]) * light / 150),
        cavity=muted(np.array([0.06, 0.045, 0.14]) * light),
        saturation=saturation,
        shows_teeth=shows_teeth,
        moustache=moustache,
    )


def _chroma(colours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    chroma: npt.NDArray[np.float64] = np.ptp(colours, axis=-1) / np.maximum(colours.max(-1), 1)
    return chroma


def _median_at(image: Image, fit: FaceFit, points: tuple[int, ...]) -> npt.NDArray[np.float64]:
    height, width = image.shape[:2]
    samples = []
    for x, y in fit.points[list(points), :2]:
        cx, cy = int(np.clip(x, 1, width - 2)), int(np.clip(y, 1, height - 2))
        samples.append(image[cy - 1 : cy + 2, cx - 1 : cx + 2].reshape(-1, 3))
    median: npt.NDArray[np.float64] = np.median(np.concatenate(samples).astype(np.float64), 0)
    return median


def _eye_white(
    image: Image, fit: FaceFit, fallback: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    lids = (
        (topology.RIGHT_EYE_UPPER, topology.RIGHT_EYE_LOWER),
        (topology.LEFT_EYE_UPPER, topology.LEFT_EYE_LOWER),
    )
    polygons = [
        np.concatenate([fit.points[list(up), :2], fit.points[list(low), :2][::-1]])
        for up, low in lids
    ]
    box: Box = (0, 0, image.shape[1], image.shape[0])
    inside = image[fill(polygons, box) > 0.9].astype(np.float64)
    if len(inside) < 10:
        return fallback
    light = inside @ LUMA
    white: npt.NDArray[np.float64] = inside[light >= np.percentile(light, 85)].mean(0)
    return white
