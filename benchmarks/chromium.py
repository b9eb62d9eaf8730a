"""The Chromium of this machine, for benchmarks and tests."""

from __future__ import annotations

import shutil
from typing import Final

__all__ = ["FLAGS", "chromium"]

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It draws by software, and asks nobody for anything."""


def chromium() -> str | None:
    """Path of an installed Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)
