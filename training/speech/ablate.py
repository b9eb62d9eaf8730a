"""What matters: short runs that differ in one thing, of a small network on the same data.

All begin from nothing, with the same seed and as many steps, far too few for a good network: only
the differences between rows mean something, and a difference of a hundredth means little.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from engine.coefficients import INDEX
from training.speech import baselines, evaluate, export, measures, shards, train
from training.speech.config import Config

LOOK_AHEADS = (1, 2, 3, 4)  # frames of 40 ms
FIGURE = Path(__file__).with_name("look_ahead.png")
SHOWN = ("mouthPucker", "mouthFunnel", "mouthStretch", "mouthSmile")


def variants(config: Config) -> dict[str, Config]:
    """Name -> configuration of every run."""
    small = dataclasses.replace(
        config,
        conv1=48,
        conv2=80,
        hidden=80,
        batch=24,
        seconds=1.28,
        clips=min(config.clips, 12),
        instruments=min(config.instruments, 40),
        steps=config.ablation_steps,
        minutes=1e6,
        learning_rate=3e-3,
        averaging=0.99,
        reuse=0.9,
        start=None,
    )

    def without(source: str) -> Config:
        hours = {name: h for name, h in small.hours.items() if name != source}
        return dataclasses.replace(small, hours=hours)

    out = {
        "everything": small,
        "without the closure loss": dataclasses.replace(small, closure_loss=0.0),
        "without the velocity loss": dataclasses.replace(small, velocity_loss=0.0),
        "without the phone classes": dataclasses.replace(small, class_loss=0.0),
        "without voice activity": dataclasses.replace(small, activity_loss=0.0),
        "without negatives": dataclasses.replace(small, negatives=0.0),
        "without Hibari": without("hibari"),
        "without Kokoro": without("kokoro"),
    }
    for frames in LOOK_AHEADS:
        if frames != small.look_ahead:
            out[f"{40 * frames} ms of look-ahead"] = dataclasses.replace(small, look_ahead=frames)
    out["without recorded speech (festvox-ru)"] = without("festvox-ru")
    if config.is_quick:
        return dict([*out.items()][:: len(out) - 1])
    usable = {name for name in small.hours if shards.count(config.shards, name)}
    return {name: c for name, c in out.items() if usable & c.hours.keys()}


def ablate(config: Config) -> None:
    """Trains and measures every variant that was not measured yet; a full run writes the README."""
    folder = config.work / "ablation"
    folder.mkdir(parents=True, exist_ok=True)
    sets = measures.held_out(config)
    measured: dict[str, dict[str, float]] = {}
    for name, variant in variants(config).items():
        runs = folder / "".join(c if c.isalnum() else "-" for c in name)
        result = runs / "figures.json"
        if not result.exists():
            variant = dataclasses.replace(variant, runs_folder=runs)
            train.train(variant)
            export.write(variant, runs / "speech.onnx")
            result.write_text(json.dumps(_measure(variant, sets)))
        measured[name] = json.loads(result.read_text())
        print(name, measured[name], flush=True)
    text = _table(measured, config)
    print(text)
    if not config.is_quick:
        _draw(measured, config)
        evaluate.write_readme(f"{text}\n\n![{_caption()}](look_ahead.png)", "ablations")


def _measure(config: Config, sets: dict[str, list[measures.Item]]) -> dict[str, float]:
    items = next(iter(sets.values()))
    system = baselines.cached(
        baselines.engine(config.runs / "speech.onnx", look_ahead=config.look_ahead)
    )
    f = measures.measure(items, system)
    sounds = measures.stillness(sets, system)
    return {
        "jaw": f.jaw,
        "mean": f.mean,
        "lips": float(sum(f.correlations[INDEX[n]] for n in SHOWN) / len(SHOWN)),
        "recall": f.recall,
        "precision": f.precision,
        "f1": f.f1,
        "motion": sum(row.motion for row in sounds if "pauses" not in row.sound),
    }


def _table(measured: dict[str, dict[str, float]], config: Config) -> str:
    lines = [
        f"| {config.ablation_steps} steps | jaw r | mean r of 14 | width and rounding r "
        "| bilabial recall / precision / F1 | motion without speech |",
        "|---|---|---|---|---|---|",
    ]
    for name, f in measured.items():
        lines.append(
            f"| {name} | {f['jaw']:.3f} | {f['mean']:.3f} | {f['lips']:.3f} | "
            f"{f['recall']:.2f} / {f['precision']:.2f} / {f['f1']:.2f} | {f['motion']:.2f} |"
        )
    return "\n".join(lines)


def _caption() -> str:
    return "Correlation and bilabial F1 over the look-ahead"


def _draw(measured: dict[str, dict[str, float]], config: Config) -> None:
    names = [
        "everything" if n == config.look_ahead else f"{40 * n} ms of look-ahead"
        for n in LOOK_AHEADS
    ]
    figure, axes = plt.subplots(figsize=(6, 3.6), dpi=110)
    for key, label in (
        ("jaw", "jaw r"),
        ("mean", "mean r of 14"),
        ("lips", "width and rounding r"),
        ("f1", "bilabial F1"),
    ):
        axes.plot(
            [40 * n for n in LOOK_AHEADS], [measured[n][key] for n in names], "o-", label=label
        )
    axes.set_xlabel("look-ahead, ms")
    axes.set_xticks([40 * n for n in LOOK_AHEADS])
    axes.set_title(f"recorded English, {config.ablation_steps} steps of a small network")
    axes.grid(alpha=0.3)
    axes.set_ylim(0, 1)  # leaves room for the legend between jaw and the rest
    axes.legend(frameon=False, ncols=2, loc="center", bbox_to_anchor=(0.5, 0.69))
    figure.tight_layout()
    figure.savefig(FIGURE)
    plt.close(figure)
