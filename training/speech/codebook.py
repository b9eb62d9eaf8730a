"""The mouth shapes that an Essence avatar has pictures of: ``engine/models/codebook.npy``.

Row 0 is rest. Then come one row per viseme target, sealed lips in several roundings, and k-means
centres of the targets over speech, in a space scaled by how much each coefficient shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import models
from engine.coefficients import COEFFICIENTS, INDEX
from training.speech import phones, train
from training.speech.config import Config

# How much a full coefficient changes the picture, relative to the open jaw.
VISIBLE = np.array(
    [1.0, 0.6, 0.6, 0.7, 0.5, 0.45, 0.5, 0.5, 0.3, 0.3, 0.2, 0.15, 0.15, 0.3, 0.2, 0.8],
    np.float32,
)
_SEALED: tuple[dict[str, float], ...] = (
    {},  # m as in "hum"
    {"mouthPress": 0.4, "mouthRollLower": 0.2, "mouthRollUpper": 0.15},  # the table's p, b, m
    {"mouthPress": 0.2, "mouthStretch": 0.2, "mouthSmile": 0.15},  # "me", "be"
    {"mouthPress": 0.15, "mouthPucker": 0.45, "mouthFunnel": 0.1},  # "boo", "move"
    {"mouthPress": 0.25, "jawOpen": 0.2, "mouthRollLower": 0.2},  # "mama", the jaw stays low
    {"mouthPress": 0.6, "mouthRollLower": 0.4, "mouthRollUpper": 0.3},  # a firm "p"
)


def sealed_rows() -> NDArray[np.float32]:
    """Shapes in which the lips meet along their whole length."""
    rows = np.zeros((len(_SEALED), len(COEFFICIENTS)), np.float32)
    for row, spec in zip(rows, _SEALED, strict=True):
        row[INDEX["jawOpen"]] = 0.06
        for name, value in spec.items():
            row[INDEX[name]] = value
        row[INDEX["mouthClose"]] = row[INDEX["jawOpen"]]
        row[INDEX["lipClosure"]] = 1.0
    return rows


def build(samples: NDArray[np.float32], size: int, seed: int) -> NDArray[np.float32]:
    """Makes the codebook.

    Args:
        samples: (n, 16) coefficients over speech.
        size: number of rows wanted.
        seed: for k-means.

    Returns:
        (size, 16) float32.
    """
    visemes = np.delete(phones.TARGETS, [phones.SILENCE, phones.BILABIAL], axis=0)
    fixed = np.concatenate([np.zeros((1, 16), np.float32), sealed_rows(), visemes])
    # Half-closed lips are left out: they would look like a closure that was missed.
    open_mouth = samples[samples[:, INDEX["lipClosure"]] < 0.4]
    generator = np.random.default_rng(seed)
    centres = _k_means(open_mouth * VISIBLE, fixed * VISIBLE, size - len(fixed), generator)
    rows = np.concatenate([fixed, centres / VISIBLE]).astype(np.float32)
    return np.clip(rows, 0, 1)


def _k_means(
    points: NDArray[np.float32],
    fixed: NDArray[np.float32],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Lloyd's algorithm beside rows that do not move, started by k-means++."""
    nearest = _distance(points, fixed).min(axis=1)
    centres = np.empty((count, points.shape[1]), np.float32)
    for i in range(count):
        chosen = generator.choice(len(points), p=nearest / nearest.sum())
        centres[i] = points[chosen]
        nearest = np.minimum(nearest, _distance(points, centres[i : i + 1])[:, 0])
    for _ in range(25):
        owner = _distance(points, np.concatenate([fixed, centres])).argmin(axis=1) - len(fixed)
        for i in range(count):
            members = points[owner == i]
            if len(members):
                centres[i] = members.mean(axis=0)
    return centres


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    squared = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    return np.asarray(np.maximum(squared, 0), np.float32)


def codebook(config: Config) -> None:
    """Makes the codebook from the targets of all sources, and installs it."""
    generator = np.random.default_rng(config.seed)
    parts = []
    for source in config.hours:
        track = train.load_track(config, source)
        if track is not None:
            speech = track.targets[track.classes != phones.SILENCE]
            take = min(len(speech), 8_000)
            parts.append(speech[generator.choice(len(speech), take, replace=False)])
    samples = np.concatenate(parts).astype(np.float32)
    rows = build(samples, config.codebook_size, config.seed)
    error = np.sqrt(_distance(samples * VISIBLE, rows * VISIBLE).min(axis=1))
    print(
        f"codebook: {len(rows)} shapes, weighted error median {np.median(error):.3f}, "
        f"95 % {np.percentile(error, 95):.3f}"
    )
    config.runs.mkdir(parents=True, exist_ok=True)
    target = (
        config.runs / "codebook.npy"
        if config.work.name == "quick"
        else Path(models.__file__).with_name("codebook.npy")
    )
    np.save(target, rows)
