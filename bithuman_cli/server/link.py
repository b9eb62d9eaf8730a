"""Writing WebSocket messages without waiting for anybody."""

from __future__ import annotations

import asyncio
import struct
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

__all__ = ["GOODBYE_SECONDS", "Link"]

GOODBYE_SECONDS: Final = 2.0
"""How long the peer may take to answer a goodbye."""

_MOST_BUFFERED: Final = 64 << 10  # bytes; more only makes what is sent staler
_TEXT: Final = 0x81  # RFC 6455: final fragment, opcode 1
_BINARY: Final = 0x82
_CLOSE: Final = 0x88
_CODE: Final = struct.Struct("!H")
_SHORT: Final = struct.Struct("!BB")
_MEDIUM: Final = struct.Struct("!BBH")
_LONG: Final = struct.Struct("!BBQ")


class Link:
    """The sending side of a WebSocket.

    Messages go straight into the buffer of the connection: a coroutine per frame and client costs
    more than the frame, and waiting for a slow client is what a common clock must never do. Look
    at ``room`` before sending what may be left out or sent later.

    Args:
        socket: prepared, without compression and ``autoclose``.
        transport: the connection below it.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.socket = socket
        self._transport = transport
        self._closing = False
        self._receiving = False
        self._over: asyncio.Future[None] | None = None  # done once the connection is closed

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

    async def receive(self) -> WSMessage:
        """The next message; once this side has said goodbye, only how it ends."""
        self._receiving = True
        try:
            while True:
                message = await self.socket.receive()
                if not (self._closing and message.type in (WSMsgType.TEXT, WSMsgType.BINARY)):
                    return message
        finally:
            self._receiving = False
            if self._closing:
                self._transport.close()
                self._end()

    async def close(self, code: int, reason: str, patience: float = GOODBYE_SECONDS) -> None:
        """Say goodbye, and cut the connection when the peer does not answer.

        Whoever calls this while it goes on waits for its end.

        Args:
            code: of RFC 6455.
            reason: for people, 123 bytes at most.
            patience: seconds that the peer has for its answer.
        """
        if self._over is not None:
            await asyncio.shield(self._over)
            return
        self._over = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience):
                if self._receiving:
                    # aiohttp would close the connection at once. With sound in it that nobody
                    # has read, that is a reset, which takes the goodbye with it: the task that
                    # receives reads on until the peer's.
                    self._send(_CLOSE, _CODE.pack(code) + reason.encode())
                    self._closing = True
                    await asyncio.shield(self._over)
                else:
                    self._closing = True
                    await self.socket.close(code=code, message=reason.encode())
        except (TimeoutError, ConnectionError):
            if self._transport.get_write_buffer_size():
                self._transport.abort()  # nobody reads
            else:
                self._transport.close()
        finally:
            self._end()

    def _end(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

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
