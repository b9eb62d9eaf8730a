"""Which gesture words ask for, and ``gestures.json``, in which users say so."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from engine.errors import AvatarError, NotSupported
from engine.files import not_read
from engine.motion.gestures import ALIASES

__all__ = ["DEFAULT", "Words", "check", "load", "match", "merged", "parse"]

Words = Mapping[str, str | None]
"""Word or phrase to gesture; None for words that ask for nothing any more."""

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

_MAX_BYTES: Final = 1 << 18
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def match(text: str, gestures: Collection[str], words: Mapping[str, str] = DEFAULT) -> str | None:
    """The gesture for the first word or phrase in a text that asks for one.

    Args:
        text: what is spoken or heard; case, punctuation, line breaks and how accents are encoded
            do not matter.
        gestures: what the avatar can do; words for other gestures are passed over.
        words: word or phrase to gesture, as `DEFAULT`.

    Returns:
        One of ``gestures``, or None.
    """
    # Blanks on both sides: "no" is not found in "note".
    spoken = f" {_plain(text)} "
    found = [
        (place, -len(word), known)
        for word, gesture in words.items()
        if (known := _known(gesture, gestures)) is not None
        and (place := spoken.find(f" {word} ")) >= 0
    ]
    return min(found)[2] if found else None


def load(path: Path) -> dict[str, str | None]:
    """Read ``gestures.json``: an object of words or phrases and the gestures they begin.

    Case, punctuation and blanks in them do not matter. ``null`` takes a word of `DEFAULT` away.

    Raises:
        AvatarError: ``FILE_NOT_FOUND``, ``FILE_NOT_ACCESSIBLE`` or ``GESTURES_INVALID``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        code, message = not_read(path, error)
        raise AvatarError(message, code=code) from error
    return parse(data, path.name)


def parse(data: bytes, name: str) -> dict[str, str | None]:
    """The content of a ``gestures.json``.

    Args:
        data: UTF-8.
        name: of the file, for messages.

    Raises:
        AvatarError: ``GESTURES_INVALID``.
    """

    def bad(reason: str) -> AvatarError:
        return AvatarError(
            f"{name} {reason}.",
            code="GESTURES_INVALID",
            hint='It looks like this: {"hello": "greet", "of course": "nod", "no": null}',
        )

    if len(data) > _MAX_BYTES:
        raise bad(f"has more than {_MAX_BYTES // 1024} kB")
    try:
        table = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise bad("is not JSON") from error
    if not isinstance(table, dict):
        raise bad("is not an object of words and gestures")
    words: dict[str, str | None] = {}
    for phrase, gesture in table.items():
        plain = _plain(phrase)
        if not plain:
            raise bad(f"has no word in {phrase[:80]!r}")
        if gesture is not None and not isinstance(gesture, str):
            raise bad(f"names no gesture for {phrase[:80]!r}")
        words[plain] = gesture
    return words


def check(words: Words, gestures: Collection[str], name: str) -> None:
    """Refuse words for gestures that an avatar does not have.

    Args:
        words: what ``load`` read.
        gestures: what the avatar can do.
        name: of the file, for messages.

    Raises:
        NotSupported: ``GESTURE``.
    """
    for phrase, gesture in words.items():
        if gesture is not None and _known(gesture, gestures) is None:
            raise NotSupported(
                f"{name}: this avatar cannot do {gesture!r}, for {phrase!r}",
                code="GESTURE",
                hint="Its gestures: " + (", ".join(gestures) or "none") + ".",
            )


def merged(*tables: Words) -> dict[str, str]:
    """One table of several, in which later ones replace what earlier ones say of a word.

    A word is the same however it is written, as for ``match``.
    """
    whole: dict[str, str | None] = {}
    for table in tables:
        whole |= {_plain(phrase): gesture for phrase, gesture in table.items()}
    return {phrase: gesture for phrase, gesture in whole.items() if phrase and gesture is not None}


def _known(gesture: str, gestures: Collection[str]) -> str | None:
    """A gesture by its name or an alias of it; None where there is no such gesture."""
    if gesture in gestures:
        return gesture
    plain = ALIASES.get(gesture, gesture)
    return plain if plain in gestures else None


def _plain(text: str) -> str:
    """Words alone, without case, with single blanks; accents composed, apostrophes straight.

    The caseless matching of the Unicode Standard (3.13, D145), but composed, so that letters with
    accents are letters.
    """
    caseless = unicodedata.normalize("NFD", text).casefold()
    composed = unicodedata.normalize("NFC", caseless).replace("’", "'")
    return " ".join(_WORD.findall(composed))
