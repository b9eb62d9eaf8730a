"""Avatars in the pages of other sites: a lean page for a frame, and the script that adds it."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from pathlib import Path
from typing import Final

from aiohttp import web

from bithuman_cli.server.hub import Hub
from bithuman_cli.server.poster import poster
from bithuman_cli.server.security import let_frame

__all__ = ["routes"]

_PARENTS: Final = 'name="parents" content=""'


def routes(hub: Hub, page: Path, parents: Collection[str]) -> list[web.RouteDef]:
    """``/embed.js`` and what is below ``/embed/``.

    Args:
        hub: the sessions.
        page: directory with ``embed.html`` and ``embed.js``.
        parents: origins that may frame the page, and talk with it.
    """
    allowed = escape(" ".join(sorted(parents)))
    html = (page / "embed.html").read_text(encoding="utf-8")
    if _PARENTS not in html:
        raise ValueError("embed.html has no place for the sites that may embed it")
    html = html.replace(_PARENTS, f'name="parents" content="{allowed}"')

    def slug_of(request: web.Request) -> str:
        return hub.slug(request.match_info["slug"])

    async def script(request: web.Request) -> web.StreamResponse:
        # Any page may load it; what it adds is shown to allowed ones only.
        headers = {"Cross-Origin-Resource-Policy": "cross-origin"}
        return web.FileResponse(page / "embed.js", headers=headers)

    async def default(request: web.Request) -> web.StreamResponse:
        raise _moved(request, hub.default)

    async def with_slash(request: web.Request) -> web.StreamResponse:
        raise _moved(request, slug_of(request))

    async def frame(request: web.Request) -> web.StreamResponse:
        slug_of(request)
        response = web.Response(text=html, content_type="text/html")
        let_frame(response, parents)
        return response

    async def at_rest(request: web.Request) -> web.StreamResponse:
        return poster(hub.avatars[slug_of(request)])

    async def websocket(request: web.Request) -> web.StreamResponse:
        return await hub.handle(request, slug_of(request))

    return [
        web.get("/embed.js", script),
        web.get("/embed/", default),
        web.get("/embed/{slug}", with_slash),
        web.get("/embed/{slug}/", frame),
        web.get("/embed/{slug}/ws", websocket),
        web.get("/embed/{slug}/poster.jpg", at_rest),
    ]


def _moved(request: web.Request, slug: str) -> web.HTTPFound:
    query = f"?{request.query_string}" if request.query_string else ""
    return web.HTTPFound(f"/embed/{slug}/{query}")
