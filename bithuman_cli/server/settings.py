"""What a server is told when it starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from bithuman_cli.server.logs import Format

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a server listens, whom it lets in and what it tells.

    Attributes:
        host: address to listen on.
        port: port to listen on.
        port_is_explicit: when false, a busy port is skipped for the next free one.
        open_browser: show the page in the default browser once it is up.
        max_sessions: clients served at once; more get 503 with Retry-After. None: as many as
            `default_sessions` says.
        max_per_address: of these, from one address of another machine. None: half of them, so
            that nobody takes all places.
        workers: processes that share the port and the clients.
        token: what viewers must know, see ``security.require_token``; None lets all in.
        parents: origins of the sites that may embed avatars, as ``parse_origin`` gives them.
        names: host names under which it is reached besides its address.
        tls: certificate and key; with it, https instead of http.
        log_format: how events are written to stderr.
        log_level: least level of them.
    """

    host: str
    port: int
    port_is_explicit: bool
    open_browser: bool = False
    max_sessions: int | None = None
    max_per_address: int | None = None
    workers: int = 1
    token: str | None = field(default=None, repr=False)  # not for logs
    parents: Sequence[str] = ()
    names: Sequence[str] = ()
    tls: ssl.SSLContext | None = None
    log_format: Format = "text"
    log_level: int = logging.INFO
