"""Which gesture words ask for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

DEFAULT: Final[Mapping[str, str]] = {
    "yes": "nod",
    "exactly": "nod",
    "of course": "nod",
    "no": "shake",
    "never": "shake",
    "haha": "laugh",
    "funny": "laugh",
    "glad": "smile",
    "thank you": "smile",
    "thanks": "smile",
    "wow": "surprise",
    "incredible": "surprise",
    "let me think": "think",
    "hmm": "think",
    "our secret": "wink",
}
"""Word or phrase, in lower case with single spaces, to gesture."""

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def match(text: str, gestures: Collection[str], words: Mapping[str, str] = DEFAULT) -> str | None:
    """The gesture for the first word or phrase in a text that asks for one.

    Args:
        text: what is spoken or heard; case, punctuation and line breaks do not matter.
        gestures: what the avatar can do; words for other gestures are passed over.
        words: word or phrase to gesture, as `DEFAULT`.

    Returns:
        One of ``gestures``, or None.
    """
    # Blanks on both sides: "no" is not found in "note".
    spoken = f" {' '.join(_WORD.findall(text.lower()))} "
    found = [
        (place, -len(word), gesture)
        for word, gesture in words.items()
        if gesture in gestures and (place := spoken.find(f" {word} ")) >= 0
    ]
    return min(found)[2] if found else None
