"""Words that suggest moods."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.motion import EMOTIONS
from engine.motion.sentiment import sentiment


@pytest.mark.parametrize(
    ("text", "mood"),
    [
        ("I am so happy to see you!", "joy"),
        ("Congratulations, that is wonderful news.", "joy"),
        ("I'm sorry, unfortunately we lost the match.", "sadness"),
        ("This is outrageous! I am furious.", "anger"),
        ("Wow, that is unbelievable!", "surprise"),
        ("Hmm, perhaps we should consider it.", "thinking"),
    ],
)
def test_words_bring_their_mood(text: str, mood: str) -> None:
    found = sentiment(text)
    assert found is not None
    assert found[0] == mood
    assert found[1] >= 0.3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The train leaves at ten.",
        "I am not happy.",
        "It isn’t funny, and it was never great.",
        "Sad but glad.",
        "gladiators loveless",
    ],
)
def test_neutral_negated_and_mixed_words_bring_none(text: str) -> None:
    assert sentiment(text) is None


def test_more_words_are_a_stronger_mood() -> None:
    strengths = [sentiment(text) for text in ("Great.", "Great, wonderful.", "Great, wonderful!!")]
    values = [found[1] for found in strengths if found is not None]
    assert len(values) == 3
    assert values == sorted(set(values))


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    found = sentiment(text)
    assert found is None or (found[0] in EMOTIONS and 0 < found[1] <= 1)
