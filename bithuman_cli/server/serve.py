"""Open an avatar, listen, and serve it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import re
import threading
import webbrowser
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from aiohttp import web

from bithuman_cli import resources
from bithuman_cli.server import logs, memory, scratch
from bithuman_cli.server.app import HUB, INNER, create_app
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.limits import Limits
from bithuman_cli.server.listening import Listeners, listen, page_url
from bithuman_cli.server.settings import Settings
from bithuman_cli.server.siblings import Siblings
from bithuman_cli.server.signals import Signals
from bithuman_cli.server.voice import Voice
from bithuman_cli.server.workers import supervise

if TYPE_CHECKING:
    import socket
    import ssl

    from engine.stream.avatar import Avatar

__all__ = ["default_sessions", "free_slug", "serve"]

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
    settings: Settings,
    on_ready: Callable[[str, Sequence[str]], None],
) -> None:
    """Serve avatars until interrupted; on SIGTERM finish what is being said first.

    Args:
        open_avatars: gives the avatars by slug, the default one first; called once the port is
            ours, and everything it opened is closed in the end.
        settings: where and for whom.
        on_ready: called with the URL of the page, token included, and the slugs when connections
            are accepted.

    Raises:
        AvatarError: an avatar cannot be opened, or ``PORT_IN_USE``, ``ADDRESS_UNAVAILABLE``.
        KeyboardInterrupt: Ctrl-C, after every session has been closed.
    """
    _allow_descriptors()
    memory.few_arenas()
    cv2.setNumThreads(1)  # frames are small: threads cost more than they bring
    first = listen(settings.host, settings.port, port_is_explicit=settings.port_is_explicit)
    listeners = Listeners(first, settings.workers)
    url = page_url(settings.host, listeners.address[1], secure=settings.tls is not None)
    if settings.token is not None:
        url += f"?token={settings.token}"

    def work(number: int, again: bool, sockets: Path | None = None) -> None:
        listeners.keep_only(number)
        with contextlib.ExitStack() as stack:
            # Logging has a thread: not before.
            stack.enter_context(logs.to_stderr(settings.log_format, settings.log_level))
            avatars = open_avatars()
            memory.trim()
            for avatar in avatars.values():
                stack.enter_context(avatar)
            siblings = None if sockets is None else Siblings(sockets, number, settings.workers)
            app = _application(avatars, settings, siblings)
            gc.collect()
            gc.freeze()  # what stays need not be looked through while frames wait

            def ready() -> None:
                if number or again:
                    return
                on_ready(url, list(avatars))
                if settings.open_browser:
                    # Some browsers' launchers block until the window is closed.
                    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

            listener = listeners.of(number, again)
            asyncio.run(_run(app, listener, ready, settings.tls, siblings))

    with contextlib.closing(listeners):
        if settings.workers == 1:
            work(0, again=False)
            return
        with (
            scratch.folder() as sockets,
            logs.to_stderr(settings.log_format, settings.log_level, threaded=False),
            listeners.reserved(),
        ):
            supervise(
                settings.workers,
                lambda number, again: work(number, again, sockets),
                listeners.passed_on,
            )


def _application(
    avatars: Mapping[str, Avatar], settings: Settings, siblings: Siblings | None
) -> web.Application:
    """The share of one process."""
    workers = settings.workers
    places = settings.max_sessions
    if places is None:
        places = default_sessions((avatar.kind for avatar in avatars.values()), workers)
    per_address = settings.max_per_address
    if per_address is None:
        per_address = math.ceil(places / 2)
    voice = Voice() if Voice.available() else None
    return create_app(
        Hub(avatars, voice=voice, max_sessions=math.ceil(places / workers)),
        page=resources.find("web"),
        bound=settings.host,
        token=settings.token,
        parents=settings.parents,
        names=settings.names,
        limits=Limits(live=math.ceil(per_address / workers)),
        siblings=siblings,
    )


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
    with Signals() as signals:
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
