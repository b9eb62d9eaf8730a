"""Trains the network on all shards; resumes from its last checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from engine.coefficients import INDEX, SAMPLE_RATE, SAMPLES_PER_FRAME
from training.speech import music, phones, restore, shards
from training.speech.augment import Augmenter
from training.speech.config import HELD_OUT_SPEAKERS, Config
from training.speech.mel import log_mel
from training.speech.model import SpeechModel, shown

# Spread of each coefficient over speech: errors are divided by it, so that small movements count.
SPREAD = torch.tensor(
    [0.2, 0.03, 0.12, 0.18, 0.1, 0.08, 0.1, 0.07, 0.1, 0.1, 0.04, 0.03, 0.04, 0.1, 0.3, 0.25]
)
# How much a coefficient's error shows.
WEIGHT = torch.tensor([2, 1.5, 1.2, 1.5, 1, 0.8, 1, 1, 1, 1, 0.8, 0.4, 0.4, 0.7, 0.7, 2])
CLOSURE_WEIGHT = 1.2  # of frames with sealed lips, which are few, in the cross-entropy
CLOSED = 0.6  # lipClosure of lips that meet
# Sounds that closures are heard in wrongly, and how much more it counts to do so.
MISTAKEN = {"FF": 2.0, "NN": 1.5, "WW": 1.5, "TH": 2.2, "BB": 1.3}
QUIET_WEIGHT = 1.0  # added to the weight of errors while nobody speaks …
QUIET_VELOCITY = 4.0  # … and of their change
REST_FRAMES = 4  # the shortest pause, 160 ms, in whose middle the mouth rests
CODED = 0.3  # of the utterances come through a telephone
AHEAD = 8  # batches that are made before they are needed
WARM_UP_FRAMES = 8  # at the start of an excerpt, without context and without loss

Batch = tuple[Tensor, Tensor, Tensor]  # what :meth:`Batches.next` returns


@dataclass(frozen=True)
class Track:
    """All speech of a source in a row, with pauses between the sentences."""

    audio: NDArray[np.int16]
    targets: NDArray[np.float16]  # (n, 16) at 100 Hz
    classes: NDArray[np.uint8]  # (n,) at 100 Hz


def load_track(config: Config, source: str) -> Track | None:
    """Reads a source, leaving the held-out speakers out.

    The targets take minutes to compute, so the track is kept beside the shards until they change.
    """
    number = shards.count(config.shards, source)
    if not number:
        return None
    path = config.work / "tracks" / f"{source}-{number}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as z:
            return Track(z["audio"], z["targets"], z["classes"])
    generator = np.random.default_rng((config.seed, number))
    utterances = [
        u for u in shards.read_all(config.shards, [source]) if u.speaker not in HELD_OUT_SPEAKERS
    ]
    audio: list[NDArray[np.int16]] = []
    targets: list[NDArray[np.float16]] = []
    classes: list[NDArray[np.uint8]] = []
    for i in generator.permutation(len(utterances)):
        sound, spans = padded(utterances[i], float(min(2.5, 0.3 + generator.exponential(0.25))))
        if generator.random() < CODED:
            sound = telephone_codec(sound)
        count = len(sound) // 160
        audio.append(sound[: count * 160])
        targets.append(phones.curves(spans, count).astype(np.float16))
        classes.append(phones.class_track(spans, count))
    track = Track(np.concatenate(audio), np.concatenate(targets), np.concatenate(classes))
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, audio=track.audio, targets=track.targets, classes=track.classes)
    temporary.rename(path)
    return track


def padded(
    utterance: shards.Utterance, seconds: float
) -> tuple[NDArray[np.int16], list[phones.Interval]]:
    """An utterance with silence before and after, and its intervals without gaps."""
    silence = np.zeros(int(seconds * SAMPLE_RATE), np.int16)
    sound = np.concatenate([silence, utterance.audio, silence])
    spans = [(c, a + seconds, b + seconds) for c, a, b in phones.intervals(utterance)]
    total = len(sound) / SAMPLE_RATE
    out: list[phones.Interval] = []
    for c, a, b in [(phones.SILENCE, 0.0, 0.0), *spans, (phones.SILENCE, total, total)]:
        if out and c == phones.SILENCE == out[-1][0]:
            out[-1] = (c, out[-1][1], max(b, out[-1][2]))
        elif out and a > out[-1][2] and out[-1][0] == phones.SILENCE:
            out[-1] = (phones.SILENCE, out[-1][1], a)
            out.append((c, a, b))
        elif c == phones.SILENCE and out:
            out.append((c, out[-1][2], b))
        else:
            out.append((c, a, b))
    return sound, out


def telephone_codec(sound: NDArray[np.int16]) -> NDArray[np.int16]:
    """Speech after the wideband codec of telephony, G.722, without its 22 samples of delay."""
    delay = 22
    coder = av.CodecContext.create("g722", "w")
    coder.sample_rate, coder.layout, coder.format = SAMPLE_RATE, "mono", "s16"  # type: ignore[attr-defined]
    decoder = av.CodecContext.create("g722", "r")
    decoder.sample_rate, decoder.layout = SAMPLE_RATE, "mono"  # type: ignore[attr-defined]
    frame = av.AudioFrame.from_ndarray(np.pad(sound, (0, 2 * delay))[None], "s16", "mono")
    frame.sample_rate = SAMPLE_RATE
    packets = [*coder.encode(frame), *coder.encode(None)]  # type: ignore[attr-defined]
    out = np.concatenate(
        [f.to_ndarray().ravel() for p in packets for f in decoder.decode(p)]  # type: ignore[attr-defined]
    )
    return np.asarray(out[delay : delay + len(sound)], np.int16)


class Batches:
    """Endless augmented batches."""

    def __init__(self, config: Config, generator: np.random.Generator) -> None:
        self._config, self._rng = config, generator
        played = music.clips(config.instruments, generator) if config.instruments else None
        self._augment = Augmenter(generator, config.clips, played)
        self._samples = round(config.seconds * 25) * SAMPLES_PER_FRAME
        self._pool: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]] = []
        self._counts: list[int] = []
        self.load()

    def load(self) -> None:
        """Reads the shards that are there now; synthesis may still be running beside."""
        counts = [shards.count(self._config.shards, s) for s in self._config.hours]
        if counts == self._counts:
            return
        self._counts = counts
        found = {s: t for s in self._config.hours if (t := load_track(self._config, s)) is not None}
        self._tracks = list(found.values())
        weights = np.array([self._config.weights[s] for s in found])
        self._probability = weights / weights.sum()
        for name, track in found.items():
            print(f"{name}: {len(track.audio) / SAMPLE_RATE / 60:.1f} min", flush=True)

    def next(self) -> Batch:
        """Mel (B, 4n, 80), targets (B, n, 16) and classes (B, n).

        Waveform augmentation costs nearly as much as a training step, so some batches of sound are
        used again, with another spectral tilt and band.
        """
        if len(self._pool) > 40 and self._rng.random() < self._config.reuse:
            mel, targets, classes = self._pool[int(self._rng.integers(len(self._pool)))]
        else:
            mel, targets, classes = self._fresh()
            if len(self._pool) < 80:
                self._pool.append((mel, targets, classes))
            else:
                self._pool[int(self._rng.integers(80))] = (mel, targets, classes)
        return (
            torch.from_numpy(self._augment.equalise(mel)),
            torch.from_numpy(targets),
            torch.from_numpy(classes.astype(np.int64)),
        )

    def _fresh(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        rng, size, rows = self._rng, self._samples, self._config.batch
        frames = size // SAMPLES_PER_FRAME
        audio = np.zeros((rows, size), np.float32)
        targets = np.zeros((rows, frames, 16), np.float32)
        classes = np.zeros((rows, frames), np.uint8)
        # Row m of the network belongs to the centre of frame m - look_ahead.
        late = self._config.look_ahead
        seconds = (np.arange(frames) - late + 0.5) * (SAMPLES_PER_FRAME / SAMPLE_RATE)
        negative = rng.random(rows) < self._config.negatives
        for b in range(rows):
            if negative[b]:
                continue
            track = self._tracks[int(rng.choice(len(self._tracks), p=self._probability))]
            speed = float(np.exp(rng.uniform(np.log(0.8), np.log(1.27))))  # and pitch with it
            need = int(size * speed) + 2
            start = int(rng.integers(SAMPLE_RATE, len(track.audio) - need - SAMPLE_RATE))
            excerpt = track.audio[start : start + need].astype(np.float32) / 32768
            audio[b] = np.interp(np.arange(size) * speed, np.arange(need), excerpt)
            at = start / 160 + seconds * speed * phones.CURVE_RATE
            targets[b] = frame_targets(track.targets, at, speed)
            classes[b] = track.classes[np.clip(np.round(at).astype(int), 0, len(track.classes) - 1)]
        clean = audio
        audio = self._augment(clean)
        for b in np.flatnonzero(negative):
            audio[b] = self._augment.negative(size, clean)
            if rng.random() < 0.5:  # speech that stops, and then something that is no speech
                other = int(rng.integers(rows))
                if not negative[other]:
                    cut = int(rng.integers(10, frames - 14))
                    half = cut * SAMPLES_PER_FRAME
                    quiet = np.flatnonzero(classes[other, cut : cut + 25] == phones.SILENCE)
                    if len(quiet):
                        half = (cut + int(quiet[0])) * SAMPLES_PER_FRAME
                        audio[b, :half] = audio[other, :half]
                        keep = half // SAMPLES_PER_FRAME + late
                        targets[b, :keep] = targets[other, :keep]
                        classes[b, :keep] = classes[other, :keep]
        return log_mel(audio), targets, classes


class BatchStream(IterableDataset[Batch]):
    """The batches of one run, for a process that makes them while the network learns.

    Args:
        config: of the run.
        step: number of the first batch. Together with the seed of the run it decides what comes.
    """

    def __init__(self, config: Config, step: int) -> None:
        self._config, self._step = config, step

    def __iter__(self) -> Iterator[Batch]:
        batches = Batches(self._config, np.random.default_rng((self._config.seed, self._step)))
        while True:
            for _ in range(self._config.checkpoint_steps):
                yield batches.next()
            batches.load()


def frame_targets(
    curves: NDArray[np.float16], at: NDArray[np.float64], speed: float
) -> NDArray[np.float32]:
    """Targets of frames: the curves at their centres, or at a closure that falls between two.

    A short m between two frame centres would seal the lips in neither. One of them shows it whole.

    Args:
        curves: (n, 16) at 100 Hz.
        at: centres of the frames, as positions in ``curves``.
        speed: how much faster than the curves the sound is played; a frame covers 4 rows times it.
    """
    low = np.clip(np.floor(at).astype(int), 0, len(curves) - 2)
    part = (at - low)[:, None]
    out = curves[low] * (1 - part) + curves[low + 1] * part
    offsets = np.arange(-1.5, 2.0, 0.5) * speed
    near = np.clip(np.round(at[:, None] + offsets).astype(int), 0, len(curves) - 1)
    sealed = curves[near, INDEX["lipClosure"]]
    best = near[np.arange(len(near)), sealed.argmax(axis=1)]
    shown = np.pad(out[:, INDEX["lipClosure"]] > CLOSED, 1)
    missed = (sealed.max(axis=1) > CLOSED) & ~(shown[:-2] | shown[1:-1] | shown[2:])
    # The first of two frames that share a closure shows it.
    missed[1:] &= ~missed[:-1]
    out[missed] = curves[best[missed]]
    return np.asarray(out, np.float32)


def loss_of(
    config: Config, logits: Tensor, classes: Tensor, targets: Tensor, labels: Tensor
) -> Tensor:
    """Position (Smooth-L1 on scaled errors), velocity, and cross-entropy of the yes-or-no things.

    Those are closures, voice activity and classes. Position and velocity alone learn no closures
    at all: sealed lips are rare and short.
    """
    sealed = INDEX["lipClosure"]
    rows = shown(logits)
    speaks = activity(labels)
    quiet = (1 - speaks)[..., None]
    error = (rows - targets) / SPREAD
    position = nn.functional.smooth_l1_loss(
        error, torch.zeros_like(error), reduction="none", beta=2.0
    )
    others = [i for i in range(targets.shape[-1]) if i != sealed or not config.closure_loss]
    velocity = (error[:, 1:] - error[:, :-1]).square().clamp(max=9)
    closed = targets[..., sealed].clamp(0, 1)
    # Of a closure that is shown: the network's value and its voice activity, multiplied.
    shut = nn.functional.logsigmoid(logits[..., sealed]) + nn.functional.logsigmoid(logits[..., -1])
    parted = torch.log1p(-shut.exp().clamp(max=1 - 1e-5))
    closure = -(CLOSURE_WEIGHT * closed * shut + mistaken()[labels] * (1 - closed) * parted)
    return (
        2 * (position * WEIGHT * (1 + QUIET_WEIGHT * quiet))[..., others].mean()
        + config.closure_loss * closure.mean()
        + config.velocity_loss * (velocity * WEIGHT * (1 + QUIET_VELOCITY * quiet[:, 1:])).mean()
        + config.activity_loss
        * nn.functional.binary_cross_entropy_with_logits(logits[..., -1], speaks)
        + config.class_loss * nn.functional.cross_entropy(classes.flatten(0, 1), labels.flatten())
    )


def activity(labels: Tensor) -> Tensor:
    """Whether somebody speaks: (B, n) classes -> (B, n) of 1, and of 0 in the middle of pauses.

    The frames at both ends of a pause belong to the speech around it.
    """
    silent = (labels == phones.SILENCE).float()[:, None]
    # Pauses of REST_FRAMES and longer (a morphological opening), less a frame at both ends.
    kept = -nn.functional.max_pool1d(-_ended(silent, REST_FRAMES), REST_FRAMES, 1)
    long = nn.functional.max_pool1d(_ended(kept, REST_FRAMES, 0.0), REST_FRAMES, 1)
    long = long[..., REST_FRAMES - 1 : REST_FRAMES - 1 + labels.shape[1]]
    inner = -nn.functional.max_pool1d(-nn.functional.pad(long, (1, 1), value=1.0), 3, 1)
    return 1 - inner[:, 0]


def _ended(values: Tensor, frames: int, value: float = 1.0) -> Tensor:
    """With ``frames`` - 1 more at both ends: an excerpt may begin or end within a pause."""
    return nn.functional.pad(values, (frames - 1, frames - 1), value=value)


@cache
def mistaken() -> Tensor:
    """Weight of not sealing the lips, by class."""
    out = torch.ones(len(phones.CLASSES))
    for name, weight in MISTAKEN.items():
        out[phones.CLASS_INDEX[name]] = weight
    return out


def train(config: Config) -> None:
    """Runs to the configured number of steps or minutes; writes ``model.pt`` and ``log.json``."""
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    config.runs.mkdir(parents=True, exist_ok=True)
    checkpoint = config.runs / "checkpoint.pt"
    model = SpeechModel(config.conv1, config.conv2, config.hidden)
    if config.start is not None:
        if not checkpoint.exists():  # the export replaces what it started from
            shutil.copy(config.start, config.before)
        restore.restore(config.before, model)
    # The mean of the last weights is better than the last ones (Polyak and Juditsky 1992).
    mean = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=1e-4)
    step, spent = 0, 0.0
    log: list[dict[str, float]] = []
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        mean = saved["mean"]
        step, spent, log = saved["step"], saved["spent"], saved["log"]
    stream = BatchStream(config, step)
    batches = iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=AHEAD))
    began = time.monotonic() - spent
    average = 0.0
    while True:
        spent = time.monotonic() - began
        progress = max(step / config.steps, spent / (config.minutes * 60))
        if progress >= 1:
            break
        rate = min(1.0, (step + 1) / 150) * (0.5 * (1 + np.cos(np.pi * progress)) * 0.97 + 0.03)
        for group in optimiser.param_groups:
            group["lr"] = float(config.learning_rate * rate)
        mel, targets, labels = next(batches)
        logits, classes = model(mel)
        skip = WARM_UP_FRAMES
        heard = [x[:, skip:] for x in (logits, classes, targets, labels)]
        loss = loss_of(config, *heard)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        keep = min(config.averaging, step / (step + 10))
        for name, value in model.state_dict().items():
            mean[name].lerp_(value, 1 - keep)
        average = loss.item() if step == 1 or not average else 0.98 * average + 0.02 * loss.item()
        if step % 50 == 0:
            log.append({"step": step, "loss": round(average, 4), "seconds": round(spent, 1)})
        if step % config.checkpoint_steps == 0:
            print(
                f"step {step}: loss {average:.4f}, {1000 * spent / step:.0f} ms a step", flush=True
            )
            state = {
                "model": model.state_dict(),
                "mean": mean,
                "optimiser": optimiser.state_dict(),
                "step": step,
                "spent": spent,
                "log": log,
            }
            _save(state, checkpoint)
    _save(mean, config.runs / "model.pt")
    (config.runs / "log.json").write_text(json.dumps(log))


def load(config: Config) -> SpeechModel:
    """The trained network."""
    model = SpeechModel(config.conv1, config.conv2, config.hidden)
    model.load_state_dict(torch.load(config.runs / "model.pt", weights_only=True))
    return model.eval()


def _save(state: object, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.rename(path)
