"""Weights of an exported network back in PyTorch, to train on from the network that ships."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from training.speech.model import SpeechModel, layers


def restore(path: Path, model: SpeechModel) -> None:
    """Fills ``model`` with the weights of ``speech.onnx``.

    The head for phone classes is not part of an exported network and stays as it is.

    Args:
        path: a network that :mod:`training.speech.export` wrote.
        model: of the same sizes or larger ones; changed in place.

    Raises:
        ValueError: the network is larger or of another structure.
    """
    graph = onnx.load(str(path)).graph
    weights = {w.name: torch.tensor(numpy_helper.to_array(w)) for w in graph.initializer}
    try:
        found = layers(weights)
    except KeyError:
        raise ValueError(f"{path} has other layers than the configured network.") from None
    own = model.state_dict()
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
