"""espeak-ng through ctypes: speech with exact phone times, and letters to phonemes.

Uses the library that PyPI ``espeakng-loader`` ships. The interface is that of ``speak_lib.h``.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from training.speech import texts
from training.speech.config import ESPEAK_VOICES
from training.speech.shards import Segment, Utterance

_PHONEME_EVENTS_IN_IPA = 0x0001 | 0x0002
_SYNCHRONOUS = 1
_EVENT_PHONEME = 7
_EVENT_END_OF_LIST = 0
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1
_IPA = 0x02
# Robots, whispers and effects: not how people sound.
_UNUSABLE = {
    "whisper", "whisperf", "Demonic", "UniRobot", "anikaRobot", "AnxiousAndy", "croak", "Tweaky",
    "fast",
}  # fmt: skip


class _Id(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The library, which is one per process."""

    def __init__(self) -> None:
        data = espeakng_loader.get_data_path()
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, 200, data.encode(), _PHONEME_EVENTS_IN_IPA
        )
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._audio: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, str]] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)
        variants = Path(data) / "voices" / "!v"
        self.variants = sorted(
            p.name
            for p in variants.iterdir()
            if p.name not in _UNUSABLE and "robosoft" not in p.name and " " not in p.name
        )

    def _receive(self, samples, count, events) -> int:  # type: ignore[no-untyped-def]
        if count > 0:
            self._audio.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != _EVENT_END_OF_LIST:
            if events[i].type == _EVENT_PHONEME:
                symbol = bytes(events[i].id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self._events.append((events[i].sample, symbol))
            i += 1
        return 0

    def voice(self, name: str, rate: int = 175, pitch: int = 50, pitch_range: int = 50) -> None:
        """Chooses a voice such as ``en-us+f2``.

        Raises:
            ValueError: there is none of that name; the library crashes when it has no voice.
        """
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {name}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)

    def synthesise(self, text: str) -> tuple[NDArray[np.int16], list[Segment]]:
        """Speaks ``text``; returns int16 audio at ``sample_rate`` and IPA phones in seconds."""
        self._audio, self._events = [], []
        raw = text.encode() + b"\0"
        self._library.espeak_Synth(raw, len(raw), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        audio = np.concatenate(self._audio) if self._audio else np.zeros(0, np.int16)
        times = [s / self.sample_rate for s, _ in self._events] + [len(audio) / self.sample_rate]
        segments: list[Segment] = [("_", 0.0, times[0])] if self._events else []
        for i, (_, symbol) in enumerate(self._events):
            segments.append((symbol or "_", times[i], times[i + 1]))
        return audio, segments

    def phonemes(self, text: str, tie: str = "^", separator: str = "") -> str:
        """IPA of ``text``, with a tie inside diphthongs and affricates or a separator of phones."""
        pointer = ctypes.pointer(ctypes.c_char_p(text.encode()))
        mode = _IPA | (ord(separator) << 8 if separator else 0x80 | ord(tie) << 8)
        parts = []
        while pointer.contents.value:
            part = self._library.espeak_TextToPhonemes(
                ctypes.cast(pointer, ctypes.c_void_p), _UTF8, mode
            )
            if part:
                parts.append(part.decode())
        return " ".join(parts).strip()


@cache
def espeak() -> Espeak:
    """The one instance."""
    return Espeak()


def utterances(seed: int, voices: Sequence[str] = ()) -> Iterator[Utterance]:
    """Endless sentences over voices, variants, rates and pitches; half of them English.

    Args:
        seed: other seeds, other sentences.
        voices: keys of ESPEAK_VOICES to choose from instead.
    """
    generator = random.Random(seed)  # noqa: S311
    engine = espeak()
    english = [v for v, t in ESPEAK_VOICES.items() if t == "en"]
    others = [v for v, t in ESPEAK_VOICES.items() if t != "en" and texts.sentences(t)]
    while True:
        pool = english if generator.random() < 0.45 or not others else others
        language = generator.choice(voices or pool)
        variant = generator.choice(engine.variants)
        engine.voice(
            f"{language}+{variant}",
            generator.randint(125, 230),
            generator.randint(20, 80),
            generator.randint(20, 80),
        )
        text = texts.said(ESPEAK_VOICES[language], generator)
        audio, segments = engine.synthesise(text)
        seconds = len(audio) / engine.sample_rate
        peak = int(np.abs(audio.astype(np.int32)).max(initial=0))
        if not 1.0 <= seconds <= 10.0 or peak < 100 or not segments:
            continue
        at16k = resample_poly(audio.astype(np.float32), 320, 441) * (0.7 * 32767 / peak)
        yield Utterance(
            np.clip(at16k, -32767, 32767).astype(np.int16),
            segments,
            f"espeak:{variant}",
            "espeak",
            language,
            text,
        )
