"""Bring one file to its place: whole, verified, or not at all.

The bytes go to ``<name>.<digest>.incomplete`` beside the target, so a rename finishes the job and
an interrupted download goes on where it stopped. The name contains the expected digest: a
part of one version of a file can never be continued with bytes of another. A lock file keeps two
processes from working on the same target. Local files (the bundled avatars) take the same way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from bithuman_cli.environment import OFFLINE, is_offline
from bithuman_cli.errors import CliError
from engine.files import NO_ROOM, sync

if TYPE_CHECKING:
    import httpx

__all__ = ["Policy", "Progress", "download", "get", "has_digest", "is_safe_url"]

Progress = Callable[[int, int], None]
"""Called with (bytes here, bytes in all)."""

_BLOCK: Final = 1 << 18
_SPARE_BYTES: Final = 1 << 20  # left free on the disk
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_ONLY_SAFE: Final = "only https is, and http from this machine"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Policy:
    """When to give up.

    Attributes:
        attempts: connections in a row that may fail without bringing a byte.
        stall: seconds without a byte after which a connection counts as dead.
        backoff: seconds before the second attempt; doubled for every further one.
        longest_wait: seconds; the limit of that, and of what a server may ask for.
    """

    attempts: int = 5
    stall: float = 15.0
    backoff: float = 0.5
    longest_wait: float = 20.0


@dataclass(frozen=True, slots=True)
class _Stream:
    """Bytes of a source from ``start`` on; ``total`` is the size of the whole, if known."""

    start: int
    total: int | None
    blocks: Iterator[bytes]


class _TryAgainError(Exception):
    """This connection failed, the next one may not."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class _WrongContentError(Exception):
    """The bytes are not the expected ones."""


