"""Tickets: what a page may know instead of the token, to show one avatar for a while.

The token opens everything, so it has no place in the HTML of a site that embeds an avatar. A ticket
opens the embedded page of one avatar and its WebSocket, until it expires. It is
``<slug>.<expiry>.<signature>`` with HMAC-SHA256 (RFC 2104) of what is before the signature, keyed
with the token: any process that knows the token can check it and none has to remember it.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable

__all__ = ["Tickets"]


class Tickets:
    """Issues and checks tickets.

    Args:
        secret: the key; the token of the server.
        clock: seconds since 1970.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._key = secret.encode()
        self._clock = clock

    def issue(self, slug: str, seconds: int) -> tuple[str, int]:
        """A ticket for an avatar.

        Args:
            slug: of the avatar.
            seconds: how long new connections may be made with it.

        Returns:
            The ticket and when it expires, in seconds since 1970.
        """
        expiry = int(self._clock()) + seconds
        claim = f"{slug}.{expiry}"
        return f"{claim}.{self._sign(claim)}", expiry

    def admits(self, ticket: str, slug: str) -> bool:
        """Whether a ticket is genuine, for this avatar, and has not expired."""
        claim, _, signature = ticket.rpartition(".")
        genuine = hmac.compare_digest(
            self._sign(claim).encode(), signature.encode(errors="surrogateescape")
        )
        if not genuine:
            return False
        named, _, expiry = claim.rpartition(".")
        return named == slug and int(expiry) > self._clock()

    def _sign(self, claim: str) -> str:
        signature = hmac.digest(self._key, claim.encode(errors="surrogateescape"), "sha256")
        return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
