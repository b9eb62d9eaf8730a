"""Any sound file, or the sound of any video file, as mono samples."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import RATES, Resampler
from engine.coefficients import SAMPLE_RATE
from engine.errors import InvalidAudio
from engine.files import is_unread, not_read

if TYPE_CHECKING:  # 16 MB that live sound has no use for
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

AudioSource = str | Path | bytes | BinaryIO
_UNSAFE_PLANES = 8  # from here on PyAV reads beyond its list of planes, and crashes
_MOST_CHANNELS = 64
_HINT = "Give a sound or video file such as WAV, MP3, M4A, OGG, FLAC, MP4 or WebM."


def decode(
    source: AudioSource, sample_rate: int = SAMPLE_RATE, limit: float | None = None
) -> NDArray[np.float32]:
    """Decodes a whole file.

    Args:
        source: path, the bytes of a file, or a binary file object.
        sample_rate: wanted rate in Hz.
        limit: stop after this many seconds.

    Returns:
        (n,) float32 mono in [-1, 1].

    Raises:
        InvalidAudio: AUDIO_NOT_FOUND, FILE_NOT_ACCESSIBLE, AUDIO_UNREADABLE or AUDIO_EMPTY.
    """
    blocks = list(iter_decode(source, sample_rate, limit))
    return np.concatenate(blocks)


def iter_decode(
    source: AudioSource, sample_rate: int = SAMPLE_RATE, limit: float | None = None
) -> Iterator[NDArray[np.float32]]:
    """Like :func:`decode`, in blocks as they are decoded, so that memory stays small.

    Damaged packets are left out as players do; a file of which nothing can be decoded is
    refused.

    Yields:
        (n,) float32 mono in [-1, 1], n > 0.

    Raises:
        InvalidAudio: AUDIO_NOT_FOUND, FILE_NOT_ACCESSIBLE, AUDIO_UNREADABLE or AUDIO_EMPTY.
    """
    name = _name(source)
    remaining = None if limit is None else max(1, round(limit * sample_rate))
    any_sound = False
    with _open(source, name) as container:
        if not container.streams.audio:
            raise InvalidAudio(f"{name} has no sound track.", code="AUDIO_UNREADABLE", hint=_HINT)
        # No context, whatever PyAV's stubs say, where the codec is unknown.
        if getattr(container.streams.audio[0], "codec_context", None) is None:
            raise InvalidAudio(
                f"{name} has sound of an unknown kind.", code="AUDIO_UNREADABLE", hint=_HINT
            )
        blocks = _merged(_mono(container, container.streams.audio[0]))
        for block in _resampled(blocks, sample_rate):
            if len(block) == 0:
                continue
            any_sound = True
            if remaining is None:
                yield block
                continue
            yield block[:remaining]
            remaining -= len(block)
            if remaining <= 0:
                return
    if not any_sound:
        raise InvalidAudio(
            f"{name} contains no sound: it has no samples.", code="AUDIO_EMPTY", hint=_HINT
        )


def to_float(
    pcm: bytes | bytearray | memoryview | NDArray[np.generic], channels: int = 1
) -> NDArray[np.float32]:
    """Raw PCM as clean mono samples.

    Args:
        pcm: little-endian 16-bit bytes, or an int16 or float array; interleaved when
            one-dimensional, or (n, channels).
        channels: number of interleaved channels; they are averaged.

    Returns:
        (n,) float32 in [-1, 1]: NaN becomes 0, infinities and overshoots are clipped.

    Raises:
        InvalidAudio: half a sample, an unknown sample type, or channels that do not fit.
    """
    if isinstance(pcm, np.ndarray):
        raw = pcm
    else:
        if len(pcm) % 2:
            raise InvalidAudio(f"16-bit PCM needs an even number of bytes, not {len(pcm)}.")
        raw = np.frombuffer(pcm, "<i2")
    if raw.dtype == np.int16:
        samples = raw.astype(np.float32)
        samples *= np.float32(1 / 32768)
    elif np.issubdtype(raw.dtype, np.floating):
        # A copy, safe to hand out; infinities clip like any overshoot.
        samples = np.asarray(raw.astype(np.float32).clip(-1.0, 1.0), np.float32)
        samples[np.isnan(samples)] = 0.0
    else:
        raise InvalidAudio(f"PCM samples must be int16 or float32, not {raw.dtype}.")
    if samples.ndim == 1 and channels > 1:
        if len(samples) % channels:
            raise InvalidAudio(
                f"{len(samples)} samples cannot be divided among {channels} channels."
            )
        samples = samples.reshape(-1, channels)
    if samples.ndim == 2:
        if samples.shape[1] > _MOST_CHANNELS:
            raise InvalidAudio(
                f"PCM of shape {samples.shape} would have {samples.shape[1]} channels.",
                hint="Turn it round: the shape is (samples, channels).",
            )
        single = samples.shape[1] == 1
        samples = samples[:, 0] if single else samples.mean(axis=1, dtype=np.float32)
    if samples.ndim != 1:
        raise InvalidAudio(f"PCM must have one or two dimensions, not {samples.ndim}.")
    return samples


def _name(source: AudioSource) -> str:
    return Path(source).name if isinstance(source, str | Path) else "The sound"


def _open(source: AudioSource, name: str) -> InputContainer:
    import av

    if isinstance(source, str | Path):
        path = Path(source)
        # Absolute: FFmpeg would take what is before a colon for the name of a protocol.
        target: str | BinaryIO = str(path.absolute())
    elif isinstance(source, bytes):
        target = io.BytesIO(source)
    else:
        target = source
    try:
        return av.open(target, mode="r", metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(target, str) and is_unread(error, target):
            code, message = not_read(str(source), error)
            code = "AUDIO_NOT_FOUND" if code == "FILE_NOT_FOUND" else code
            raise InvalidAudio(message, code=code, hint=_HINT) from error
        raise InvalidAudio(
            f"{name} is not a sound or video file that can be read.",
            code="AUDIO_UNREADABLE",
            hint=_HINT,
        ) from error


def _mono(
    container: InputContainer, stream: AudioStream
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yields (rate, mono float32 block) of a stream, leaving out damaged packets."""
    import av
    from av.audio.frame import AudioFrame

    from engine.packets import decoded

    stream.codec_context.thread_count = 1
    try:
        for frame in decoded(container, stream):
            if isinstance(frame, AudioFrame) and frame.samples:
                if frame.sample_rate not in RATES:
                    raise InvalidAudio(
                        f"The sound track has a sample rate of {frame.sample_rate} Hz.",
                        code="AUDIO_UNREADABLE",
                        hint=_HINT,
                    )
                yield frame.sample_rate, _frame_to_mono(frame)
    except av.FFmpegError as damage:
        raise InvalidAudio(
            "The sound track is damaged: nothing in it can be decoded.",
            code="AUDIO_UNREADABLE",
            hint=_HINT,
        ) from damage


