"""Held-out speech, and how a system does on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.coefficients import INDEX, SAMPLE_RATE, SAMPLES_PER_FRAME
from training.speech import phones, shards, sphinx, train
from training.speech.augment import Augmenter
from training.speech.baselines import Audio, System
from training.speech.config import HELD_OUT_SPEAKERS, Config
from training.speech.shards import Utterance
from training.speech.train import SPREAD, padded

# The engine shows sealed lips from this value on (engine/essence/selector.py).
CLOSURE = 0.5
TOLERANCE = 0.06  # s, for a closure to count as found
SYNTHESISED = (
    "Kokoro, unseen voices",
    "flite awb, unseen voice",
    "Piper joe, unseen synthesiser",
)
UNSEEN = frozenset({INDEX["mouthDimple"], INDEX["jawForward"]})
_MUSIC = Path("/usr/share/asterisk/moh")
_PAUSE, _LONG_PAUSE = 0.25, 0.6  # s
_PARTED = 0.01  # s between two bilabials in which the lips part
_EDGE = 0.08  # s at both ends of a pause, in which the mouth is still moving


Closure = tuple[float, float]  # s


@dataclass(frozen=True)
class Item:
    """A held-out utterance with its reference."""

    audio: Audio
    spans: list[phones.Interval]
    targets: NDArray[np.float32]  # at frame centres
    closures: list[Closure]
    text: str = ""


@dataclass(frozen=True)
class Figures:
    """What a system reaches on a set."""

    jaw: float
    mean: float
    correlations: NDArray[np.float64]
    lag: float  # seconds, positive: late
    recall: float
    precision: float

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision of closures."""
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


def held_out(config: Config) -> dict[str, list[Item]]:
    """All held-out sets by name."""
    out: dict[str, list[Item]] = {}
    for source, wanted, name in (
        ("recorded", "recorded:asterisk woman", "asterisk woman, recorded"),
        ("recorded", "recorded:LibriVox man", "LibriVox man, recorded"),
        ("kokoro", "kokoro", SYNTHESISED[0]),
        ("flite", "flite", SYNTHESISED[1]),
        ("piper", "piper", SYNTHESISED[2]),
    ):
        utterances = [
            u
            for u in shards.read_all(config.shards, [source])
            if u.speaker.startswith(wanted)
            and (source in ("recorded", "piper") or u.speaker in HELD_OUT_SPEAKERS)
        ]
        limit = config.evaluate if config.evaluate is not None else 60
        if source == "recorded" and config.evaluate is None:
            limit = len(utterances)
        if utterances:
            out[name] = [item(u) for u in utterances[:limit]]
    return out


