"""Open an avatar, listen, and serve it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import os
import re
import signal
import socket
import ssl
import sys
import threading
import webbrowser
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
from aiohttp import web

from bithuman_cli import resources
from bithuman_cli.server import logs, memory, scratch
from bithuman_cli.server.app import HUB, INNER, create_app
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.security import Limits
from bithuman_cli.server.siblings import Siblings
from bithuman_cli.server.voice import Voice
from bithuman_cli.server.workers import supervise
from engine.errors import AvatarError

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["free_slug", "network_url", "serve"]

_PORTS_TO_TRY = 50
_BACKLOG = 128
# Only Linux spreads connections over sockets of one address; elsewhere workers share one socket.
_SPREADS = sys.platform == "linux"
_KILLED = 130  # exit code of what Ctrl-C ends
# A process fills one core. Everybody begins with JPEG, of which it carries 200 talking viewers on a
# fast one (benchmarks/serve_load.py): half of them, for a slower one and for those who come all at
# once, before the mouths in use are cached. Tiles take less, H.264 five times as much.
_ESSENCE_PER_WORKER = 100
_EXPRESSION_PER_CORE = 4  # a face drawn anew takes 15 to 20 percent each (benchmarks/expression.py)
# How long a connection may be silent, or take to ask for something. Load balancers keep theirs for
# 60 seconds, and mind when we are the first to close.
_IDLE_SECONDS = 75.0
_DESCRIPTORS = 10_240  # each viewer has one; shells often allow 1024, macOS no more than this
_DRAIN_SECONDS = 8.0  # what a sentence may take that is being said when SIGTERM comes
# First segments of paths that are not names of avatars.
_PATHS = frozenset({"embed", "health", "metrics", "ready", "static", "v1", "ws"})


def serve(
    open_avatars: Callable[[], Mapping[str, Avatar]],
    *,
    host: str,
    port: int,
    port_is_explicit: bool,
    open_browser: bool,
    max_sessions: int | None,
    max_per_address: int | None = None,
    workers: int = 1,
    token: str | None = None,
    parents: Sequence[str] = (),
    names: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    log_format: logs.Format = "text",
    log_level: int = logging.INFO,
    on_ready: Callable[[str, Sequence[str]], None],
) -> None:
    """Serve avatars until interrupted; on SIGTERM finish what is being said first.

    Args:
        open_avatars: gives the avatars by slug, the default one first; called once the port is
            ours, and everything it opened is closed in the end.
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
        on_ready: called with the URL of the page, token included, and the slugs when connections
            are accepted.

    Raises:
        AvatarError: an avatar cannot be opened, or ``PORT_IN_USE``, ``ADDRESS_UNAVAILABLE``.
        KeyboardInterrupt: Ctrl-C, after every session has been closed.
    """
    _allow_descriptors()
    memory.few_arenas()
    cv2.setNumThreads(1)  # frames are small: threads cost more than they bring
    listeners = [listen(host, port, port_is_explicit=port_is_explicit)]
    address = listeners[0].getsockname()
    private: contextlib.AbstractContextManager[Path | None] = contextlib.nullcontext()
    if workers > 1:
        listeners = _shared(listeners[0], workers)
        private = scratch.folder()

    def work(number: int, again: bool) -> None:
        for other in listeners:
            if other is not listeners[number]:
                other.close()  # those are for other processes
        with contextlib.ExitStack() as stack:
            stack.enter_context(logs.to_stderr(log_format, log_level))  # has a thread: not before
            avatars = open_avatars()
            memory.trim()
            for avatar in avatars.values():
                stack.enter_context(avatar)
            voice = Voice() if Voice.available() else None
            gc.collect()
            gc.freeze()  # what stays need not be looked through while frames wait
            siblings = None if sockets is None else Siblings(sockets, number, workers)
            places = max_sessions
            if places is None:
                places = default_sessions((a.kind for a in avatars.values()), workers)
            per_address = -(-places // 2) if max_per_address is None else max_per_address
            hub = Hub(avatars, voice=voice, max_sessions=-(-places // workers))
            app = create_app(
                hub,
                page=resources.find("web"),
                bound=host,
                token=token,
                parents=parents,
                names=names,
                limits=Limits(live=-(-per_address // workers)),
                siblings=siblings,
            )
            url = page_url(host, address[1], secure=tls is not None)
            if token is not None:
                url += f"?token={token}"

            def ready() -> None:
                if number or again:
                    return
                on_ready(url, list(avatars))
                if open_browser:
                    # Some browsers' launchers block until the window is closed.
                    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

            listener = listeners[number]
            if again and _SPREADS:
                listener = _sharing(listener.family, address)
                listener.listen(_BACKLOG)
            asyncio.run(_run(app, listener, ready, tls, siblings))

    def started(number: int) -> None:
        if _SPREADS:
            # Or, when it dies, connections would wait in it instead of going to the others.
            listeners[number].close()

    try:
        with private as sockets:
            if workers == 1:
                work(0, again=False)
            else:
                with (
                    logs.to_stderr(log_format, log_level, threaded=False),
                    # Keeps the port while no worker has it, and gets no connections.
                    _sharing(listeners[0].family, address)
                    if _SPREADS
                    else contextlib.nullcontext(),
                ):
                    supervise(workers, work, started)
    finally:
        for listener in listeners:
            listener.close()


def _allow_descriptors() -> None:
    """Take as many of the descriptors that this user may have as viewers can need."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def default_sessions(kinds: Iterable[str], workers: int) -> int:
    """How many viewers are let in unless told otherwise: what surely goes well, not the most.

    Args:
        kinds: of the avatars that are served; the most expensive one decides.
        workers: processes.
    """
    if "expression" in kinds:
        return _EXPRESSION_PER_CORE * min(workers, os.cpu_count() or 1)
    return _ESSENCE_PER_WORKER * workers


