"""The wire format between client and server, described in PROTOCOL.md.

Binary messages to the client are frames, binary messages from the client are PCM; everything else
is one JSON object per text message with a ``type``.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "MODES",
    "PROTOCOL_VERSION",
    "Control",
    "Frame",
    "Hello",
    "ProtocolError",
    "frame_index",
    "pack_frame",
    "parse_control",
    "parse_hello",
    "sound_of",
    "unpack_frame",
]

PROTOCOL_VERSION: Final = 2
MODES: Final = ("jpeg", "tiles", "h264")

MAX_MESSAGE_BYTES: Final = 1 << 20
MAX_CONTROL_CHARS: Final = 16_384
MAX_TEXT_CHARS: Final = 2_000
MIN_SAMPLE_RATE: Final = 8_000
MAX_SAMPLE_RATE: Final = 96_000

_HEADER: Final = struct.Struct("<IHBB")  # frame_index, base, shape, flags
_AUDIO_BYTES: Final = 1280
_HAS_AUDIO: Final = 1
_HAS_PICTURE: Final = 2
_END_OF_SPEECH: Final = 4
_KEY: Final = 8
_SPEAKING: Final = 64
_ALPHA: Final = 128
_SIZE: Final = struct.Struct("<I")
_MODE_FLAGS: Final = {"tiles": 0, "jpeg": 16, "h264": 32}
_FLAG_MODES: Final = {flag: mode for mode, flag in _MODE_FLAGS.items()}
_MODE_MASK: Final = 16 | 32
_SESSION: Final = re.compile(r"[0-9a-f]{1,64}")


class ProtocolError(ValueError):
    """A message the protocol does not allow; the text is meant for the client's developer."""

    def __init__(self, message: str, code: str = "BAD_MESSAGE") -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)  # frozen would take three times as long to make
class Frame:
    """One video frame and the 40 ms of sound that belong to it.

    Attributes:
        index: counts the frames of a session; frame ``i`` is due 40·i ms after frame 0.
        base: base frame.
        shape: mouth shape, 0 for the base frame as it is.
        audio: PCM16 mono 16 kHz, 640 samples (1280 bytes), or ``b""``.
        mode: what the picture is, one of ``MODES``; None when there is none.
        image: the picture in the modes ``jpeg`` and ``h264``.
        alpha: PNG with the alpha of a ``jpeg``, for clients that asked for it, or ``b""``.
        end_of_speech: the last frame of an utterance.
        key: a key frame of ``h264``.
        speaking: an utterance has begun and not ended.
    """

    index: int
    base: int = 0
    shape: int = 0
    audio: bytes = b""
    mode: str | None = None
    image: bytes = b""
    end_of_speech: bool = False
    key: bool = False
    speaking: bool = False
    alpha: bytes = b""


def pack_frame(frame: Frame) -> bytes:
    """Serialise a frame: 8-byte header, PCM, picture."""
    flags = (
        (_HAS_AUDIO if frame.audio else 0)
        | (0 if frame.mode is None else _HAS_PICTURE | _MODE_FLAGS[frame.mode])
        | (_END_OF_SPEECH if frame.end_of_speech else 0)
        | (_KEY if frame.key else 0)
        | (_SPEAKING if frame.speaking else 0)
        | (_ALPHA if frame.alpha else 0)
    )
    # Avatars with more parts than the fields can count have no tiles: nobody reads them.
    header = _HEADER.pack(frame.index & 0xFFFFFFFF, frame.base & 0xFFFF, frame.shape & 0xFF, flags)
    if frame.alpha:
        size = _SIZE.pack(len(frame.image))
        return b"".join((header, frame.audio, size, frame.image, frame.alpha))
    return b"".join((header, frame.audio, frame.image))


def frame_index(message: bytes) -> int:
    """Index of the frame that `pack_frame` made a message of."""
    index: int = _HEADER.unpack_from(message)[0]
    return index


def sound_of(message: bytes) -> bytes:
    """The message of a frame that has sound, as if it had no picture."""
    index, base, shape, flags = _HEADER.unpack_from(message)
    header = _HEADER.pack(index, base, shape, flags & (_HAS_AUDIO | _END_OF_SPEECH | _SPEAKING))
    return header + message[_HEADER.size : _HEADER.size + _AUDIO_BYTES]


def unpack_frame(data: bytes) -> Frame:
    """Parse what `pack_frame` made; for clients in Python and for tests.

    Raises:
        ProtocolError: the message is shorter than it says, or longer.
    """
    if len(data) < _HEADER.size:
        raise ProtocolError("a frame message is shorter than its header")
    index, base, shape, flags = _HEADER.unpack_from(data)
    size = _AUDIO_BYTES if flags & _HAS_AUDIO else 0
    audio = data[_HEADER.size : _HEADER.size + size]
    image = data[_HEADER.size + size :]
    if len(audio) != size:
        raise ProtocolError("the audio of a frame message is cut short")
    alpha = b""
    if flags & _ALPHA:
        if len(image) < _SIZE.size:
            raise ProtocolError("the picture of a frame message is cut short")
        (length,) = _SIZE.unpack_from(image)
        image, alpha = image[_SIZE.size :][:length], image[_SIZE.size + length :]
        if not alpha:
            raise ProtocolError("the alpha of a frame message is cut short")
    mode = None
    if flags & _HAS_PICTURE:
        mode = _FLAG_MODES.get(flags & _MODE_MASK)
        if mode is None:
            raise ProtocolError("a picture cannot be of two modes")
    if bool(image) != (mode in ("jpeg", "h264")):
        raise ProtocolError("the picture of a frame message does not fit its flags")
    return Frame(
        index,
        base,
        shape,
        audio,
        mode,
        image,
        end_of_speech=bool(flags & _END_OF_SPEECH),
        key=bool(flags & _KEY),
        speaking=bool(flags & _SPEAKING),
        alpha=alpha,
    )


