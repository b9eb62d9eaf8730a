"""The training recipe on a tiny set; needs the packages of training/speech/requirements.txt."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from engine.coefficients import INDEX
from engine.speech import SpeechNetwork, coefficients

torch = pytest.importorskip("torch")
for package in ("espeakng_loader", "scipy", "onnx"):
    pytest.importorskip(package)

from engine import models  # noqa: E402
from training.speech import (  # noqa: E402
    config,
    espeak,
    export,
    model,
    phones,
    restore,
    shards,
    train,
)

pytestmark = pytest.mark.models


def sentence(text: str) -> shards.Utterance:
    engine = espeak.espeak()
    engine.voice("en-us")
    audio, segments = engine.synthesise(text)
    at16k = np.interp(
        np.arange(0, len(audio) * 16_000 // engine.sample_rate) * engine.sample_rate / 16_000,
        np.arange(len(audio)),
        audio,
    ).astype(np.int16)
    return shards.Utterance(at16k, segments, "espeak:x", "espeak", "en-us", text)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> config.Config:
    tiny = dataclasses.replace(
        config.quick(tmp_path_factory.mktemp("work")),
        hours={"espeak": 0.01},
        weights={"espeak": 1.0},
        steps=60,
        batch=6,
    )
    said = [
        "My puppy bumped a big blue map by the pump.",
        "People move the heavy box above five wooden tables.",
        "We saw four ships far away on the open sea.",
        "She thinks that you should choose the other chair.",
    ]
    shards.write(tiny.shards / "espeak" / "0000.npz", [sentence(s) for s in said * 2])
    return tiny


def test_shards_come_back_as_they_were(tmp_path: Path) -> None:
    said = [sentence("A happy man."), sentence("Five more.")]
    shards.write(tmp_path / "espeak" / "0000.npz", said)
    for before, after in zip(said, shards.read_all(tmp_path, ["espeak"]), strict=True):
        np.testing.assert_array_equal(after.audio, before.audio)
        assert [s[0] for s in after.segments] == [s[0] for s in before.segments]
        assert (after.speaker, after.text) == (before.speaker, before.text)


def test_bilabials_seal_the_lips_and_vowels_part_them(tiny: config.Config) -> None:
    utterance = next(iter(shards.read_all(tiny.shards, ["espeak"])))
    spans = phones.intervals(utterance)
    curves = phones.curves(spans, len(utterance.audio) // 160)
    sealed = [(a + b) / 2 for c, a, b in spans if c == phones.BILABIAL]
    assert len(sealed) >= 9
    for time in sealed:
        row = curves[round((time - 0.01) * 100)]
        assert row[INDEX["lipClosure"]] > 0.85
        assert row[INDEX["mouthClose"]] >= row[INDEX["jawOpen"]] - 1e-6
    assert curves[:, INDEX["jawOpen"]].max() > 0.4


def test_training_learns_and_the_exported_network_runs(tiny: config.Config) -> None:
    batch = train.Batches(tiny, np.random.default_rng(7)).next()

    def loss(network: model.SpeechModel) -> float:
        mel, targets, labels = batch
        logits, classes = network(mel)
        return float(train.loss_of(logits, classes, targets, labels))

    before = loss(model.SpeechModel(tiny.conv1, tiny.conv2, tiny.hidden))
    train.train(tiny)
    assert loss(train.load(tiny)) < 0.5 * before
    export.export(tiny)
    session = onnxruntime.InferenceSession(str(tiny.runs / "speech.onnx"))
    rows = coefficients(np.zeros(16_000, np.float32), SpeechNetwork(session))
    assert rows.shape == (25, 16)


def test_an_interrupted_training_goes_on(tiny: config.Config) -> None:
    longer = dataclasses.replace(tiny, work=tiny.work / "again", steps=20, checkpoint_steps=10)
    shutil.copytree(tiny.shards, longer.shards)
    half = dataclasses.replace(longer, steps=10)
    train.train(half)
    assert torch.load(longer.runs / "checkpoint.pt", weights_only=True)["step"] == 10
    train.train(longer)
    assert torch.load(longer.runs / "checkpoint.pt", weights_only=True)["step"] == 20


def test_the_network_that_ships_can_be_trained_on() -> None:
    network = model.SpeechModel().eval()
    restore.restore(models.path("speech.onnx"), network)
    mel = torch.rand(2, 40, 80, generator=torch.Generator().manual_seed(0)) * 3
    with torch.no_grad():
        wanted = torch.sigmoid(network(mel)[0]).numpy()
    shipped = SpeechNetwork()
    states = shipped.initial(2)
    for m in range(10):
        rows, states = shipped.step(mel[:, 4 * m : 4 * m + 4].numpy(), states)
        np.testing.assert_allclose(rows, wanted[:, m], atol=1e-5)
    with pytest.raises(ValueError, match="other layers"):
        restore.restore(models.path("speech.onnx"), model.SpeechModel(hidden=64))


def test_the_quick_run_goes_from_texts_to_tables(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    for needed in ("/usr/bin/flite", "/usr/share/games/fortunes", "/usr/share/pocketsphinx/test"):
        if not Path(needed).exists():
            pytest.skip(f"{needed} is missing: the Debian packages of the recipe")
    root = Path(__file__).parents[2]
    printed = subprocess.run(
        [sys.executable, "-m", "training.speech", "--quick", "--work", str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    stages = re.findall(r"^== (\w+)$", printed, re.MULTILINE)
    assert stages == ["fetch", "synthesise", "align", "train", "export", "codebook", "evaluate"]
    assert "| digital silence | this network | 0.000 | 100 % | 0.00 |" in printed
    log = json.loads((tmp_path / "quick" / "runs" / "log.json").read_text())
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert (tmp_path / "quick" / "runs" / "speech.onnx").stat().st_size < 4 << 20
