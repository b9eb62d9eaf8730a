"""Keeping the memory of a process that runs for months where it is.

glibc gives every thread an arena of its own and keeps what is freed in it: decoded pictures that
come and go in the threads of painters leave tens of megabytes of holes. See mallopt(3) and
malloc_trim(3). Other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Final

__all__ = ["few_arenas", "trim"]

_ARENA_MAX: Final = -8  # M_ARENA_MAX in malloc.h
_ARENAS: Final = 2


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def few_arenas() -> None:
    """Let threads share arenas; call before there are any."""
    if (library := _glibc()) is not None:
        library.mallopt(_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give freed memory back to the system; takes some milliseconds."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)