class _RefusedError(Exception):
    """The server's answer is final."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answered {status}")
        self.status = status


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    size: int,
    force: bool = False,
    progress: Progress | None = None,
    on_wait: Callable[[], None] | None = None,
    policy: Policy | None = None,
) -> bool:
    """Fetch a file, or find it there already.

    Args:
        url: ``https:``, ``http:`` on this machine, or ``file:``.
        target: the finished file; its directory is made.
        sha256: what the file must hash to, lower-case hexadecimal.
        size: what it must measure, bytes.
        force: fetch even if the target is right already.
        progress: told about every block.
        on_wait: called once if another process holds the lock.
        policy: patience.

    Returns:
        Whether it was there already.

    Raises:
        CliError: ``DOWNLOAD_FAILED``, ``FILE_NOT_FOUND`` (local source), ``OFFLINE``,
            ``SHA256_MISMATCH``, ``CACHE_NOT_WRITABLE`` or ``DISK_FULL``. The target is untouched
            then, and what arrived is kept for next time unless it is wrong.
    """
    if not force and has_digest(target, sha256, size):
        return True  # also where nothing can be written
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.parent.joinpath(f".{target.name}.lock").touch()
    except OSError as error:
        if error.errno in NO_ROOM:
            raise _disk_full(target.parent) from error
        raise CliError(
            f"Nothing can be written to {target.parent}: {error.strerror}.",
            code="CACHE_NOT_WRITABLE",
            hint="Set BITHUMAN_CACHE_DIR to a directory where this user may write.",
        ) from error
    with _lock(target.with_name(f".{target.name}.lock"), on_wait):
        if not force and has_digest(target, sha256, size):
            return True
        part = target.with_name(f"{target.name}.{sha256[:16]}.incomplete")
        try:
            _complete(url, part, sha256, size, progress, policy or Policy())
            part.replace(target)
            sync(target.parent)
        except OSError as error:
            if error.errno not in (*NO_ROOM, errno.EFBIG):
                raise
            raise _disk_full(target.parent) from error
        for leftover in target.parent.glob(f"{target.name}.*.incomplete"):
            leftover.unlink(missing_ok=True)
    return False


def has_digest(path: Path, sha256: str, size: int) -> bool:
    """Whether the file is there, can be read and is the expected one."""
    try:
        if path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def get(url: str, *, max_bytes: int, policy: Policy | None = None) -> bytes:
    """Fetch a small document into memory.

    Raises:
        CliError: ``CATALOGUE_UNAVAILABLE``, ``CATALOGUE_NOT_FOUND`` on 404 and 410, ``OFFLINE``.
    """
    if not is_safe_url(url):
        raise CliError(f"{url} is not fetched: {_ONLY_SAFE}.", code="CATALOGUE_UNAVAILABLE")
    policy = policy or Policy(attempts=3)
    data = bytearray()
    for attempt in range(policy.attempts):
        data.clear()
        try:
            with _open_http(url, 0, policy) as stream:
                for block in stream.blocks:
                    data += block
                    if len(data) > max_bytes:
                        raise CliError(
                            f"{url} is larger than {max_bytes} bytes.", code="CATALOGUE_UNAVAILABLE"
                        )
            return bytes(data)
        except _TryAgainError as error:
            if attempt + 1 == policy.attempts:
                raise CliError(
                    f"{url} cannot be fetched: {error}.",
                    code="CATALOGUE_UNAVAILABLE",
                    hint="Check the address and the connection; the bundled catalogue needs none.",
                ) from error
            _pause(attempt, error, policy)
        except _RefusedError as error:
            code = "CATALOGUE_NOT_FOUND" if error.status in (404, 410) else "CATALOGUE_UNAVAILABLE"
            raise CliError(f"{url} cannot be fetched: {error}.", code=code) from error
    raise AssertionError("unreachable: the loop returns or raises")


def is_safe_url(url: str) -> bool:
    """Whether a URL may be fetched: https, or http from this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _complete(
    url: str, part: Path, sha256: str, size: int, progress: Progress | None, policy: Policy
) -> None:
    """Make ``part`` the whole, verified, durable file."""
    try:
        _fill(url, part, sha256, size, progress, policy)
    except _WrongContentError:
        # The part of last time, or a server that mixed up ranges: once more from the start.
        part.unlink(missing_ok=True)
        try:
            _fill(url, part, sha256, size, progress, policy)
        except _WrongContentError as error:
            part.unlink(missing_ok=True)
            raise CliError(
                f"{url} is not the file that the catalogue promises: {error}.",
                code="SHA256_MISMATCH",
                hint="The file was changed or damaged; tell whoever keeps the catalogue.",
            ) from error


def _fill(
    url: str, part: Path, sha256: str, size: int, progress: Progress | None, policy: Policy
) -> None:
    with part.open("a+b") as file:
        failures = 0
        while (have := file.seek(0, os.SEEK_END)) < size:
            free = shutil.disk_usage(part.parent).free
            if size - have + _SPARE_BYTES > free:
                raise _disk_full(part.parent, size - have)
            try:
                with _open(url, have, policy) as stream:
                    _append(stream, file, size, progress)
            except _TryAgainError as error:
                failures = 1 if file.seek(0, os.SEEK_END) > have else failures + 1
                if failures >= policy.attempts:
                    raise CliError(
                        f"{url} cannot be fetched: {error}.",
                        code="DOWNLOAD_FAILED",
                        hint="Run the same command again: it goes on where it stopped.",
                    ) from error
                _pause(failures - 1, error, policy)
            except _RefusedError as error:
                raise CliError(
                    f"{url} cannot be fetched: {error}.", code="DOWNLOAD_FAILED"
                ) from error
        if have > size:
            raise _WrongContentError(f"{have} bytes instead of {size}")
        file.seek(0)
        if (digest := hashlib.file_digest(file, "sha256").hexdigest()) != sha256:
            raise _WrongContentError(f"sha256 {digest} instead of {sha256}")
        file.flush()
        os.fsync(file.fileno())


