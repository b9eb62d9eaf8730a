"""Where downloaded avatars are kept: ``~/.cache/bithuman/showcase/<slug>.imx`` on every platform.

``engine.open("slug")`` looks in the same place. ``BITHUMAN_CACHE_DIR`` moves it.
"""

from __future__ import annotations

from pathlib import Path

from bithuman_cli.catalogue import Entry
from bithuman_cli.environment import CACHE_DIR
from engine.files import home

__all__ = ["avatar_path", "directory", "is_cached", "leftovers", "slugs"]


def directory() -> Path:
    """The cache directory; it may not exist yet."""
    moved = CACHE_DIR.value
    return Path(moved).expanduser().absolute() if moved else home() / ".cache" / "bithuman"


def avatar_path(slug: str) -> Path:
    """Where the avatar of that name is, or will be."""
    return directory() / "showcase" / f"{slug}.imx"


def is_cached(entry: Entry) -> bool:
    """Whether the avatar is here in the catalogue's size; ``pull`` checks the digest as well."""
    try:
        return avatar_path(entry.slug).stat().st_size == entry.bytes
    except OSError:
        return False


def slugs() -> dict[str, Path]:
    """The avatars that are here, by name, in order."""
    return {path.stem: path for path in sorted((directory() / "showcase").glob("*.imx"))}


def leftovers() -> list[Path]:
    """What downloads that were interrupted have left; a pull would go on with it."""
    return sorted((directory() / "showcase").glob("*.incomplete"))
