"""The network in PyTorch. Its step is what ``engine/models/speech.onnx`` computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.audio.mel import MEL_BANDS
from engine.coefficients import COEFFICIENTS
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
        self.sizes = (MEL_BANDS * _PAST1, conv1 * _PAST2, _LAYERS * hidden)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences from silence: (B, 4n, 80) -> logits (B, n, 17) and (B, n, classes)."""
        batch = mel.shape[0]
        state = torch.zeros(batch, sum(self.sizes))
        logits, classes, _ = self._run(mel, state)
        return logits, classes

    def _run(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        past_mel, past_conv, past_gru = torch.split(state, list(self.sizes), dim=1)
        x = torch.cat([past_mel.reshape(-1, MEL_BANDS, _PAST1), mel.transpose(1, 2)], dim=2)
        next_mel = x[:, :, -_PAST1:]
        y = nn.functional.gelu(self.conv1(x - _MEL_MEAN))
        y = torch.cat([past_conv.reshape(-1, self.sizes[1] // _PAST2, _PAST2), y], dim=2)
        next_conv = y[:, :, -_PAST2:]
        z = nn.functional.gelu(self.conv2(y))
        hidden = past_gru.reshape(-1, _LAYERS, self.sizes[2] // _LAYERS).transpose(0, 1)
        h, hidden = self.gru(z.transpose(1, 2), hidden.contiguous())
        next_state = torch.cat(
            [
                next_mel.reshape(-1, self.sizes[0]),
                next_conv.reshape(-1, self.sizes[1]),
                hidden.transpose(0, 1).reshape(-1, self.sizes[2]),
            ],
            dim=1,
        )
        return self.coefficients(h), self.classes(h), next_state


def shown(logits: Tensor) -> Tensor:
    """Logits (…, 17) -> coefficients (…, 16): where nobody speaks, the mouth rests."""
    values = torch.sigmoid(logits)
    return values[..., :-1] * values[..., -1:]


class Step(nn.Module):
    """One 40 ms step: mel (B, 4, 80), state (B, S) -> coefficients (B, 16), new state, voice (B,).

    ``voice`` is the probability that somebody speaks, which the coefficients are multiplied by.

    The same function as :class:`SpeechModel`, written as nine matrix products, which ONNX Runtime
    computes in half the time of its convolutions and GRUs of a single step. The state holds three
    frames of mel, the last frame after the first convolution, and both hidden vectors.
    """

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        self.sizes = model.sizes
        for name, value in products(model.state_dict()).items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        past_mel, past_conv, past_gru = self.sizes
        x = torch.cat([state[:, :past_mel], mel.reshape(-1, 4 * MEL_BANDS)], dim=1)
        second = 2 * MEL_BANDS  # the window of the second output begins two frames later
        window = _KERNEL1 * MEL_BANDS
        windows = torch.stack([x[:, :window], x[:, second : second + window]], dim=1)
        y = nn.functional.gelu(self._product("conv1", windows.reshape(-1, window)))
        y = y.reshape(-1, 2 * past_conv)
        last = state[:, past_mel : past_mel + past_conv]
        z = nn.functional.gelu(self._product("conv2", torch.cat([last, y], dim=1)))
        size = past_gru // _LAYERS
        hidden = state[:, past_mel + past_conv :].split(size, dim=1)
        after = []
        for layer, h in enumerate(hidden):
            gates = torch.sigmoid(self._product(f"gates{layer}", torch.cat([z, h], dim=1)))
            reset, update = gates[:, :size], gates[:, size:]
            new = self._product(f"input{layer}", z) + reset * self._product(f"hidden{layer}", h)
            new = torch.tanh(new)
            z = new + update * (h - new)
            after.append(z)
        values = torch.sigmoid(self._product("coefficients", z))
        next_state = torch.cat([x[:, -past_mel:], y[:, past_conv:], *after], dim=1)
        return values[:, :-1] * values[:, -1:], next_state, values[:, -1]

    def _product(self, name: str, x: Tensor) -> Tensor:
        weight, bias = (self.get_parameter(f"{name}_{part}") for part in ("weight", "bias"))
        return torch.addmm(bias, x, weight)


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
