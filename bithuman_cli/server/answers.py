"""How the HTTP API reads requests and refuses them.

Every refusal under ``/v1`` and ``/v2`` is ``{"error": {"code", "message", "hint", "httpStatus"},
"status": "error", "status_code"}``; the last three are where clients of the hosted service look.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from bithuman_cli.server import pages
from bithuman_cli.server.protocol import ProtocolError
from engine.errors import AvatarError, InvalidAudio, InvalidImage, NotSupported

__all__ = [
    "ApiHandler",
    "NoAvatar",
    "Refused",
    "answering",
    "body",
    "fields",
    "flag",
    "json_errors",
    "number",
    "refusal",
    "text",
    "wants_page",
]

_LOG = logging.getLogger(__name__)

ApiHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_API: Final = ("/v1/", "/v2/")
_CODES: Final = {
    401: "UNAUTHORISED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    429: "RATE_LIMITED",
}
_STATUSES: Final = {"VOICE_UNAVAILABLE": 409, "TOO_MANY_TEXTS": 429, "AUDIO_BUFFER_FULL": 429}
_RETRY_SECONDS: Final = 5
_MESSAGES: Final = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The body is too large.",
}


class Refused(Exception):  # noqa: N818 - becomes an answer, not a traceback
    """A request that is answered with an error."""

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint
        self.retry_after = retry_after


class NoAvatar(web.HTTPNotFound):
    """A path names an avatar that is not here."""

    def __init__(self) -> None:
        super().__init__(text="There is no avatar of that name here.")


def refusal(
    status: int, code: str, message: str, hint: str = "", retry_after: int | None = None
) -> web.Response:
    """The answer to a request that is refused."""
    error = {"code": code, "message": message, "hint": hint, "httpStatus": status}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response(
        {"error": error, "status": "error", "status_code": status}, status=status, headers=headers
    )


def answering(handler: ApiHandler) -> ApiHandler:
    """A handler whose errors become answers."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return refusal(
                refused.status, refused.code, refused.message, refused.hint, refused.retry_after
            )
        except ProtocolError as problem:
            return refusal(422, problem.code, f"{problem}.")
        except AvatarError as problem:
            status = _status(problem)
            wait = _RETRY_SECONDS if status in (429, 503) else None
            return refusal(status, problem.code, _sentence(problem), problem.hint, wait)

    return answer


def wants_page(request: web.Request) -> bool:
    """Whether a person waits for the answer, in a browser."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def _nothing_there(request: web.Request, error: web.HTTPNotFound) -> web.Response:
    """A page for people; for programs, what the API says."""
    text = (error.text or "").strip()
    message = _MESSAGES[404] if text.startswith("404") else text  # aiohttp's own is terse
    if wants_page(request):
        answer = web.Response(status=404, text=pages.not_found(message), content_type="text/html")
    elif isinstance(error, NoAvatar):
        answer = refusal(404, "NO_AVATAR", message, "GET /v1/avatars lists them.")
    else:
        answer = refusal(404, _CODES[404], message)
    answer.headers["Vary"] = "Accept"
    return answer


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: what is refused before it reaches the API looks like its other refusals."""
    if not request.path.startswith(_API):
        try:
            return await handler(request)
        except web.HTTPNotFound as error:
            return _nothing_there(request, error)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = _CODES.get(error.status, "REFUSED")
        message = _MESSAGES.get(error.status) or (error.text or error.reason).strip()
        answer = refusal(error.status, code, message)
        for name in ("Allow", "Retry-After", "WWW-Authenticate"):
            if name in error.headers:
                answer.headers[name] = error.headers[name]
        return answer
    except ConnectionError:
        raise
    except Exception:
        _LOG.exception("%s %s failed", request.method, request.path)
        return refusal(500, "INTERNAL", "Something went wrong here; the log of the server tells.")


def _status(problem: AvatarError) -> int:
    if problem.code in _STATUSES:
        return _STATUSES[problem.code]
    if isinstance(problem, InvalidImage | InvalidAudio):
        return 422
    if isinstance(problem, NotSupported):
        return 409
    return 503


def _sentence(problem: AvatarError) -> str:
    message = str(problem)
    return message[:1].upper() + message[1:].removesuffix(".") + "."


async def body(request: web.Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        Refused: ``TOO_LARGE``.
    """
    parts = bytearray()
    async for part in request.content.iter_any():
        parts += part
        if len(parts) > limit:
            raise Refused(413, "TOO_LARGE", f"The body is larger than {_size(limit)}.")
    return bytes(parts)


def _size(limit: int) -> str:
    return f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit >> 10} kB"


async def fields(request: web.Request) -> dict[str, Any]:
    """The body as JSON object.

    Raises:
        Refused: ``MEDIA_TYPE`` or ``BAD_JSON``.
        HTTPRequestEntityTooLarge: it is.
    """
    if request.content_type != "application/json":
        raise Refused(415, "MEDIA_TYPE", "Send a JSON object.", "Content-Type: application/json")
    try:
        # Kept by the request, for whoever reads it again; 64 kB at most, see ``create_app``.
        found = json.loads(await request.read())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "BAD_JSON", "The body must be one JSON object.")
    return found


def text(found: dict[str, Any], name: str) -> str:
    """A field that is a string.

    Raises:
        Refused: ``BAD_FIELD``.
    """
    value = found.get(name)
    if not isinstance(value, str):
        raise Refused(422, "BAD_FIELD", f'"{name}" must be a string.')
    return value


def flag(found: dict[str, Any], name: str, default: bool = False) -> bool:
    """A field that is true or false.

    Raises:
        Refused: ``BAD_FIELD``.
    """
    value = found.get(name, default)
    if not isinstance(value, bool):
        raise Refused(422, "BAD_FIELD", f'"{name}" must be true or false.')
    return value


def number(
    found: dict[str, Any], name: str, low: float, high: float, default: float | None = None
) -> float:
    """A field that is a number within a range.

    Raises:
        Refused: ``BAD_FIELD``.
    """
    value = found.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused(422, "BAD_FIELD", f'"{name}" must be a number from {low:g} to {high:g}.')
    return float(value)
