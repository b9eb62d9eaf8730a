"""Speech with phone times on disk: plain ``.npz`` shards, written atomically."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Segment = tuple[str, float, float]


@dataclass(frozen=True)
class Utterance:
    """One sentence.

    Attributes:
        audio: int16 mono at 16 kHz.
        segments: (phone symbol, start, end) in seconds, in the notation of ``source``.
        speaker: ``source:voice``, for holding speakers out.
        source: the synthesiser or corpus; decides notation and timing bias.
        language: language of the voice.
        text: what is said, ``""`` if unknown.
    """

    audio: NDArray[np.int16]
    segments: Sequence[Segment]
    speaker: str
    source: str
    language: str
    text: str = ""


def write(path: Path, utterances: Sequence[Utterance]) -> None:
    """Writes a shard under a temporary name and renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    segments = [s for u in utterances for s in u.segments]
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        audio=np.concatenate([u.audio for u in utterances]),
        audio_length=np.array([len(u.audio) for u in utterances]),
        symbol=np.array([s[0] for s in segments], dtype=np.str_),
        start=np.array([s[1] for s in segments], np.float32),
        end=np.array([s[2] for s in segments], np.float32),
        segment_count=np.array([len(u.segments) for u in utterances]),
        speaker=np.array([u.speaker for u in utterances], dtype=np.str_),
        source=np.array([u.source for u in utterances], dtype=np.str_),
        language=np.array([u.language for u in utterances], dtype=np.str_),
        text=np.array([u.text for u in utterances], dtype=np.str_),
    )
    temporary.rename(path)


def read(path: Path) -> Iterator[Utterance]:
    """Yields the utterances of a shard."""
    with np.load(path, allow_pickle=False) as z:
        data = {name: z[name] for name in z.files}
    audio_end = np.cumsum(data["audio_length"])
    segment_end = np.cumsum(data["segment_count"])
    for i in range(len(audio_end)):
        a0 = int(audio_end[i] - data["audio_length"][i])
        s0, s1 = int(segment_end[i] - data["segment_count"][i]), int(segment_end[i])
        yield Utterance(
            audio=data["audio"][a0 : int(audio_end[i])],
            segments=[
                (str(data["symbol"][j]), float(data["start"][j]), float(data["end"][j]))
                for j in range(s0, s1)
            ],
            speaker=str(data["speaker"][i]),
            source=str(data["source"][i]),
            language=str(data["language"][i]),
            text=str(data["text"][i]),
        )


def read_all(folder: Path, sources: Iterable[str]) -> Iterator[Utterance]:
    """Yields everything that was made of the given sources, in a fixed order."""
    for source in sources:
        for path in sorted((folder / source).glob("[0-9]*.npz")):
            if not path.name.endswith(".tmp.npz"):
                yield from read(path)


def fill(
    folder: Path, source: str, hours: float, utterances: Iterable[Utterance], per_shard: int
) -> None:
    """Takes utterances into numbered shards until a source has ``hours`` of speech.

    Counts what is there already, so an interrupted run goes on where it stopped. The caller seeds
    its generator with :func:`count`, so that it does not repeat itself.
    """
    have = sum(len(u.audio) for u in read_all(folder, [source])) / 16_000 / 3600
    number = count(folder, source)
    pending: list[Utterance] = []
    if have >= hours:
        return
    for utterance in utterances:
        pending.append(utterance)
        have += len(utterance.audio) / 16_000 / 3600
        if len(pending) >= per_shard or have >= hours:
            write(folder / source / f"{number:04d}.npz", pending)
            number += 1
            pending = []
            print(f"{source}: {have:.2f} of {hours:g} h", flush=True)
        if have >= hours:
            return
    if pending:
        write(folder / source / f"{number:04d}.npz", pending)


def count(folder: Path, source: str) -> int:
    """Number of shards a source has."""
    return sum(1 for p in (folder / source).glob("[0-9]*.npz") if not p.name.endswith(".tmp.npz"))
