"""Sentences to speak, from Debian's fortune packages."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

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
_WORD = re.compile(r"^[^\W\d_]+(?:['’-][^\W\d_]+)*[,;:]?$")
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


@cache
def sentences(language: str) -> tuple[str, ...]:
    """Plain sentences of 4 to 16 words without digits or abbreviations, shuffled, seeded."""
    found: set[str] = set()
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
