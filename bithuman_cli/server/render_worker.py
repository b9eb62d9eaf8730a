"""Renders one video, in a process of its own with a low priority; see ``video``.

``python render_worker.py`` reads a job as one JSON object from its standard input: ``avatar`` and
``output`` (paths), ``audio`` (path) or ``text``, ``background`` (path, ``transparent`` or null),
``quality``, ``target_size``. It writes JSON objects, one a line: ``{"progress": 0 to 1}`` and in
the end ``{"result": …}`` or ``{"error": …}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import engine
from engine.errors import AvatarError

__all__ = ["main"]

_NICENESS: Final = 10
_REPORT_SECONDS: Final = 0.2


def main() -> int:
    """Do the job on standard input; returns the exit code."""
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    job = json.load(sys.stdin)
    try:
        _tell(result=_render(job))
    except AvatarError as error:
        _tell(error={"code": error.code, "message": str(error), "hint": error.hint})
        return 1
    return 0


def _render(job: dict[str, Any]) -> dict[str, Any]:
    path = Path(job["avatar"])
    photo = path.suffix.lower() != ".imx"
    told = 0.0

    def progress(done: int, total: int | None) -> None:
        nonlocal told
        if total and time.monotonic() - told >= _REPORT_SECONDS:
            told = time.monotonic()
            _tell(progress=round(min(1.0, done / total), 3))

    model = "expression" if photo else None
    with engine.open(path, model=model, background=job.get("background")) as avatar:
        result = engine.write_video(
            avatar,
            _recording(job),
            job["output"],
            target_size=job.get("target_size"),
            quality=job["quality"],
            progress=progress,
        )
    return {
        "bytes": result.bytes,
        "seconds": result.seconds,
        "width": result.width,
        "height": result.height,
    }


def _recording(job: dict[str, Any]) -> Path:
    """What is said, as a file."""
    if job.get("audio"):
        return Path(job["audio"])
    from bithuman_cli.server.voice import write_speech

    path = Path(job["output"]).with_name("speech.wav")
    write_speech(job["text"], path)
    return path


def _tell(**message: object) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.exit(main())
