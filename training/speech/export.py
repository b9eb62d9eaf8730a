"""Writes the trained network as a batched, stateful ONNX step."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from engine import models
from engine.coefficients import SAMPLES_PER_FRAME
from training.speech import evaluate, train
from training.speech.config import Config
from training.speech.mel import log_mel
from training.speech.model import Step, shown


def export(config: Config) -> None:
    """Exports to ``runs/speech.onnx``, checks it, and installs it.

    A quick run installs nothing; one that went on from a network only what is better.
    """
    path = config.runs / "speech.onnx"
    write(config, path)
    if config.is_quick:
        return
    if config.start is not None and not evaluate.better(config, path, config.before):
        print("not better than the network before, which stays")
    else:
        shutil.copy(path, Path(models.__file__).with_name("speech.onnx"))


def write(config: Config, path: Path) -> None:
    """Writes the network of a run and checks that its steps equal PyTorch's whole sequences.

    Raises:
        SystemExit: they differ by more than 1e-5.
    """
    model = train.load(config)
    step = Step(model)
    size = sum(step.sizes)
    torch.onnx.export(
        step,
        (torch.zeros(3, SAMPLES_PER_FRAME), torch.zeros(3, size)),
        str(path),
        input_names=["pcm", "state"],
        output_names=["coefficients", "next_state", "voice"],
        dynamic_axes={
            name: {0: "batch"} for name in ("pcm", "state", "coefficients", "next_state", "voice")
        },
        opset_version=17,
        dynamo=False,
    )
    onnx.checker.check_model(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    sound = np.random.default_rng(0).normal(0, 0.1, (3, 20, SAMPLES_PER_FRAME)).astype(np.float32)
    with torch.no_grad():
        expected = shown(model(torch.from_numpy(log_mel(sound.reshape(3, -1))))[0]).numpy()
    state = np.zeros((3, size), np.float32)
    for m in range(20):
        out, state = session.run(
            ["coefficients", "next_state"], {"pcm": sound[:, m], "state": state}
        )
        difference = float(np.abs(out - expected[:, m]).max())
        if difference > 1e-5:
            raise SystemExit(f"the exported network differs from PyTorch by {difference:.1e}")
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB, streaming equals PyTorch to 1e-5")
