"""Decodes one upload, in a process that can do nothing else; see ``uploads``.

``python upload_worker.py audio RATE | image`` reads the file from its standard input
(which can seek) and writes what is in it to its standard output: PCM16 mono, or height and width as
two u32 and BGR pixels. Trouble is one JSON object on standard error and exit code 65.

Decoders are large programs written in C that read what strangers send. So once everything is
loaded, this process gives up opening files and sockets: a playlist cannot make it read others.
"""

from __future__ import annotations

import contextlib
import json
import resource
import struct
import sys
from collections.abc import Callable
from typing import Final

import numpy as np

from engine.errors import AvatarError

__all__ = ["BAD_INPUT", "LONGEST_SECONDS", "LONGEST_SIDE", "main"]

BAD_INPUT: Final = 65
LONGEST_SECONDS: Final = 300.0
LONGEST_SIDE: Final = 2400
_MEMORY: Final = 1 << 30
_CPU_SECONDS: Final = 20
_SAMPLE: Final = (  # 16 samples of silence as WAV: decoding it loads what decoding needs
    b"RIFF\x44\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80>\x00\x00\x00}\x00\x00"
    b"\x02\x00\x10\x00data\x20\x00\x00\x00" + bytes(32)
)


def main() -> int:
    """Decode standard input; returns the exit code."""
    work = _audio(int(sys.argv[2])) if sys.argv[1] == "audio" else _image()
    _give_up_everything()
    try:
        work()
        sys.stdout.flush()
    except AvatarError as error:
        json.dump({"code": error.code, "message": str(error), "hint": error.hint}, sys.stderr)
        return BAD_INPUT
    return 0


def _audio(rate: int) -> Callable[[], None]:
    from engine.audio import decode, iter_decode

    decode(_SAMPLE, rate)

    def work() -> None:
        for block in iter_decode(sys.stdin.buffer, rate, LONGEST_SECONDS):
            sys.stdout.buffer.write((block * 32767).round().astype("<i2").tobytes())

    return work


def _image() -> Callable[[], None]:
    import cv2

    from engine.face.image import load_image

    cv2.setNumThreads(1)
    load_image(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())

    def work() -> None:
        picture = load_image(sys.stdin.buffer.read())
        height, width = picture.shape[:2]
        scale = LONGEST_SIDE / max(height, width)
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        sys.stdout.buffer.write(struct.pack("<II", *picture.shape[:2]) + picture.tobytes())

    return work


def _give_up_everything() -> None:
    """Limits that cannot be raised again: memory, time, files."""
    for what, limit in (
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_NOFILE, 3),  # standard input, output and error are open already
    ):
        with contextlib.suppress(OSError, ValueError):  # macOS does not limit memory
            resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
