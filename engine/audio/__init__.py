"""Sound in: decode any file, resample, and the log-mel picture the speech network reads."""

from engine.audio.decode import decode, iter_decode, to_float
from engine.audio.mel import MEL_BANDS, MEL_HOP, LogMel
from engine.audio.resample import Resampler

__all__ = ["MEL_BANDS", "MEL_HOP", "LogMel", "Resampler", "decode", "iter_decode", "to_float"]
