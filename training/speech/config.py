"""All choices of the recipe in one place."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from engine import models
from engine.speech.stream import LOOK_AHEAD_FRAMES

# How much later than PocketSphinx each synthesiser's own phone times are, in seconds. A constant
# shift per source removes it: measured at bilabials by `python -m training.speech align`, the
# spread around it is only 4-12 ms. Without it the mouth moves after the sound.
TIMING_BIAS = {
    "kokoro": 0.0625,
    "hibari": 0.0625,
    "piper": 0.042,
    "espeak": 0.010,
    "flite": 0.004,
    "festival": 0.004,
    "festvox-ru": 0.0,
    "recorded": 0.0,
    "aligned": 0.0,
}

# Never trained on; they measure how well the network meets unknown speakers.
HELD_OUT_SPEAKERS = frozenset(
    {
        "kokoro:am_michael",
        "kokoro:af_bella",
        "kokoro:bm_george",
        "kokoro:bf_emma",
        "kokoro:im_nicola",
        "kokoro:jf_alpha",
        "flite:awb",
    }
)

# espeak-ng voice -> the texts it reads. A voice may read a neighbour's text: its phone times stay
# exact, and its phones (rounded front vowels, nasal vowels, retroflexes) are what is wanted.
ESPEAK_VOICES = {
    "en-us": "en",
    "en": "en",
    "en-gb-scotland": "en",
    "en-gb-x-rp": "en",
    "en-029": "en",
    "es": "es",
    "es-419": "es",
    "it": "it",
    "de": "de",
    "pt-br": "pt",
    "pt": "pt",
    "ru": "ru",
    "pl": "pl",
    "cs": "cs",
    "cmn": "zh",
    "fr": "fr",
    "fr-be": "fr",
    "hi": "hi",
    "ar": "ar",
    "ja": "ja",
    "ko": "ko",
    "vi": "vi",
    "fa": "fa",
    "bn": "bn",
    "sw": "sw",
    "el": "el",
    "bg": "bg",
    "et": "et",
    "ro": "ro",
    "ca": "ca",
    "nl": "nl",
    "sv": "sv",
    "da": "da",
    "nb": "nb",
    "fi": "fi",
    "hu": "hu",
    "sk": "cs",
    "hr": "cs",
    "tr": "tr",
    "id": "id",
    "uk": "uk",
    "sr": "sr",
}


@dataclass(frozen=True)
class Config:
    """Amounts and hyper-parameters of one run.

    Attributes:
        work: folder for downloads, shards, checkpoints and figures (outside the repository).
        hours: hours of speech per source; a source that is absent is not used.
        utterances_per_shard: a shard is written to a temporary name and renamed.
        steps: optimiser steps; the learning rate falls to nothing along a cosine.
        minutes: wall-clock budget; the cosine is shortened to end with it when steps take longer.
        checkpoint_steps: how often training can be resumed.
        clips: pieces of music and clicks to add to speech.
        instruments: pieces of music of sampled instruments that are played with FluidSynth.
        weights: how often a source is drawn, relative to the others.
        look_ahead: frames between a sound and its row; what ships has what the engine expects.
        negatives: share of excerpts that hold no speech or end in something else.
        closure_loss: weight of sealed lips; 0 treats them like any other coefficient.
        velocity_loss: weight of the errors' change from frame to frame.
        class_loss: weight of the phone class.
        activity_loss: weight of whether somebody speaks.
        averaging: decay per step of the running mean of weights, which is what gets exported.
        reuse: share of batches whose sound was heard before, with another spectral tilt and band.
        start: an exported network to train on from; from nothing if None.
        study: network of the study before this recipe, to compare with; not in the repository.
        evaluate: how many utterances of each held-out set are measured (None: all).
        ablation_steps: of each of the short runs that say what matters.
        runs_folder: where this run keeps its results, if not in ``work/runs``.
        recorded_minutes: how much of the asterisk recordings is aligned.
    """

    work: Path
    hours: dict[str, float] = field(
        default_factory=lambda: {
            "espeak": 8.0,
            "flite": 1.5,
            "festival": 2.5,
            "kokoro": 4.0,
            "hibari": 4.8,
            "festvox-ru": 1.9,
        }
    )
    utterances_per_shard: int = 100
    seed: int = 20
    steps: int = 16_000
    minutes: float = 55.0
    checkpoint_steps: int = 250
    clips: int = 60
    instruments: int = 180
    batch: int = 48
    seconds: float = 2.56
    learning_rate: float = 2e-3
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "espeak": 1.6,
            "flite": 0.9,
            "festival": 1.2,
            "kokoro": 2.6,
            "hibari": 2.4,
            "festvox-ru": 1.3,
        }
    )
    start: Path | None = None
    study: Path | None = None
    conv1: int = 80
    conv2: int = 160
    hidden: int = 160
    look_ahead: int = LOOK_AHEAD_FRAMES
    negatives: float = 0.14
    closure_loss: float = 1.5
    velocity_loss: float = 0.05
    class_loss: float = 0.4
    activity_loss: float = 0.4
    averaging: float = 0.999
    reuse: float = 0.6
    evaluate: int | None = None
    recorded_minutes: float = 60.0
    codebook_size: int = 96
    ablation_steps: int = 3_000
    runs_folder: Path | None = None

    @property
    def downloads(self) -> Path:
        """Packages as fetched, and what was unpacked from them."""
        return self.work / "downloads"

    @property
    def shards(self) -> Path:
        """Synthesised and aligned speech."""
        return self.work / "shards"

    @property
    def before(self) -> Path:
        """Copy of the network that training went on from; absent if it began from nothing."""
        return self.runs / "before.onnx"

    @property
    def runs(self) -> Path:
        """Checkpoints, logs and exported networks."""
        return self.runs_folder or self.work / "runs"

    @property
    def is_quick(self) -> bool:
        """Whether this run only proves that the recipe works: it installs and writes nothing."""
        return self.work.name == "quick"


def full(work: Path) -> Config:
    """Everything from nothing."""
    return Config(work)


def further(work: Path) -> Config:
    """Trains on from the network that ships, for a while, with the speech that is there."""
    return dataclasses.replace(
        Config(work),
        start=Path(models.__file__).with_name("speech.onnx"),
        steps=40_000,
        minutes=60.0,
        checkpoint_steps=500,
        learning_rate=1e-3,
    )


def quick(work: Path) -> Config:
    """Every stage on a tiny set, in a few minutes; proves that the recipe runs, makes no model."""
    return dataclasses.replace(
        Config(work / "quick"),
        hours={"espeak": 0.1, "flite": 0.03},
        utterances_per_shard=20,
        steps=120,
        minutes=2.0,
        batch=8,
        clips=3,
        instruments=2,
        evaluate=6,
        recorded_minutes=0.3,
        ablation_steps=20,
    )
