"""Phones to mouth targets, and coarticulation between them.

Every phone belongs to one of 28 classes that look alike on the face. A class has a target for
each coefficient and a *dominance*: how strongly, and in which part of the mouth, it imposes
itself on its neighbours. Curves come from the dominance blending of Cohen and Massaro, "Modeling
coarticulation in synthetic visual speech", 1993.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS, INDEX
from training.speech.config import TIMING_BIAS
from training.speech.shards import Segment, Utterance

CURVE_RATE = 100  # targets are tabulated at 100 Hz


class _Class(NamedTuple):
    """Non-zero targets in hundredths, and dominance of jaw, lip shape, lip contact and tongue."""

    targets: dict[str, int]
    dominance: tuple[float, float, float, float]


_SHORT = {
    "jaw": "jawOpen",
    "close": "mouthClose",
    "funnel": "mouthFunnel",
    "pucker": "mouthPucker",
    "stretch": "mouthStretch",
    "smile": "mouthSmile",
    "lower": "mouthLowerDown",
    "upper": "mouthUpperUp",
    "press": "mouthPress",
    "roll_lower": "mouthRollLower",
    "roll_upper": "mouthRollUpper",
    "dimple": "mouthDimple",
    "forward": "jawForward",
    "out": "tongueOut",
    "up": "tongueUp",
    "sealed": "lipClosure",
}
_REGIONS = (
    ("jawOpen", "jawForward"),
    ("mouthFunnel", "mouthPucker", "mouthStretch", "mouthSmile", "mouthDimple"),
    (
        "mouthClose",
        "mouthLowerDown",
        "mouthUpperUp",
        "mouthPress",
        "mouthRollLower",
        "mouthRollUpper",
        "lipClosure",
    ),
    ("tongueOut", "tongueUp"),
)


def _c(jaw: float, shape: float, contact: float, tongue: float, /, **targets: int) -> _Class:
    return _Class(targets, (jaw, shape, contact, tongue))


_CLASSES = {
    "sil": _c(1.0, 0.6, 0.8, 0.6),
    # Consonants: bilabial, labiodental, dental, alveolar stops, nasals, laterals, sibilants …
    "PP": _c(1.5, 0.15, 12.0, 0.2, jaw=9, close=9, pucker=5, press=40, roll_lower=20,
             roll_upper=15, up=5, sealed=100),
    # Lips that come close without touching: Spanish b between vowels, Japanese f.
    "BB": _c(1.2, 0.2, 5.0, 0.2, jaw=9, close=5, pucker=8, lower=3, press=8, roll_lower=8,
             up=5, sealed=30),
    "FF": _c(1.5, 0.35, 7.0, 0.2, jaw=10, close=3, stretch=5, upper=25, press=5, roll_lower=50,
             up=5, sealed=25),
    "TH": _c(1.0, 0.25, 1.0, 6.0, jaw=16, stretch=8, lower=22, upper=15, out=40, up=30),
    "DD": _c(0.9, 0.12, 0.6, 4.0, jaw=12, stretch=10, smile=2, lower=15, upper=10, dimple=3,
             up=80),
    "NN": _c(0.7, 0.1, 0.5, 4.0, jaw=14, stretch=8, smile=2, lower=12, upper=8, dimple=2, up=80),
    "LL": _c(0.6, 0.12, 0.5, 4.0, jaw=20, stretch=5, smile=2, lower=18, upper=10, up=95),
    "SS": _c(2.5, 0.5, 1.2, 2.0, jaw=5, funnel=5, stretch=25, smile=10, lower=25, upper=15,
             dimple=8, forward=10, up=45),
    "CH": _c(2.5, 2.2, 1.4, 2.0, jaw=7, funnel=55, pucker=25, lower=25, upper=25, forward=15,
             up=40),
    "KK": _c(0.35, 0.08, 0.3, 1.0, jaw=18, stretch=4, lower=10, upper=5, up=10),
    "HH": _c(0.1, 0.05, 0.1, 0.2, jaw=25, lower=10, upper=5),
    "RR": _c(0.9, 1.3, 0.8, 2.0, jaw=14, funnel=35, pucker=35, lower=15, upper=12, forward=5,
             up=35),
    "rr": _c(0.7, 0.1, 0.4, 3.0, jaw=16, stretch=3, lower=10, upper=6, up=70),
    "WW": _c(1.3, 4.5, 2.0, 0.5, jaw=8, close=3, funnel=25, pucker=85, lower=5, upper=2,
             sealed=10),
    "YY": _c(0.8, 0.7, 0.6, 1.0, jaw=10, stretch=25, smile=22, lower=15, upper=8, dimple=5,
             up=30),
    # Vowels, from close front to open to rounded back.
    "IY": _c(1.0, 1.2, 0.9, 0.6, jaw=12, stretch=35, smile=32, lower=18, upper=10, dimple=8,
             up=25),
    "IH": _c(0.9, 0.9, 0.8, 0.5, jaw=22, stretch=22, smile=15, lower=20, upper=10, dimple=4,
             up=15),
    "EH": _c(1.1, 1.0, 0.9, 0.5, jaw=38, stretch=25, smile=12, lower=30, upper=12, dimple=3,
             up=5),
    "AE": _c(1.3, 1.0, 1.0, 0.5, jaw=55, stretch=28, smile=10, lower=35, upper=15),
    "AA": _c(1.4, 0.8, 1.0, 0.5, jaw=68, stretch=5, lower=30, upper=10),
    "AH": _c(1.0, 0.6, 0.8, 0.4, jaw=42, stretch=5, lower=22, upper=8),
    "AX": _c(0.5, 0.25, 0.4, 0.3, jaw=24, stretch=4, lower=15, upper=6, up=5),
    "AO": _c(1.2, 1.8, 1.0, 0.4, jaw=48, funnel=48, pucker=15, lower=22, upper=12),
    "OW": _c(1.0, 2.2, 1.0, 0.4, jaw=30, funnel=40, pucker=48, lower=12, upper=6),
    "UH": _c(0.9, 1.8, 0.9, 0.4, jaw=20, funnel=30, pucker=45, lower=10, upper=5),
    "UW": _c(1.0, 3.0, 1.1, 0.4, jaw=11, funnel=28, pucker=82, lower=6, upper=3, forward=5,
             sealed=5),
    "ER": _c(0.9, 1.2, 0.8, 1.0, jaw=22, funnel=30, pucker=22, lower=18, upper=12, up=25),
}  # fmt: skip

CLASSES = tuple(_CLASSES)
CLASS_INDEX = {name: i for i, name in enumerate(CLASSES)}
SILENCE = CLASS_INDEX["sil"]
BILABIAL = CLASS_INDEX["PP"]
LABIODENTAL = CLASS_INDEX["FF"]

TARGETS: NDArray[np.float32] = np.zeros((len(CLASSES), len(COEFFICIENTS)), np.float32)
DOMINANCE: NDArray[np.float32] = np.zeros_like(TARGETS)
for _row, _spec in enumerate(_CLASSES.values()):
    for _key, _value in _spec.targets.items():
        TARGETS[_row, INDEX[_SHORT[_key]]] = _value / 100
    for _region, _strength in zip(_REGIONS, _spec.dominance, strict=True):
        for _name in _region:
            DOMINANCE[_row, INDEX[_name]] = _strength

# How fast dominance falls outside a phone's plateau, per second, for each region.
_DECAY = np.zeros(len(COEFFICIENTS), np.float32)
for _region, _rate in zip(_REGIONS, (22.0, 14.0, 30.0, 25.0), strict=True):
    for _name in _region:
        _DECAY[INDEX[_name]] = _rate
_CONTACT = [INDEX[name] for name in _REGIONS[2]]
_DECAY_OF = np.tile(_DECAY, (len(CLASSES), 1))
_DECAY_OF[SILENCE] = 14.0
_DECAY_OF[BILABIAL, _CONTACT] = 55.0
_DECAY_OF[LABIODENTAL, _CONTACT] = 40.0

# ----------------------------------------------------------------- notations
_ARPABET = {
    "aa": "AA", "ae": "AE", "ah": "AH", "ao": "AO", "aw": "AA UH", "ax": "AX", "axr": "ER",
    "ay": "AA IH", "b": "PP", "ch": "CH", "d": "DD", "dh": "TH", "dx": "DD", "eh": "EH",
    "el": "LL", "em": "PP", "en": "NN", "er": "ER", "ey": "EH IY", "f": "FF", "g": "KK",
    "hh": "HH", "hv": "HH", "ih": "IH", "iy": "IY", "jh": "CH", "k": "KK", "l": "LL", "m": "PP",
    "n": "NN", "ng": "KK", "nx": "NN", "ow": "OW UH", "oy": "AO IY", "p": "PP", "r": "RR",
    "s": "SS", "sh": "CH", "t": "DD", "th": "TH", "uh": "UH", "uw": "UW", "v": "FF", "w": "WW",
    "y": "YY", "z": "SS", "zh": "CH", "a": "AA", "e": "EH", "i": "IY", "o": "OW", "u": "UW",
}  # fmt: skip

_RUSSIAN = {
    "a": "AH", "aa": "AA", "ay": "AX", "ae": "IH", "i": "IH", "ii": "IY", "oo": "OW",
    "ee": "EH", "e": "EH", "u": "UH", "uu": "UW", "y": "IH", "yy": "IH", "ur": "UH", "j": "YY",
    "h": "KK", "hh": "KK", "c": "SS", "ch": "CH", "sch": "CH", "sh": "CH", "zh": "CH",
    "g": "KK", "gg": "KK", "k": "KK", "kk": "KK", "v": "FF", "vv": "FF", "f": "FF", "ff": "FF",
    "b": "PP", "bb": "PP", "p": "PP", "pp": "PP", "m": "PP", "mm": "PP", "d": "DD", "dd": "DD",
    "t": "DD", "tt": "DD", "n": "NN", "nn": "NN", "l": "LL", "ll": "LL", "r": "rr", "rr": "rr",
    "s": "SS", "ss": "SS", "z": "SS", "zz": "SS",
}  # fmt: skip

_IPA: dict[str, str] = {}
for _name, _symbols in {
    "PP": "pbmɓ", "FF": "fvɱʋ", "TH": "θð", "DD": "tdʈɖɗ", "NN": "nɳɲɴ", "LL": "lɫʎɭɬ",
    "SS": "szʦʣ", "CH": "ʃʒʧʤɕʑʂʐʨʥ", "KK": "kɡgŋcɟqxɣχçʝ", "HH": "hɦħʔʕ", "RR": "ɹɻ",
    "rr": "rɾʀʁɽ", "WW": "wɥʍ", "BB": "βɸ", "YY": "j", "IY": "iɨᵻ", "IH": "ɪɯ", "EH": "eɛ",
    "AE": "æ", "AA": "aɑ", "AH": "ʌɐɤ", "AX": "əᵊɘ", "AO": "ɔɒ", "OW": "oøœ", "UH": "ʊɵʏ",
    "UW": "uyʉ", "ER": "ɜɚɝ",
}.items():  # fmt: skip
    for _symbol in _symbols:
        _IPA[_symbol] = _name
# What a language means by a symbol of espeak-ng, where it differs from the IPA of the others: whole
# symbols first, without stress and length. Lips decide: Mandarin's apical vowels are not spread,
# its aspirated stops are one phone; French schwa is rounded, German final -er is not.
_LANGUAGE: dict[str, dict[str, str]] = {
    "en": {"əl": "LL", "ᵻ": "IH"},
    "es": {"ʝ": "YY", "ʎ": "YY", "x": "HH"},
    "fr": {"ə-": "OW", "ə": "OW", "ɥ": "WW"},
    "de": {"ɜ": "AX", "ɔø": "AO UH", "pf": "PP FF"},
    "it": {"ss": "SS", "ʎ": "LL"},
    "pt": {"ɨ": "IH", "ɐ̃ʊ̃": "AH UH"},
    "ru": {"ɨ": "IH", "y": "IH", 'u"': "UW", "ɵ": "OW", "ʲ": ""},
    "cs": {"r̝": "CH", "r̝̊": "CH"},
    "hi": {"ʋ": "FF", "c": "CH", "ɟ": "CH", "cʰ": "CH", "ɟʰ": "CH"},
    "bn": {"ɟ": "CH"},
    "ar": {"dˤ": "DD", "a.": "AA", "i.": "EH"},
    "ja": {"ɯᵝ": "UH", "ũ": "UH", "h": "HH", "ɴ": "NN"},
    "ko": {"ɯ": "IH", "s-": "SS", "t-": "DD", "p-": "PP", "k-": "KK", "ɫ": "LL"},
    "cmn": {
        "i.": "IH", "i̪": "IH", "o-": "AH", "ər": "AH RR", "onɡ": "OW KK", "s.": "CH", "ts.": "CH",
        "ts.h": "CH", "tɕh": "CH", "tsh": "SS", "ph": "PP", "th": "DD", "kh": "KK", "iou": "IY OW",
        "uei": "UW IY", "uai": "UW AH IY", "yæ": "UW AE", "χ": "KK", "ʐ": "RR",
    },
    "sv": {"sx": "CH"},
}  # fmt: skip
# SAMPA-like notations of festival's other languages; digits (stress) and ":" (length) are dropped.
_FESTIVAL: dict[str, dict[str, str]] = {
    "it": {
        "dZ": "CH", "tS": "CH", "S": "CH", "Z": "CH", "ts": "SS", "dz": "SS", "J": "NN", "L": "LL",
        "E": "EH", "O": "AO", "r": "rr", "j": "YY", "w": "WW", "ng": "KK", "nf": "NN",
    },
    "cs": {
        "r~*": "CH", "r~": "CH", "c~": "CH", "s~": "CH", "z~": "CH", "d~": "DD", "t~": "DD",
        "n~": "NN", "ch": "KK", "h": "HH", "dz~": "CH", "c": "SS", "dz": "SS", "r": "rr",
        "j": "YY", "n*": "KK", "m*": "FF", "o_u": "OW UH", "a_u": "AA UH", "e_u": "EH UH",
        "ou": "OW UH", "au": "AA UH", "eu": "EH UH",
    },
    "fi": {
        "@": "AE", "7": "OW", "9": "OW", "y": "UW", "v": "FF", "h": "HH", "r": "rr", "j": "YY",
        "N": "KK", "ng": "KK", "S": "CH", "oe": "OW",
    },
    "ca": {
        "rr": "rr", "r": "rr", "ax": "AX", "E": "EH", "O": "AO", "Z": "CH", "S": "CH", "tS": "CH",
        "dZ": "CH", "J": "NN", "L": "LL", "w": "WW", "y": "YY", "j": "YY", "N": "KK", "D": "TH",
        "B": "BB", "G": "KK",
    },
}  # fmt: skip
_LATIN = {
    "a": "AA", "e": "EH", "i": "IY", "o": "OW", "u": "UW", "p": "PP", "b": "PP", "m": "PP",
    "f": "FF", "v": "FF", "t": "DD", "d": "DD", "n": "NN", "l": "LL", "s": "SS", "z": "SS",
    "k": "KK", "g": "KK", "#": "sil", "pau": "sil", "_": "sil",
}  # fmt: skip
# Diphthongs that Kokoro writes as one letter.
_KOKORO = {
    "I": "AA IH", "A": "EH IY", "O": "OW UH", "Q": "AX UH", "W": "AA UH", "Y": "AO IY",
    "ꭧ": "CH", "ɯ": "UH", "ʥ": "CH",
}  # fmt: skip
_MISAKI = ("kokoro", "hibari")  # sources that write phones as Kokoro reads them
_AFFRICATES = (
    ("dʒ", "ʤ"), ("tʃ", "ʧ"), ("ts", "ʦ"), ("dz", "ʣ"), ("tɕ", "ʨ"), ("dʑ", "ʥ"), ("tʂ", "ʧ"),
    ("dʐ", "ʤ"), ("pf", "p"),
)  # fmt: skip

_NEAR = 0.3  # lipClosure of lips that come close, at most
_STOPS = "pbtdkɡgqcɟʈɖɓɗ"
_LONGEST_CLOSURE = 960  # samples at 16 kHz, 60 ms
_SILENT = 60  # of 32768; voices of espeak-ng have no noise of their own
_SHORTEST_PAUSE = 0.045  # s
_SHORTEST_PHONE = 0.03  # s
_INAUDIBLE = 10 ** (-35 / 20)  # beside the loudest sounds of a sentence

Interval = tuple[int, float, float]


def classes_of(symbol: str, source: str, language: str = "") -> list[int]:
    """Class indices of one phone symbol in the notation of its source; empty for modifiers."""
    if source == "festvox-ru":
        names = _RUSSIAN.get(symbol, "sil").split()
    elif source in ("flite", "festival", "recorded") and language in _FESTIVAL:
        plain = symbol.rstrip("012345:")
        names = {**_LATIN, **_FESTIVAL[language]}.get(plain, "sil").split()
    elif source in ("flite", "festival", "recorded"):
        names = _ARPABET.get(symbol.lower().rstrip("012"), "sil").split()
    else:
        spelled = source in ("espeak", "aligned", "piper")
        own = _LANGUAGE.get(language.split("-")[0], {}) if spelled else {}
        plain = symbol.lstrip("ˈˌ").rstrip("ː")
        if plain in own:
            return [CLASS_INDEX[n] for n in own[plain].split()]
        if plain.startswith("("):  # a change of language, "(en)", and no sound
            return []
        # Letters with a tilde or dots are taken apart: ã is a, and nasal.
        symbol = unicodedata.normalize("NFD", symbol).replace("c\u0327", "ç")
        for pair, single in _AFFRICATES:
            symbol = symbol.replace(pair, single)
        letters = {**_IPA, **_KOKORO} if source in _MISAKI else _IPA
        names = [n for letter in symbol if letter in letters for n in letters[letter].split()]
    return [CLASS_INDEX[n] for n in names]


def intervals(utterance: Utterance) -> list[Interval]:
    """Class intervals of an utterance in seconds, bias corrected, without gaps."""
    source = utterance.source
    bias = TIMING_BIAS[source]
    segments = [
        (s, max(0.0, a - bias), max(0.0, b - bias)) for s, a, b in utterance.segments if b > a
    ]
    if source in _MISAKI:
        segments = _heard(_join_kokoro(segments), utterance.audio)
    elif source == "espeak":
        segments = _with_closures(segments, utterance.audio, bias)
    out: list[Interval] = []
    for symbol, start, end in segments:
        if end <= start:
            continue
        if source in ("espeak", "aligned", "piper", *_MISAKI) and symbol in ("_", "", " "):
            found = [SILENCE]
        else:
            found = classes_of(symbol, source, utterance.language)
        if not found:  # a length or stress mark belongs to the phone before it
            if out:
                out[-1] = (out[-1][0], out[-1][1], end)
            continue
        if found == [SILENCE] and out and out[-1][0] == SILENCE:
            out[-1] = (SILENCE, out[-1][1], end)
            continue
        # The first element of a diphthong is the longer one.
        cuts = [0.0, 0.55, 1.0] if len(found) == 2 else np.linspace(0, 1, len(found) + 1)
        for i, c in enumerate(found):
            length = end - start
            out.append((c, start + length * float(cuts[i]), start + length * float(cuts[i + 1])))
    return out


def _with_closures(
    segments: Sequence[Segment], audio: NDArray[np.int16], bias: float
) -> list[Segment]:
    """Gives stops of espeak-ng the silence before their burst.

    espeak-ng reports a stop when it bursts; the closure before, up to 40 ms of digital silence,
    counts as the end of the phone before it or as a pause between words (39 ms after each syllable
    of Mandarin). Everybody else's stops begin when the lips meet. Pauses shorter than that, in
    which no mouth rests, go to the phone before them.
    """
    out: list[Segment] = []
    for symbol, start, end in segments:
        if out and symbol.lstrip("ˈˌ")[:1] in _STOPS:
            first = round((start + bias) * 16_000)
            before = np.abs(audio[max(0, first - _LONGEST_CLOSURE) : first].astype(np.int32))
            loud = np.flatnonzero(before > _SILENT)
            silent = len(before) - (int(loud[-1]) + 1 if len(loud) else 0)
            start -= silent / 16_000
            while out and out[-1][1] >= start:
                out.pop()
            if out:
                out[-1] = (out[-1][0], out[-1][1], start)
        elif out and symbol in ("_", "") and end - start < _SHORTEST_PAUSE:
            out[-1] = (out[-1][0], out[-1][1], end)
            continue
        out.append((symbol, start, end))
    return out


def _join_kokoro(segments: Sequence[Segment]) -> list[Segment]:
    """Gives the time of stress marks to the next phone, of length marks and blanks to the last.

    Punctuation becomes a pause when it lasts 100 ms or more.
    """
    out: list[Segment] = []
    stress: float | None = None
    for symbol, start, end in segments:
        if symbol in "ˈˌ":
            stress = start if stress is None else stress
        elif symbol in "ːʰʲ\u0303↓→↗↘ᵝ ":
            if out:
                out[-1] = (out[-1][0], out[-1][1], end)
        elif symbol in '_,.;:!?—…"()“”':
            if stress is not None and out:
                out[-1] = (out[-1][0], out[-1][1], start)
            stress = None
            if end - start >= 0.1 or symbol == "_" or not out:
                out.append(("_", start, end))
            else:
                out[-1] = (out[-1][0], out[-1][1], end)
        else:
            out.append((symbol, start if stress is None else stress, end))
            stress = None
    return out


def _heard(segments: Sequence[Segment], audio: NDArray[np.int16]) -> list[Segment]:
    """Ends the phone before a pause where its sound ends.

    Kokoro's last vowels go on for up to 0.3 s into the pause, 35 to 70 dB below the voice.
    """
    pieces = audio[: len(audio) // 160 * 160].reshape(-1, 160).astype(np.float32)
    level = np.sqrt((pieces**2).mean(axis=1))
    heard = level > np.percentile(level, 95) * _INAUDIBLE if len(level) else level > 0
    out: list[Segment] = []
    for i, (symbol, start, end) in enumerate(segments):
        if symbol == "_":
            out.append((symbol, out[-1][2] if out else start, end))
            continue
        if i + 1 == len(segments) or segments[i + 1][0] == "_":
            first = round(start * 100)
            loud = np.flatnonzero(heard[first : round(end * 100)])
            last = (first + int(loud[-1]) + 1) / 100 if len(loud) else start
            end = min(end, max(last, start + _SHORTEST_PHONE))
        out.append((symbol, start, end))
    return out


def curves(
    spans: Sequence[Interval], count: int, rate: float = CURVE_RATE, lead: float = 0.01
) -> NDArray[np.float32]:
    """Target coefficients over time.

    Args:
        spans: (class, start, end) in seconds.
        count: number of rows wanted.
        rate: rows per second; row i is for time i / rate.
        lead: seconds by which articulation runs ahead of the sound.

    Returns:
        (count, 16) float32.
    """
    time = np.arange(count) / rate + lead
    weighted = np.zeros((count, len(COEFFICIENTS)), np.float32)
    total = np.full((count, len(COEFFICIENTS)), 1e-6, np.float32)
    seal = np.zeros(count, np.float32)
    horizon = 0.6  # dominance is below 1e-3 beyond
    for c, start, end in spans:
        first = max(0, int((start - horizon) * rate))
        last = min(count, int((end + horizon) * rate) + 1)
        if last <= first:
            continue
        duration = end - start
        if c == SILENCE:  # leaves room for anticipation and for the last sound to fade
            plateau, strength = max(0.012, duration / 2 - 0.06), 1.0
        elif c == BILABIAL:
            plateau, strength = max(0.025, 0.45 * duration), 1.0
            half = max(0.03, duration / 2)
            away = np.abs(time[first:last] - (start + end) / 2) - half
            seal[first:last] = np.maximum(seal[first:last], 1 - np.clip(away / 0.02, 0, 1))
        else:
            plateau = max(0.012, 0.175 * duration)
            strength = (
                1.0 if c == LABIODENTAL else float(np.clip((duration / 0.08) ** 0.5, 0.5, 1.5))
            )
        distance = np.maximum(0, np.abs(time[first:last] - (start + end) / 2) - plateau)
        dominance = DOMINANCE[c] * strength * np.exp(-_DECAY_OF[c] * distance[:, None])
        weighted[first:last] += dominance * TARGETS[c]
        total[first:last] += dominance
    out = weighted / total
    # Lips near each other for long, sealed only while the phone lasts: it ends when they part.
    closure = INDEX["lipClosure"]
    out[:, closure] = np.minimum(out[:, closure], np.maximum(seal, _NEAR))
    # Sealed lips: the lips follow the jaw, and nothing parts them.
    sealed = np.clip((out[:, closure] - 0.45) / 0.4, 0, 1)
    close, jaw = INDEX["mouthClose"], INDEX["jawOpen"]
    out[:, close] = np.maximum(out[:, close], sealed * out[:, jaw])
    out[:, INDEX["mouthLowerDown"]] *= 1 - sealed
    out[:, INDEX["mouthUpperUp"]] *= 1 - sealed
    return np.asarray(out, np.float32)


def class_track(spans: Sequence[Interval], count: int) -> NDArray[np.uint8]:
    """Class index at 100 Hz, silence where there is nothing."""
    out = np.full(count, SILENCE, np.uint8)
    for c, start, end in spans:
        out[round(start * CURVE_RATE) : round(end * CURVE_RATE)] = c
    return out
