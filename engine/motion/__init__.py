"""Movement that is not speech: head, eyes, brows, lids and breath over frames."""

from engine.motion.emotions import EMOTIONS, emotion
from engine.motion.face import MOUTH_UNITS, REST, UNITS, FaceState, RenderArguments, Track
from engine.motion.gestures import ALIASES, GESTURES, canonical, gesture
from engine.motion.idle import IdleMotion, idle
from engine.motion.performer import Performer

__all__ = [
    "ALIASES",
    "EMOTIONS",
    "GESTURES",
    "MOUTH_UNITS",
    "REST",
    "UNITS",
    "FaceState",
    "IdleMotion",
    "Performer",
    "RenderArguments",
    "Track",
    "canonical",
    "emotion",
    "gesture",
    "idle",
]
