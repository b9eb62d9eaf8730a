"""Writing WebSocket messages without waiting for anybody."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Final

from aiohttp import web

__all__ = ["Link"]

_MOST_BUFFERED: Final = 64 << 10  # bytes; more only makes what is sent staler
_CLOSE_TIMEOUT: Final = 2.0
_TEXT: Final = 0x81  # RFC 6455: final fragment, opcode 1
_BINARY: Final = 0x82
_SHORT: Final = struct.Struct("!BB")
_MEDIUM: Final = struct.Struct("!BBH")
_LONG: Final = struct.Struct("!BBQ")


class Link:
    """The sending side of a WebSocket.

    Messages go straight into the buffer of the connection: a coroutine per frame and client costs
    more than the frame, and waiting for a slow client is what a common clock must never do. Look
    at ``room`` before sending what may be left out or sent later.

    Args:
        socket: prepared, without compression.
        transport: the connection below it.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.socket = socket
        self._transport = transport
        self._closing = False

    @property
    def open(self) -> bool:
        """Whether this side has not begun to close."""
        return not self._closing

    @property
    def peer(self) -> str:
        """Address of the other side, for the log."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def room(self) -> bool:
        """Whether the peer has taken most of what was sent."""
        return self._transport.get_write_buffer_size() < _MOST_BUFFERED

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message; nothing once the link is closing."""
        self._send(_BINARY, data)

    def send_text(self, text: str) -> None:
        """Send a text message; nothing once the link is closing."""
        self._send(_TEXT, text.encode())

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and cut the connection when the peer does not even read that."""
        self._closing = True
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self.socket.close(code=code, message=reason.encode())
                return
        self._transport.abort()

    def _send(self, opcode: int, data: bytes) -> None:
        if self._closing or self.socket.closed or self._transport.is_closing():
            return
        size = len(data)
        if size < 126:
            head = _SHORT.pack(opcode, size)
        elif size < 1 << 16:
            head = _MEDIUM.pack(opcode, 126, size)
        else:
            head = _LONG.pack(opcode, 127, size)
        self._transport.write(head + data)
