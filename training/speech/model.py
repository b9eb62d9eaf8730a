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
    """

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        logits, _, next_state = self.model._run(mel, state)
        return shown(logits)[:, 0], next_state, torch.sigmoid(logits[:, 0, -1])
