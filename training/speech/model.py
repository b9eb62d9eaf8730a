"""The network in PyTorch. Its step is what ``engine/models/speech.onnx`` computes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.coefficients import COEFFICIENTS
from training.speech import mel as spectrogram
from training.speech.mel import MEL_BANDS, MEL_HOP, MEL_WINDOW
from training.speech.phones import CLASSES

_MEL_MEAN = 1.6  # of speech; silence is 0
_LAYERS = 2
_KERNEL1, _KERNEL2 = 5, 3
_GRU = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_PAST1, _PAST2 = _KERNEL1 - 2, _KERNEL2 - 2  # frames each convolution keeps between steps


class SpeechModel(nn.Module):
    """Conv(80→80, 5, stride 2) → Conv(80→160, 3, stride 2) → 2 GRU layers of 160, at 25 Hz.

    The last of the 17 logits is voice activity; see :func:`shown`.

    Args:
        conv1: channels of the first convolution.
        conv2: channels of the second one.
        hidden: size of the GRU layers.
    """

    def __init__(self, conv1: int = 80, conv2: int = 160, hidden: int = 160) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MEL_BANDS, conv1, _KERNEL1, 2)
        self.conv2 = nn.Conv1d(conv1, conv2, _KERNEL2, 2)
        self.gru = nn.GRU(conv2, hidden, _LAYERS, batch_first=True)
        # And one row more: whether somebody speaks.
        self.coefficients = nn.Linear(hidden, len(COEFFICIENTS) + 1)
        self.classes = nn.Linear(hidden, len(CLASSES))

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences from silence: (B, 4n, 80) -> logits (B, n, 17) and (B, n, classes)."""
        x = nn.functional.pad(mel.transpose(1, 2), (_PAST1, 0))
        y = nn.functional.gelu(self.conv1(x - _MEL_MEAN))
        z = nn.functional.gelu(self.conv2(nn.functional.pad(y, (_PAST2, 0))))
        h, _ = self.gru(z.transpose(1, 2))
        return self.coefficients(h), self.classes(h)


def shown(logits: Tensor) -> Tensor:
    """Logits (…, 17) -> coefficients (…, 16): where nobody speaks, the mouth rests."""
    values = torch.sigmoid(logits)
    return values[..., :-1] * values[..., -1:]