def item(utterance: Utterance) -> Item:
    """Pads an utterance and makes its reference curves."""
    sound, spans = padded(utterance, 0.4)
    sound = sound[: len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
    frames = len(sound) // SAMPLES_PER_FRAME
    # Curves at 100 Hz; frame centres lie at 20, 60, 100 ms …
    targets = phones.curves(spans, frames * 4)[2::4]
    return Item(
        sound.astype(np.float32) / 32768, spans, targets, expected_closures(spans), utterance.text
    )


def expected_closures(spans: Sequence[phones.Interval]) -> list[Closure]:
    """Where the lips have to meet. Between an m and the b after it they do not part: one closure.

    Returns:
        From the middle of the first to the middle of the last phone of each closure; both are the
        same where it is one phone.
    """
    out: list[Closure] = []
    ends = -1.0
    for c, a, b in spans:
        if c != phones.BILABIAL:
            continue
        middle = (a + b) / 2
        if out and (a - ends < _PARTED or middle - out[-1][1] <= TOLERANCE):
            out[-1] = (out[-1][0], middle)
        else:
            out.append((middle, middle))
        ends = b
    return out


def measure(items: Sequence[Item], system: System) -> Figures:
    """Correlations over all frames, lag of the jaw, recall and precision of closures."""
    rows = [system(i.audio) for i in items]
    found = np.concatenate(rows)
    wanted = np.concatenate([i.targets for i in items])
    each = np.array([_correlation(found[:, k], wanted[:, k]) for k in range(found.shape[1])])
    # Some languages never show the tip of the tongue.
    moving = {k for k in range(len(each)) if k not in UNSEEN and np.ptp(wanted[:, k]) > 0}
    hits = expected = shown = 0
    for i, r in zip(items, rows, strict=True):
        peaks = closures_of(r)
        quiet = [(a + 0.03, b - 0.03) for c, a, b in i.spans if c == phones.SILENCE]
        peaks = [p for p in peaks if not any(a < p < b for a, b in quiet)]
        hits += _matches(peaks, i.closures)
        expected += len(i.closures)
        shown += len(peaks)
    return Figures(
        jaw=float(each[INDEX["jawOpen"]]),
        mean=float(np.mean([c for k, c in enumerate(each) if k in moving])),
        correlations=each,
        lag=_lag(rows, items),
        recall=hits / max(1, expected),
        precision=hits / max(1, shown),
    )


def closures_of(rows: NDArray[np.float32]) -> list[float]:
    """Times in seconds at which the lips are sealed: peaks of lipClosure above CLOSURE.

    Long closures are flat: the middle of what is nearly as high as the peak counts.
    """
    centres = (np.arange(len(rows)) + 0.5) * 0.04
    grid = np.arange(0, len(rows) * 0.04, 0.01)
    curve = np.interp(grid, centres, rows[:, INDEX["lipClosure"]])
    peaks: list[float] = []
    start: int | None = None
    for k, above in enumerate([*(curve > CLOSURE), False]):
        if above and start is None:
            start = k
        elif not above and start is not None:
            part = curve[start:k]
            peaks.append(float(grid[start:k][part >= part.max() - 0.05].mean()))
            start = None
    return peaks


def false_closures(item: Item, rows: NDArray[np.float32]) -> list[float]:
    """Times at which the lips are sealed and should not be."""
    return [t for t in closures_of(rows) if all(_distance(t, w) > TOLERANCE for w in item.closures)]


def _distance(time: float, closure: Closure) -> float:
    return max(closure[0] - time, time - closure[1], 0.0)


def _matches(found: Sequence[float], wanted: Sequence[Closure]) -> int:
    left = list(found)
    hits = 0
    for closure in wanted:
        near = [p for p in left if _distance(p, closure) <= TOLERANCE]
        if near:
            left.remove(min(near, key=lambda p: _distance(p, closure)))
            hits += 1
    return hits


def _lag(rows: Sequence[NDArray[np.float32]], items: Sequence[Item]) -> float:
    """Shift in seconds at which the jaw fits best, over a whole set."""
    jaw = INDEX["jawOpen"]
    shifts = np.arange(-0.2, 0.201, 0.01)
    wanted = np.concatenate([i.targets[:, jaw] for i in items])
    fits = []
    for shift in shifts:
        moved = []
        for r in rows:
            centres = (np.arange(len(r)) + 0.5) * 0.04
            moved.append(np.interp(centres + shift, centres, r[:, jaw]))
        fits.append(_correlation(np.concatenate(moved), wanted))
    return float(shifts[int(np.nanargmax(fits))])


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    x, y = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale > 1e-9 else float("nan")


@dataclass(frozen=True)
class Stillness:
    """How a system moves while nobody speaks.

    Attributes:
        sound: what it is, with how much of it there is.
        motion: per frame, relative to speech.
        rest: share of rows that are exactly zero.
        widest: largest jawOpen.
    """

    sound: str
    motion: float
    rest: float
    widest: float


def stillness(sets: dict[str, list[Item]], system: System | None) -> list[Stillness]:
    """Pauses of the recordings, and sounds that are no speech.

    Pauses are short: the mouth closes from one word and opens for the next. How much the reference
    curves move in them says what is left to gain.

    Args:
        sets: recordings are those named so, and those of other languages.
        system: the reference curves in the pauses if None.
    """
    recorded = [i for name, items in sets.items() if name not in SYNTHESISED for i in items]
    items = recorded or next(iter(sets.values()))
    speech: list[NDArray[np.float32]] = []
    pauses: dict[float, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {
        _PAUSE: [],
        _LONG_PAUSE: [],
    }
    for i in items:
        rows = i.targets if system is None else system(i.audio)
        moved = np.abs(np.diff(rows[:, :12], axis=0)).mean(axis=1)
        centres = (np.arange(len(moved)) + 1) * 0.04
        ends = len(i.audio) / SAMPLE_RATE
        quiet = np.zeros(len(moved), bool)
        for shortest, found in pauses.items():
            inside = np.zeros(len(moved), bool)
            for c, a, b in i.spans:
                # Pauses of the recording itself, away from speech and from the padding.
                start, end = max(a, 0.4), min(b, ends - 0.4)
                if c == phones.SILENCE and end - start >= shortest:
                    inside |= (centres > start + _EDGE) & (centres < end - _EDGE)
            found.append((moved[inside], rows[1:][inside]))
            quiet |= inside
        spoken = (centres > 0.4) & (centres < ends - 0.4)
        speech.append(moved[spoken & ~quiet])
    reference = float(np.concatenate(speech).mean())
    out: list[Stillness] = []
    for shortest, parts in pauses.items():
        still = np.concatenate([m for m, _ in parts])
        shown = np.concatenate([r for _, r in parts])
        if len(still) >= 25:  # a second; fewer say nothing
            out.append(
                Stillness(
                    f"pauses of {shortest:g} s and longer, {len(still) / 25:.0f} s in all",
                    float(still.mean()) / reference,
                    float((shown == 0).all(axis=1).mean()),
                    float(shown[:, INDEX["jawOpen"]].max()),
                )
            )
    if system is None:
        return out
    for name, parts in silent_sounds().items():
        shown = [system(part) for part in parts]
        moved = np.concatenate([np.abs(np.diff(r[:, :12], axis=0)) for r in shown])
        rows = np.concatenate(shown)
        rest = float((rows == 0).all(axis=1).mean())
        widest = float(rows[:, INDEX["jawOpen"]].max())
        out.append(Stillness(name, float(moved.mean()) / reference, rest, widest))
    return out


def silent_sounds() -> dict[str, list[Audio]]:
    """Sounds during which nobody speaks, each in one or several parts."""
    augmenter = Augmenter(np.random.default_rng(1), clips=4)
    ten = SAMPLE_RATE * 9
    room = augmenter.noise(ten)
    sounds: dict[str, list[Audio]] = {
        "digital silence": [np.zeros(ten, np.float32)],
        "room noise, -60 dBFS": [room * np.float32(10**-3)],
        "room noise, -50 dBFS": [room * np.float32(10**-2.5)],
        "room noise, -35 dBFS": [room * np.float32(10**-1.75)],
        "clicks": [augmenter.clicks(ten) * np.float32(0.5)],
        "breaths": [augmenter.breaths(ten) * np.float32(0.1)],
        "laughter-like noise": [augmenter.laughter(ten) * np.float32(0.3)],
        "synthetic music": [augmenter.music(ten) * np.float32(0.5)],
    }
    music = _recorded_music()
    if music:
        sounds[f"recorded music (asterisk-moh-opsound, {len(music)} pieces)"] = music
    return sounds


def spoken_frames(item: Item) -> NDArray[np.bool_]:
    """Whether somebody speaks in each frame, as training is told."""
    labels = phones.class_track(item.spans, 4 * len(item.targets))[2::4]
    return train.activity(torch.from_numpy(labels.astype(np.int64))[None])[0].numpy() > 0


def _recorded_music() -> list[Audio]:
    """Half a minute of every piece of music on hold, from its tenth second on."""
    out = []
    for path in sorted(_MUSIC.glob("*.g722")):
        sound = sphinx.read_g722(path)[10 * SAMPLE_RATE : 40 * SAMPLE_RATE]
        out.append(sound.astype(np.float32) / 32768)
    return out


def disturbed(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The same speech with noise, at other levels, and through other microphones."""
    augmenter = Augmenter(np.random.default_rng(0), clips=4)
    changes = {
        "nothing added": lambda x: x,
        "20 dB noise": lambda x: _noisy(x, augmenter, 20),
        "10 dB noise": lambda x: _noisy(x, augmenter, 10),
        "5 dB noise": lambda x: _noisy(x, augmenter, 5),
        "20 dB less level": lambda x: x * np.float32(0.1),
        "12 dB more, clipped": lambda x: np.clip(x * 4, -1, 1),
        "telephone band": _telephone,
        "DC offset 0.1": lambda x: x + np.float32(0.1),
    }
    music = _recorded_music()
    if music:
        played = np.concatenate(music)
        played /= np.sqrt((played**2).mean())
        start = np.random.default_rng(0)

        def over_music(audio: Audio) -> Audio:
            first = int(start.integers(len(played) - len(audio)))
            return _mixed(audio, played[first : first + len(audio)], 10)

        changes["10 dB music"] = over_music
    return {
        name: [replace(i, audio=np.asarray(change(i.audio), np.float32)) for i in items]
        for name, change in changes.items()
    }


def _noisy(audio: Audio, augmenter: Augmenter, snr: float) -> Audio:
    return _mixed(audio, augmenter.noise(len(audio)), snr)


def _mixed(audio: Audio, other: Audio, snr: float) -> Audio:
    """Speech with something of RMS 1 behind it, ``snr`` decibels softer."""
    speech = audio[np.abs(audio) > 0]
    level = float(np.sqrt((speech**2).mean()))
    return np.asarray(audio + other * (level * 10 ** (-snr / 20)), np.float32)


def _telephone(audio: Audio) -> Audio:
    spectrum = np.fft.rfft(audio)
    f = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE)
    spectrum[(f < 300) | (f > 3400)] = 0
    return np.asarray(np.fft.irfft(spectrum, len(audio)), np.float32)


def confusion(items: Sequence[Item], system: System | None) -> NDArray[np.int64]:
    """Which class each phone looks like in its middle: the one whose target is nearest.

    Args:
        items: what is spoken.
        system: what is looked at; the reference curves themselves if None, which say how much
            coarticulation alone confuses.

    Returns:
        (classes, classes) counts, spoken by seen.
    """
    scale = SPREAD.numpy()
    counts = np.zeros((len(phones.CLASSES), len(phones.CLASSES)), np.int64)
    for i in items:
        rows = i.targets if system is None else system(i.audio)
        centres = (np.arange(len(rows)) + 0.5) * 0.04
        for c, a, b in i.spans:
            middle = min(int(np.argmin(np.abs(centres - (a + b) / 2 + 0.01))), len(rows) - 1)
            distance = np.abs((phones.TARGETS - rows[middle]) / scale).mean(axis=1)
            counts[c, int(distance.argmin())] += 1
    return counts
