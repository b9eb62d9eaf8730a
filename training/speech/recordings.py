"""People speaking Spanish, French, Italian and Russian, aligned with an English acoustic model.

Debian has prompts of one speaker per language with their texts, but no acoustic model to align
them with. espeak-ng's pronunciation of the text is spelled in the nearest phones of US English
(a pronunciation dictionary made on the spot), PocketSphinx finds the times, and the classes come
from espeak-ng's own symbols. What that is worth was measured where other phone times exist; see
:func:`check`. For measuring only.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from pocketsphinx import Decoder

from training.speech import espeak, phones, shards, sphinx
from training.speech.config import Config
from training.speech.festival import FESTVOX_RU, festvox_ru, to_16k
from training.speech.shards import Segment, Utterance

_SOUNDS = Path("/usr/share/asterisk/sounds")
# Shard -> name, espeak-ng's voice, folder of the recordings, language of the transcript.
_SPEAKERS = {
    "recorded-es": ("Mexican woman", "es-419", "es_MX_f_Allison", "es"),
    "recorded-fr": ("Canadian woman, French", "fr", "fr_CA_f_June", "fr"),
    "recorded-it": ("Italian man", "it", "it_IT_m_Carlo", "it"),
    "recorded-ru": ("Russian woman", "ru", "ru_RU_f_IvrvoiceRU", "ru"),
}
# IPA -> the phones of PocketSphinx's US English that sound most like it.
_NEAREST = {
    "tʃ": "CH", "tɕ": "CH", "dʒ": "JH", "dʑ": "JH", "ts": "T S", "dz": "D Z",
    "p": "P", "b": "B", "m": "M", "t": "T", "d": "D", "n": "N", "k": "K", "c": "K", "ɡ": "G",
    "g": "G", "ɟ": "G", "f": "F", "v": "V", "ʋ": "V", "β": "V", "θ": "TH", "ð": "DH", "s": "S",
    "z": "Z", "ʃ": "SH", "ɕ": "SH", "ʂ": "SH", "ʒ": "ZH", "ʑ": "ZH", "ʐ": "ZH", "x": "HH",
    "χ": "HH", "h": "HH", "ɦ": "HH", "ɣ": "G", "ʁ": "HH", "q": "K", "ŋ": "NG", "ɲ": "N Y",
    "l": "L", "ɫ": "L", "ɭ": "L", "ʎ": "L Y", "r": "R", "ɾ": "D", "ɹ": "R", "j": "Y", "ʝ": "Y",
    "w": "W", "ɥ": "W", "i": "IY", "y": "UW", "ɨ": "IH", "ᵻ": "IH", "ɪ": "IH", "e": "EH",
    "ɛ": "EH", "æ": "AE", "a": "AA", "ɑ": "AA", "ɐ": "AH", "ʌ": "AH", "ə": "AH", "ɜ": "ER",
    "ɚ": "ER", "ø": "UH", "œ": "AH", "ɵ": "UH", "ɔ": "AO", "ɒ": "AA", "o": "OW", "ʊ": "UH",
    "u": "UW",
}  # fmt: skip
_PAUSE = 2400  # samples, 150 ms
_LOUD = 0.5  # of the usual level, in a frame of 40 ms
_SILENCES = {"SIL", "+NSN+", "+SPN+", "<s>", "</s>", "<sil>"}


def align_recordings(config: Config) -> None:
    """Aligns the prompts of every language into shards of their own."""
    for name, (_, voice, folder, language) in _SPEAKERS.items():
        if shards.count(config.shards, name):
            continue
        found = list(_aligned(name, voice, _SOUNDS / folder, language, config.recorded_minutes))
        if found:
            shards.write(config.shards / name / "0000.npz", found)


def held_out(config: Config) -> dict[str, list[Utterance]]:
    """The aligned recordings by name."""
    out = {}
    for name, (title, *_) in _SPEAKERS.items():
        found = list(shards.read_all(config.shards, [name]))
        if found:
            out[title] = found[: config.evaluate or 60]
    return out


def force(
    audio: NDArray[np.int16], text: str, voice: str, beam: float = 1e-48
) -> list[Segment] | None:
    """IPA phones of ``text`` as espeak-ng says it, and their times; None where nothing fits.

    The usual beam of PocketSphinx refuses most sentences that are not what is said.
    """
    spelled = _pronounce(text, voice)
    if not spelled:
        return None
    decoder = Decoder(
        lm=None, loglevel="FATAL", bestpath=False, beam=beam, pbeam=beam, wbeam=beam ** (7 / 12)
    )
    names = []
    for i, word in enumerate(spelled):
        names.append(f"word{i}")
        decoder.add_word(names[-1], " ".join(p for _, english in word for p in english), True)
    found = sphinx.decode(decoder, audio, names)
    if found is None:
        return None
    # Pauses come in between; everything else comes in the order in which it was spelled.
    out: list[Segment] = []
    wanted = [(symbol, len(english)) for word in spelled for symbol, english in word]
    spoken = iter(wanted)
    left = 0
    for phone, start, end in found:
        if phone in _SILENCES:
            out.append(("_", start, end))
            continue
        if left:
            out[-1] = (out[-1][0], out[-1][1], end)
        else:
            symbol, left = next(spoken)
            out.append((symbol, start, end))
        left -= 1
    return out if next(spoken, None) is None else None


def _pronounce(text: str, voice: str) -> list[list[tuple[str, list[str]]]]:
    """Words of (espeak-ng's symbol, its nearest English phones)."""
    engine = espeak.espeak()
    engine.voice(voice)
    words = []
    for part in re.findall(r"[^,;:.!?]+", text):
        for spoken in engine.phonemes(part, separator="|").split():
            word = []
            for symbol in spoken.split("|"):
                plain = unicodedata.normalize("NFD", symbol.strip("ˈˌ")).replace("c\u0327", "ç")
                english = _nearest(plain)
                if english:
                    word.append((symbol, english))
            if word:
                words.append(word)
    return words


def _nearest(symbol: str) -> list[str]:
    out: list[str] = []
    while symbol:
        for size in (2, 1):
            if symbol[:size] in _NEAREST:
                out += _NEAREST[symbol[:size]].split()
                symbol = symbol[size:]
                break
        else:
            symbol = symbol[1:]  # stress, length, a tone, a change of language
    return out


def _aligned(
    source: str, voice: str, folder: Path, language: str, minutes: float
) -> Iterator[Utterance]:
    transcript = Path(f"/usr/share/doc/asterisk-core-sounds-{language}")
    text = gzip.decompress((transcript / f"core-sounds-{language}.txt.gz").read_bytes()).decode()
    seconds = 0.0
    for line in text.splitlines():
        name, separator, said = line.partition(": ")
        path = folder / f"{name.strip()}.g722"
        if line.startswith(";") or not separator or not path.exists():
            continue
        if re.search(r"[\[\]<>\d#*&]", said) or seconds > minutes * 60:
            continue
        audio = sphinx.read_g722(path)
        if not 1.5 <= len(audio) / 16_000 <= 15:
            continue
        segments = force(audio, said, voice)
        if segments is not None and _quiet_in_pauses(audio, segments):
            seconds += len(audio) / 16_000
            yield Utterance(audio, segments, f"{source}:{folder.name}", "aligned", voice, said)


def _quiet_in_pauses(audio: NDArray[np.int16], segments: list[Segment]) -> bool:
    """Whether nothing is said in the pauses: some prompts say more than their text."""
    sound = audio.astype(np.float64)
    usual = np.sqrt((sound**2).mean())
    for symbol, start, end in segments:
        part = sound[round(max(0.0, start) * 16_000) : round(end * 16_000)]
        if symbol == "_" and len(part) > _PAUSE:
            frames = part[: len(part) // 640 * 640].reshape(-1, 640)
            if np.sqrt((frames**2).mean(axis=1)).max(initial=0) > _LOUD * usual:
                return False
    return True


def check(sentences: int = 60) -> dict[str, float]:
    """Aligns festvox-ru in the same way and compares with the labels that come with it.

    Returns:
        At bilabials: how many of the labelled ones were found within 60 ms, and the median and
        the median absolute deviation of the difference in seconds.
    """
    said = dict(
        re.findall(
            r'\(\s*(\S+)\s+"(.*?)"\s*\)', (FESTVOX_RU / "etc" / "txt.done.data").read_text("utf-8")
        )
    )
    labels = sorted((FESTVOX_RU / "lab").glob("*.lab"))
    late: list[float] = []
    labelled = done = 0
    for label, utterance in zip(labels, festvox_ru(), strict=False):
        audio, rate = soundfile.read(FESTVOX_RU / "wav" / f"{label.stem}.wav", dtype="float32")
        segments = force(to_16k(audio, rate), said.get(label.stem, ""), "ru")
        if segments is None:
            continue
        found = Utterance(utterance.audio, segments, "", "aligned", "ru")
        times = np.array(
            [(a + b) / 2 for c, a, b in phones.intervals(found) if c == phones.BILABIAL]
        )
        for c, a, b in phones.intervals(utterance):
            if c == phones.BILABIAL:
                labelled += 1
                nearest = times[np.abs(times - (a + b) / 2).argmin()] if len(times) else np.inf
                if abs(nearest - (a + b) / 2) <= 0.06:
                    late.append(float(nearest - (a + b) / 2))
        done += 1
        if done >= sentences:
            break
    spread = float(np.median(np.abs(np.array(late) - np.median(late))))
    return {"found": len(late) / labelled, "late": float(np.median(late)), "spread": spread}
