"""Weights of an exported network back in PyTorch, to train on from the network that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from engine.coefficients import COEFFICIENTS
from training.speech.model import SpeechModel

_ALWAYS = 12.0  # logit of a voice that is heard all the time


def restore(path: Path, model: SpeechModel) -> None:
    """Fills ``model`` with the weights of ``speech.onnx``.

    The head for phone classes is not part of an exported network and stays as it is. A network
    from before there was voice activity hears somebody speak all the time.

    Args:
        path: a network that :mod:`training.speech.export` wrote.
        model: of the same sizes or larger ones; changed in place.

    Raises:
        ValueError: the network is larger or of another structure.
    """
    graph = onnx.load(str(path)).graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    found: dict[str, Tensor] = {
        name.removeprefix("model."): torch.tensor(value)
        for name, value in weights.items()
        if name.startswith("model.")
    }
    layers = [node for node in graph.node if node.op_type == "GRU"]
    for i, layer in enumerate(layers):
        inputs, hidden, biases = (_gates(weights[name][0]) for name in layer.input[1:4])
        half = len(biases) // 2
        found[f"gru.weight_ih_l{i}"], found[f"gru.weight_hh_l{i}"] = inputs, hidden
        found[f"gru.bias_ih_l{i}"], found[f"gru.bias_hh_l{i}"] = biases[:half], biases[half:]
    (last,) = (node for node in graph.node if node.op_type == "MatMul")
    found["coefficients.weight"] = torch.tensor(weights[last.input[1]].T.copy())
    own = model.state_dict()
    if len(found["coefficients.bias"]) == len(COEFFICIENTS):
        found["coefficients.weight"] = nn.functional.pad(found["coefficients.weight"], (0, 0, 0, 1))
        found["coefficients.bias"] = nn.functional.pad(
            found["coefficients.bias"], (0, 1), value=_ALWAYS
        )
    wanted = {name for name in own if not name.startswith("classes.")}
    if found.keys() != wanted or any(
        small > large
        for name, old in found.items()
        for small, large in zip(old.shape, own[name].shape, strict=True)
    ):
        raise ValueError(f"{path} has other layers than the configured network.")
    for name, old in found.items():
        parts = 3 if name.startswith("gru.") else 1
        pairs = zip(own[name].chunk(parts), old.chunk(parts), strict=True)
        own[name] = torch.cat([_grown(new, small) for new, small in pairs])
    model.load_state_dict(own)


def _grown(new: Tensor, old: Tensor) -> Tensor:
    """``old`` in the corner of ``new``.

    The units that are there already hear nothing of the new ones, so a larger network begins as
    the same function (Chen et al., "Net2Net", 2016).
    """
    out = new.clone()
    out[: len(old)] = 0
    out[tuple(slice(n) for n in old.shape)] = old
    return out


def _gates(stacked: NDArray[np.float32]) -> Tensor:
    """Weights (3·h, n), or both biases (6·h,), with their gates in the order of PyTorch."""
    if stacked.ndim == 1:
        return torch.cat([_swap(half) for half in np.split(stacked, 2)])
    return _swap(stacked)


def _swap(stacked: NDArray[np.float32]) -> Tensor:
    """ONNX has a GRU's gates in the order update, reset, new; PyTorch has reset first."""
    update, reset, new = np.split(stacked, 3)
    return torch.tensor(np.concatenate([reset, update, new]))
