"""Writing a file so that it is either complete or not there at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeGuard

from engine.errors import Failed

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when the disk, or somebody's share of it, is full."""

_UNREAD: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def is_unread(error: Exception, path: str | os.PathLike[str]) -> TypeGuard[OSError]:
    """Whether FFmpeg gave up because a file is not there or may not be read.

    Not if it is a list of files and what was refused is one of those that it names.
    """
    listed = isinstance(error, PermissionError) and os.access(path, os.R_OK)
    return isinstance(error, _UNREAD) and not listed


def not_read(path: str | os.PathLike[str], error: OSError | ValueError) -> tuple[str, str]:
    """Why a file could not be opened: a code for errors, and a sentence.

    Args:
        path: as the user knows it.
        error: what opening it raised; ``ValueError`` of a name that no file can have.

    Returns:
        ``FILE_NOT_FOUND``, also of a folder, or ``FILE_NOT_ACCESSIBLE``.
    """
    if isinstance(error, IsADirectoryError):
        return "FILE_NOT_FOUND", f"{path} is a folder."
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return "FILE_NOT_FOUND", f"There is no file {path}."
    why = error.strerror or str(error)
    return "FILE_NOT_ACCESSIBLE", f"{path} cannot be read: {why[:1].lower()}{why[1:]}."


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success sync it and rename it to ``path``.

    The temporary file exists (empty) when the body starts and keeps the extension of ``path``, so
    libraries that guess a format from the name work. Whatever ends the body early, an exception or
    Ctrl-C, removes it and leaves a previous ``path`` as it was. Of a link, what it leads to is
    replaced.

    Raises:
        Failed: ``WRITE_FAILED``, the folder is missing or read-only, or ``path`` is a device, a
            pipe or a folder; or ``DISK_FULL``.
    """
    shown = Path(path)
    target = Path(os.path.realpath(path))
    part = target.with_name(_part(target.stem) + target.suffix)
    with _written(shown, "Check that the folder exists and is writable."):
        if is_special(target):  # a rename would put a file in the place of /dev/null
            raise Failed(
                f"cannot write {shown}: it is not a file", code="WRITE_FAILED", hint="Name a file."
            )
        # O_EXCL: never follow a link somebody planted. 0o666: the user's umask decides.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield part
            sync(part)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync(target.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success rename it to ``path``.

    Whatever ends the body early removes it with all that is in it.

    Raises:
        Failed: as ``atomic``, or ``WRITE_FAILED``, ``path`` is there and not an empty folder.
    """
    target = Path(path).absolute()
    part = target.with_name(_part(target.name))
    with _written(target, "Name a folder that does not exist or is empty, in one that does."):
        part.mkdir()
        try:
            yield part
            for file in part.iterdir():
                sync(file)
            part.rename(target)  # replaces an empty folder, and nothing else
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        sync(target.parent)


def home() -> Path:
    """The user's directory; one that is not there for users who have none, as services may."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")  # what Debian calls it


def is_special(path: Path) -> bool:
    """Whether there is something of that name that is not a file: a device, a pipe, a folder."""
    return path.exists() and not path.is_file()


def _part(name: str) -> str:
    """A name that nothing has, short enough for any file system."""
    return f".{name[:32]}-{secrets.token_hex(6)}.part"


@contextlib.contextmanager
def _written(target: Path, hint: str) -> Iterator[None]:
    """Says what the system would not do, and what may help."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Failed(
                f"there is no room on the disk for {target}",
                code="DISK_FULL",
                hint="Free some space, or write to another disk.",
            ) from error
        reason = error.strerror or str(error)
        raise Failed(f"cannot write {target}: {reason}", code="WRITE_FAILED", hint=hint) from error


def sync(path: Path) -> None:
    """Wait until a file is on the disk; a folder, until renames in it are."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
