"""Private folders of running servers; those of servers that were killed are removed.

A folder is in use while the lock on a file in it is held. The system takes locks back when the
last process that has them is gone, however it ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["folder"]

_PREFIX: Final = "bithuman-server-"
_LOCK: Final = "lock"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A new folder that only this user can enter (mode 0700), until the body ends.

    Processes that are forked in the body keep it in use.
    """
    _sweep()
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # Locked before it has its name: whoever sweeps finds it taken.
    young = path / f"{_LOCK}.new"
    descriptor = os.open(young, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        young.rename(path / _LOCK)
        yield path
    finally:
        os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


def _sweep() -> None:
    """Remove the folders that nobody uses any more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        # Folders of other users cannot be entered, and one may go while it is looked at.
        with contextlib.suppress(OSError):
            descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(descriptor)
