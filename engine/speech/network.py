"""The recurrent network that turns sound into mouth coefficients."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine import models
from engine.coefficients import SAMPLES_PER_FRAME

# The network's own voice activity is multiplied into the coefficients; as an output of its own it
# is for measuring.
_OUTPUTS: Final = ("coefficients", "next_state")


class SpeechNetwork:
    """``speech.onnx``: log-mel, two convolutions and two GRU layers, one step per 40 ms.

    The network has no memory of its own: every caller keeps its state, one row, and any number of
    rows are computed in one call. Rows do not influence each other. Thread-safe.

    Args:
        session: an inference session to use instead of the model that ships with the engine.
    """

    def __init__(self, session: onnxruntime.InferenceSession | None = None) -> None:
        self._session = session or models.session("speech.onnx")
        self.state_size = int(self._session.get_inputs()[1].shape[1])

    def initial(self, batch: int = 1) -> NDArray[np.float32]:
        """States after endless silence: (batch, state_size) float32."""
        return np.zeros((batch, self.state_size), np.float32)

    def step(
        self, pcm: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Advances every row by one frame of 40 ms.

        Args:
            pcm: (batch, 640) float32 mono at 16 kHz in [-1, 1].
            states: (batch, state_size) float32, from :meth:`initial` or the previous step.

        Returns:
            Coefficients (batch, 16) float32 in [0, 1] of the frame that lies
            ``LOOK_AHEAD_FRAMES`` back, and the new states.
        """
        if pcm.shape != (len(states), SAMPLES_PER_FRAME):
            raise ValueError(f"pcm must be ({len(states)}, {SAMPLES_PER_FRAME}), not {pcm.shape}")
        rows, new_states = self._session.run(_OUTPUTS, {"pcm": pcm, "state": states})
        return rows, new_states
