"""Measures the network through the engine and writes the tables of README.md in this folder."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import engine
from engine import models
from engine.coefficients import INDEX, SAMPLE_RATE
from training.speech import baselines, espeak, fetch, measures, phones, recordings
from training.speech.baselines import System
from training.speech.config import TIMING_BIAS, Config
from training.speech.measures import Figures, Item

README = Path(__file__).with_name("README.md")
_SHOWN = ("mouthPucker", "mouthFunnel", "mouthStretch", "mouthSmile")
# Voices of config.ESPEAK_VOICES that read texts of their own language.
_LANGUAGES = {
    "en-us": "English",
    "es": "Spanish",
    "fr": "French",
    "de": "German",
    "it": "Italian",
    "pt-br": "Portuguese",
    "ru": "Russian",
    "hi": "Hindi",
    "ar": "Arabic",
    "cmn": "Mandarin",
    "ja": "Japanese",
    "ko": "Korean",
    "pl": "Polish",
    "cs": "Czech",
}
_WORST = 10


def evaluate(config: Config) -> None:
    """Prints all tables; a full run also writes them into the README, and the worst clips."""
    path = (
        config.runs / "speech.onnx"
        if config.is_quick
        else Path(models.__file__).with_name("speech.onnx")
    )
    ours = baselines.cached(baselines.engine(path))
    systems = {"this network": ours}
    if config.before.exists():
        systems["the network before"] = baselines.cached(baselines.engine(config.before))
    others = dict(systems)
    if config.study is not None:
        others["the network of the study"] = baselines.study(config.study)
    others["energy"] = baselines.energy
    sets = measures.held_out(config)
    english = dict(others)
    package = fetch.headaudio(config.downloads)
    if package is not None:  # its model is of English
        english["headaudio"] = baselines.headaudio(
            package, [i.audio for items in sets.values() for i in items]
        )
    first = next(iter(sets.values()))
    foreign = {
        name: [measures.item(u) for u in utterances]
        for name, utterances in recordings.held_out(config).items()
    }
    text = "\n\n".join(
        [
            _accuracy_table(sets, english),
            _recordings_table(foreign, others),
            _language_table(config, systems),
            _wrong_table(first, systems),
            _confusion_table(first, ours),
            _noise_table(first, systems),
            _stillness_table(sets | foreign, systems),
            _voice_table(sets | foreign, path),
            _bias_table(config),
        ]
    )
    print(text)
    if not config.is_quick:
        write_readme(text, "tables")
        _worst_clips(first, ours, config.work / "worst")


def better(config: Config, new: Path, old: Path) -> bool:
    """Whether ``new`` may replace ``old``.

    Closures must be better on average over all held-out voices: their F1 on one of them, even on
    the longest, is only known to about 0.015. On recorded English closures, jaw and the mean of all
    may be a hundredth worse at most, and over the sounds that are no speech together the mouth must
    not move more.
    """
    sets = measures.held_out(config)
    recorded = next(iter(sets))
    for name, utterances in recordings.held_out(config).items():
        sets[name] = [measures.item(u) for u in utterances]
    systems = [baselines.cached(baselines.engine(p)) for p in (old, new)]
    each = [{name: measures.measure(i, s) for name, i in sets.items()} for s in systems]
    closures = [float(np.mean([f.f1 for f in found.values()])) for found in each]
    moves = [sum(row.motion for row in measures.stillness(sets, s)) for s in systems]
    before, after = (found[recorded] for found in each)
    print(
        f"before and after: bilabial F1 of {len(sets)} voices {closures[0]:.3f} {closures[1]:.3f}; "
        f"{recorded}: {before.f1:.3f} {after.f1:.3f}, jaw r {before.jaw:.3f} {after.jaw:.3f}, "
        f"mean r {before.mean:.3f} {after.mean:.3f}; motion without speech {moves[0]:.3f} "
        f"{moves[1]:.3f}"
    )
    return (
        closures[1] > closures[0]
        and after.f1 > before.f1 - 0.01
        and after.jaw > before.jaw - 0.01
        and after.mean > before.mean - 0.01
        and moves[1] <= moves[0]
    )


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
            f = measures.measure(items, system)
            each = [_number(f.correlations[INDEX[n]]) for n in _SHOWN]
            lines.append(
                f"| {set_name}, {seconds / 60:.1f} min | {system_name} | {_number(f.jaw)} | "
                f"{_number(f.mean)} | "
                + " | ".join(each)
                + f" | {_closures(f)} | {1000 * f.lag:+.0f} ms |"
            )
    return "\n".join(lines)


def _recordings_table(sets: dict[str, list[Item]], systems: dict[str, System]) -> str:
    """People speaking other languages, aligned with English models."""
    lines = [
        "| recorded | aligned | system | jaw r | mean r of 14 | width and rounding r "
        "| bilabial recall / precision / F1 | lag |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, items in sets.items():
        minutes = sum(len(i.audio) for i in items) / SAMPLE_RATE / 60
        for system_name, system in systems.items():
            f = measures.measure(items, system)
            lips = float(np.mean([f.correlations[INDEX[n]] for n in _SHOWN]))
            lines.append(
                f"| {name} | {minutes:.1f} min | {system_name} | {_number(f.jaw)} | "
                f"{_number(f.mean)} | {_number(lips)} | {_closures(f)} | {1000 * f.lag:+.0f} ms |"
            )
    return "\n".join(lines)


def _language_table(config: Config, systems: dict[str, System]) -> str:
    """Languages as espeak-ng speaks them, with its exact phone times; sentences drawn anew."""
    wanted = config.evaluate if config.evaluate is not None else 30
    items = {
        voice: [
            measures.item(u)
            for u in itertools.islice(espeak.utterances(-config.seed, [voice]), wanted)
        ]
        for voice in _LANGUAGES
    }
    lines = [
        "| espeak-ng, new sentences | system | jaw r | mean r of 14 "
        "| bilabial recall / precision / F1 |",
        "|---|---|---|---|---|",
    ]
    for language, spoken in items.items():
        for name, system in systems.items():
            f = measures.measure(spoken, system)
            lines.append(
                f"| {_LANGUAGES[language]} | {name} | {_number(f.jaw)} | {_number(f.mean)} | "
                f"{_closures(f)} |"
            )
    return "\n".join(lines)


def _wrong_table(items: Sequence[Item], systems: dict[str, System]) -> str:
    """On which phones lips meet that should not."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in systems}
    spoken: Counter[str] = Counter(phones.CLASSES[c] for i in items for c, _, _ in i.spans)
    for name, system in systems.items():
        for i in items:
            for time in measures.false_closures(i, system(i.audio)):
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


