"""The HTTP API under ``/v1``: what a page can do to its session, for backends in any language.

Bodies are JSON objects, but for pictures and sound. Every refusal is
``{"error": {"code", "message", "hint"}}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from bithuman_cli.server.client import Client
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.openapi import describe
from bithuman_cli.server.protocol import (
    MAX_MESSAGE_BYTES,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    ProtocolError,
    spoken_text,
)
from bithuman_cli.server.tickets import Tickets
from engine.errors import AvatarError, InvalidAudio, InvalidImage, NotSupported

__all__ = ["routes"]

MAX_IMAGE_BYTES: Final = 10 << 20
_ENDED: Final = 4000
_LONGEST_TICKET: Final = 7 * 24 * 3600
_SOUND: Final = re.compile(r"audio/(?:pcm|l16)(?:\s*;\s*rate=(\d{1,6}))?", re.IGNORECASE)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Refused(Exception):  # noqa: N818 - never seen outside of this module
    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint


def routes(hub: Hub, tickets: Tickets) -> list[web.RouteDef]:
    """The routes of the API."""
    api = _Api(hub, tickets)
    session = "/v1/sessions/{id}"
    return [
        web.get("/v1/openapi.json", _answering(api.openapi)),
        web.get("/v1/avatars", _answering(api.avatars)),
        web.post("/v1/embed-tokens", _answering(api.embed_token)),
        web.get("/v1/sessions", _answering(api.sessions)),
        web.get(session, _answering(api.session)),
        web.delete(session, _answering(api.end)),
        web.post(f"{session}/speak", _answering(api.speak)),
        web.post(f"{session}/interrupt", _answering(api.interrupt)),
        web.post(f"{session}/gesture", _answering(api.gesture)),
        web.post(f"{session}/emotion", _answering(api.emotion)),
        web.post(f"{session}/articulation", _answering(api.articulation)),
        web.post(f"{session}/identity", _answering(api.identity)),
    ]


def _answering(handler: _Handler) -> _Handler:
    """Errors as JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except _Refused as refusal:
            return _error(refusal.status, refusal.code, refusal.message, refusal.hint)
        except ProtocolError as problem:
            return _error(422, problem.code, f"{problem}.")
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "TOO_LARGE", "The body is too large.")
        except AvatarError as problem:
            return _error(_status(problem), problem.code, str(problem), problem.hint)

    return answer


def _status(problem: AvatarError) -> int:
    if isinstance(problem, InvalidImage | InvalidAudio):
        return 422
    if isinstance(problem, NotSupported):
        return 409
    return 503


def _error(status: int, code: str, message: str, hint: str = "") -> web.Response:
    return web.json_response(
        {"error": {"code": code, "message": message, "hint": hint}}, status=status
    )