def _append(stream: _Stream, file: IO[bytes], size: int, progress: Progress | None) -> None:
    """Write a stream at the place it starts at; the file is open for appending."""
    if stream.total is not None and stream.total != size:
        raise _WrongContentError(f"{stream.total} bytes instead of {size}")
    file.truncate(stream.start)
    have = stream.start
    try:
        for block in stream.blocks:
            have += len(block)
            if have > size:
                raise _WrongContentError(f"more than {size} bytes")
            file.write(block)
            if progress is not None:
                progress(have, size)
    finally:
        file.flush()
    if have < size:
        raise _TryAgainError("the connection was cut")


def _open(url: str, offset: int, policy: Policy) -> AbstractContextManager[_Stream]:
    if urlsplit(url).scheme == "file":
        return _open_file(Path(unquote(urlsplit(url).path)), offset)
    _require_safe(url)
    return _open_http(url, offset, policy)


@contextlib.contextmanager
def _open_file(path: Path, offset: int) -> Iterator[_Stream]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise CliError(
            f"{path}, which the catalogue names, cannot be read: {error.strerror}.",
            code="FILE_NOT_FOUND",
        ) from error
    with file:
        total = file.seek(0, os.SEEK_END)
        file.seek(offset)
        yield _Stream(offset, total, iter(lambda: file.read(_BLOCK), b""))


@contextlib.contextmanager
def _open_http(url: str, offset: int, policy: Policy) -> Iterator[_Stream]:
    """Ask a server for everything from ``offset`` on; it may send everything from 0 instead."""
    if is_offline():
        raise CliError(
            f"{url} is not fetched: bithuman is offline.",
            code="OFFLINE",
            hint=f"Leave out --offline and {OFFLINE.name}, or use what is cached.",
        )
    import httpx

    headers = {"Accept-Encoding": "identity", "User-Agent": "bithuman"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with (
            httpx.Client(
                timeout=policy.stall,
                follow_redirects=True,
                event_hooks={"request": [lambda request: _require_safe(str(request.url))]},
            ) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            yield _read_response(response, offset)
    except httpx.TimeoutException as error:
        raise _TryAgainError(f"nothing arrived for {policy.stall:g} seconds") from error
    except httpx.HTTPError as error:
        raise _TryAgainError(str(error).rstrip(".") or type(error).__name__) from error
    except httpx.InvalidURL as error:
        raise CliError(f"{url} is not a URL: {error}.", code="DOWNLOAD_FAILED") from error


def _read_response(response: httpx.Response, offset: int) -> _Stream:
    status = response.status_code
    blocks = response.iter_raw()
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return _Stream(0, int(length) if length.isdecimal() else None, blocks)
    if status == 206:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        # A range that starts elsewhere would leave a hole or bytes of another place.
        if found is None or int(found[1]) != offset:
            raise _WrongContentError("the server sent another range than it was asked for")
        return _Stream(offset, int(found[3]) if found[3] != "*" else None, blocks)
    if status == 416:  # the file over there ends before our part does
        raise _WrongContentError("the file on the server is shorter")
    if status in _TRY_AGAIN:
        after = response.headers.get("Retry-After", "")
        raise _TryAgainError(
            f"the server answered {status}", float(after) if after.isdecimal() else 0.0
        )
    raise _RefusedError(status)


def _require_safe(url: str) -> None:
    if not is_safe_url(url):
        raise CliError(f"{url} is not fetched: {_ONLY_SAFE}.", code="DOWNLOAD_FAILED")


def _pause(failures: int, error: _TryAgainError, policy: Policy) -> None:
    wait = max(error.wait, policy.backoff * 2**failures * random.uniform(0.8, 1.2))  # noqa: S311
    time.sleep(min(wait, policy.longest_wait))


@contextlib.contextmanager
def _lock(path: Path, on_wait: Callable[[], None] | None) -> Iterator[None]:
    """Hold a lock that the system drops when the process ends, however it ends."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _disk_full(directory: Path, need: int | None = None) -> CliError:
    much = f" for {need} more bytes" if need is not None else ""
    return CliError(
        f"There is no room on the disk{much} in {directory}.",
        code="DISK_FULL",
        hint="Free some space, or set BITHUMAN_CACHE_DIR to a directory on another disk.",
    )
