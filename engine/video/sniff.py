"""Whether a file is a video, by its first bytes; imports nothing that takes time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["is_video"]

_STILLS: Final = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"M4A ")
# Matroska and WebM, MPEG program stream, Flash.
_MAGIC: Final = (b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"FLV\x01")


def is_video(path: Path) -> bool:
    """Whether a file begins like a video does; no more is looked at, and of a pipe nothing."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(400)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] not in _STILLS
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):  # QuickTime before ISO files
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    transport = head[:1] == b"\x47" and head[188:189] == b"\x47"
    return transport or head.startswith(_MAGIC)