def _confusion_table(items: Sequence[Item], system: System) -> str:
    """What the classes look like in the middle of a phone."""
    seen = measures.confusion(items, system)
    reference = measures.confusion(items, None)
    lines = [
        "| asterisk woman: class | spoken | looks like itself | reference curve does "
        "| otherwise mostly like |",
        "|---|---|---|---|---|",
    ]
    for c in np.argsort(-seen.sum(axis=1)):
        total = int(seen[c].sum())
        if not total:
            continue
        others = [(int(n), phones.CLASSES[k]) for k, n in enumerate(seen[c]) if k != c and n]
        most = ", ".join(f"{name} {100 * n / total:.0f} %" for n, name in sorted(others)[:-4:-1])
        lines.append(
            f"| {phones.CLASSES[c]} | {total} | {100 * seen[c, c] / total:.0f} % | "
            f"{100 * reference[c, c] / total:.0f} % | {most} |"
        )
    return "\n".join(lines)


def _noise_table(items: Sequence[Item], systems: dict[str, System]) -> str:
    lines = [
        "| asterisk woman with | system | jaw r | bilabial recall / precision / F1 |",
        "|---|---|---|---|",
    ]
    for name, changed in measures.disturbed(items[:60]).items():
        for system_name, system in systems.items():
            f = measures.measure(changed, system)
            lines.append(f"| {name} | {system_name} | {_number(f.jaw)} | {_closures(f)} |")
    return "\n".join(lines)


def _stillness_table(sets: dict[str, list[Item]], systems: dict[str, System]) -> str:
    lines = [
        "| sound | system | motion per frame, speech = 1 | frames at exact rest | widest jaw |",
        "|---|---|---|---|---|",
    ]
    measured = {name: measures.stillness(sets, system) for name, system in systems.items()}
    measured["the reference curves"] = measures.stillness(sets, None)
    for rows in itertools.zip_longest(*measured.values()):
        for name, row in zip(measured, rows, strict=True):
            if row is None:  # no curves are made for sounds that are no speech
                continue
            lines.append(
                f"| {row.sound} | {name} | {row.motion:.3f} | {100 * row.rest:.0f} % | "
                f"{row.widest:.2f} |"
            )
    return "\n".join(lines)


def _voice_table(sets: dict[str, list[Item]], path: Path) -> str:
    """How often the network's own voice activity is right."""
    hears = baselines.voice(path)
    lines = ["| sound | speech heard as such | no speech heard as speech |", "|---|---|---|"]
    for name, items in sets.items():
        heard = np.concatenate([hears(i.audio)[: len(i.targets)] > 0.5 for i in items])
        spoken = np.concatenate([measures.spoken_frames(i) for i in items])
        lines.append(
            f"| {name} | {100 * heard[spoken].mean():.1f} % | {100 * heard[~spoken].mean():.1f} % |"
        )
    for name, parts in measures.silent_sounds().items():
        heard = np.concatenate([hears(part) > 0.5 for part in parts])
        lines.append(f"| {name} | – | {100 * heard.mean():.1f} % |")
    return "\n".join(lines)


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


def _worst_clips(items: Sequence[Item], system: System, folder: Path) -> None:
    """Renders the clips whose curves fit least with the default avatar, to look at."""
    fits = []
    for i in items:
        if len(i.closures) >= 2:
            f = measures.measure([i], system)
            fits.append(((f.mean + f.f1, f), i))
    fits.sort(key=lambda fit: fit[0][0])
    folder.mkdir(parents=True, exist_ok=True)
    with engine.open("modern-court-jester") as avatar:
        for number, ((_, f), i) in enumerate(fits[:_WORST], start=1):
            path = folder / f"{number:02d}.mp4"
            avatar.render(i.audio, path)
            print(f"{path}: mean r {f.mean:.2f}, bilabial F1 {f.f1:.2f}: {i.text}")


def _closures(f: Figures) -> str:
    return f"{f.recall:.2f} / {f.precision:.2f} / {f.f1:.2f}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}".replace("0.", ".")


def write_readme(text: str, section: str) -> None:
    """Replaces what stands between the two markers of a section of the README."""
    begin, end = f"<!-- {section}: written by the scripts -->", f"<!-- end of {section} -->"
    old = README.read_text(encoding="utf-8")
    if begin not in old or end not in old:
        raise ValueError(f"{README} lacks the markers of {section}")
    new = re.sub(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n\n{text}\n\n{end}",
        old,
        flags=re.DOTALL,
    )
    README.write_text(new, encoding="utf-8")
