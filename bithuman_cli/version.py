"""``bithuman version``: what is installed."""

from __future__ import annotations

import platform

from bithuman_cli import __version__
from bithuman_cli.output import out


def version() -> None:
    """Show the versions of bithuman and of Python."""
    out.result(
        {
            "version": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
        f"bithuman {__version__}",
    )
