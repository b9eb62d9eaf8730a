"""Details of an error that nobody foresaw, kept in a file for the report to us."""

from __future__ import annotations

import platform
import traceback
from datetime import UTC, datetime
from pathlib import Path

from bithuman_cli import __version__

__all__ = ["write_report"]

_NAME = "last-crash.log"


def write_report(error: BaseException) -> Path | None:
    """Write the traceback where this system keeps logs, in place of the one before.

    Holds no arguments, file contents or environment; only the traceback and versions.

    Returns:
        The file, or None where it cannot be written.
    """
    import platformdirs  # only when something broke: commands start without it

    text = (
        f"bithuman {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n\n"
        f"{''.join(traceback.format_exception(error))}"
    )
    try:
        path = platformdirs.user_log_path("bithuman", appauthor=False) / _NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return None  # reporting trouble must not hide the trouble itself
    return path
