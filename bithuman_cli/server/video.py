"""Videos rendered on request, one at a time, beside the live sessions.

Each is made by a process of its own with a low priority (``render_worker``). Files lie in a private
directory and are gone an hour later, or when the server ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import shutil
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2

from bithuman_cli.server import scratch
from bithuman_cli.server.answers import Refused
from bithuman_cli.server.uploads import isolated

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["TRACK_RATE", "Job", "Jobs"]

_LOG = logging.getLogger(__name__)

TRACK_RATE: Final = 48_000
"""Hz of recordings that are rendered."""
_MOST_WAITING: Final = 16
_MOST_KEPT: Final = 64
_KEPT_SECONDS: Final = 3600.0
_LONGEST_SECONDS: Final = 900.0  # of work on one video
_RETRY_SECONDS: Final = 30


@dataclass(slots=True)
class Job:
    """A video that is wanted.

    Attributes:
        id: names it to clients.
        slug: of the avatar.
        spec: for ``render_worker``.
        file: the video, once it is completed; in a directory of its own.
        created: seconds since 1970.
        status: ``processing``, ``completed`` or ``failed``.
        progress: 0 to 1.
        result: of a completed job: bytes, seconds, width, height.
        error: of a failed one: code, message, hint.
        over: set once it is neither waiting nor rendered.
    """

    id: str
    slug: str
    spec: dict[str, Any]
    file: Path
    created: float
    status: str = "processing"
    progress: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def directory(self) -> Path:
        """Holds its files."""
        return self.file.parent


def _background(avatar: Avatar, directory: Path, container: str) -> str | None:
    """What to open the avatar with; pictures go into the directory."""
    background = avatar.background
    if background is None or (background.transparent and container == "mp4"):
        return None
    if background.transparent:
        return "transparent"
    path = directory / "background.png"
    cv2.imwrite(str(path), background.picture(avatar.width, avatar.height))
    return str(path)


class Jobs:
    """The videos of a server."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._queue: asyncio.Queue[Job] = asyncio.Queue(_MOST_WAITING)
        self._files = contextlib.ExitStack()
        self._root: Path | None = None
        self._runner: asyncio.Task[None] | None = None
        self._current: tuple[Job, asyncio.Task[None]] | None = None

    def submit(
        self,
        slug: str,
        avatar: Avatar,
        *,
        text: str | None = None,
        pcm: bytes | None = None,
        quality: str = "MEDIUM",
        target_size: str | None = None,
        container: str = "mp4",
    ) -> Job:
        """Put a video in the queue.

        Args:
            slug: of the avatar.
            avatar: who speaks, before the background it is shown with.
            text: what it says; or
            pcm: PCM16 mono of 48 kHz.
            quality: see ``engine.write_video``.
            target_size: likewise.
            container: ``mp4``, or ``webm``, which can be transparent.

        Raises:
            Refused: ``BUSY``.
        """
        self._expire()
        if self._queue.full():
            raise Refused(
                503,
                "BUSY",
                f"{_MOST_WAITING} videos are waiting.",
                "Try again later.",
                _RETRY_SECONDS,
            )
        if self._root is None:
            self._root = self._files.enter_context(scratch.folder())
        job_id = secrets.token_hex(8)
        directory = self._root / job_id
        directory.mkdir(mode=0o700)
        spec: dict[str, Any] = {"avatar": str(avatar.path.absolute()), "quality": quality}
        spec |= {"text": text, "target_size": target_size}
        spec["background"] = _background(avatar, directory, container)
        if pcm is not None:
            spec["audio"] = str(directory / "speech.wav")
            with wave.open(spec["audio"], "wb") as file:
                file.setparams((1, 2, TRACK_RATE, 0, "NONE", ""))
                file.writeframes(pcm)
        job = Job(job_id, slug, spec, directory / f"video.{container}", time.time())
        spec["output"] = str(job.file)
        self._jobs[job_id] = job
        self._queue.put_nowait(job)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return job

    def knows(self, job_id: str) -> bool:
        """Whether there is such a job."""
        return job_id in self._jobs

    def find(self, job_id: str) -> Job:
        """A job by its id.

        Raises:
            Refused: ``NO_VIDEO``.
        """
        self._expire()
        job = self._jobs.get(job_id)
        if job is None:
            raise Refused(404, "NO_VIDEO", "There is no such video, or not any more.")
        return job

    def remove(self, job: Job) -> None:
        """Forget a video, finished or not."""
        self._jobs.pop(job.id, None)
        if self._current is not None and self._current[0] is job:
            self._current[1].cancel()
        job.over.set()
        shutil.rmtree(job.directory, ignore_errors=True)

    async def close(self) -> None:
        """Stop working and leave nothing behind."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        for job in list(self._jobs.values()):
            self.remove(job)
        self._files.close()

    def _expire(self) -> None:
        over = [job for job in self._jobs.values() if job.over.is_set()]
        oldest = time.time() - _KEPT_SECONDS
        for job in over[: max(0, len(self._jobs) - _MOST_KEPT + 1)]:
            self.remove(job)
        for job in over:
            if job.created < oldest:
                self.remove(job)

    async def _run(self) -> None:
        while True:
            job = await self._queue.get()
            if job.id not in self._jobs:
                continue  # removed while it waited
            work = asyncio.create_task(self._render(job))
            self._current = (job, work)
            try:
                await asyncio.wait({work})
                if not work.cancelled() and (problem := work.exception()) is not None:
                    _LOG.error("video %s failed", job.id, exc_info=problem)
                    self._fail(job, "INTERNAL", "The video could not be rendered.")
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                self._current = None
                job.over.set()
                if not work.cancelled():
                    self._log(job)

    async def _render(self, job: Job) -> None:
        command, environment = isolated("render_worker.py")
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(job.spec).encode())
            process.stdin.close()
            async with asyncio.timeout(_LONGEST_SECONDS):
                async for line in process.stdout:
                    self._on_message(job, json.loads(line))
                await process.wait()
        except TimeoutError:
            self._fail(job, "TOO_LONG", "The video took too long to render.")
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if job.status == "processing":
            self._fail(job, "INTERNAL", "The process that rendered the video broke down.")

    def _on_message(self, job: Job, message: dict[str, Any]) -> None:
        if "progress" in message:
            job.progress = message["progress"]
        elif "result" in message:
            job.status, job.progress, job.result = "completed", 1.0, message["result"]
        elif "error" in message:
            job.status, job.error = "failed", message["error"]

    @staticmethod
    def _log(job: Job) -> None:
        fields: dict[str, Any] = {"event": "video", "video": job.id, "avatar": job.slug}
        if job.error is not None:
            fields["code"] = job.error["code"]
        _LOG.info("video %s", job.status, extra=fields)

    @staticmethod
    def _fail(job: Job, code: str, message: str) -> None:
        job.status, job.error = "failed", {"code": code, "message": message, "hint": ""}
