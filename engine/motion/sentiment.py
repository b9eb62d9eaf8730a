"""Which mood words suggest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["sentiment"]

_WORDS: Final[Mapping[str, str]] = {
    "joy": """amazing awesome beautiful brilliant celebrate cheers congratulations delighted
        delightful enjoy excellent excited exciting fantastic fun funny glad good great haha happy
        hooray hurray joy laugh lovely love loved marvellous marvelous nice perfect pleased
        pleasure proud smile super terrific thank thanks welcome wonderful yay""",
    "sadness": """afraid alas alone apologies apologise apologize broken condolences cry died
        disappointed disappointing failed grief hurt lonely lost mourn painful pity poor regret
        sad sadly sadness sorrow sorry suffered suffering tears tragic unfortunate unfortunately
        unhappy""",
    "anger": """anger angry annoyed annoying awful damn disgraceful disgusting furious hate
        hated horrible nonsense outrageous rage ridiculous shameful shut stupid terrible
        unacceptable""",
    "surprise": """astonishing extraordinary gosh incredible incredibly really startling
        stunning suddenly surprise surprised surprising unbelievable unexpected unexpectedly
        whoa wow""",
    "thinking": """apparently consider guess hmm hm maybe perhaps possibly presumably probably
        puzzling suppose think wonder""",
}
_WEAK: Final = frozenset({"good", "nice", "really", "think", "guess", "thank", "thanks", "poor"})
_MOOD: Final = {word: mood for mood, words in _WORDS.items() for word in words.split()}
_NEGATIONS: Final = frozenset({"no", "not", "never", "without", "hardly", "neither", "nor"})
_REACH: Final = 3  # words after a negation that it turns into nothing
_ENOUGH: Final = 0.5  # weight from which there is a mood at all
_FULL: Final = 2.5  # weight of a mood at full strength
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[!?]")


def sentiment(text: str) -> tuple[str, float] | None:
    """The mood of what is said, by the words that carry one (English).

    Args:
        text: any number of sentences; case does not matter, and "not glad" is not glad.

    Returns:
        One of ``EMOTIONS`` and its strength above 0 up to 1; None where the words are neutral.
    """
    weights = dict.fromkeys(_WORDS, 0.0)
    last: str | None = None
    negated = 0
    for word in _WORD.findall(text.lower().replace("’", "'")):
        if word == "!":
            if last is not None:
                weights[last] += 0.4
            continue
        if word == "?":
            negated = 0
            continue
        if word in _NEGATIONS or word.endswith("n't"):
            negated = _REACH
            continue
        mood = _MOOD.get(word)
        if mood is not None and negated == 0:
            weights[mood] += 0.5 if word in _WEAK else 1.0
            last = mood
        negated = max(0, negated - 1)
    strongest = max(weights, key=lambda mood: weights[mood])
    # words of other moods take away from it: a mixed message is told with a calm face
    weight = 2 * weights[strongest] - sum(weights.values())
    return (strongest, min(1.0, weight / _FULL)) if weight >= _ENOUGH else None
