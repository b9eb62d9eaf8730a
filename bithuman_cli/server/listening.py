"""Where the server listens, and what that place is called."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import Any, Final

from bithuman_cli.addresses import is_wildcard, parse_address
from engine.errors import AvatarError

__all__ = ["Listeners", "listen", "network_url", "page_url"]

_PORTS_TO_TRY: Final = 50
_BACKLOG: Final = 128
# Only Linux spreads connections over sockets of one address; elsewhere workers share one socket.
_SPREADS: Final = sys.platform == "linux"


class Listeners:
    """The sockets of several processes on one address.

    Args:
        first: listens there.
        count: of processes.

    Attributes:
        address: where they listen, host and port first.
    """

    def __init__(self, first: socket.socket, count: int) -> None:
        self.address: Any = first.getsockname()
        self._family = first.family
        self._sockets = [first] if count == 1 else _shared(first, count)

    def keep_only(self, number: int) -> None:
        """In process ``number``: the others are for other processes."""
        for other in self._sockets:
            if other is not self._sockets[number]:
                other.close()

    def of(self, number: int, again: bool) -> socket.socket:
        """That of a process, or of one that stands in for it ``again``."""
        if not again or not _SPREADS:
            return self._sockets[number]
        listener = _sharing(self._family, self.address)
        listener.listen(_BACKLOG)
        return listener

    def passed_on(self, number: int) -> None:
        """A process has inherited its own."""
        if _SPREADS:
            # Or, when it dies, connections would wait in it instead of going to the others.
            self._sockets[number].close()

    def reserved(self) -> contextlib.AbstractContextManager[object]:
        """Keeps the port while no process has it, and gets no connections."""
        return _sharing(self._family, self.address) if _SPREADS else contextlib.nullcontext()

    def close(self) -> None:
        """Listen no more."""
        for listener in self._sockets:
            listener.close()


def listen(host: str, port: int, *, port_is_explicit: bool) -> socket.socket:
    """Bind a listening socket, on the next free port when the default one is busy.

    Raises:
        AvatarError: ``PORT_IN_USE`` or ``ADDRESS_UNAVAILABLE``.
    """
    candidates = [port] if port_is_explicit else range(port, min(port + _PORTS_TO_TRY, 65536))
    for candidate in candidates:
        try:
            return _bind(host, candidate)
        except PermissionError as error:
            raise AvatarError(
                f"Port {candidate} needs administrator rights.",
                code="ADDRESS_UNAVAILABLE",
                hint="Choose a port above 1023 with --port.",
            ) from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise AvatarError(
                    f"Cannot listen on {host}: {error.strerror or error}.",
                    code="ADDRESS_UNAVAILABLE",
                    hint="Use --host with an address of this machine.",
                ) from error
    tried = f"Port {port} is" if port_is_explicit else f"Ports {port} to {candidates[-1]} are"
    raise AvatarError(
        f"{tried} in use by another program.",
        code="PORT_IN_USE",
        hint="Choose another with --port, or leave --port out to get the next free one.",
    )


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # On POSIX this only skips the wait after a restart; elsewhere it would steal the port.
        if hasattr(socket, "AF_UNIX"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Only listen() notices another listener where both set SO_REUSEADDR.
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _shared(listener: socket.socket, count: int) -> list[socket.socket]:
    """A socket for each of several processes, all on the address of ``listener``."""
    if not _SPREADS:
        return [listener.dup() for _ in range(count)]
    address = listener.getsockname()
    listener.close()  # found the port free; the option must be set before binding
    shared = [_sharing(listener.family, address) for _ in range(count)]
    for one in shared:
        one.listen(_BACKLOG)
    return shared


def _sharing(family: int, address: Any) -> socket.socket:
    """A socket bound to an address that others may have, too."""
    one = socket.socket(family, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(address)
    return one


def page_url(host: str, port: int, *, secure: bool = False) -> str:
    """The address to type into a browser on this machine."""
    scheme = "https" if secure else "http"
    if is_wildcard(host):
        host = "127.0.0.1"
    address = parse_address(host)
    if address is not None and address.version == 6:
        host = f"[{host}]"
    return f"{scheme}://{host}:{port}/"


def network_url(host: str, port: int, *, secure: bool = False) -> str | None:
    """The address for other machines, when the server listens on all of them; None offline.

    Args:
        host: ``0.0.0.0`` or ``::``.
        port: where it listens.
        secure: over https.
    """
    family, outside = socket.AF_INET, "192.0.2.1"  # reserved for documentation (RFC 5737, 3849)
    if ":" in host:
        family, outside = socket.AF_INET6, "2001:db8::1"
    # Connecting a datagram socket sends nothing; it only finds the way out and so our address.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((outside, 9))
            address = probe.getsockname()[0]
    except OSError:
        return None
    return page_url(address, port, secure=secure)
