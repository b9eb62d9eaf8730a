"""The catalogue of avatars: which exist, where they come from, what they must hash to.

One JSON object::

    {"schema_version": 1, "version": "1", "updated": "2026-11-22", "default": "slug",
     "models": [{"slug": "…", "name": "…", "description": "…", "url": "showcase/slug.imx",
                 "sha256": "…", "bytes": 1234567, "kind": "essence", "licence": "CC0-1.0",
                 "width": 512, "height": 512}]}

A catalogue is a file (the bundled one is) or an https URL; avatar URLs are absolute, or relative
to the catalogue. What arrives from elsewhere is not trusted: every field is checked before use,
plain http is for this machine only, and a catalogue from the network cannot name local files.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from bithuman_cli import download
from bithuman_cli.environment import SHOWCASE_URL
from bithuman_cli.errors import CliError

__all__ = ["MAX_AVATAR_BYTES", "Catalogue", "Entry", "load", "parse"]

SCHEMA_VERSION: Final = 1
KINDS: Final = ("essence", "expression")
MAX_CATALOGUE_BYTES: Final = 1 << 20
MAX_AVATAR_BYTES: Final = 512 << 20
MAX_ENTRIES: Final = 10_000
MAX_TEXT: Final = 2_000
MAX_SIDE: Final = 8_192  # pixels
_SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One avatar of a catalogue.

    Attributes:
        slug: its name on the command line and in the cache, ``[a-z0-9-]``, ≤ 64 characters.
        name: its name for people.
        description: one line.
        url: absolute: ``https:``, ``http:`` on this machine, or ``file:``.
        sha256: of the file, lower-case hexadecimal.
        bytes: size of the file.
        kind: ``essence`` or ``expression``.
        licence: SPDX identifier or a short phrase.
        width: pixels.
        height: pixels.
    """

    slug: str
    name: str
    description: str
    url: str
    sha256: str
    bytes: int
    kind: str
    licence: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A checked catalogue.

    Attributes:
        version: of its contents.
        updated: ISO date.
        source: path or URL it came from.
        entries: in the order of the file.
        default: slug that ``bithuman run`` takes when none is named.
    """

    version: str
    updated: str
    source: str
    entries: tuple[Entry, ...]
    default: str | None

    def find(self, slug: str) -> Entry:
        """The entry of that name.

        Raises:
            CliError: ``SLUG_NOT_FOUND``, with the nearest names as the hint.
        """
        for entry in self.entries:
            if entry.slug == slug:
                return entry
        slugs = [entry.slug for entry in self.entries]
        close = difflib.get_close_matches(slug, slugs, 3, 0.5)
        close = close or [one for one in slugs if slug and slug in one][:3]
        meant = f"Did you mean {' or '.join(close)}? " if close else ""
        raise CliError(
            f"No avatar is called {slug!r}.",
            code="SLUG_NOT_FOUND",
            hint=f"{meant}`bithuman list` shows all of them.",
        )

    def find_default(self) -> Entry:
        """The avatar to run when none is named.

        Raises:
            CliError: ``SLUG_NOT_FOUND`` when the catalogue has none.
        """
        if self.default is None:
            raise CliError(
                "This catalogue names no default avatar.",
                code="SLUG_NOT_FOUND",
                hint="Name one: `bithuman list` shows all of them.",
            )
        return self.find(self.default)


def load(source: str | None = None) -> Catalogue:
    """Read a catalogue.

    Args:
        source: path, ``file:`` or ``https:`` URL; without it ``BITHUMAN_SHOWCASE_URL``, and
            without that the bundled catalogue.

    Raises:
        CliError: ``CATALOGUE_NOT_FOUND``, ``CATALOGUE_UNAVAILABLE`` or ``CATALOGUE_INVALID``.
    """
    source = source or SHOWCASE_URL.value
    if not source:
        from bithuman_cli import resources

        source = str(resources.find("showcase.json"))
    scheme = urlsplit(source).scheme
    if scheme in ("http", "https"):
        return parse(download.get(source, max_bytes=MAX_CATALOGUE_BYTES), source)
    path = Path(unquote(urlsplit(source).path) if scheme == "file" else source).absolute()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CATALOGUE_BYTES + 1)
    except OSError as error:
        raise CliError(
            f"The catalogue {path} cannot be read: {error.strerror}.", code="CATALOGUE_NOT_FOUND"
        ) from error
    return parse(data, path.as_uri())


def parse(data: bytes, source: str) -> Catalogue:
    """Check the bytes of a catalogue.

    Args:
        data: at most 1 MiB of UTF-8 JSON.
        source: URL that relative avatar URLs are resolved against.

    Raises:
        CliError: ``CATALOGUE_INVALID``; the message names the first thing that is wrong.
    """
    try:
        return _catalogue(_decode(data), source)
    except _InvalidError as error:
        raise CliError(
            f"The catalogue {source} cannot be used: {error}.",
            code="CATALOGUE_INVALID",
            hint="Check the address, or leave --registry and BITHUMAN_SHOWCASE_URL away.",
        ) from error


class _InvalidError(Exception):
    """What is wrong, as the end of a sentence."""


def _decode(data: bytes) -> object:
    if len(data) > MAX_CATALOGUE_BYTES:
        raise _InvalidError(f"it is larger than {MAX_CATALOGUE_BYTES >> 20} MiB")
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _InvalidError("it is not JSON") from error


def _catalogue(raw: object, source: str) -> Catalogue:
    if not isinstance(raw, dict):
        raise _InvalidError("it is not a JSON object")
    schema = raw.get("schema_version")
    if schema != SCHEMA_VERSION or isinstance(schema, bool):
        raise _InvalidError(
            f"its schema_version is {schema!r}, and this version reads {SCHEMA_VERSION}"
        )
    models = raw.get("models")
    if not isinstance(models, list) or len(models) > MAX_ENTRIES:
        raise _InvalidError(f"models is not a list of at most {MAX_ENTRIES} avatars")
    entries = tuple(_entry(item, source, f"models[{i}]") for i, item in enumerate(models))
    slugs = {entry.slug for entry in entries}
    if len(slugs) != len(entries):
        raise _InvalidError("two avatars have the same slug")
    default = raw.get("default")
    if default is not None and (not isinstance(default, str) or default not in slugs):
        raise _InvalidError("default is not the slug of one of its avatars")
    updated = _text(raw, "updated", "")
    try:
        date.fromisoformat(updated)
    except ValueError as error:
        raise _InvalidError("updated is not a date such as 2026-11-22") from error
    return Catalogue(_text(raw, "version", ""), updated, source, entries, default)


def _entry(raw: object, source: str, where: str) -> Entry:
    if not isinstance(raw, dict):
        raise _InvalidError(f"{where} is not an object")
    where += "."
    slug = _text(raw, "slug", where)
    if len(slug) > 64 or not _SLUG.fullmatch(slug):
        raise _InvalidError(f"{where}slug is not of the form some-name")
    sha256 = _text(raw, "sha256", where)
    if not _SHA256.fullmatch(sha256):
        raise _InvalidError(f"{where}sha256 is not 64 hexadecimal digits in lower case")
    kind = _text(raw, "kind", where)
    if kind not in KINDS:
        raise _InvalidError(f"{where}kind is not one of {', '.join(KINDS)}")
    return Entry(
        slug=slug,
        name=_text(raw, "name", where),
        description=_text(raw, "description", where),
        url=_absolute(_text(raw, "url", where), source, where),
        sha256=sha256,
        bytes=_integer(raw, "bytes", where, MAX_AVATAR_BYTES),
        kind=kind,
        licence=_text(raw, "licence", where),
        width=_integer(raw, "width", where, MAX_SIDE),
        height=_integer(raw, "height", where, MAX_SIDE),
    )


def _text(raw: Mapping[str, Any], key: str, where: str) -> str:
    value = raw.get(key)
    # Printable only: this text goes to terminals, where control characters are commands.
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise _InvalidError(f"{where}{key} is not a line of text")
    return value


def _integer(raw: Mapping[str, Any], key: str, where: str, largest: int) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise _InvalidError(f"{where}{key} is not a whole number from 1 to {largest}")
    return value


def _absolute(url: str, source: str, where: str) -> str:
    try:
        absolute = urljoin(source, url)
        parts = urlsplit(absolute)
        local = parts.scheme == "file" and not parts.netloc
    except ValueError as error:
        raise _InvalidError(f"{where}url is not a URL") from error
    if download.is_safe_url(absolute) or (local and urlsplit(source).scheme == "file"):
        return absolute
    raise _InvalidError(f"{where}url is neither https nor relative to the catalogue")
