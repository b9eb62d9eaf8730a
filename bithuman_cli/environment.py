"""Every environment variable that ``bithuman`` reads, with its help."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

__all__ = ["CACHE_DIR", "OFFLINE", "SHOWCASE_URL", "VARIABLES", "Variable", "is_ci", "is_offline"]


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        name: as in the environment.
        help: one line for ``bithuman --help``.
    """

    name: str
    help: str

    @property
    def value(self) -> str:
        """What the environment says now; ``""`` when unset."""
        return os.environ.get(self.name, "")


CACHE_DIR: Final = Variable("BITHUMAN_CACHE_DIR", "where avatars are kept (~/.cache/bithuman)")
SHOWCASE_URL: Final = Variable("BITHUMAN_SHOWCASE_URL", "another catalogue: https URL or file")
OFFLINE: Final = Variable("BITHUMAN_OFFLINE", "1: like --offline, never use the network")
TOKEN: Final = Variable("BITHUMAN_TOKEN", "like run --token, out of sight of other users")
NO_COLOR: Final = Variable("NO_COLOR", "set: no colours")
CI: Final = Variable("CI", "set: no progress bars, no browser")
TERM: Final = Variable("TERM", "dumb: no colours, no progress bars")
PROXY: Final = Variable("HTTPS_PROXY", "proxy for downloads")
CERTIFICATES: Final = Variable("SSL_CERT_FILE", "certificate authorities for downloads")

VARIABLES: Final = (
    CACHE_DIR,
    SHOWCASE_URL,
    OFFLINE,
    TOKEN,
    NO_COLOR,
    CI,
    TERM,
    PROXY,
    CERTIFICATES,
)


def is_ci() -> bool:
    """Whether nobody is watching."""
    return _is_on(CI)


def is_offline() -> bool:
    """Whether nothing may be fetched."""
    return _is_on(OFFLINE)


def _is_on(variable: Variable) -> bool:
    """Set, and to anything but an off value."""
    return variable.value.lower() not in ("", "0", "false")
