"""The HTTP application: pages, WebSockets, posters, the API, and what operators ask for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from pathlib import Path

from aiohttp import web

from bithuman_cli.server import embed, gallery, metrics, tiles
from bithuman_cli.server.answers import json_errors
from bithuman_cli.server.api import Api
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.limits import Addresses, Limits, limit_rate
from bithuman_cli.server.poster import poster
from bithuman_cli.server.security import HostPolicy, add_headers, guard, require_token
from bithuman_cli.server.siblings import Siblings
from bithuman_cli.server.tickets import Tickets

__all__ = ["create_app"]

ADDRESSES = web.AppKey("addresses", Addresses)
API = web.AppKey("api", Api)
HUB = web.AppKey("hub", Hub)
INNER = web.AppKey("inner", web.Application)
STARTED = web.AppKey("started", float)
PAGE = web.AppKey("page", Path)
_LIMITS = Limits()


def create_app(
    hub: Hub,
    *,
    page: Path,
    bound: str,
    token: str | None = None,
    parents: Collection[str] = (),
    names: Collection[str] = (),
    limits: Limits = _LIMITS,
    siblings: Siblings | None = None,
) -> web.Application:
    """Build the application.

    Args:
        hub: the sessions.
        page: directory with ``index.html`` and what it needs.
        bound: the address the server will listen on; decides which host names are answered.
        token: what everybody must know who asks for anything; None lets all in.
        parents: origins of the sites that may embed avatars.
        names: further host names that are answered.
        limits: what one address may ask for.
        siblings: the other processes of this server; they reach this one through ``INNER``.
    """
    addresses = Addresses(limits)

    def refused() -> None:
        hub.stats.refused += 1

    checks = [
        json_errors,
        limit_rate(limits, addresses, refused),
        guard(HostPolicy(bound, parents, names)),
    ]
    tickets = Tickets(token or secrets.token_hex(16))
    if token is not None:
        checks.append(require_token(token, tickets))
    api = Api(hub, tickets)
    if siblings is not None:
        checks.append(siblings.middleware(lambda name: name in hub.clients or api.jobs.knows(name)))
        hub.relay = siblings.relay
    app = web.Application(middlewares=checks, client_max_size=64 << 10)
    inner = web.Application(middlewares=[json_errors], client_max_size=64 << 10)
    for one in (app, inner):
        one[HUB] = hub
        one[ADDRESSES] = addresses
        one[STARTED] = time.monotonic()
    app[API] = api
    app[PAGE] = page
    app[INNER] = inner
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_close)
    app.router.add_get("/", _root)
    app.router.add_get("/ws", _websocket)
    app.router.add_get("/poster.jpg", _poster)
    for one in (app, inner):
        one.router.add_get("/health", _health)
        one.router.add_get("/ready", _ready)
        one.router.add_get("/metrics", _metrics)
        one.router.add_routes(api.routes())
    inner.router.add_get("/{slug}/ws", _websocket)
    app.router.add_routes(embed.routes(hub, page, parents))
    app.router.add_static("/static/", page)
    app.router.add_get("/{slug}", _with_slash)
    app.router.add_get("/{slug}/", _index)
    app.router.add_get("/{slug}/ws", _websocket)
    app.router.add_get("/{slug}/poster.jpg", _poster)
    app.router.add_routes(tiles.routes(hub.tiles, hub.clear_tiles))
    return app


async def _close(app: web.Application) -> None:
    await app[HUB].close()
    await app[API].jobs.close()


async def _root(request: web.Request) -> web.StreamResponse:
    """The page of the only avatar, or a choice of several."""
    hub = request.app[HUB]
    if len(hub.avatars) == 1:
        return await _index(request)
    return web.Response(text=gallery.page(hub.avatars), content_type="text/html")


async def _with_slash(request: web.Request) -> web.StreamResponse:
    # What the page asks for lies beside it.
    raise web.HTTPMovedPermanently(f"/{_slug(request)}/")


def _slug(request: web.Request) -> str:
    return request.app[HUB].slug(request.match_info.get("slug"))


async def _index(request: web.Request) -> web.FileResponse:
    _slug(request)
    # The page and its modules belong together: always ask whether they changed.
    return web.FileResponse(request.app[PAGE] / "index.html", headers={"Cache-Control": "no-cache"})


async def _poster(request: web.Request) -> web.Response:
    return poster(request.app[HUB].avatars[_slug(request)])


async def _health(request: web.Request) -> web.Response:
    hub = request.app[HUB]
    return web.json_response(
        {
            "status": "ok",
            "avatar": hub.avatars[hub.default].name,
            "sessions": hub.sessions,
            "max_sessions": hub.max_sessions,
            "accepting": not (hub.full or request.app[ADDRESSES].full(request.remote)),
            "frames_sent": hub.stats.frames_sent,
            "frames_late": hub.stats.frames_late,
            "frames_dropped": hub.stats.frames_dropped,
            "uptime_seconds": round(time.monotonic() - request.app[STARTED], 1),
        }
    )


async def _ready(request: web.Request) -> web.Response:
    """Whether another client would be served; for load balancers."""
    hub = request.app[HUB]
    if hub.full:
        return web.Response(status=503, text="draining\n" if hub.draining else "full\n")
    return web.Response(text="ready\n")


async def _metrics(request: web.Request) -> web.Response:
    text = metrics.expose(request.app[HUB])
    return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})


async def _websocket(request: web.Request) -> web.StreamResponse:
    return await request.app[HUB].handle(request, request.match_info.get("slug"))
