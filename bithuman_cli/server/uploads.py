"""What clients upload, decoded in processes of their own with little time, memory and rights."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import IO, Final

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

import bithuman_cli
from bithuman_cli.server.answers import Refused
from engine.coefficients import SAMPLE_RATE
from engine.errors import InvalidAudio, InvalidImage

__all__ = ["MAX_AUDIO_BYTES", "MAX_IMAGE_BYTES", "Uploads", "isolated"]

MAX_AUDIO_BYTES: Final = 50 << 20
MAX_IMAGE_BYTES: Final = 10 << 20
_SECONDS: Final = 30.0  # for one file; the worker itself has 20 of processor time
_RECEIVE_SECONDS: Final = 60.0
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 16
_RETRY_SECONDS: Final = 5
_BAD_INPUT: Final = 65  # as in upload_worker, which is not imported here


class Uploads:
    """Takes uploads, a few at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def audio(self, request: web.Request, rate: int = SAMPLE_RATE) -> bytes:
        """The sound of the file in the body: PCM16 mono, at most five minutes of it.

        Args:
            request: with the file as its body.
            rate: Hz.

        Raises:
            InvalidAudio: there is no sound in it that can be read.
            Refused: ``TOO_LARGE``, ``BUSY`` or ``TOO_EXPENSIVE``.
        """
        code, out, problem = await self._decode(request, ("audio", str(rate)), MAX_AUDIO_BYTES)
        if code == _BAD_INPUT:
            raise InvalidAudio(problem["message"], code=problem["code"], hint=problem["hint"])
        return out

    async def image(self, request: web.Request) -> NDArray[np.uint8]:
        """The picture in the body: BGR uint8 (height, width, 3), 2400 pixels or less a side.

        Raises:
            InvalidImage: it is not a picture that can be read.
            Refused: ``TOO_LARGE``, ``BUSY`` or ``TOO_EXPENSIVE``.
        """
        code, out, problem = await self._decode(request, ("image",), MAX_IMAGE_BYTES)
        if code == _BAD_INPUT:
            raise InvalidImage(problem["message"], code=problem["code"], hint=problem["hint"])
        height, width = struct.unpack_from("<II", out)
        return np.frombuffer(out, np.uint8, offset=8).reshape(height, width, 3)

    async def _decode(
        self, request: web.Request, kind: tuple[str, ...], limit: int
    ) -> tuple[int, bytes, dict[str, str]]:
        if self._waiting >= _MOST_WAITING:
            raise Refused(
                503,
                "BUSY",
                "Too many uploads at once.",
                "Try again in a few seconds.",
                _RETRY_SECONDS,
            )
        self._waiting += 1
        try:
            with tempfile.TemporaryFile(prefix="bithuman-") as file:
                # Before its turn: a client that sends slowly holds up nobody else.
                await _receive(request, file, limit)
                file.seek(0)
                async with self._turns:
                    code, out, err = await _run(kind, file)
        finally:
            self._waiting -= 1
        if code == 0:
            return code, out, {}
        if code == _BAD_INPUT:
            return code, b"", json.loads(err)
        raise Refused(
            422, "TOO_EXPENSIVE", "The file takes too much time or memory to decode, or is damaged."
        )


async def _receive(request: web.Request, file: IO[bytes], limit: int) -> None:
    """Write the body of a request to a file.

    Raises:
        Refused: ``TOO_LARGE``, ``TOO_SLOW`` or ``EMPTY``.
    """
    size = 0
    try:
        async with asyncio.timeout(_RECEIVE_SECONDS):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    raise Refused(413, "TOO_LARGE", f"The file is larger than {limit >> 20} MB.")
                file.write(part)
    except TimeoutError:
        raise Refused(408, "TOO_SLOW", "The file did not arrive in time.") from None
    if size == 0:
        raise Refused(422, "EMPTY", "The body is empty.")
    file.flush()


def isolated(script: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run a script beside this file.

    Run as a file, not as a module, it does not load this whole package first. Nothing of the
    working directory is importable there.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"},
        "PYTHONPATH": str(Path(bithuman_cli.__file__).parents[1]),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    return [sys.executable, "-P", str(Path(__file__).with_name(script)), *arguments], environment


async def _run(kind: tuple[str, ...], file: IO[bytes]) -> tuple[int, bytes, bytes]:
    command, environment = isolated("upload_worker.py", *kind)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=file,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        return -1, b"", b""
    finally:
        # Also where this task was cancelled: nobody waits for it any more.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, out, err
