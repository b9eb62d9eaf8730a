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


def _both(**strengths: float) -> dict[str, float]:
    """Units of both sides from names without a side."""
    return {f"{name}{side}": value for name, value in strengths.items() for side in _SIDES}


_SIDES: Final = ("Left", "Right")
_STATES: Final[Mapping[str, FaceState]] = {
    "neutral": REST,
    "joy": FaceState.of(  # AU 6 + 12
        (0.0, -1.2, 1.0),
        units=_both(cheekSquint=0.65, mouthSmile=0.6, eyeSquint=0.3, browOuterUp=0.15),
    ),
    "sadness": FaceState.of(  # AU 1 + 4 + 15 + 17
        (0.0, 5.0, 1.8),
        blink=(0.2, 0.2),
        gaze=(0.0, -3.0),
        units={
            "browInnerUp": 1.0,
            "mouthShrugLower": 0.3,
            **_both(browDown=0.2, mouthFrown=0.75, browOuterUp=-0.3),
        },
    ),
    "anger": FaceState.of(  # AU 4 + 5 + 7 + 23, from under the brows
        (0.0, 3.5, 0.0),
        gaze=(0.0, 2.5),
        units={
            "browInnerUp": -0.3,
            **_both(browDown=1.0, eyeSquint=0.45, noseSneer=0.5, mouthPress=0.35),
            **_both(mouthFrown=0.3),
        },
    ),
    "surprise": FaceState.of(  # AU 1 + 2 + 5 + 26
        (0.0, -3.0, 0.0),
        units={"browInnerUp": 1.0, "jawOpen": 0.10, **_both(browOuterUp=1.0, eyeWide=0.9)},
    ),
    "thinking": FaceState.of(
        (-3.0, -1.5, 3.5),
        gaze=(5.5, 4.5),
        units={
            "browDownLeft": 0.55,
            "browOuterUpRight": 0.75,
            "mouthLeft": 0.15,
            "eyeSquintLeft": 0.25,
            **_both(mouthPress=0.25),
        },
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
