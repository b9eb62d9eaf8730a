"""Writes the trained network as a batched, stateful ONNX step."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from engine import models
from training.speech import evaluate, train
from training.speech.config import Config
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
    mel = torch.rand(3, 4, 80) * 3
    state = torch.rand(3, sum(model.sizes))
    torch.onnx.export(
        Step(model),
        (mel, state),
        str(path),
        input_names=["mel", "state"],
        output_names=["coefficients", "next_state", "voice"],
        dynamic_axes={
            name: {0: "batch"} for name in ("mel", "state", "coefficients", "next_state", "voice")
        },
        opset_version=17,
        dynamo=False,
    )
    onnx.checker.check_model(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        sequence = torch.rand(3, 80, 80) * 3
        expected = shown(model(sequence)[0]).numpy()
    rows = np.zeros((3, sum(model.sizes)), np.float32)
    for m in range(20):
        out, rows = session.run(
            ["coefficients", "next_state"],
            {"mel": sequence[:, 4 * m : 4 * m + 4].numpy(), "state": rows},
        )
        difference = float(np.abs(out - expected[:, m]).max())
        if difference > 1e-5:
            raise SystemExit(f"the exported network differs from PyTorch by {difference:.1e}")
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB, streaming equals PyTorch to 1e-5")