class _Api:
    def __init__(self, hub: Hub, tickets: Tickets) -> None:
        self._hub = hub
        self._tickets = tickets

    async def openapi(self, request: web.Request) -> web.Response:
        return web.json_response(describe())

    async def avatars(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "avatars": [
                    {
                        "slug": slug,
                        "name": avatar.name,
                        "kind": avatar.kind,
                        "width": avatar.width,
                        "height": avatar.height,
                        "gestures": list(avatar.gestures),
                        "emotions": list(avatar.emotions),
                    }
                    for slug, avatar in self._hub.avatars.items()
                ]
            }
        )

    async def embed_token(self, request: web.Request) -> web.Response:
        fields = await _fields(request)
        slug = _text(fields, "avatar") if "avatar" in fields else self._hub.default
        if slug not in self._hub.avatars:
            raise _Refused(
                404, "NO_AVATAR", "There is no such avatar.", "GET /v1/avatars lists them."
            )
        seconds = _number(fields, "seconds", 60, _LONGEST_TICKET, 3600)
        ticket, expiry = self._tickets.issue(slug, int(seconds))
        return web.json_response(
            {"token": ticket, "avatar": slug, "expires_at": expiry, "path": f"/embed/{slug}/"}
        )

    async def sessions(self, request: web.Request) -> web.Response:
        return web.json_response({"sessions": [_state(c) for c in self._hub.clients.values()]})

    async def session(self, request: web.Request) -> web.Response:
        return web.json_response(_state(self._client(request)))

    async def end(self, request: web.Request) -> web.Response:
        self._hub.end(self._client(request).id, _ENDED, "ended through the API")
        return web.Response(status=204)

    async def speak(self, request: web.Request) -> web.Response:
        client = self._client(request)
        if request.content_type == "application/json":
            client.speak(spoken_text(_text(await _fields(request), "text")))
            return web.json_response(_state(client), status=202)
        sound = _SOUND.fullmatch(request.headers.get("Content-Type", "").strip())
        if sound is None:
            raise _Refused(
                415,
                "MEDIA_TYPE",
                "Send a JSON object with a text, or sound as audio/pcm.",
                "Content-Type: audio/pcm; rate=16000 is 16-bit mono, little-endian.",
            )
        rate = int(sound[1] or 16_000)
        if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise _Refused(422, "SAMPLE_RATE", f"The sample rate cannot be {rate} Hz.")
        pcm = await _body(request, 16 * MAX_MESSAGE_BYTES)
        if not pcm or len(pcm) % 2:
            raise _Refused(422, "BAD_AUDIO", "PCM16 has two bytes for each sample, one or more.")
        await client.push(pcm, rate)
        client.flush()
        return web.json_response(_state(client), status=202)

    async def interrupt(self, request: web.Request) -> web.Response:
        client = self._client(request)
        client.interrupt()
        return web.json_response(_state(client))

    async def gesture(self, request: web.Request) -> web.Response:
        client = self._client(request)
        fields = await _fields(request)
        name = fields.get("name")
        if name is None and "name" in fields:
            client.stop_action()
        else:
            force = fields.get("force", False)
            if not isinstance(force, bool):
                raise _Refused(422, "BAD_FIELD", '"force" must be true or false.')
            client.act(_text(fields, "name"), force)
        return web.json_response(_state(client))

    async def emotion(self, request: web.Request) -> web.Response:
        client = self._client(request)
        fields = await _fields(request)
        name = None if fields.get("name", "") is None else _text(fields, "name")
        client.set_emotion(name, _number(fields, "intensity", 0.0, 1.0, 1.0))
        return web.json_response(_state(client))

    async def articulation(self, request: web.Request) -> web.Response:
        client = self._client(request)
        client.set_articulation(_number(await _fields(request), "value", 0.5, 1.5))
        return web.json_response(_state(client))

    async def identity(self, request: web.Request) -> web.Response:
        client = self._client(request)
        await client.set_identity(await _body(request, MAX_IMAGE_BYTES))
        return web.json_response(_state(client))

    def _client(self, request: web.Request) -> Client:
        client = self._hub.clients.get(request.match_info["id"])
        if client is None:
            raise _Refused(
                404, "NO_SESSION", "There is no such session.", "GET /v1/sessions lists them."
            )
        return client


def _state(client: Client) -> dict[str, Any]:
    session = client.session
    return {
        "id": client.id,
        "avatar": client.slug,
        "connected": client.connected,
        "mode": client.mode,
        "speaking": session.speaking,
        "queued_seconds": round(session.pending, 2),
        "action": session.action,
        "articulation": session.articulation,
    }


async def _body(request: web.Request, limit: int) -> bytes:
    parts = bytearray()
    async for part in request.content.iter_any():
        parts += part
        if len(parts) > limit:
            raise _Refused(413, "TOO_LARGE", f"The body is larger than {limit >> 20} MB.")
    return bytes(parts)


async def _fields(request: web.Request) -> dict[str, Any]:
    try:
        fields = json.loads(await _body(request, 64 << 10))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _Refused(400, "BAD_JSON", "The body must be one JSON object.")
    return fields


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _Refused(422, "BAD_FIELD", f'"{name}" must be a string.')
    return value


def _number(
    fields: dict[str, Any], name: str, low: float, high: float, default: float | None = None
) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _Refused(422, "BAD_FIELD", f'"{name}" must be a number from {low:g} to {high:g}.')
    return float(value)
