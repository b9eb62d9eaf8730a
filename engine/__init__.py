"""Turn a photo into a talking avatar and play it, lips in sync with any speech, on a CPU.

    import engine

    with engine.open("avatar.imx") as avatar:
        avatar.render("speech.wav", "talking.mp4")

Live, with sound pushed and frames drained as they come, it is ``AsyncBithuman``; ``build`` makes an
avatar of a photo or a clip. What goes wrong is an ``AvatarError`` with a ``code`` and a ``hint``.

Everything below is imported on first use, so that ``import engine`` costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.coefficients import COEFFICIENTS, FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
    from engine.errors import (
        AvatarError,
        Failed,
        InvalidAudio,
        InvalidAvatar,
        InvalidImage,
        InvalidVideo,
        NotAuthorised,
        NotSupported,
    )
    from engine.essence import build
    from engine.expression import build_expression
    from engine.stream.async_bithuman import AsyncBithuman
    from engine.stream.avatar import Avatar
    from engine.stream.bithuman import Bithuman
    from engine.stream.opening import open  # noqa: A004
    from engine.stream.session import Session
    from engine.stream.types import AudioChunk, FrameState, VideoControl, VideoFrame
    from engine.stream.video import RenderResult, output_format, write_mp4, write_video

# From 1.29 on, ONNX Runtime reports models and runs to its maker and keeps a device id in ~/.cache,
# unless this is set when it starts. Whoever wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULES = {
    "engine.coefficients": ("COEFFICIENTS", "FPS", "SAMPLES_PER_FRAME", "SAMPLE_RATE"),
    "engine.errors": (
        "AvatarError",
        "Failed",
        "InvalidAudio",
        "InvalidAvatar",
        "InvalidImage",
        "InvalidVideo",
        "NotAuthorised",
        "NotSupported",
    ),
    "engine.essence": ("build",),
    "engine.expression": ("build_expression",),
    "engine.stream.async_bithuman": ("AsyncBithuman",),
    "engine.stream.avatar": ("Avatar",),
    "engine.stream.bithuman": ("Bithuman",),
    "engine.stream.opening": ("open",),
    "engine.stream.video": ("RenderResult", "output_format", "write_mp4", "write_video"),
    "engine.stream.session": ("Session",),
    "engine.stream.types": ("AudioChunk", "FrameState", "VideoControl", "VideoFrame"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "COEFFICIENTS",
    "FPS",
    "SAMPLES_PER_FRAME",
    "SAMPLE_RATE",
    "AsyncBithuman",
    "AudioChunk",
    "Avatar",
    "AvatarError",
    "Bithuman",
    "Failed",
    "FrameState",
    "InvalidAudio",
    "InvalidAvatar",
    "InvalidImage",
    "InvalidVideo",
    "NotAuthorised",
    "NotSupported",
    "RenderResult",
    "Session",
    "VideoControl",
    "VideoFrame",
    "build",
    "build_expression",
    "open",
    "output_format",
    "write_mp4",
    "write_video",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
