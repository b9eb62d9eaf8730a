"""Measures the network through the engine and writes the tables of README.md in this folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine import models
from engine.coefficients import COEFFICIENTS, INDEX, SAMPLE_RATE, SAMPLES_PER_FRAME
from engine.speech import SpeechNetwork, coefficients
from training.speech import espeak, phones, shards
from training.speech.augment import Augmenter
from training.speech.config import HELD_OUT_SPEAKERS, TIMING_BIAS, Config
from training.speech.shards import Utterance
from training.speech.train import padded

Audio = NDArray[np.float32]
System = Callable[[Audio], NDArray[np.float32]]  # sound -> (frames, 16), row i centred in frame i

README = Path(__file__).with_name("README.md")
# The engine shows sealed lips from this value on (engine/essence/selector.py).
CLOSURE = 0.5
TOLERANCE = 0.06  # s, for a closure to count as found
_UNSEEN = {INDEX["mouthDimple"], INDEX["jawForward"]}
_SHOWN = ("mouthPucker", "mouthFunnel", "mouthStretch", "mouthSmile")
# Voices of config.ESPEAK_VOICES that read texts of their own language.
_LANGUAGES = {
    "en-us": "English",
    "es": "Spanish",
    "it": "Italian",
    "de": "German",
    "pt-br": "Portuguese",
    "ru": "Russian",
    "pl": "Polish",
    "cs": "Czech",
    "cmn": "Mandarin",
}
_MUSIC = Path("/usr/share/asterisk/moh/reno_project-system.g722")


@dataclass(frozen=True)
class Item:
    """A held-out utterance with its reference."""

    audio: Audio
    spans: list[phones.Interval]
    targets: NDArray[np.float32]  # at frame centres
    closures: list[float]  # middles of p, b, m in seconds


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


def evaluate(config: Config) -> None:
    """Prints all tables; a full run also writes them into the README."""
    path = (
        config.runs / "speech.onnx"
        if config.work.name == "quick"
        else Path(models.__file__).with_name("speech.onnx")
    )
    ours = system_of(path)
    systems = {"this network": ours}
    if config.before.exists():
        systems["the network before"] = system_of(config.before)
    sets = held_out(config)
    text = "\n\n".join(
        [
            _accuracy_table(sets, systems | {"energy": energy}),
            _language_table(config, systems),
            _wrong_table(next(iter(sets.values())), systems),
            _noise_table(sets, systems),
            _stillness_table(sets, systems),
            _bias_table(config),
        ]
    )
    print(text)
    if config.work.name != "quick":
        _write_readme(text)


def system_of(path: Path) -> System:
    """The engine with the network of a file, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    network = SpeechNetwork(onnxruntime.InferenceSession(str(path), options))
    return lambda audio: coefficients(audio, network)


def better(config: Config, new: Path, old: Path) -> bool:
    """Whether ``new`` may replace ``old``.

    On recorded English jaw, mean of all and closures must all be better, and over the sounds of
    the stillness table together the mouth must not move more.
    """
    sets = held_out(config)
    recorded = next(iter(sets.values()))
    after, before = (measure(recorded, system_of(p)) for p in (new, old))
    moves = [sum(row[1] for row in _stillness(sets, system_of(p))) for p in (new, old)]
    print(
        f"recorded English, before and after: jaw r {before.jaw:.3f} {after.jaw:.3f}, mean r "
        f"{before.mean:.3f} {after.mean:.3f}, bilabial F1 {before.f1:.3f} {after.f1:.3f}; "
        f"motion without speech {moves[1]:.3f} {moves[0]:.3f}"
    )
    return (
        after.jaw > before.jaw
        and after.mean > before.mean
        and after.f1 > before.f1
        and moves[0] <= moves[1]
    )


