"""Who may talk to the server.

A page on the web can make a visitor's browser send requests to 127.0.0.1. Two checks stop it: the
``Host`` header must be a name of this machine (a rebound DNS name is not), and an ``Origin``, when
a browser sends one, must be the page this server itself served. Sites that were allowed to embed
avatars may besides watch one: open a WebSocket and fetch its pictures, nothing else.
"""

from __future__ import annotations

import hmac
import re
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bithuman_cli.addresses import parse_address
from bithuman_cli.server import pages
from bithuman_cli.server.answers import wants_page
from bithuman_cli.server.tickets import Tickets

__all__ = [
    "SECURITY_HEADERS",
    "HostPolicy",
    "add_headers",
    "guard",
    "is_good_token",
    "is_host_name",
    "let_frame",
    "parse_origin",
    "require_token",
]

_COOKIE = "bithuman_token"
# Long enough not to be guessed, and of characters that need no quoting in an address or a cookie.
_GOOD_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,256}")
# What any page may know: the code of the pages, the same in every copy of this program.
_PUBLIC = re.compile(r"/embed\.js|/static/.*")
# What load balancers and supervisors ask without a token; without it they are told no more than
# that.
_STATUS = frozenset({"/health", "/ready"})
# What a site that embeds an avatar may ask for, and what a ticket opens.
_WATCHED = re.compile(
    r"/embed/[^/]+/(?:ws|poster\.jpg)?|/[^/]+/(?:ws|poster\.jpg|tiles/.+)|/ws|/poster\.jpg"
)
_TICKETED = re.compile(
    r"/embed/(?P<page>[^/]+)(?:/(?:ws|poster\.jpg)?)?|/(?P<tiles>[^/]+)/tiles/.+"
)
_HOST: Final = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors "
)
SECURITY_HEADERS = {
    "Content-Security-Policy": f"{_POLICY}'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class HostPolicy:
    """The host names under which this server answers.

    Args:
        bound: the address the server listens on. A loopback address admits the loopback names;
            any other also admits that address and this machine's names. A wildcard address
            (``0.0.0.0``, ``::``) admits every literal IP address: only names can be rebound.
        parents: origins of the sites that may embed avatars, as ``parse_origin`` gives them.
        names: further host names, of a proxy or of the certificate.

    Attributes:
        parents: as given.
    """

    def __init__(self, bound: str, parents: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        self.parents = frozenset(parents)
        self._names = set(_LOOPBACK_NAMES) | {bound.lower()} | {name.lower() for name in names}
        self._any_address = False
        address = parse_address(bound)
        if address is None or not address.is_loopback:
            machine = socket.gethostname().lower()
            self._names |= {machine, f"{machine}.local"}
            self._any_address = address is not None and address.is_unspecified

    def allows_host(self, header: str | None) -> bool:
        """Whether a ``Host`` header names this machine; any port will do (think of tunnels)."""
        name = _hostname(f"//{header}") if header else None
        if name is None:
            return False
        return name in self._names or (self._any_address and parse_address(name) is not None)

    def allows_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request comes from our own page, or from something that is not a browser."""
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc.lower() == (host or "").lower()


def is_host_name(text: str) -> bool:
    """Whether a text is a host name or an address, without a port."""
    return _HOST.fullmatch(text.lower()) is not None


def parse_origin(text: str) -> str | None:
    """An origin as browsers write it in ``Origin``; None for what is not one.

    Args:
        text: such as ``https://www.example.org`` or ``http://localhost:3000``; a slash at the end
            is forgiven.
    """
    try:
        parts = urlsplit(text.strip().lower())
        port = parts.port
    except ValueError:
        return None
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if (
        parts.scheme not in ("http", "https")
        or _HOST.fullmatch(host) is None
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        return None
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if port in (None, usual) else f":{port}")


def _hostname(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises on a malformed port
    except ValueError:
        return None
    if parts.username is not None or parts.path:
        return None
    return parts.hostname


def guard(policy: HostPolicy) -> Middleware:
    """Middleware that refuses foreign hosts and origins with 403 and adds the security headers."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host")
        if not policy.allows_host(host):
            raise web.HTTPForbidden(
                text="This server does not answer under that host name; see run --allow-host.\n"
            )
        origin = request.headers.get("Origin")
        public = _PUBLIC.fullmatch(request.path) is not None
        if policy.allows_origin(origin, host):
            return await handler(request)
        if not public and not (origin in policy.parents and _WATCHED.fullmatch(request.path)):
            raise web.HTTPForbidden(text="Requests from other sites are not allowed.\n")
        response = await handler(request)
        if not response.prepared and not public and origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            response.headers.add("Vary", "Origin")
        return response

    return middleware


def is_good_token(token: str) -> bool:
    """Whether a token is hard to guess by its length and can stand in an address as it is."""
    return _GOOD_TOKEN.fullmatch(token) is not None


def require_token(token: str, tickets: Tickets) -> Middleware:
    """Middleware that answers 401 to everybody who does not know the token.

    It is taken from ``Authorization: Bearer``, from a cookie, or from ``?token=`` of the address.
    A page opened with the latter gets the cookie and an address without the secret in it. Embedded
    pages cannot have cookies: they keep the address, and a ticket does for them.
    """

    def same(given: str | None) -> bool:
        # Takes as long however much of it is right.
        # Headers that are no UTF-8 arrive with surrogates in them.
        return given is not None and hmac.compare_digest(
            given.encode(errors="surrogateescape"), token.encode()
        )

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if (scheme.lower() == "bearer" and same(bearer.strip())) or same(
            request.cookies.get(_COOKIE)
        ):
            return await handler(request)
        if _PUBLIC.fullmatch(request.path):
            return await handler(request)
        if request.path in _STATUS and request.method in ("GET", "HEAD"):
            if same(request.query.get("token")):
                return await handler(request)
            return _only_status(await handler(request))
        given = request.query.get("token", "")
        watched = _TICKETED.fullmatch(request.path)
        if watched and (same(given) or tickets.admits(given, watched["page"] or watched["tiles"])):
            return await handler(request)
        if not same(given):
            if wants_page(request):
                return _ask_for_token()
            raise web.HTTPUnauthorized(
                text="This server wants its token.\n", headers={"WWW-Authenticate": "Bearer"}
            )
        if request.method != "GET" or "Upgrade" in request.headers:
            return await handler(request)
        # Two slashes in front would lead to another site.
        answer = web.Response(status=303, headers={"Location": "/" + request.path.lstrip("/")})
        answer.set_cookie(
            _COOKIE, token, httponly=True, samesite="Lax", secure=request.secure, path="/"
        )
        return answer

    return middleware


def _only_status(answer: web.StreamResponse) -> web.Response:
    """An answer without what it says of the server's business."""
    if answer.status == 200:
        return web.json_response({"status": "ok"})
    return web.json_response({"status": "unavailable"}, status=answer.status)


def _ask_for_token() -> web.Response:
    """A page where a person can type it."""
    return web.Response(
        status=401,
        text=pages.page("ask", _QUESTION),
        content_type="text/html",
        headers={
            "WWW-Authenticate": "Bearer",
            "Content-Security-Policy": f"{_POLICY}'none'".replace(
                "form-action 'none'", "form-action 'self'"
            ),
        },
    )


_QUESTION = """<main>
<h1>This avatar wants to know its token</h1>
<p>It is at the end of the address that the server showed when it was started.</p>
<form method="get">
<label class="visually-hidden" for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button class="main">Open</button>
</form>
</main>"""


def let_frame(response: web.StreamResponse, parents: Iterable[str]) -> None:
    """Let the pages of some sites show this one in a frame.

    Args:
        response: a page, not sent yet.
        parents: their origins; with none, no site may.
    """
    allowed = " ".join(sorted(parents)) or "'none'"
    response.headers["Content-Security-Policy"] = _POLICY + allowed
    # Where a parent isolates itself (COEP), it asks what it frames for this.
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """``on_response_prepare`` hook: reaches error pages and files as well."""
    # The page, its modules and this server belong together: always ask whether they changed.
    response.headers.setdefault("Cache-Control", "no-cache")
    framed = "Content-Security-Policy" in response.headers
    for name, value in SECURITY_HEADERS.items():
        # The older of the two headers about frames knows no list of sites.
        if not (framed and name == "X-Frame-Options"):
            response.headers.setdefault(name, value)
