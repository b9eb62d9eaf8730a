"""How much one address may ask for."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bithuman_cli.addresses import parse_address

__all__ = ["Addresses", "Limits", "TokenBucket", "limit_rate", "who_shares"]

_LOG = logging.getLogger(__name__)

_MOST_ADDRESSES: Final = 10_000
_LOOPBACK: Final = "loopback"


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


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one address may ask for; rates as (a second, at once).

    Attributes:
        requests: of any kind; a page with its tiles takes about fifty.
        calls: of the HTTP API.
        sessions: new WebSockets.
        live: WebSockets at a time; None: as many as there are places.
        loopback: whether this machine is limited, too. What comes from it is its own business, or
            comes through a proxy, which sees the real addresses and has limits of its own.
    """

    requests: tuple[float, float] = (100.0, 400.0)
    calls: tuple[float, float] = (20.0, 60.0)
    sessions: tuple[float, float] = (2.0, 20.0)
    live: int | None = None
    loopback: bool = False


class Addresses:
    """Who has how many WebSockets.

    Args:
        limits: how many one address may have.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._live: Counter[str] = Counter()

    def full(self, remote: str | None) -> bool:
        """Whether another one of this address would be one too many."""
        client = self._limited(remote)
        most = self._limits.live
        return client is not None and most is not None and self._live[client] >= most

    @contextlib.contextmanager
    def counted(self, remote: str | None) -> Iterator[None]:
        """One more of an address, while the body runs."""
        client = self._limited(remote)
        if client is None:
            yield
            return
        self._live[client] += 1
        try:
            yield
        finally:
            self._live[client] -= 1
            if not self._live[client]:
                del self._live[client]

    def _limited(self, remote: str | None) -> str | None:
        client = who_shares(remote or "")
        return None if client == _LOOPBACK and not self._limits.loopback else client


def limit_rate(limits: Limits, addresses: Addresses, on_refused: Callable[[], None]) -> Middleware:
    """Middleware that answers 429 to addresses that ask for too much.

    Args:
        limits: what they may ask for.
        addresses: counted here.
        on_refused: called when an address has as many sessions as it may.
    """
    known: OrderedDict[str, dict[str, TokenBucket]] = OrderedDict()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        client = who_shares(request.remote or "")
        if client is None or (client == _LOOPBACK and not limits.loopback):
            return await handler(request)
        buckets = known.get(client)
        if buckets is None:
            buckets = known[client] = {
                "requests": TokenBucket(*limits.requests),
                "calls": TokenBucket(*limits.calls),
                "sessions": TokenBucket(*limits.sessions),
            }
            if len(known) > _MOST_ADDRESSES:
                known.popitem(last=False)
        known.move_to_end(client)
        allowed = buckets["requests"].take()
        if request.path.startswith(("/v1/", "/v2/")):
            allowed = buckets["calls"].take() and allowed
        watching = request.path.endswith("/ws")
        if watching:
            allowed = buckets["sessions"].take() and allowed
        if not allowed:
            raise web.HTTPTooManyRequests(
                text="Too many requests; slow down.\n", headers={"Retry-After": "1"}
            )
        if not watching:
            return await handler(request)
        if addresses.full(request.remote):
            on_refused()
            fields = {"event": "refused", "peer": request.remote}
            _LOG.info("refused: too many sessions of one address", extra=fields)
            raise web.HTTPTooManyRequests(
                text=f"Your address has {limits.live} sessions already; end one first.\n",
                headers={"Retry-After": "10"},
            )
        with addresses.counted(request.remote):
            return await handler(request)  # as long as the connection lasts

    return middleware


def who_shares(remote: str) -> str | None:
    """Who shares a limit: an IPv4 address, or an IPv6 network of the size one customer gets."""
    address = parse_address(remote.partition("%")[0])
    if address is None:
        return None  # a Unix socket
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif not address.is_loopback:
            return str(ipaddress.ip_network((address, 64), strict=False))
    return _LOOPBACK if address.is_loopback else str(address)
