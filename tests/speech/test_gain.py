from __future__ import annotations

import numpy as np
import pytest

from engine.speech.gain import LARGEST, Gain


def decibels(gain: float) -> float:
    return 20 * np.log10(gain)


def test_speech_of_one_loudness_with_its_gaps_is_left_alone() -> None:
    words = [1e-2] * 10 + [1e-7] * 12  # gaps of half a second
    assert set(Gain().gains(words * 20)) == {1.0}
    assert set(Gain().gains([1e-9 * p for p in words] * 20)) == {1.0}


def test_what_stays_softer_becomes_as_loud_as_the_network_follows() -> None:
    gain = Gain()
    gain.gains([1e-2] * 50)
    after = gain.gains([1e-4] * 100)  # 20 dB
    assert after[15] == 1.0
    assert decibels(after[50]) == pytest.approx(11, abs=1.5)
    assert gain.gains([1e-2]) == [1.0]  # at once
    assert max(gain.gains([0.0] * 1_000)) == LARGEST
    # After a minute nobody remembers how loud it was.
    assert decibels(gain.gains([1e-4] * 1_500)[-1]) < 1


def test_pieces_do_not_matter_and_reset_forgets() -> None:
    powers = list(np.random.default_rng(0).uniform(0, 1, 100) ** 8)
    whole, gain = Gain().gains(powers), Gain()
    assert [g for i in range(0, 100, 7) for g in gain.gains(powers[i : i + 7])] == whole
    gain.reset()
    assert gain.gains(powers) == whole
