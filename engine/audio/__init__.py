"""Sound in: decode any file and resample it."""

from engine.audio.decode import decode, iter_decode, to_float
from engine.audio.resample import Resampler

__all__ = ["Resampler", "decode", "iter_decode", "to_float"]