def held_out(config: Config) -> dict[str, list[Item]]:
    """All held-out sets by name."""
    out: dict[str, list[Item]] = {}
    for source, wanted, name in (
        ("recorded", "recorded:asterisk woman", "asterisk woman, recorded"),
        ("recorded", "recorded:LibriVox man", "LibriVox man, recorded"),
        ("kokoro", "kokoro", "Kokoro, unseen voices"),
        ("flite", "flite", "flite awb, unseen voice"),
    ):
        utterances = [
            u
            for u in shards.read_all(config.shards, [source])
            if u.speaker.startswith(wanted)
            and (source == "recorded" or u.speaker in HELD_OUT_SPEAKERS)
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
    middles = [(a + b) / 2 for c, a, b in spans if c == phones.BILABIAL and b - a >= 0.03]
    closures = [t for i, t in enumerate(middles) if i == 0 or t - middles[i - 1] > 0.06]
    return Item(sound.astype(np.float32) / 32768, spans, targets, closures)


def energy(audio: Audio) -> NDArray[np.float32]:
    """The baseline: the louder, the wider the jaw; 35 dB from closed to open."""
    frames = len(audio) // SAMPLES_PER_FRAME
    power = (audio.reshape(frames, SAMPLES_PER_FRAME) ** 2).mean(axis=1)
    level = 10 * np.log10(power + 1e-9)
    rows = np.zeros((frames, len(COEFFICIENTS)), np.float32)
    rows[:, INDEX["jawOpen"]] = np.clip((level - np.percentile(level, 95) + 35) / 35, 0, 1) * 0.5
    return rows


def measure(items: Sequence[Item], system: System) -> Figures:
    """Correlations over all frames, lag of the jaw, recall and precision of closures."""
    rows = [system(i.audio) for i in items]
    found = np.concatenate(rows)
    wanted = np.concatenate([i.targets for i in items])
    each = np.array([_correlation(found[:, k], wanted[:, k]) for k in range(found.shape[1])])
    # Some languages never show the tip of the tongue.
    moving = {k for k in range(len(each)) if k not in _UNSEEN and np.ptp(wanted[:, k]) > 0}
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
    """Times in seconds at which the lips are sealed: peaks of lipClosure above CLOSURE."""
    centres = (np.arange(len(rows)) + 0.5) * 0.04
    grid = np.arange(0, len(rows) * 0.04, 0.01)
    curve = np.interp(grid, centres, rows[:, INDEX["lipClosure"]])
    peaks: list[float] = []
    start: int | None = None
    for k, above in enumerate([*(curve > CLOSURE), False]):
        if above and start is None:
            start = k
        elif not above and start is not None:
            peaks.append(float(grid[start + int(np.argmax(curve[start:k]))]))
            start = None
    return peaks


def _matches(found: Sequence[float], wanted: Sequence[float]) -> int:
    left = list(found)
    hits = 0
    for t in wanted:
        near = [p for p in left if abs(p - t) <= TOLERANCE]
        if near:
            left.remove(min(near, key=lambda p: abs(p - t)))
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


def _accuracy_table(sets: dict[str, list[Item]], systems: dict[str, System]) -> str:
    lines = [
        "| held out | system | jaw r | mean r of 14 | "
        + " | ".join(f"{name.removeprefix('mouth').lower()} r" for name in _SHOWN)
        + " | bilabial recall / precision / F1 | lag |",
        "|---" * (6 + len(_SHOWN)) + "|",
    ]
    for set_name, items in sets.items():
        seconds = sum(len(i.audio) for i in items) / SAMPLE_RATE
        for system_name, system in systems.items():
            f = measure(items, system)
            each = [_number(f.correlations[INDEX[n]]) for n in _SHOWN]
            lines.append(
                f"| {set_name}, {seconds / 60:.1f} min | {system_name} | {_number(f.jaw)} | "
                f"{_number(f.mean)} | "
                + " | ".join(each)
                + f" | {f.recall:.2f} / {f.precision:.2f} / {f.f1:.2f} | {1000 * f.lag:+.0f} ms |"
            )
    return "\n".join(lines)


def _language_table(config: Config, systems: dict[str, System]) -> str:
    """Languages as espeak-ng speaks them, with its exact phone times; sentences drawn anew."""
    wanted = config.evaluate if config.evaluate is not None else 30
    items: dict[str, list[Item]] = {language: [] for language in _LANGUAGES}
    for utterance in espeak.utterances(-config.seed):
        mine = items.get(utterance.language)
        if mine is not None and len(mine) < wanted:
            mine.append(item(utterance))
        if all(len(i) >= wanted for i in items.values()):
            break
    lines = [
        "| espeak-ng, new sentences | system | jaw r | mean r of 14 "
        "| bilabial recall / precision / F1 |",
        "|---|---|---|---|---|",
    ]
    for language, spoken in items.items():
        for name, system in systems.items():
            f = measure(spoken, system)
            lines.append(
                f"| {_LANGUAGES[language]} | {name} | {_number(f.jaw)} | {_number(f.mean)} | "
                f"{f.recall:.2f} / {f.precision:.2f} / {f.f1:.2f} |"
            )
    return "\n".join(lines)


def _wrong_table(items: Sequence[Item], systems: dict[str, System]) -> str:
    """On which phones lips meet that should not."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in systems}
    spoken: Counter[str] = Counter(phones.CLASSES[c] for i in items for c, _, _ in i.spans)
    for name, system in systems.items():
        for i in items:
            for time in closures_of(system(i.audio)):
                if all(abs(time - t) > TOLERANCE for t in i.closures):
                    counts[name].update(phones.CLASSES[c] for c, a, b in i.spans if a <= time < b)
    total: Counter[str] = sum(counts.values(), Counter())
    lines = [
        "| asterisk woman: lips wrongly sealed on | of | " + " | ".join(systems) + " |",
        "|---" * (2 + len(systems)) + "|",
    ]
    for phone, _ in total.most_common(8):
        each = " | ".join(str(counts[name][phone]) for name in systems)
        lines.append(f"| {phone} | {spoken[phone]} | {each} |")
    return "\n".join(lines)


def _noise_table(sets: dict[str, list[Item]], systems: dict[str, System]) -> str:
    items = next(iter(sets.values()))[:40]
    generator = np.random.default_rng(0)
    augmenter = Augmenter(generator, clips=4)
    lines = [
        "| asterisk woman with | system | jaw r | bilabial recall / precision / F1 |",
        "|---|---|---|---|",
    ]
    for name, change in (
        ("nothing added", lambda x: x),
        ("20 dB noise", lambda x: _noisy(x, augmenter, 20)),
        ("10 dB noise", lambda x: _noisy(x, augmenter, 10)),
        ("5 dB noise", lambda x: _noisy(x, augmenter, 5)),
        ("20 dB less level", lambda x: x * np.float32(0.1)),
        ("12 dB more, clipped", lambda x: np.clip(x * 4, -1, 1)),
        ("telephone band", _telephone),
        ("DC offset 0.1", lambda x: x + np.float32(0.1)),
    ):
        changed = [Item(change(i.audio), i.spans, i.targets, i.closures) for i in items]
        for system_name, system in systems.items():
            f = measure(changed, system)
            lines.append(
                f"| {name} | {system_name} | {_number(f.jaw)} | "
                f"{f.recall:.2f} / {f.precision:.2f} / {f.f1:.2f} |"
            )
    return "\n".join(lines)


def _noisy(audio: Audio, augmenter: Augmenter, snr: float) -> Audio:
    speech = audio[np.abs(audio) > 0]
    level = float(np.sqrt((speech**2).mean()))
    noise = augmenter.noise(len(audio))
    return np.asarray(audio + noise * (level * 10 ** (-snr / 20)), np.float32)


def _telephone(audio: Audio) -> Audio:
    spectrum = np.fft.rfft(audio)
    f = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE)
    spectrum[(f < 300) | (f > 3400)] = 0
    return np.asarray(np.fft.irfft(spectrum, len(audio)), np.float32)


def _stillness_table(sets: dict[str, list[Item]], systems: dict[str, System]) -> str:
    lines = [
        "| sound | system | motion per frame, speech = 1 | frames at exact rest | widest jaw |",
        "|---|---|---|---|---|",
    ]
    measured = {name: _stillness(sets, system) for name, system in systems.items()}
    for rows in zip(*measured.values(), strict=True):
        for system_name, (sound, motion, rest, widest) in zip(measured, rows, strict=True):
            lines.append(
                f"| {sound} | {system_name} | {motion:.3f} | {100 * rest:.0f} % | {widest:.2f} |"
            )
    return "\n".join(lines)


def _stillness(
    sets: dict[str, list[Item]], system: System
) -> list[tuple[str, float, float, float]]:
    """Per sound: its name, motion relative to speech, share of rows at rest, widest jaw."""
    recorded = [i for name, items in sets.items() if "recorded" in name for i in items]
    items = recorded or next(iter(sets.values()))
    generator = np.random.default_rng(1)
    augmenter = Augmenter(generator, clips=4)
    ten = SAMPLE_RATE * 9
    room = augmenter.noise(ten)
    speech: list[NDArray[np.float32]] = []
    pauses: list[NDArray[np.float32]] = []
    pause_rows: list[NDArray[np.float32]] = []
    for i in items:
        rows = system(i.audio)
        moved = np.abs(np.diff(rows[:, :12], axis=0)).mean(axis=1)
        centres = (np.arange(len(moved)) + 1) * 0.04
        quiet = np.zeros(len(moved), bool)
        ends = len(i.audio) / SAMPLE_RATE
        for c, a, b in i.spans:
            # Pauses of the recording itself, away from speech and from the padding.
            start, end = max(a, 0.4), min(b, ends - 0.4)
            if c == phones.SILENCE and end - start >= 0.25:
                quiet |= (centres > start + 0.08) & (centres < end - 0.08)
        inside = (centres > 0.4) & (centres < ends - 0.4)
        speech.append(moved[inside & ~quiet])
        pauses.append(moved[quiet])
        pause_rows.append(rows[1:][quiet])
    reference = float(np.concatenate(speech).mean())
    out: list[tuple[str, float, float, float]] = []
    still = np.concatenate(pauses)
    if len(still) >= 25:  # a second; fewer say nothing
        at_rest = float((np.concatenate(pause_rows) == 0).all(axis=1).mean())
        widest = float(np.concatenate(pause_rows)[:, INDEX["jawOpen"]].max())
        name = f"pauses of the recordings, {len(still) / 25:.1f} s"
        out.append((name, float(still.mean()) / reference, at_rest, widest))
    sounds: dict[str, Audio] = {
        "digital silence": np.zeros(ten, np.float32),
        "room noise, -60 dBFS": room * np.float32(10**-3),
        "room noise, -50 dBFS": room * np.float32(10**-2.5),
        "room noise, -35 dBFS": room * np.float32(10**-1.75),
        "clicks": augmenter.clicks(ten) * np.float32(0.5),
        "breaths": augmenter.breaths(ten) * np.float32(0.1),
        "synthetic music": augmenter.music(ten) * np.float32(0.5),
    }
    if _MUSIC.exists():
        with av.open(str(_MUSIC), format="g722") as container:
            frames = []
            for frame in container.decode(container.streams.audio[0]):
                frames.append(frame.to_ndarray().ravel())
                if len(frames) * len(frames[0]) > 40 * SAMPLE_RATE:
                    break
        sounds["recorded music (asterisk-moh-opsound)"] = (
            np.concatenate(frames)[10 * SAMPLE_RATE : 40 * SAMPLE_RATE].astype(np.float32) / 32768
        )
    for name, sound in sounds.items():
        rows = system(sound)
        motion = float(np.abs(np.diff(rows[:, :12], axis=0)).mean()) / reference
        rest = float((rows == 0).all(axis=1).mean())
        out.append((name, motion, rest, float(rows[:, INDEX["jawOpen"]].max())))
    return out


def _bias_table(config: Config) -> str:
    path = config.runs / "bias.json"
    lines = [
        "| synthesiser | own phone times after PocketSphinx | spread | corrected by |",
        "|---|---|---|---|",
    ]
    measured = json.loads(path.read_text()) if path.exists() else {}
    for source, (median, spread, count) in measured.items():
        lines.append(
            f"| {source} | {1000 * median:+.0f} ms at {count} bilabials | {1000 * spread:.0f} ms | "
            f"{1000 * TIMING_BIAS[source]:.0f} ms |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}".replace("0.", ".")


def _write_readme(tables: str) -> None:
    text = README.read_text()
    begin, end = "<!-- tables: written by evaluate.py -->", "<!-- end of tables -->"
    README.write_text(
        re.sub(
            f"{re.escape(begin)}.*?{re.escape(end)}",
            lambda _: f"{begin}\n\n{tables}\n\n{end}",
            text,
            flags=re.DOTALL,
        )
    )