def _frame_to_mono(frame: AudioFrame) -> NDArray[np.float32]:
    from av.audio.resampler import AudioResampler

    if frame.format.is_planar and frame.layout.nb_channels >= _UNSAFE_PLANES:
        packed = AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
        (frame,) = packed.resample(frame)
    values = frame.to_ndarray()
    kind = np.dtype(values.dtype)
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    samples = values.astype(np.float32)
    if kind == np.uint8:
        samples = (samples - 128.0) / 128.0
    elif np.issubdtype(kind, np.integer):
        samples /= np.float32(2.0 ** (8 * kind.itemsize - 1))
    return to_float(samples.T)


def _merged(
    blocks: Iterator[tuple[int, NDArray[np.float32]]],
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Joins blocks of one rate to half a second: each costs some work of its own."""
    waiting: list[NDArray[np.float32]] = []
    current = 0
    for rate, block in blocks:
        if waiting and (rate != current or 2 * sum(map(len, waiting)) >= current):
            yield current, np.concatenate(waiting)
            waiting.clear()
        current = rate
        waiting.append(block)
    if waiting:
        yield current, np.concatenate(waiting)


def _resampled(
    blocks: Iterator[tuple[int, NDArray[np.float32]]], sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    resampler: Resampler | None = None
    current = 0
    for rate, block in blocks:
        if resampler is None or rate != current:
            if resampler is not None:
                yield resampler.flush()
            resampler, current = Resampler(rate, sample_rate), rate
        # The sinc overshoots at clipped edges.
        yield np.clip(resampler.process(block), -1.0, 1.0)
    if resampler is not None:
        yield np.clip(resampler.flush(), -1.0, 1.0)
