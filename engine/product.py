"""What building any kind of avatar has in common: the order, and what comes of it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.errors import Failed, NotSupported
from engine.files import is_special
from engine.imx import Manifest

__all__ = [
    "LICENCE_LENGTH",
    "NAME_LENGTH",
    "SIZES",
    "BuildResult",
    "Progress",
    "check_order",
    "creation_time",
]

SIZES: Final = range(128, 1081)
"""Pixels along the longer side of a frame."""
NAME_LENGTH: Final = 120
LICENCE_LENGTH: Final = 4000
Progress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all. Stages of a photo: ``fit``, ``idle``,
``encode``, ``mouths``, ``write``, of which Expression has the first and the last; of a clip:
``track``, ``loop``, ``sources``, then as for a photo from ``encode`` on. A gesture that comes from
a clip adds a stage ``gesture NAME``."""


@dataclass(frozen=True)
class BuildResult:
    """What was built.

    Attributes:
        path: the file.
        manifest: its manifest.
        bytes: its size.
        seconds: how long the build took.
    """

    path: Path
    manifest: Manifest
    bytes: int
    seconds: float


def check_order(target: Path, name: str, size: int, licence: str) -> None:
    """Refuse what is known to go wrong: better to say so than after half a minute of work.

    Raises:
        NotSupported: ``SIZE_NOT_SUPPORTED``, ``NAME_NOT_SUPPORTED``, ``LICENCE_NOT_SUPPORTED``, or
            what ``creation_time`` raises.
        Failed: ``WRITE_FAILED``.
    """
    creation_time()
    if size not in SIZES:
        raise NotSupported(
            f"the frame size {size} is not supported",
            code="SIZE_NOT_SUPPORTED",
            hint=f"Choose a size from {SIZES[0]} to {SIZES[-1]} pixels.",
        )
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise NotSupported(
            f"an avatar cannot be named {name[:NAME_LENGTH]!r}",
            code="NAME_NOT_SUPPORTED",
            hint=f"Choose a name of 1 to {NAME_LENGTH} printable characters.",
        )
    if len(licence) > LICENCE_LENGTH or not licence.replace("\n", " ").isprintable():
        raise NotSupported(
            "this licence cannot be stored",
            code="LICENCE_NOT_SUPPORTED",
            hint=f"Name it, or give its text of up to {LICENCE_LENGTH} printable characters.",
        )
    if not target.parent.is_dir():
        raise Failed(
            f"cannot write {target}: the folder does not exist",
            code="WRITE_FAILED",
            hint=f"Make it first: mkdir -p {shlex.quote(str(target.parent))}",
        )
    if is_special(target):
        raise Failed(
            f"cannot write {target}: it is not a file", code="WRITE_FAILED", hint="Name a file."
        )


def creation_time() -> str:
    """Now in UTC, ISO 8601; or what ``SOURCE_DATE_EPOCH`` says, for builds that can be repeated.

    Raises:
        NotSupported: ``SOURCE_DATE_EPOCH``, it is no time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch) if epoch else time.time(), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise NotSupported(
            f"SOURCE_DATE_EPOCH is {epoch!r}, which is no time",
            code="SOURCE_DATE_EPOCH",
            hint="It counts seconds since 1970: date +%s",
        ) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
