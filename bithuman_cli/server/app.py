"""The HTTP application: the page, the WebSocket, a poster of the avatar and a health check."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from aiohttp import web

from bithuman_cli.server.protocol import MAX_MESSAGE_BYTES
from bithuman_cli.server.security import HostPolicy, add_headers, guard
from bithuman_cli.server.sessions import Hub

__all__ = ["create_app"]

_HEARTBEAT_SECONDS = 20.0
_RETRY_AFTER_SECONDS = 10
# Bounds what a slow link has under way, and so how stale its next picture is.
_SEND_BUFFER_BYTES = 192 << 10

HUB = web.AppKey("hub", Hub)
STARTED = web.AppKey("started", float)
PAGE = web.AppKey("page", Path)


def create_app(hub: Hub, *, page: Path, bound: str) -> web.Application:
    """Build the application.

    Args:
        hub: the sessions.
        page: directory with ``index.html`` and what it needs.
        bound: the address the server will listen on; decides which host names are answered.
    """
    app = web.Application(middlewares=[guard(HostPolicy(bound))], client_max_size=64 << 10)
    app[HUB] = hub
    app[PAGE] = page
    app[STARTED] = time.monotonic()
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_close_sessions)
    app.router.add_get("/", _index)
    app.router.add_get("/ws", _websocket)
    app.router.add_get("/health", _health)
    app.router.add_get("/poster.jpg", _poster)
    app.router.add_static("/static/", page)
    return app


async def _close_sessions(app: web.Application) -> None:
    await app[HUB].close()


async def _index(request: web.Request) -> web.FileResponse:
    # The page and its modules belong together: always ask whether they changed.
    return web.FileResponse(request.app[PAGE] / "index.html", headers={"Cache-Control": "no-cache"})


async def _poster(request: web.Request) -> web.Response:
    """The avatar at rest, shown until the first live frame."""
    jpeg = request.app[HUB].avatar.player.base_jpeg(0)
    return web.Response(body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "no-cache"})


async def _health(request: web.Request) -> web.Response:
    hub = request.app[HUB]
    return web.json_response(
        {
            "status": "ok",
            "avatar": hub.avatar.name,
            "sessions": hub.sessions,
            "max_sessions": hub.max_sessions,
            "accepting": not hub.full,
            "frames_sent": hub.frames_sent,
            "frames_late": hub.frames_late,
            "pictures_dropped": hub.pictures_dropped,
            "uptime_seconds": round(time.monotonic() - request.app[STARTED], 1),
        }
    )


async def _websocket(request: web.Request) -> web.StreamResponse:
    hub = request.app[HUB]
    if hub.full:
        raise web.HTTPServiceUnavailable(
            text=f"All {hub.max_sessions} sessions are in use; try again shortly.\n",
            headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
        )
    # Compression triples the cost and saves nothing: JPEG and speech are dense already.
    ws = web.WebSocketResponse(
        compress=False, heartbeat=_HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE_BYTES
    )
    if not ws.can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(text="This address speaks WebSocket; open / instead.\n")
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    await hub.serve_client(request, ws)
    return ws
