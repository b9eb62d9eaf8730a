"""``bithuman pull``: fetch an avatar of the catalogue into the cache."""

from __future__ import annotations

from typing import Annotated

import typer

from bithuman_cli import avatars, catalogue
from bithuman_cli.options import Registry
from bithuman_cli.output import out


def pull(
    slug: Annotated[
        str,
        typer.Argument(
            metavar="SLUG",
            help="Name of the avatar, see `bithuman list`.",
            autocompletion=avatars.complete_slug,
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Fetch it again even if it is here.")
    ] = False,
    registry: Registry = None,
) -> None:
    """Fetch an avatar, verify it and print where it is."""
    entry = catalogue.load(registry).find(slug)
    pulled = avatars.obtain(entry, force=force)
    out.result(
        {
            "slug": entry.slug,
            "path": str(pulled.path),
            "cached": pulled.cached,
            "sha256": entry.sha256,
            "bytes": entry.bytes,
        },
        str(pulled.path),
    )
