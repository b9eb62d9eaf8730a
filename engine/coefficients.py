"""The one vocabulary between speech and face, and the one clock.

A *coefficient vector* is float32 of shape (16,), each value in [0, 1]: how far a mouth shape of
Apple's ARKit blendshape set is applied, left and right side together. ``tongueUp`` (tip at the
ridge behind the upper teeth) and ``lipClosure`` (lips sealed, as in m, b, p) are not part of
ARKit: the first is drawn by the mouth interior, the second steers the choice of a mouth shape.
"""

from __future__ import annotations

from typing import Final

COEFFICIENTS: Final = (
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthStretch",
    "mouthSmile",
    "mouthLowerDown",
    "mouthUpperUp",
    "mouthPress",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthDimple",
    "jawForward",
    "tongueOut",
    "tongueUp",
    "lipClosure",
)
INDEX: Final = {name: i for i, name in enumerate(COEFFICIENTS)}

FPS: Final = 25
SAMPLE_RATE: Final = 16_000
SAMPLES_PER_FRAME: Final = SAMPLE_RATE // FPS  # 640 samples, 40 ms
