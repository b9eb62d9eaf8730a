from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import decode
from engine.coefficients import INDEX
from engine.speech import SpeechStream, coefficients
from engine.speech.effort import STRONGEST, WEAKEST, Effort

HELLO = Path(__file__).parents[2] / "web" / "audio" / "hello.mp3"
FRAME = 640


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Six seconds at a third of full scale, whole frames."""
    sound = decode(HELLO, limit=6.0)[: 150 * FRAME]
    return np.asarray(sound * (0.3 / np.abs(sound).max()), np.float32)


def jaw(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return coefficients(sound)[:, INDEX["jawOpen"]]


@pytest.mark.parametrize("power", [1e-4, 1e-2])
def test_a_constant_level_changes_nothing(power: float) -> None:
    assert Effort().gains([power] * 200) == [1.0] * 200


def test_shouting_opens_and_whispering_closes_within_limits() -> None:
    effort = Effort()
    effort.gains([1e-3] * 100)
    assert effort.gains([1e-1] * 25)[-1] == STRONGEST
    effort.reset()
    effort.gains([1e-3] * 100)
    assert effort.gains([2e-5] * 50)[-1] == WEAKEST


def test_pauses_are_no_whispering() -> None:
    effort = Effort()
    effort.gains([1e-3] * 100)
    assert effort.gains([1e-8] * 100) == [1.0] * 100


def test_a_raised_voice_opens_the_mouth_wider(speech: NDArray[np.float32]) -> None:
    even = np.concatenate([speech, speech])
    raised = np.concatenate([speech * np.float32(0.2), speech])
    ratio = jaw(raised)[175:300].mean() / jaw(even)[175:300].mean()
    assert 1.05 < ratio < STRONGEST + 0.05


def test_lips_still_meet_in_a_raised_voice(speech: NDArray[np.float32]) -> None:
    rows = coefficients(np.concatenate([speech * np.float32(0.2), speech]))
    sealed = rows[rows[:, INDEX["lipClosure"]] > 0.9]
    assert len(sealed) >= 3
    assert (sealed[:, INDEX["jawOpen"]] - sealed[:, INDEX["mouthClose"]] < 0.12).all()


def test_pieces_give_what_the_whole_gives(speech: NDArray[np.float32]) -> None:
    sound = np.concatenate([speech * np.float32(0.2), speech])
    whole = SpeechStream().process(sound)
    stream = SpeechStream()
    rows = [stream.process(sound[i : i + 7 * FRAME]) for i in range(0, len(sound), 7 * FRAME)]
    np.testing.assert_allclose(np.concatenate(rows), whole, atol=1e-5)
    stream.reset()
    np.testing.assert_allclose(stream.process(sound), whole, atol=1e-5)
