"""Sentences to speak: Debian's fortunes and, for other languages, the messages of Django."""

from __future__ import annotations

import random
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pykakasi

FOLDER = Path("/usr/share/games/fortunes")
_FILES = {
    "en": [
        "computers", "cookie", "definitions", "education", "food", "fortunes", "humorists", "kids",
        "literature", "love", "miscellaneous", "paradoxum", "people", "pets", "platitudes",
        "politics", "science", "sports", "startrek", "tao", "wisdom", "work",
    ],
    "es": ["es/*"],
    "it": ["it/*"],
    "de": ["de/*"],
    "pt": ["brasil"],
    "ru": ["ru/*"],
    "pl": ["pl/*"],
    "cs": ["cs/*"],
    "zh": ["chinese", "tang300", "song100", "zh/*"],
}  # fmt: skip
# Languages without fortunes: what a web framework (PyPI, BSD) says to its users.
_DJANGO = (
    "fr", "hi", "ar", "ja", "ko", "fi", "vi", "ca", "fa", "el", "id", "tr", "sv", "da", "nb", "uk",
    "sr", "bn", "sw", "hu", "ro", "nl", "bg", "et",
)  # fmt: skip
_MESSAGE = re.compile(r'msgstr(?:\[\d\])? ((?:"(?:[^"\\]|\\.)*"\s*)+)')
_WORD = re.compile(r"^[^\W\d_]+(?:['’-][^\W\d_]+)*[,;:]?$")
_LIPS = "pbmпбм"  # letters of sounds that seal the lips
_PHRASES = 0.3  # of what is said are short phrases
_HAN = re.compile(r"[\u4e00-\u9fff，]{6,40}")


def _quotes(language: str) -> list[str]:
    quotes: list[str] = []
    for pattern in _FILES.get(language, []):
        for path in sorted(FOLDER.glob(pattern)):
            if not path.is_file() or path.suffix in {".dat", ".u8"}:
                continue
            raw = path.read_bytes()
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                text = raw.decode("latin-1")
            quotes += re.split(r"\n%\n", text)
    return quotes


def _messages(language: str) -> list[str]:
    spec = find_spec("django")
    if spec is None or not spec.submodule_search_locations:
        return []
    root = Path(next(iter(spec.submodule_search_locations)))
    found: list[str] = []
    for path in sorted(root.glob(f"**/locale/{language}/LC_MESSAGES/django.po")):
        for message in _MESSAGE.finditer(path.read_text(encoding="utf-8")):
            text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', message.group(1)))
            # Nothing with place holders, markup or, in other scripts, English names.
            foreign = "A-Za-z" if language in ("hi", "ar", "ja", "ko", "fa", "bn", "el") else ""
            if not re.search(rf"[%<{{\\&/\d{foreign}]", text):
                found.append(text.strip(" .:"))
    if language == "ja":  # espeak-ng reads no kanji
        kana = pykakasi.kakasi()
        found = [" ".join(word["hira"] for word in kana.convert(text)) for text in found]
    return [text for text in found if len(text) >= 4]


def _joined(language: str) -> set[str]:
    """Messages are short: random ones are joined until they last a few seconds."""
    generator = random.Random(2)  # noqa: S311
    messages = sorted(set(_messages(language)))
    out: set[str] = set()
    for _ in range(4 * len(messages)):
        text = generator.choice(messages)
        while len(text) < 35:
            text += ", " + generator.choice(messages)
        if len(text) < 110:
            out.add(text + ".")
    return out


@cache
def sentences(language: str) -> tuple[str, ...]:
    """Plain sentences of 4 to 16 words without digits or abbreviations, shuffled, seeded."""
    found: set[str] = _joined(language) if language in _DJANGO else set()
    for quote in _quotes(language):
        plain = re.sub(r"\x1b\[[0-9;]*m", "", quote)
        plain = re.sub(r"\s+", " ", plain.split("--")[0].split("\t")[0]).replace('"', "")
        if language == "zh":
            found.update(m.group().strip("，") + "。" for m in _HAN.finditer(plain))
            continue
        for sentence in re.findall(r"[^.!?]+[.!?]", plain):
            words = sentence.strip().rstrip(".!?").split()
            if (
                4 <= len(words) <= 16
                and all(_WORD.match(w) for w in words)
                and not any(len(w) > 1 and w.isupper() for w in words)
            ):
                found.add(sentence.strip())
    ordered = sorted(found)
    random.Random(1).shuffle(ordered)  # noqa: S311
    return tuple(ordered)


def said(language: str, generator: random.Random) -> str:
    """A sentence with more pauses, or now and then a few short phrases instead.

    People and assistants speak in short phrases ("Please hold. My name is Tom."): closures that a
    pause precedes or follows are as common there as they are rare in sentences of books.
    """
    text = generator.choice(sentences(language))
    if generator.random() < _PHRASES and " " in text:
        found: list[str] = []
        while len(found) < 60 and sum(len(p) for p in found) < 45:
            words = generator.choice(sentences(language)).rstrip(".!?").split()
            starts = [i for i, word in enumerate(words) if word[0].lower() in _LIPS]
            ends = [
                i + 1 for i, word in enumerate(words) if word.rstrip(",;:")[-1:].lower() in _LIPS
            ]
            size = generator.randint(2, 5)
            if ends and generator.random() < 0.4:
                last = generator.choice(ends)
                part = words[max(0, last - size) : last]
            elif starts:
                first = generator.choice(starts)
                part = words[first : first + size]
            else:
                part = words[:size]
            found.append(" ".join(part).rstrip(",;:"))
        text = " ".join(
            p[:1].upper() + p[1:] + generator.choice((".", ".", ",", "?")) for p in found
        )
    return with_pauses(text, generator)


def with_pauses(text: str, generator: random.Random) -> str:
    """Puts commas around some words that begin or end with p, b or m.

    "Please", "but" and "maybe" begin what people and assistants say, and after a pause a closure
    is heard from its burst alone. In running text that is one closure in thirty.
    """
    words = text.split()
    for i in range(1, len(words)):
        breaks = words[i].lower()[0] in _LIPS or words[i - 1].lower()[-1] in _LIPS
        if breaks and words[i - 1][-1].isalpha() and generator.random() < 0.3:
            words[i - 1] += ","
    return " ".join(words)
