"""Piper's joe (data CC0), a neural voice of another make than those that are trained on.

For measuring only. VITS predicts how long each input symbol lasts; that tensor, exposed as an
output, gives the phone times.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from training.speech import texts
from training.speech.espeak import espeak
from training.speech.festival import to_16k
from training.speech.shards import Segment, Utterance

_DURATIONS = "/Ceil_output_0"
_SAMPLES_PER_DURATION = 256
_MARKS = "ˈˌːˑ ̩̃ʰʲ"  # belong to the phone beside them
_PAUSES = "_^$,.;:!?-"
_SENTENCES = 60


class Piper:
    """The network with its durations exposed, one thread.

    Args:
        folder: what :func:`training.speech.fetch.piper` returned.
    """

    def __init__(self, folder: Path) -> None:
        (path,) = folder.glob("*.onnx")
        settings = json.loads(path.with_suffix(".onnx.json").read_text())
        self.sample_rate: int = settings["audio"]["sample_rate"]
        self._ids: dict[str, list[int]] = settings["phoneme_id_map"]
        inference = settings["inference"]
        self._scales = np.array(
            [inference["noise_scale"], inference["length_scale"], inference["noise_w"]], np.float32
        )
        model = onnx.load(str(path))
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(_DURATIONS))
        onnxruntime.set_seed(1)  # of the noise it samples from
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def synthesise(self, text: str) -> tuple[NDArray[np.float32], list[Segment]]:
        """Speaks; returns float32 audio at ``sample_rate`` and (IPA, start, end) in seconds."""
        symbols = [c for c in _phonemes(text) if c in self._ids]
        # Every symbol is followed by a blank, whose time belongs to it.
        padded = ["^", "_"] + [x for c in symbols for x in (c, "_")] + ["$"]
        ids = np.array([[i for c in padded for i in self._ids[c]]], np.int64)
        audio, durations = self._session.run(
            None,
            {
                "input": ids,
                "input_lengths": np.array([ids.shape[1]], np.int64),
                "scales": self._scales,
            },
        )
        ends = np.cumsum(durations.ravel()) * (_SAMPLES_PER_DURATION / self.sample_rate)
        starts = np.concatenate([[0.0], ends[:-1]])
        segments: list[Segment] = []
        for i in range(0, len(padded), 2):
            last = min(i + 1, len(padded) - 1)
            symbol, start, end = padded[i], float(starts[i]), float(ends[last])
            if symbol in _MARKS and segments and symbol not in "ˈˌ":
                segments[-1] = (segments[-1][0], segments[-1][1], end)
            elif segments and segments[-1][0] in "ˈˌ":  # stress stands before its phone
                segments[-1] = (symbol, segments[-1][1], end)
            else:
                segments.append(("_" if symbol in _PAUSES else symbol, start, end))
        return np.asarray(audio, np.float32).ravel(), segments


def utterances(folder: Path) -> Iterator[Utterance]:
    """English sentences that no seed of the other sources begins with."""
    network = Piper(folder)
    for text in texts.sentences("en")[-_SENTENCES:]:
        audio, segments = network.synthesise(text)
        yield Utterance(
            to_16k(audio, network.sample_rate), segments, "piper:joe", "piper", "en-us", text
        )


def _phonemes(text: str) -> str:
    """IPA as Piper reads it: letters taken apart, with punctuation."""
    espeak().voice("en-us")
    out = ""
    for part in re.findall(r"[^,;:.!?]+|[,;:.!?]", text):
        if part in ",;:.!?":
            out += part
        else:
            out += (" " if out else "") + espeak().phonemes(part).replace("^", "")
    return unicodedata.normalize("NFD", out)
