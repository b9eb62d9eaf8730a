"""Moods: how a face is held over seconds, on top of everything else it does.

The units follow the prototypes of the Facial Action Coding System (Ekman and Friesen, 1978),
without those that would keep the lips from closing on m, b and p.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.errors import NotSupported
from engine.motion.face import REST, FaceState

__all__ = ["EMOTIONS", "emotion"]

_STATES: Final[Mapping[str, FaceState]] = {
    "neutral": REST,
    "joy": FaceState.of(  # AU 6 + 12
        (0.0, -0.8, 0.0),
        units={
            "cheekSquintLeft": 0.55,
            "cheekSquintRight": 0.55,
            "mouthSmileLeft": 0.5,
            "mouthSmileRight": 0.5,
            "eyeSquintLeft": 0.2,
            "eyeSquintRight": 0.2,
            "browOuterUpLeft": 0.1,
            "browOuterUpRight": 0.1,
        },
    ),
    "sadness": FaceState.of(  # AU 1 + 4 + 15
        (0.0, 3.0, 1.0),
        blink=(0.14, 0.14),
        gaze=(0.0, -2.5),
        units={
            "browInnerUp": 0.8,
            "browDownLeft": 0.15,
            "browDownRight": 0.15,
            "mouthFrownLeft": 0.55,
            "mouthFrownRight": 0.55,
        },
    ),
    "anger": FaceState.of(  # AU 4 + 5 + 7 + 23
        (0.0, 2.0, 0.0),
        units={
            "browDownLeft": 0.9,
            "browDownRight": 0.9,
            "eyeSquintLeft": 0.35,
            "eyeSquintRight": 0.35,
            "noseSneerLeft": 0.35,
            "noseSneerRight": 0.35,
            "mouthPressLeft": 0.2,
            "mouthPressRight": 0.2,
        },
    ),
    "surprise": FaceState.of(  # AU 1 + 2 + 5
        (0.0, -2.0, 0.0),
        units={
            "browInnerUp": 0.8,
            "browOuterUpLeft": 0.8,
            "browOuterUpRight": 0.8,
            "eyeWideLeft": 0.7,
            "eyeWideRight": 0.7,
        },
    ),
    "thinking": FaceState.of(
        (-2.0, -1.0, 2.5),
        gaze=(4.0, 3.5),
        units={"browDownLeft": 0.35, "browOuterUpRight": 0.45, "mouthPressLeft": 0.15},
    ),
}

EMOTIONS: Final = tuple(_STATES)
"""Moods that can be asked for."""


def emotion(name: str) -> FaceState:
    """The state that shows a mood at full strength.

    Raises:
        NotSupported: ``EMOTION``.
    """
    if name not in _STATES:
        raise NotSupported(
            f"there is no mood {name!r}", code="EMOTION", hint=f"Moods: {', '.join(EMOTIONS)}."
        )
    return _STATES[name]
