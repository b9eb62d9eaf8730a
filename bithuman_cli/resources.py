"""Where the files that are data, not code, live: the page, the catalogue and its avatars.

A wheel carries them inside the ``bithuman_cli`` package; in a checkout and in an editable install
they stand beside it, at the top of the repository. Nothing else may know the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bithuman_cli.errors import CliError

__all__ = ["Resource", "find"]

Resource = Literal["web", "showcase", "showcase.json"]


def find(name: Resource) -> Path:
    """Path of a bundled directory or file.

    Args:
        name: ``web`` (the page), ``showcase`` (avatars) or ``showcase.json`` (their catalogue).

    Raises:
        CliError: ``INSTALLATION_INCOMPLETE`` when this installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for root in (package, package.parent):
        path = root / name
        if path.exists():
            return path
    raise CliError(
        f"This installation of bithuman lacks its bundled {name}.",
        code="INSTALLATION_INCOMPLETE",
        hint="Install it again: pip install --force-reinstall bithuman",
    )
