"""Who may talk to the server, and how fast.

A page on the web can make a visitor's browser send requests to 127.0.0.1. Two checks stop it: the
``Host`` header must be a name of this machine (a rebound DNS name is not), and an ``Origin``, when
a browser sends one, must be the page this server itself served.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

__all__ = [
    "SECURITY_HEADERS",
    "HostPolicy",
    "TokenBucket",
    "add_headers",
    "guard",
    "is_good_token",
    "require_token",
]

_COOKIE = "bithuman_token"
# Long enough not to be guessed, and of characters that need no quoting in an address or a cookie.
_GOOD_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,256}")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
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
    """

    def __init__(self, bound: str) -> None:
        self._names = set(_LOOPBACK_NAMES) | {bound.lower()}
        self._any_address = False
        address = _address(bound)
        if address is None or not address.is_loopback:
            machine = socket.gethostname().lower()
            self._names |= {machine, f"{machine}.local"}
            self._any_address = address is not None and address.is_unspecified

    def allows_host(self, header: str | None) -> bool:
        """Whether a ``Host`` header names this machine; any port will do (think of tunnels)."""
        name = _hostname(f"//{header}") if header else None
        if name is None:
            return False
        return name in self._names or (self._any_address and _address(name) is not None)

    def allows_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request comes from our own page, or from something that is not a browser."""
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc.lower() == (host or "").lower()


def _hostname(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises on a malformed port
    except ValueError:
        return None
    if parts.username is not None or parts.path:
        return None
    return parts.hostname


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def guard(policy: HostPolicy) -> Middleware:
    """Middleware that refuses foreign hosts and origins with 403 and adds the security headers."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host")
        if not policy.allows_host(host):
            raise web.HTTPForbidden(text="This server does not answer under that host name.\n")
        if not policy.allows_origin(request.headers.get("Origin"), host):
            raise web.HTTPForbidden(text="Requests from other sites are not allowed.\n")
        return await handler(request)

    return middleware


def is_good_token(token: str) -> bool:
    """Whether a token is hard to guess by its length and can stand in an address as it is."""
    return _GOOD_TOKEN.fullmatch(token) is not None


def require_token(token: str) -> Middleware:
    """Middleware that answers 401 to everybody who does not know the token.

    It is taken from ``Authorization: Bearer``, from a cookie, or from ``?token=`` of the address.
    A page opened with the latter gets the cookie and an address without the secret in it.
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
        if not same(request.query.get("token")):
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


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """``on_response_prepare`` hook: reaches error pages and files as well."""
    # The page, its modules and this server belong together: always ask whether they changed.
    response.headers.setdefault("Cache-Control", "no-cache")
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


class TokenBucket:
    """Allows ``rate`` units per second on average and ``burst`` at once."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._last = clock()

    def take(self, amount: float = 1.0) -> bool:
        """Spend ``amount`` units; ``False`` (and nothing spent) when the bucket is too empty."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True
