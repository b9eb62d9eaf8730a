"""Movement that is not speech: head, eyes, brows, lids and breath over frames."""

from engine.motion.face import MOUTH_UNITS, REST, UNITS, FaceState, RenderArguments, Track
from engine.motion.idle import IdleMotion, idle

__all__ = [
    "MOUTH_UNITS",
    "REST",
    "UNITS",
    "FaceState",
    "IdleMotion",
    "RenderArguments",
    "Track",
    "idle",
]
