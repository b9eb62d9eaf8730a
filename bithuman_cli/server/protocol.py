"""The wire format between page and server, described for other clients in PROTOCOL.md.

Binary messages to the client are frames, binary messages from the client are PCM; everything else
is one JSON object per text message with a ``type``.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "PROTOCOL_VERSION",
    "Control",
    "Frame",
    "ProtocolError",
    "pack_frame",
    "parse_control",
    "unpack_frame",
]

PROTOCOL_VERSION: Final = 1

MAX_MESSAGE_BYTES: Final = 1 << 20
MAX_CONTROL_CHARS: Final = 16_384
MAX_TEXT_CHARS: Final = 2_000
MIN_SAMPLE_RATE: Final = 8_000
MAX_SAMPLE_RATE: Final = 96_000

_HEADER: Final = struct.Struct("<BBHII")  # version, flags, reserved, frame_index, pcm_bytes
_HAS_AUDIO: Final = 1
_HAS_IMAGE: Final = 2
_END_OF_SPEECH: Final = 4


class ProtocolError(ValueError):
    """A message the protocol does not allow; the text is meant for the client's developer."""

    def __init__(self, message: str, code: str = "BAD_MESSAGE") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """One video frame and the 40 ms of sound that belong to it.

    Attributes:
        index: position on the session's clock; frame ``i`` is due 40·i ms after frame 0.
        audio: PCM16 mono 16 kHz, 640 samples (1280 bytes), or ``b""`` while nobody speaks.
        image: a baseline JPEG, or ``b""`` when the picture was left out for a slow client.
        end_of_speech: whether this is the last frame of an utterance.
    """

    index: int
    audio: bytes = b""
    image: bytes = b""
    end_of_speech: bool = False


def pack_frame(frame: Frame) -> bytes:
    """Serialise a frame: 12-byte header, PCM, JPEG."""
    flags = (
        (_HAS_AUDIO if frame.audio else 0)
        | (_HAS_IMAGE if frame.image else 0)
        | (_END_OF_SPEECH if frame.end_of_speech else 0)
    )
    header = _HEADER.pack(PROTOCOL_VERSION, flags, 0, frame.index & 0xFFFFFFFF, len(frame.audio))
    return b"".join((header, frame.audio, frame.image))


def unpack_frame(data: bytes) -> Frame:
    """Parse what `pack_frame` made; for clients in Python and for tests.

    Raises:
        ProtocolError: the header is short, of another version, or disagrees with the payload.
    """
    if len(data) < _HEADER.size:
        raise ProtocolError("a frame message is shorter than its header")
    version, flags, _, index, pcm_bytes = _HEADER.unpack_from(data)
    if version != PROTOCOL_VERSION:
        raise ProtocolError(f"frame version {version} is not {PROTOCOL_VERSION}")
    audio = data[_HEADER.size : _HEADER.size + pcm_bytes]
    image = data[_HEADER.size + pcm_bytes :]
    if len(audio) != pcm_bytes or bool(audio) != bool(flags & _HAS_AUDIO):
        raise ProtocolError("the audio of a frame message is cut short")
    if bool(image) != bool(flags & _HAS_IMAGE):
        raise ProtocolError("the image flag of a frame message is wrong")
    return Frame(index, audio, image, bool(flags & _END_OF_SPEECH))


@dataclass(frozen=True, slots=True)
class Control:
    """A validated control message of a client. Fields a type does not use keep their defaults."""

    type: str
    sample_rate: int = 0
    text: str = ""
    enabled: bool = True
    t: float = 0.0


def parse_control(text: str) -> Control:
    """Validate a text message.

    Raises:
        ProtocolError: not JSON, an unknown type, or a field of the wrong type or range.
    """
    if len(text) > MAX_CONTROL_CHARS:
        raise ProtocolError(f"a control message may have {MAX_CONTROL_CHARS} characters at most")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a text message must be one JSON object") from error
    if not isinstance(message, dict):
        raise ProtocolError("a text message must be one JSON object")
    kind = message.get("type")
    if kind in ("flush", "interrupt", "prepare_voice"):
        return Control(kind)
    if kind == "audio":
        rate = _number(message, "sample_rate", MIN_SAMPLE_RATE, MAX_SAMPLE_RATE)
        return Control(kind, sample_rate=int(rate))
    if kind == "speak_text":
        return Control(kind, text=_spoken_text(message))
    if kind == "pictures":
        enabled = message.get("enabled")
        if not isinstance(enabled, bool):
            raise ProtocolError("'enabled' must be true or false")
        return Control(kind, enabled=enabled)
    if kind == "ping":
        return Control(kind, t=_number(message, "t", -1e15, 1e15))
    raise ProtocolError(f"unknown message type {str(kind)[:40]!r}")


def _number(message: dict[str, Any], field: str, low: float, high: float) -> float:
    value = message.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ProtocolError(f"{field!r} must be a number from {low:g} to {high:g}")
    return value


def _spoken_text(message: dict[str, Any]) -> str:
    text = message.get("text")
    if not isinstance(text, str):
        raise ProtocolError("'text' must be a string")
    # Lone surrogates and control characters cannot be spoken and upset phonemisers.
    text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.encode("utf-8", "ignore").decode().split())
    if not text:
        raise ProtocolError("there is no text to speak", code="TEXT_EMPTY")
    if len(text) > MAX_TEXT_CHARS:
        raise ProtocolError(
            f"text may have {MAX_TEXT_CHARS} characters at most", code="TEXT_TOO_LONG"
        )
    return text
