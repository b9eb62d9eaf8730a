"""From what a user names (a path, a slug, nothing) to an avatar file on this machine."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import engine
from bithuman_cli import cache, catalogue
from bithuman_cli.catalogue import Entry
from bithuman_cli.errors import CliError, UsageError, no_file
from bithuman_cli.output import format_bytes, out

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["Model", "Pulled", "complete_slug", "locate", "obtain", "open_avatar", "resolve"]

_PICTURES = frozenset({".avif", ".bmp", ".gif", ".heic", ".jpeg", ".jpg", ".png", ".tiff", ".webp"})


class Model(StrEnum):
    """How a photo becomes an avatar."""

    ESSENCE = "essence"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True)
class Pulled:
    """An avatar in the cache; ``cached`` if it was there before."""

    path: Path
    cached: bool


def open_avatar(
    name: str | None,
    model: Model | None,
    registry: str | None = None,
    background: str | None = None,
) -> Avatar:
    """Open what a user names.

    Args:
        name: as for ``resolve``; a photo where the model is ``expression``.
        model: how to play a photo; avatars say themselves how they are played.
        registry: as for ``resolve``.
        background: what to show behind the person, as for ``engine.open``.

    Raises:
        CliError: as ``resolve``, and ``USAGE`` for a model that the avatar is not of.
        AvatarError: it cannot be opened.
    """
    from engine.imx import looks_like_imx

    path = locate(name, model, registry)
    # Photos need no extension: what comes through a pipe has none.
    if model is Model.EXPRESSION and path.suffix != ".imx" and not looks_like_imx(path):
        return engine.open(path, model="expression", background=background)
    avatar = engine.open(path, background=background)
    if model is not None and avatar.kind != model:
        raise UsageError(
            f"{avatar.path.name} is an {avatar.kind} avatar.",
            hint=f"Leave --model out, or name a photo to animate it with --model {model}.",
        )
    return avatar


def locate(name: str | None, model: Model | None, registry: str | None = None) -> Path:
    """The file of what a user names: an avatar as for ``resolve``, or a photo to animate.

    Raises:
        CliError: as ``resolve``.
    """
    if name is None or model is not Model.EXPRESSION or not _is_picture(Path(name)):
        return resolve(name, registry)
    if not Path(name).is_file():
        raise no_file(name)
    return Path(name)


def resolve(name: str | None, registry: str | None = None) -> Path:
    """The file of an avatar, pulled first if need be.

    Args:
        name: a path, a slug, or ``None`` for the default avatar of the catalogue.
        registry: another catalogue, see ``catalogue.load``.

    Raises:
        CliError: ``FILE_NOT_FOUND``, ``SLUG_NOT_FOUND``, ``NOT_IMX`` for a picture, or what
            pulling raises.
    """
    if name is not None and _is_path(name):
        path = Path(name)
        if not path.is_file():
            hint = "`bithuman list` shows the avatars that can be used by name."
            raise no_file(name, hint=hint)
        if _is_picture(path):
            raise CliError(
                f"{name} is a picture, not an avatar.",
                code="NOT_IMX",
                hint=f"Make an avatar of it first: `bithuman build {shlex.quote(name)}`; "
                "or animate it as it is with --model expression.",
            )
        return path
    try:
        models = catalogue.load(registry)
        entry = models.find_default() if name is None else models.find(name)
    except CliError:
        # Pulled from another catalogue, or this one is out of reach: what is here stays usable.
        if name is not None and (path := cache.avatar_path(name)).is_file():
            return path
        raise
    try:
        return obtain(entry).path
    except CliError as error:
        # A service may have no home and no room; the bundled avatars need none.
        if error.code in ("CACHE_NOT_WRITABLE", "DISK_FULL") and (file := _bundled(entry)):
            return file
        raise


def _bundled(entry: Entry) -> Path | None:
    """Where an avatar is that a catalogue on this machine names, if it is what it should be."""
    from bithuman_cli.download import has_digest

    url = urlsplit(entry.url)
    file = Path(unquote(url.path))
    return file if url.scheme == "file" and has_digest(file, entry.sha256, entry.bytes) else None


def obtain(entry: Entry, *, force: bool = False) -> Pulled:
    """Bring an avatar of a catalogue into the cache, with a progress bar.

    Raises:
        CliError: see ``download.download``.
    """
    from bithuman_cli.download import download

    path = cache.avatar_path(entry.slug)
    try:
        with out.steps("bytes") as steps:
            cached = download(
                entry.url,
                path,
                sha256=entry.sha256,
                size=entry.bytes,
                force=force,
                progress=steps.of(entry.slug),
                on_wait=lambda: out.note(f"Another bithuman is pulling {entry.slug}; waiting."),
            )
    except KeyboardInterrupt:
        out.note("Interrupted. The same command goes on where this one stopped.")
        raise
    if not cached:
        out.note(f"Pulled {entry.slug} ({format_bytes(entry.bytes)}).")
    return Pulled(path, cached)


def complete_slug(incomplete: str) -> list[tuple[str, str]]:
    """Shell completion: slugs of the catalogue with their descriptions."""
    try:
        entries = catalogue.load().entries
    except CliError:  # a shell that completes is no place for an error message
        return []
    return [(e.slug, e.description) for e in entries if e.slug.startswith(incomplete)]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURES


def _is_path(name: str) -> bool:
    # No slug has a dot.
    return "." in name or os.sep in name or Path(name).is_file()
