from __future__ import annotations

import numpy as np
import pytest

from engine.coefficients import COEFFICIENTS
from engine.speech import SpeechNetwork


def test_a_batch_gives_what_single_rows_give() -> None:
    network = SpeechNetwork()
    generator = np.random.default_rng(0)
    pcm = generator.normal(0, 0.1, (6, 5, 640)).astype(np.float32)
    states = network.initial(5)
    singles = [network.initial() for _ in range(5)]
    for step in pcm:
        rows, states = network.step(step, states)
        assert rows.shape == (5, len(COEFFICIENTS))
        assert rows.min() >= 0
        assert rows.max() <= 1
        for i in range(5):
            row, singles[i] = network.step(step[i : i + 1], singles[i])
            np.testing.assert_allclose(row[0], rows[i], atol=1e-5)


def test_a_wrong_shape_is_refused() -> None:
    network = SpeechNetwork()
    with pytest.raises(ValueError, match="pcm must be"):
        network.step(np.zeros((2, 640), np.float32), network.initial(1))
