"""``bithuman list``: the avatars of the catalogue."""

from __future__ import annotations

from bithuman_cli import cache, catalogue
from bithuman_cli.options import Registry
from bithuman_cli.output import format_bytes, out


def list_avatars(registry: Registry = None) -> None:
    """Show the avatars there are, and which are here.

    In a pipe: tab-separated slug, size, cached or "-", description.
    """
    models = catalogue.load(registry)
    cached = {entry.slug: cache.is_cached(entry) for entry in models.entries}
    out.table(
        {
            "version": models.version,
            "updated": models.updated,
            "source": models.source,
            "default": models.default,
            "models": [
                {
                    "slug": entry.slug,
                    "name": entry.name,
                    "description": entry.description,
                    "kind": entry.kind,
                    "width": entry.width,
                    "height": entry.height,
                    "bytes": entry.bytes,
                    "sha256": entry.sha256,
                    "licence": entry.licence,
                    "url": entry.url,
                    "cached": cached[entry.slug],
                }
                for entry in models.entries
            ],
        },
        ("slug", "size", "here", "description"),
        [
            (
                entry.slug,
                format_bytes(entry.bytes),
                "cached" if cached[entry.slug] else "-",
                entry.description,
            )
            for entry in models.entries
        ],
    )
    out.note(_next(models.default))


def _next(default: str | None) -> str:
    """What to do with one of them."""
    if default is None:
        return "`bithuman run SLUG` brings one to life."
    return f"`bithuman run` brings {default} to life, `bithuman run SLUG` another."
