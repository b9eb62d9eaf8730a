"""What makes several processes look like one server: each can ask the others.

The kernel gives a connection to any of them (see ``workers``), so a request for a session often
reaches a process that does not hold it. Each process therefore also listens on a Unix socket in a
directory that only this user can enter, and requests are passed on to whoever knows the session or
the video. Lists, metrics and health are those of all of them together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.typedefs import Handler, Middleware

from bithuman_cli.server.link import Link
from bithuman_cli.server.protocol import Hello

__all__ = ["Siblings"]

_OWNED: Final = re.compile(r"(/v1/(?:sessions|video)/[0-9a-f]+)(?:/.*)?")
_TERMINATE: Final = re.compile(r"/v2/[^/]+/runtime-sessions/([0-9a-f]+)/terminate")
_LISTS: Final = re.compile(r"/v1/sessions|/v2/[^/]+/runtime-sessions")
_AGENT: Final = re.compile(r"/v1/agent/[^/]+/[^/]+")
_KEPT: Final = ("Content-Type", "Content-Disposition", "Content-Length", "Retry-After")
_PATIENCE: Final = aiohttp.ClientTimeout(total=None, connect=2.0)
_QUICK: Final = aiohttp.ClientTimeout(total=2.0)
_SUMMED: Final = ("sessions", "max_sessions", "frames_sent", "frames_late", "frames_dropped")
_SAMPLE: Final = re.compile(r"(\w+)(?:\{(.*)\})? (.+)")


class Siblings:
    """The processes of a server.

    Args:
        directory: private to the user; holds their sockets.
        number: of this one.
        count: of all.

    Attributes:
        socket: where this one listens.
    """

    def __init__(self, directory: Path, number: int, count: int) -> None:
        self.socket = directory / f"{number}.sock"
        self._number = number
        self._sockets = {n: directory / f"{n}.sock" for n in range(count) if n != number}
        self._clients: dict[int, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Ask no more."""
        for client in self._clients.values():
            await client.close()

    # -- asking ----------------------------------------------------------------------------------

    def _client(self, number: int) -> aiohttp.ClientSession:
        if number not in self._clients:
            connector = aiohttp.UnixConnector(str(self._sockets[number]))
            self._clients[number] = aiohttp.ClientSession("http://sibling", connector=connector)
        return self._clients[number]

    async def _ask(
        self, number: int, method: str, path: str, body: bytes | None = None, kind: str = ""
    ) -> tuple[int, bytes]:
        """Status and body; 503 from one that does not answer."""
        headers = {"Content-Type": kind} if kind else {}
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._client(number).request(
                method, path, data=body, headers=headers, timeout=_QUICK
            ) as answer:
                return answer.status, await answer.read()
        return 503, b""

    async def _ask_all(
        self, method: str, path: str, body: bytes | None = None, kind: str = ""
    ) -> list[tuple[int, bytes]]:
        asked = (self._ask(number, method, path, body, kind) for number in self._sockets)
        return await asyncio.gather(*asked)

    async def _owner(self, path: str) -> int | None:
        answers = await self._ask_all("GET", path)
        for number, (status, _) in zip(self._sockets, answers, strict=True):
            if status == 200:
                return number
        return None

    async def _pass_on(self, request: web.Request, number: int) -> web.StreamResponse:
        """Let another one answer, its body and ours as streams."""
        kind = request.headers.get("Content-Type")
        async with self._client(number).request(
            request.method,
            request.path_qs,
            data=request.content if request.body_exists else None,
            headers={"Content-Type": kind} if kind else {},
            timeout=_PATIENCE,
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name in _KEPT:
                if name in answer.headers:
                    response.headers[name] = answer.headers[name]
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
            await response.write_eof()
            return response

    # -- sessions that are resumed ---------------------------------------------------------------

    async def relay(self, link: Link, slug: str, hello: Hello) -> bool:
        """Go on with a session of another process: carry messages both ways until one side ends.

        Args:
            link: to the client, its hello received.
            slug: of the avatar.
            hello: names the session.

        Returns:
            False if none of them has it; nothing was sent then.
        """
        number = await self._owner(f"/v1/sessions/{hello.resume}")
        if number is None:
            return False
        connector = aiohttp.UnixConnector(str(self._sockets[number]))
        # Leaving the session cuts the connection without a word: for the other side it is lost.
        async with aiohttp.ClientSession("http://sibling", connector=connector) as http:
            try:
                far = await http.ws_connect(f"/{slug}/ws", max_msg_size=0, compress=0)
                await far.send_json(hello.message())
            except (aiohttp.ClientError, OSError):
                return False
            there = asyncio.create_task(_carry(link.socket, far))
            back = asyncio.create_task(_carry(far, link.socket))
            try:
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
                code = link.socket.close_code
                if back.done():
                    there.cancel()  # while it waits, aiohttp does not wait for the client's answer
                    await asyncio.gather(there, return_exceptions=True)
                    await link.close(far.close_code or WSCloseCode.INTERNAL_ERROR, "")
                elif code not in (None, WSCloseCode.ABNORMAL_CLOSURE):
                    await far.close(code=code)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
        return True

    # -- answering for all -----------------------------------------------------------------------

    def middleware(self, is_here: Callable[[str], bool]) -> Middleware:
        """Answers what concerns other processes, too.

        Args:
            is_here: whether this process has the session or the video of that name.
        """

        async def ask_owner(
            request: web.Request, handler: Handler, whose: str
        ) -> web.StreamResponse:
            if is_here(whose.rpartition("/")[2]):
                return await handler(request)
            number = await self._owner(whose)
            return await (handler(request) if number is None else self._pass_on(request, number))

        @web.middleware
        async def through(request: web.Request, handler: Handler) -> web.StreamResponse:
            path = request.path
            if owned := _OWNED.fullmatch(path):
                return await ask_owner(request, handler, owned[1])
            if ended := _TERMINATE.fullmatch(path):
                return await ask_owner(request, handler, f"/v1/sessions/{ended[1]}")
            if request.method == "POST" and _AGENT.fullmatch(path):
                return await self._broadcast(request, handler)
            if request.method == "GET" and (
                _LISTS.fullmatch(path) or path in ("/health", "/ready", "/metrics")
            ):
                return await self._together(request, handler)
            return await handler(request)

        return through

    async def _broadcast(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        answers = await self._ask_all(
            "POST", request.path_qs, body, request.headers.get("Content-Type", "")
        )
        spoken = [json.loads(content)["sessions"] for status, content in answers if status == 200]
        local = await handler(request)
        if not spoken or not isinstance(local, web.Response):
            return local
        if local.status == 200:
            spoken.append(json.loads(local.text or "{}")["sessions"])
        elif local.status != 404:
            return local
        everybody = [session for sessions in spoken for session in sessions]
        return web.json_response({"success": True, "sessions": everybody})

    async def _together(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answers = await self._ask_all("GET", request.path)
        local = await handler(request)
        if not isinstance(local, web.Response):
            return local
        if request.path == "/ready":
            ready = [content for status, content in answers if status == 200]
            return web.Response(body=ready[0]) if local.status != 200 and ready else local
        answered = {
            number: content
            for number, (status, content) in zip(self._sockets, answers, strict=True)
            if status == 200
        }
        mine = local.body if isinstance(local.body, bytes) else b""
        if request.path == "/metrics":
            merged = _metrics({self._number: mine, **answered})
            return web.Response(
                body=merged.encode(), headers={"Content-Type": local.headers["Content-Type"]}
            )
        reports = [json.loads(content) for content in (mine, *answered.values())]
        return web.json_response(_health(reports) if request.path == "/health" else _list(reports))


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _carry(source: _Socket, target: _Socket) -> None:
    """Messages from one socket to another until one of them is closed or lost."""
    with contextlib.suppress(ConnectionError, RuntimeError):
        async for message in source:
            if message.type is WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await target.send_str(message.data)


def _metrics(texts: Mapping[int, bytes]) -> str:
    """Samples of all, told apart by a label; those of a metric stay together."""
    families: dict[str, list[str]] = {}
    for number, text in texts.items():
        first = not families  # all of them describe the same metrics
        family = ""
        for line in text.decode().splitlines():
            if line.startswith("# HELP "):
                family = line.split()[2]
            lines = families.setdefault(family, [])
            if line.startswith("#"):
                if first:
                    lines.append(line)
            elif sample := _SAMPLE.fullmatch(line):
                labels = f'worker="{number}"' + (f",{sample[2]}" if sample[2] else "")
                lines.append(f"{sample[1]}{{{labels}}} {sample[3]}")
    return "\n".join(line for lines in families.values() for line in lines) + "\n"


def _health(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total = dict(reports[0])
    for name in _SUMMED:
        total[name] = sum(report[name] for report in reports)
    total["accepting"] = any(report["accepting"] for report in reports)
    return total


def _list(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"sessions": [session for report in reports for session in report["sessions"]]}