def free_slug(name: str, taken: Container[str]) -> str:
    """What an avatar of that name is called in paths, unlike those that are taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "avatar"
    if plain in _PATHS:
        plain = f"avatar-{plain}"
    slug, count = plain, 1
    while slug in taken:
        count += 1
        slug = f"{plain}-{count}"
    return slug


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


def _is_busy(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def page_url(host: str, port: int, *, secure: bool = False) -> str:
    """The address to type into a browser on this machine."""
    scheme = "https" if secure else "http"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{scheme}://{host}:{port}/"
    if address.is_unspecified:
        return f"{scheme}://127.0.0.1:{port}/"
    return f"{scheme}://[{host}]:{port}/" if address.version == 6 else f"{scheme}://{host}:{port}/"


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


async def _run(
    app: web.Application,
    listener: socket.socket,
    ready: Callable[[], None],
    tls: ssl.SSLContext | None,
    siblings: Siblings | None,
) -> None:
    inner = web.AppRunner(app[INNER], access_log=None, handle_signals=False, shutdown_timeout=2.0)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=2.0,
        keepalive_timeout=_IDLE_SECONDS,
    )
    with _Signals() as signals:
        try:
            await runner.setup()
            if siblings is not None:
                await inner.setup()
                await web.UnixSite(inner, str(siblings.socket)).start()
            await web.SockSite(runner, listener, ssl_context=tls).start()
            ready()
            await signals.stop.wait()
            if not signals.interrupted:
                await app[HUB].drain(_DRAIN_SECONDS)
        finally:
            await runner.cleanup()
            if siblings is not None:
                await siblings.close()
                await inner.cleanup()
    if signals.interrupted:
        raise KeyboardInterrupt


class _Signals:
    """What signals mean while the server runs.

    SIGTERM lets it finish its sentences, Ctrl-C only its goodbyes; Ctrl-C while it is ending kills
    it. Nothing changes off the main thread, where signals cannot be handled.

    Attributes:
        stop: set by the first signal.
        interrupted: whether that was Ctrl-C.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.interrupted = False
        self._loop = asyncio.get_running_loop()
        self._ending = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Signals:
        with contextlib.suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: object) -> None:
        if number == signal.SIGINT:
            if self._ending:
                os._exit(_KILLED)  # with whatever it is doing; workers follow when it is gone
            self.interrupted = True
        self._ending = True
        self._loop.call_soon_threadsafe(self.stop.set)