class Step(nn.Module):
    """One 40 ms step: pcm (B, 640), state (B, S) -> coefficients (B, 16), new state, voice (B, 1).

    ``voice`` is the probability that somebody speaks, which the coefficients are multiplied by.

    The same function as :class:`SpeechModel` of :func:`training.speech.mel.log_mel`, written as
    eleven matrix products, which ONNX Runtime computes in half the time of its convolutions and
    GRUs of a single step. The state holds 240 samples, three frames of mel, the last frame after
    the first convolution, and both hidden vectors.
    """

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        hidden = model.gru.hidden_size
        self.sizes = [
            MEL_WINDOW - MEL_HOP,
            _PAST1 * MEL_BANDS,
            _PAST2 * model.conv1.out_channels,
            *[hidden] * _LAYERS,
        ]
        for name, value in products(model.state_dict()).items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        past_pcm, past_mel, past_conv, *hidden = torch.split(state, self.sizes, dim=1)
        sound = torch.cat([past_pcm, pcm], dim=1)
        window = _windows(sound, 4, MEL_WINDOW, MEL_HOP)
        # Seen from the middle, cosines are even and sines odd: half of the products remain.
        after = window[:, MEL_WINDOW // 2 :]
        before = window[:, 1 : MEL_WINDOW // 2 + 1].flip(1)
        real = (after + before) @ self.get_parameter("cosines")
        imaginary = (after - before) @ self.get_parameter("sines")
        power = real * real + imaginary * imaginary
        mel = torch.log(self._product("filters", power)) / 4
        x = torch.cat([past_mel, mel.reshape(-1, 4 * MEL_BANDS)], dim=1)
        windows = _windows(x, 2, _KERNEL1 * MEL_BANDS, 2 * MEL_BANDS)
        y = nn.functional.gelu(self._product("conv1", windows)).reshape(-1, 2 * self.sizes[2])
        z = nn.functional.gelu(self._product("conv2", torch.cat([past_conv, y], dim=1)))
        after = []
        for layer, h in enumerate(hidden):
            gates = torch.sigmoid(self._product(f"gates{layer}", torch.cat([z, h], dim=1)))
            reset, update = torch.split(gates, self.sizes[-1], dim=1)
            new = self._product(f"input{layer}", z) + reset * self._product(f"hidden{layer}", h)
            new = torch.tanh(new)
            z = new + update * (h - new)
            after.append(z)
        values = torch.sigmoid(self._product("coefficients", z))
        coefficients, voice = torch.split(values, [len(COEFFICIENTS), 1], dim=1)
        kept = [t[:, -n:] for t, n in zip((sound, x, y), self.sizes, strict=False)]
        return coefficients * voice, torch.cat([*kept, *after], dim=1), voice

    def _product(self, name: str, x: Tensor) -> Tensor:
        weight, bias = (self.get_parameter(f"{name}_{part}") for part in ("weight", "bias"))
        return torch.addmm(bias, x, weight)


def _windows(x: Tensor, count: int, size: int, hop: int) -> Tensor:
    """Overlapping parts of rows: (B, hop · (count − 1) + size) -> (B · count, size)."""
    piece = math.gcd(size, hop)  # copied at once
    pieces = x.reshape(-1, (hop * (count - 1) + size) // piece, piece)
    first = torch.arange(count)[:, None] * (hop // piece)
    return pieces[:, first + torch.arange(size // piece)].reshape(-1, size)


def products(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a :class:`SpeechModel` as those of :class:`Step`."""
    out: dict[str, Tensor] = {}
    for name in ("conv1", "conv2"):
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        if name == "conv1":
            bias = bias - _MEL_MEAN * kernel.sum(dim=(1, 2))
        out |= {f"{name}_weight": kernel.permute(2, 1, 0).flatten(0, 1), f"{name}_bias": bias}
    for layer in range(_LAYERS):
        wi, wh, bi, bh = (weights[f"gru.{kind}_l{layer}"] for kind in _GRU)
        gates = len(wi) // 3 * 2  # reset and update come first
        out |= {
            f"gates{layer}_weight": torch.cat([wi[:gates], wh[:gates]], dim=1).T,
            f"gates{layer}_bias": bi[:gates] + bh[:gates],
            f"input{layer}_weight": wi[gates:].T,
            f"input{layer}_bias": bi[gates:],
            f"hidden{layer}_weight": wh[gates:].T,
            f"hidden{layer}_bias": bh[gates:],
        }
    out |= {
        "coefficients_weight": weights["coefficients.weight"].T,
        "coefficients_bias": weights["coefficients.bias"],
    }
    cosines, sines = spectrogram.spectrum()
    out |= {
        "cosines": torch.from_numpy(cosines),
        "sines": torch.from_numpy(sines),
        "filters_weight": torch.from_numpy(spectrogram.filters()),
        "filters_bias": torch.ones(MEL_BANDS),
    }
    return {name: value.detach().clone().contiguous() for name, value in out.items()}


def layers(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`products`."""
    out: dict[str, Tensor] = {}
    for name, kernel in (("conv1", _KERNEL1), ("conv2", _KERNEL2)):
        weight = found[f"{name}_weight"].unflatten(0, (kernel, -1)).permute(2, 1, 0)
        bias = found[f"{name}_bias"]
        if name == "conv1":
            bias = bias + _MEL_MEAN * weight.sum(dim=(1, 2))
        out |= {f"{name}.weight": weight, f"{name}.bias": bias}
    for layer in range(_LAYERS):
        gates, inputs, hidden = (
            found[f"{kind}{layer}_weight"].T for kind in ("gates", "input", "hidden")
        )
        both = found[f"gates{layer}_bias"]
        width = inputs.shape[1]
        parts = (
            torch.cat([gates[:, :width], inputs]),
            torch.cat([gates[:, width:], hidden]),
            torch.cat([both, found[f"input{layer}_bias"]]),
            torch.cat([torch.zeros_like(both), found[f"hidden{layer}_bias"]]),
        )
        out |= {f"gru.{k}_l{layer}": part for k, part in zip(_GRU, parts, strict=True)}
    out["coefficients.weight"] = found["coefficients_weight"].T
    out["coefficients.bias"] = found["coefficients_bias"]
    return out
