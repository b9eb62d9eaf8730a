"""Gestures of a head: short tracks that begin and end at rest.

Written as key poses, joined by minimum-jerk moves (Flash and Hogan, 1985): velocity and
acceleration are zero at each key, so a gesture can be laid over any motion without a jolt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.coefficients import FPS
from engine.errors import NotSupported
from engine.motion import curves
from engine.motion.face import REST, SIZE, FaceState, Track

__all__ = ["ALIASES", "GESTURES", "canonical", "gesture"]


@dataclass(frozen=True, slots=True)
class _Key:
    """A state that is reached at a time in seconds and held for a while."""

    at: float
    state: FaceState
    hold: float = 0.0


def _both(**strengths: float) -> dict[str, float]:
    """Units of both sides from names without a side."""
    return {f"{name}{side}": value for name, value in strengths.items() for side in _SIDES}


def _shares(units: dict[str, float], share: float) -> dict[str, float]:
    return {name: share * value for name, value in units.items()}


_SIDES: Final = ("Left", "Right")
_of = FaceState.of


def _nod() -> list[_Key]:
    # Lifted first, as before every throw of weight; the lids go down with the head.
    brows = {"browInnerUp": 0.15, **_both(browOuterUp=0.2)}
    return [
        _Key(0.16, _of((0.0, -1.6, 0.0), units=brows)),
        _Key(0.44, _of((0.0, 7.0, 0.0), (0.3, 0.3), gaze=(0.0, 3.5))),
        _Key(0.74, _of((0.0, -2.0, 0.0), units=brows)),
        _Key(1.04, _of((0.0, 4.5, 0.0), (0.15, 0.15), gaze=(0.0, 2.2))),
        _Key(1.36, _of((0.0, -0.9, 0.0))),
        _Key(1.76, REST),
    ]


def _shake() -> list[_Key]:
    # The eyes stay on the viewer while the head turns (vestibulo-ocular reflex).
    stern = _both(browDown=0.3, mouthPress=0.15)
    return [
        _Key(0.16, _of((-1.4, 0.3, -0.2), (0.35, 0.35), gaze=(-1.0, 0.0))),
        _Key(0.46, _of((6.8, 0.4, 0.8), gaze=(4.7, 0.0), units=stern)),
        _Key(0.86, _of((-6.8, 1.0, -0.8), gaze=(-4.7, 0.0), units=stern)),
        _Key(1.24, _of((5.0, 0.8, 0.6), gaze=(3.5, 0.0), units=stern)),
        _Key(1.60, _of((-2.5, 0.2, -0.2), gaze=(-1.8, 0.0))),
        _Key(1.96, REST),
    ]


def _tilt() -> list[_Key]:
    units = {"browInnerUp": 0.35, "browOuterUpRight": 0.4, "mouthSmileLeft": 0.15}
    over = _of((1.7, 1.0, 8.2), units=units)
    return [
        _Key(0.18, _of((-0.3, -0.4, -1.0), (0.2, 0.2))),
        _Key(0.58, over),
        _Key(0.85, _of((1.5, 0.8, 7.2), units=units), hold=0.6),
        _Key(2.1, REST),
    ]


def _wink() -> list[_Key]:
    units = {
        "cheekSquintLeft": 0.7,
        "eyeSquintLeft": 0.5,
        "browDownLeft": 0.3,
        "mouthSmileLeft": 0.45,
        "mouthSmileRight": 0.2,
    }
    return [
        _Key(0.2, _of((0.0, 1.0, 1.5), blink=(0.15, 0.0), units=units)),
        _Key(0.34, _of((0.0, 1.5, 2.0), blink=(1.0, 0.0), units=units), hold=0.16),
        _Key(0.72, _of((0.0, 0.8, 1.5), units={**units, "cheekSquintLeft": 0.3})),
        _Key(1.3, REST),
    ]


def _laugh() -> list[_Key]:
    keys: list[_Key] = []
    for beat, strength in enumerate((1.0, 0.9, 0.95, 0.8, 0.7, 0.5)):
        at = 0.4 + 0.24 * beat  # laughter comes in about four or five notes a second
        units = _both(mouthSmile=0.75, cheekSquint=0.75, eyeSquint=0.55, mouthUpperUp=0.2)
        lids = (0.25, 0.25)
        up = _of((0.0, -3.5 * strength, 1.0), lids, units={**units, "jawOpen": 0.2 * strength})
        down = _of((0.0, -1.2 * strength, 1.0), lids, units={**units, "jawOpen": 0.07})
        keys += [_Key(at, up), _Key(at + 0.12, down)]
    return [*keys, _Key(2.5, REST)]


def _smile() -> list[_Key]:
    units = _both(mouthSmile=0.65, cheekSquint=0.5, eyeSquint=0.25)
    glad = _of((0.0, -0.6, 1.2), units=units)
    # the eyes join in a moment after the lips (Duchenne's smile)
    return [
        _Key(0.40, _of((0.0, 0.8, 0.4), units={**_both(mouthSmile=0.5, cheekSquint=0.2)})),
        _Key(0.75, glad, hold=0.9),
        _Key(2.4, REST),
    ]


def _surprise() -> list[_Key]:
    units = {"browInnerUp": 0.9, "jawOpen": 0.16, **_both(browOuterUp=0.9, eyeWide=0.8)}
    # startled: the lids meet before they fly open, the head goes down before it goes back
    startled = _of((0.0, 1.2, 0.0), (0.75, 0.75), units=_both(browDown=0.2))
    back = _of((0.0, -4.0, 0.0), units=units)
    settled = _of((0.0, -2.8, 0.0), units=_shares(units, 0.85))
    return [_Key(0.14, startled), _Key(0.36, back), _Key(0.7, settled, hold=0.4), _Key(1.8, REST)]


def _think() -> list[_Key]:
    units = {
        "browDownLeft": 0.45,
        "browOuterUpRight": 0.65,
        "mouthLeft": 0.2,
        **_both(mouthPress=0.35),
    }
    begin = _of((0.5, 0.5, -0.5), (0.6, 0.6), gaze=(1.0, 0.0))
    away = _of((-4.2, -2.2, 3.4), gaze=(7.5, 5.5), units=units)
    further = _of((-4.5, -2.5, 3.5), gaze=(5.5, 6.5), units=units)
    return [
        _Key(0.16, begin),
        _Key(0.5, away, hold=0.5),
        _Key(1.2, further, hold=0.6),
        _Key(2.4, REST),
    ]


def _bow() -> list[_Key]:
    low = _of((0.0, 9.5, 0.0), blink=(0.7, 0.7), gaze=(0.0, -2.0))
    return [
        _Key(0.2, _of((0.0, -1.5, 0.0), units={"browInnerUp": 0.2})),
        _Key(0.85, low, hold=0.35),
        _Key(1.8, _of((0.0, -0.7, 0.0), units=_both(mouthSmile=0.2))),
        _Key(2.2, REST),
    ]


def _greet() -> list[_Key]:
    # The eyebrow flash with which people everywhere greet at a distance (Eibl-Eibesfeldt, 1972).
    flash = {"browInnerUp": 0.7, **_both(browOuterUp=0.8, eyeWide=0.3, mouthSmile=0.35)}
    warm = _both(mouthSmile=0.45, cheekSquint=0.35)
    return [
        _Key(0.24, _of((0.0, -2.5, 0.0), units=flash), hold=0.1),
        _Key(0.75, _of((0.0, 4.0, 1.0), units=warm)),
        _Key(1.2, _of((0.0, -0.5, 0.5), units=warm), hold=0.2),
        _Key(2.0, REST),
    ]


def _frown() -> list[_Key]:
    units = {"mouthShrugLower": 0.25, **_both(browDown=0.95, mouthFrown=0.6, eyeSquint=0.35)}
    return [
        _Key(0.16, _of((0.0, -0.8, 0.0), (0.3, 0.3))),
        _Key(0.5, _of((0.0, 3.0, 0.8), gaze=(0.0, 1.5), units=units), hold=0.7),
        _Key(1.9, REST),
    ]


def _kiss() -> list[_Key]:
    kiss = _of((0.0, -1.5, 1.5), (0.6, 0.6), units={"mouthPucker": 0.95})
    after = _of((0.0, 0.5, 0.5), units=_both(mouthSmile=0.4, cheekSquint=0.3))
    lean = _of((0.0, 1.0, 0.5), units={"mouthPucker": 0.4})
    return [
        _Key(0.18, lean),
        _Key(0.5, kiss, hold=0.22),
        _Key(1.0, after, hold=0.3),
        _Key(1.9, REST),
    ]


_MAKE: Final[Mapping[str, Callable[[], list[_Key]]]] = {
    "nod": _nod,
    "shake": _shake,
    "tilt": _tilt,
    "wink": _wink,
    "laugh": _laugh,
    "smile": _smile,
    "surprise": _surprise,
    "think": _think,
    "bow": _bow,
    "greet": _greet,
    "frown": _frown,
    "kiss": _kiss,
}

GESTURES: Final = tuple(_MAKE)
"""What a head can do."""

ALIASES: Final[Mapping[str, str]] = {
    "yes": "nod",
    "agree": "nod",
    "head_nod": "nod",
    "talk_head_nod_subtle": "nod",
    "no": "shake",
    "disagree": "shake",
    "head_shake": "shake",
    "talk_head_shake_subtle": "shake",
    "curious": "tilt",
    "head_tilt": "tilt",
    "wink_eye": "wink",
    "happy": "smile",
    "smile_subtle": "smile",
    "laugh_react": "laugh",
    "surprised": "surprise",
    "surprise_react": "surprise",
    "thinking": "think",
    "hello": "greet",
    "mini_wave_hello": "greet",
    "wave": "greet",
    "thank_you": "bow",
    "blow_kiss": "kiss",
    "blow_kiss_heart": "kiss",
    "sad": "frown",
}
"""Other names for some of them, among them those that scripts for other avatars use. A head has no
hand to wave: it greets with the brows and a nod."""

_MIRRORED: Final = ("tilt", "shake", "wink", "think")  # as good the other way round


def canonical(name: str) -> str:
    """The name in ``GESTURES`` that a name or alias stands for.

    Raises:
        NotSupported: ``GESTURE``.
    """
    plain = ALIASES.get(name, name)
    if plain not in _MAKE:
        raise NotSupported(
            f"a head cannot do {name!r}", code="GESTURE", hint=f"Gestures: {', '.join(GESTURES)}."
        )
    return plain


def gesture(name: str, seed: int = 0) -> Track:
    """Make a gesture.

    Args:
        name: one of ``GESTURES`` or an alias.
        seed: varies its size, speed and side a little; 0 is the plain one.

    Returns:
        1 to 3 seconds; the first and the last frame are ``REST``.

    Raises:
        NotSupported: ``GESTURE``.
    """
    plain = canonical(name)
    keys = _MAKE[plain]()
    size = pace = 1.0
    if seed:
        rng = np.random.default_rng(seed)
        size, pace = float(rng.uniform(0.85, 1.1)), float(rng.uniform(0.93, 1.1))
        if plain in _MIRRORED and rng.random() < 0.5:
            keys = [_Key(key.at, key.state.mirrored(), key.hold) for key in keys]
    frames = round(keys[-1].at * pace * FPS) + 1
    time = np.arange(frames) / (FPS * pace)
    values = np.zeros((frames, SIZE))
    previous, left_at = REST.vector, 0.0
    for key in keys:
        step = size * (key.state.vector - previous)
        values += curves.minimum_jerk((time - left_at) / (key.at - left_at))[:, None] * step
        previous, left_at = key.state.vector, key.at + key.hold
    values[-1] = 0.0
    return Track(values.astype(np.float32)).clipped()