@dataclass(frozen=True, slots=True)
class Hello:
    """How a client opens.

    Attributes:
        modes: what it can show, in its order.
        mode: the one it wants first.
        resume: id of the session to go on with, or ``""``.
        next: first frame index it has not received, or None.
        alpha: it can show transparent pictures.
    """

    modes: tuple[str, ...]
    mode: str
    resume: str = ""
    next: int | None = None
    alpha: bool = False

    def message(self) -> dict[str, Any]:
        """The same as it is sent."""
        shown = {"modes": list(self.modes), "mode": self.mode, "alpha": self.alpha}
        again = {"resume": self.resume, "next": self.next} if self.resume else {}
        return {"type": "hello", "protocol": PROTOCOL_VERSION, **shown, **again}


def parse_hello(text: str, available: tuple[str, ...]) -> Hello:
    """Validate the first message of a client.

    Args:
        text: the message.
        available: modes the server has for this avatar.

    Raises:
        ProtocolError: ``HELLO_EXPECTED``, ``PROTOCOL_VERSION`` or ``NO_COMMON_MODE``.
    """
    try:
        message = _object(text)
    except ProtocolError as error:
        raise ProtocolError(str(error), code="HELLO_EXPECTED") from error
    if message.get("type") != "hello":
        raise ProtocolError("the first message must be a hello", code="HELLO_EXPECTED")
    if message.get("protocol") != PROTOCOL_VERSION:
        raise ProtocolError(
            f"this server speaks version {PROTOCOL_VERSION} of the protocol",
            code="PROTOCOL_VERSION",
        )
    wanted = message.get("modes")
    if not isinstance(wanted, list):
        raise ProtocolError("'modes' must be a list", code="HELLO_EXPECTED")
    modes = tuple(mode for mode in available if mode in wanted)
    if not modes:
        raise ProtocolError(
            f"none of the modes {', '.join(available)} is offered", code="NO_COMMON_MODE"
        )
    ordered = [mode for mode in wanted if mode in modes]
    first = message.get("mode")
    if first not in modes:
        first = "jpeg" if "jpeg" in modes else ordered[0]
    alpha = message.get("alpha") is True
    resume = message.get("resume")
    if resume is None:
        return Hello(modes, first, alpha=alpha)
    if not isinstance(resume, str) or not _SESSION.fullmatch(resume):
        raise ProtocolError("'resume' must be the id of a session", code="HELLO_EXPECTED")
    following = message.get("next")
    if following is not None and (
        isinstance(following, bool) or not isinstance(following, int) or following < 0
    ):
        raise ProtocolError("'next' must be a frame index", code="HELLO_EXPECTED")
    return Hello(modes, first, resume, following, alpha)


@dataclass(frozen=True, slots=True)
class Control:
    """A validated control message of a client. Fields a type does not use keep their defaults."""

    type: str
    sample_rate: int = 0
    text: str = ""
    enabled: bool = True
    t: float = 0.0
    mode: str = ""
    name: str | None = None
    force: bool = False
    value: float = 1.0


def parse_control(text: str) -> Control:
    """Validate a text message.

    Raises:
        ProtocolError: not JSON, an unknown type, or a field of the wrong type or range.
    """
    message = _object(text)
    match message.get("type"):
        case "flush" | "interrupt" | "prepare_voice" | "keyframe" | "stop_action" as kind:
            return Control(kind)
        case "audio":
            rate = _number(message, "sample_rate", MIN_SAMPLE_RATE, MAX_SAMPLE_RATE)
            return Control("audio", sample_rate=int(rate))
        case "speak_text" | "heard" | "spoken" as kind:
            return Control(kind, text=spoken_text(message.get("text")))
        case "pictures" | "audio_return" | "listening" as kind:
            return Control(kind, enabled=_flag(message, "enabled"))
        case "mode":
            return Control("mode", mode=_word(message, "mode"))
        case "act":
            force = "force" in message and _flag(message, "force")
            return Control("act", name=_word(message, "gesture"), force=force)
        case "emotion":
            name = None if message.get("name") is None else _word(message, "name")
            value = _number(message, "intensity", 0.0, 1.0) if "intensity" in message else 1.0
            return Control("emotion", name=name, value=value)
        case "articulation":
            return Control("articulation", value=_number(message, "value", 0.5, 1.5))
        case "ping":
            return Control("ping", t=_number(message, "t", -1e15, 1e15))
        case kind:
            raise ProtocolError(f"unknown message type {str(kind)[:40]!r}")


def spoken_text(text: object) -> str:
    """Text fit to be spoken, spaces joined.

    Raises:
        ProtocolError: not a string, ``TEXT_EMPTY`` or ``TEXT_TOO_LONG``.
    """
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


def _object(text: str) -> dict[str, Any]:
    if len(text) > MAX_CONTROL_CHARS:
        raise ProtocolError(f"a control message may have {MAX_CONTROL_CHARS} characters at most")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a text message must be one JSON object") from error
    if not isinstance(message, dict):
        raise ProtocolError("a text message must be one JSON object")
    return message


def _number(message: dict[str, Any], field: str, low: float, high: float) -> float:
    value = message.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ProtocolError(f"{field!r} must be a number from {low:g} to {high:g}")
    return value


def _flag(message: dict[str, Any], field: str) -> bool:
    value = message.get(field)
    if not isinstance(value, bool):
        raise ProtocolError(f"{field!r} must be true or false")
    return value


def _word(message: dict[str, Any], field: str) -> str:
    value = message.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= 80:
        raise ProtocolError(f"{field!r} must be a name")
    return value
