"""Speech to mouth shapes: 16 kHz sound in, 25 coefficient vectors per second out."""

from engine.speech.network import SpeechNetwork
from engine.speech.stream import (
    LOOK_AHEAD_FRAMES,
    SilenceGate,
    SpeechStream,
    coefficients,
    process_batch,
)

__all__ = [
    "LOOK_AHEAD_FRAMES",
    "SilenceGate",
    "SpeechNetwork",
    "SpeechStream",
    "coefficients",
    "process_batch",
]
