"""Open an avatar, listen, and serve it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import re
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import cv2
from aiohttp import web

import engine
from bithuman_cli import resources
from bithuman_cli.server.app import create_app
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.voice import Voice
from engine.errors import AvatarError

__all__ = ["network_url", "serve"]

_PORTS_TO_TRY = 50


def serve(
    avatar_path: Path,
    *,
    host: str,
    port: int,
    port_is_explicit: bool,
    open_browser: bool,
    max_sessions: int,
    on_ready: Callable[[str], None],
) -> None:
    """Serve an avatar's page until interrupted.

    Args:
        avatar_path: an ``.imx`` file.
        host: address to listen on.
        port: port to listen on.
        port_is_explicit: when false, a busy port is skipped for the next free one.
        open_browser: show the page in the default browser once it is up.
        max_sessions: clients served at once; more get 503 with Retry-After.
        on_ready: called with the page's URL when connections are accepted.

    Raises:
        AvatarError: the avatar cannot be opened, or ``PORT_IN_USE``, ``ADDRESS_UNAVAILABLE``.
        KeyboardInterrupt: Ctrl-C, after every session has been closed.
    """
    cv2.setNumThreads(1)  # frames are small: threads cost more than they bring
    listener = listen(host, port, port_is_explicit=port_is_explicit)
    try:
        with engine.open(avatar_path) as avatar:
            voice = Voice() if Voice.available() else None
            hub = Hub({_slug(avatar_path): avatar}, voice=voice, max_sessions=max_sessions)
            app = create_app(hub, page=resources.find("web"), bound=host)
            url = page_url(host, listener.getsockname()[1])

            def ready() -> None:
                on_ready(url)
                if open_browser:
                    # Some browsers' launchers block until the window is closed.
                    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

            asyncio.run(_run(app, listener, ready))
    finally:
        listener.close()


def _slug(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:80] or "avatar"


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
            if not _is_busy(error):
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
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _is_busy(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def page_url(host: str, port: int) -> str:
    """The address to type into a browser on this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}/"
    if address.is_unspecified:
        return f"http://127.0.0.1:{port}/"
    return f"http://[{host}]:{port}/" if address.version == 6 else f"http://{host}:{port}/"


def network_url(host: str, port: int) -> str | None:
    """The address for other machines, when the server listens on all of them; None offline.

    Args:
        host: ``0.0.0.0`` or ``::``.
        port: where it listens.
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
    return page_url(address, port)


async def _run(app: web.Application, listener: socket.socket, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    # SIGTERM ends like Ctrl-C, but is not an interruption. Not available off the main thread.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        ready()
        await stop.wait()
    finally:
        await runner.cleanup()
