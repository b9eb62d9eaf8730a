"""``bithuman cache``: what downloads have left on this machine, and how to be rid of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from bithuman_cli import cache, catalogue
from bithuman_cli.catalogue import Entry
from bithuman_cli.errors import CliError
from bithuman_cli.options import Registry
from bithuman_cli.output import format_bytes, out
from engine.errors import AvatarError

__all__ = ["COMMANDS"]


def _complete(incomplete: str) -> list[str]:
    return [slug for slug in cache.slugs() if slug.startswith(incomplete)]


_Slugs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SLUG", help="Avatars in the cache.", autocompletion=_complete),
]


def list_cache() -> None:
    """Show what is in the cache.

    In a pipe: tab-separated slug, size, path.
    """
    rows = [(slug, path.stat().st_size, path) for slug, path in cache.slugs().items()]
    leftovers = _sizes(cache.leftovers())
    out.table(
        {
            "path": str(cache.directory()),
            "avatars": [
                {"slug": slug, "bytes": size, "path": str(path)} for slug, size, path in rows
            ],
            "leftover_bytes": sum(leftovers.values()),
        },
        ("slug", "size", "path"),
        [(slug, format_bytes(size), str(path)) for slug, size, path in rows],
    )
    total = sum(size for _, size, _ in rows)
    out.note(f"{format_bytes(total)} in {cache.directory()}.")
    if leftovers:
        out.note(
            f"Unfinished downloads take another {format_bytes(sum(leftovers.values()))}; "
            "`bithuman cache prune` removes them."
        )


def remove(
    slugs: _Slugs = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Remove avatars from the cache; `bithuman pull` brings them back."""
    removed = _remove(list(_chosen(slugs, everything, "remove").values()))
    _tell("removed", removed)


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be removed.")
    ] = False,
    registry: Registry = None,
) -> None:
    """Remove unfinished and outdated downloads.

    An avatar is outdated when the catalogue has another version of it.
    """
    entries = {entry.slug: entry for entry in catalogue.load(registry).entries}
    outdated = [
        path
        for slug, path in cache.slugs().items()
        if slug in entries and not _is_current(path, entries[slug])
    ]
    useless = [*cache.leftovers(), *outdated]
    _tell(
        "would_remove" if dry_run else "removed", _sizes(useless) if dry_run else _remove(useless)
    )


def verify(slugs: _Slugs = None, registry: Registry = None) -> None:
    """Check every byte of the avatars that are here.

    Against the catalogue, and every part against its own digest. Ends with 65 if one is damaged.
    """
    entries = {entry.slug: entry for entry in catalogue.load(registry).entries}
    states = {
        slug: _examine(path, entries.get(slug))
        for slug, path in _chosen(slugs, not slugs, "verify").items()
    }
    out.table(
        {
            "avatars": [
                {"slug": slug, "sound": sound, "state": state}
                for slug, (sound, state) in states.items()
            ]
        },
        ("slug", "state"),
        [(slug, state) for slug, (_, state) in states.items()],
    )
    damaged = [slug for slug, (sound, _) in states.items() if not sound]
    if damaged:
        raise CliError(
            f"{', '.join(damaged)} in the cache cannot be trusted.",
            code="SHA256_MISMATCH",
            hint=f"`bithuman pull --force {damaged[0]}` fetches it again.",
        )


def _examine(path: Path, entry: Entry | None) -> tuple[bool, str]:
    """Whether an avatar can be trusted, and what there is to say of it."""
    from engine import imx

    try:
        with imx.Reader(path):
            pass
    except AvatarError as error:
        return False, str(error)
    if entry is None:
        return True, "ok, not in the catalogue"
    return True, "ok" if _is_current(path, entry) else "ok, the catalogue has another version"


def _is_current(path: Path, entry: Entry) -> bool:
    from bithuman_cli.download import has_digest

    return has_digest(path, entry.sha256, entry.bytes)


def _chosen(slugs: list[str] | None, everything: bool, verb: str) -> dict[str, Path]:
    cached = cache.slugs()
    if everything:
        return cached
    if not slugs:
        raise CliError(
            f"Nothing to {verb} was named.", code="USAGE", hint="Name avatars, or use --all."
        )
    for slug in slugs:
        if slug not in cached:
            raise CliError(
                f"No avatar called {slug!r} is in the cache.",
                code="SLUG_NOT_FOUND",
                hint="`bithuman cache list` shows what is.",
            )
    return {slug: cached[slug] for slug in slugs}


def _sizes(paths: list[Path]) -> dict[Path, int]:
    return {path: path.stat().st_size for path in paths}


def _remove(paths: list[Path]) -> dict[Path, int]:
    sizes = _sizes(paths)
    for path in paths:
        path.unlink()
    return sizes


def _tell(key: str, files: dict[Path, int]) -> None:
    freed = sum(files.values())
    out.result(
        {key: [str(path) for path in files], "bytes": freed},
        "\n".join([*map(str, files), f"{format_bytes(freed)} in {len(files)} files"]),
    )


COMMANDS: Final = {"list": list_cache, "rm": remove, "prune": prune, "verify": verify}
