"""Words that ask for gestures."""

import pytest

from engine.motion import GESTURES
from engine.motion.keywords import DEFAULT, match


def test_every_default_names_a_gesture_and_is_found() -> None:
    for word, gesture in DEFAULT.items():
        assert gesture in GESTURES
        assert match(f"Well, {word.upper()}!", GESTURES) == gesture


@pytest.mark.parametrize("text", ["", "a note for nobody", "yesterday", "?!", "thank\u00e9 you"])
def test_parts_of_words_ask_for_nothing(text: str) -> None:
    assert match(text, GESTURES) is None


def test_the_first_word_wins_and_phrases_may_be_broken() -> None:
    assert match("Wow. Yes.", GESTURES) == "surprise"
    assert match("Let me\n think, yes", GESTURES) == "think"


def test_only_what_the_avatar_can_do() -> None:
    assert match("Wow. Yes.", ("nod",)) == "nod"
    assert match("Wow. Yes.", ()) is None


def test_longer_phrases_before_shorter_ones() -> None:
    words = {"no": "shake", "no doubt": "nod"}
    assert match("No doubt", GESTURES, words) == "nod"
