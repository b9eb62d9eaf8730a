"""Somebody speaking, for as long as a test wants; the speech network is not moved by a buzz."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from bithuman_cli import resources
from engine.audio import decode


@functools.cache
def _sample(rate: int) -> NDArray[np.float32]:
    return decode(resources.find("web") / "audio" / "hello.mp3", rate)


def voice(seconds: float, rate: int = 16_000) -> NDArray[np.float32]:
    """The bundled sample, over and over: float32 (n,) in [-1, 1]."""
    return np.resize(_sample(rate), round(seconds * rate))


def voice_pcm(seconds: float, rate: int = 16_000) -> NDArray[np.int16]:
    """The same as int16 (n,)."""
    return (voice(seconds, rate) * 32767).astype(np.int16)
