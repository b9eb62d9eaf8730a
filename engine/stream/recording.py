"""Recordings of every supported kind, and the frames in which an avatar says one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from engine.audio import iter_decode, to_float
from engine.coefficients import SAMPLE_RATE
from engine.errors import InvalidAudio
from engine.stream.inbox import Pcm, check_pcm
from engine.stream.session import Playable, Session
from engine.stream.types import FrameState
from engine.stream.utterance import Floats

__all__ = ["Audio", "pieces", "speech_frames"]

Audio = str | os.PathLike[str] | Pcm | Iterable[Pcm]
"""A sound or video file by path, 16 kHz mono PCM (see ``Session.push_audio``), or pieces of it."""


def speech_frames(avatar: Playable, blocks: Iterable[tuple[Floats, int]]) -> Iterator[FrameState]:
    """Frames of one utterance as soon as its sound allows, ``ceil(samples / 640)`` of them.

    Args:
        avatar: who speaks.
        blocks: sound and its rate in Hz, as ``pieces`` gives it.
    """
    session = Session(avatar, seed=0)
    for samples, rate in blocks:
        session.push_audio(samples, rate)
        while session.ready:
            yield session.next_index()
    session.flush()
    while session.ready:
        yield session.next_index()


def pieces(audio: Audio, rate: int = SAMPLE_RATE) -> Iterator[tuple[Floats, int]]:
    """Sound of any supported kind, as mono float32 in [-1, 1] of a second or less, and its rate.

    Args:
        audio: what to read.
        rate: in Hz, at which files are decoded; PCM always has 16 kHz.

    Raises:
        InvalidAudio: not a file that can be decoded, or not PCM.
    """
    if isinstance(audio, str | os.PathLike):
        for block in iter_decode(Path(audio), rate):
            yield block, rate
        return
    if isinstance(audio, bytes | bytearray | memoryview | np.ndarray):
        audio = [audio]
    elif not isinstance(audio, Iterable):
        raise InvalidAudio(f"{type(audio).__name__} is not sound")
    odd = b""
    for piece in audio:
        check_pcm(piece)
        if isinstance(piece, np.ndarray):
            samples = to_float(piece)
        else:
            data = odd + bytes(piece)
            odd = data[len(data) & ~1 :]  # pieces may be cut inside a sample
            samples = to_float(data[: len(data) & ~1])
        for start in range(0, len(samples), SAMPLE_RATE):
            yield samples[start : start + SAMPLE_RATE], SAMPLE_RATE
