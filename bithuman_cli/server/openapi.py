"""The description of the HTTP API, OpenAPI 3.1; served as ``/v1/openapi.json``."""

from __future__ import annotations

from typing import Any

from bithuman_cli import __version__

__all__ = ["describe"]

_Schema = dict[str, Any]


def describe() -> _Schema:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bithuman",
            "version": __version__,
            "summary": "Let the avatars of a running server speak and act.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        # Only servers that were started with a token ask for it.
        "security": [{}, {"token": []}],
        "tags": [
            {"name": "server", "description": "What there is."},
            {"name": "sessions", "description": "One for each viewer; `hello` tells its id."},
            {"name": "videos", "description": "Rendered one at a time, kept for an hour."},
            {"name": "compatible", "description": "Under the names of the hosted service."},
        ],
        "paths": {
            "/v1/avatars": {"get": _get("avatars", "server", "Avatars of this server", _AVATARS)},
            "/v1/embed-tokens": {
                "post": _post(
                    "createEmbedToken",
                    "server",
                    "A token for the page of a site that embeds an avatar",
                    _json({"avatar": _STRING, "seconds": _TICKET_SECONDS}),
                    {200: _TICKET},
                    404,
                )
            },
            "/v1/sessions": {"get": _get("sessions", "sessions", "Live sessions", _SESSIONS)},
            "/v1/sessions/{id}": {
                "parameters": [_ID],
                "get": _get("session", "sessions", "One session", _ref("Session"), 404),
                "delete": _operation("endSession", "sessions", "End a session", _ENDED, 404),
            },
            "/v1/sessions/{id}/speak": _in_session(
                "speak",
                "Speak a text, a sound file of up to five minutes, or raw 16-bit mono sound",
                {**_json({"text": _TEXT}, "text"), **_SOUND, "audio/pcm": _BINARY},
                _CAPTION,
                done=202,
            ),
            "/v1/sessions/{id}/interrupt": _in_session(
                "interrupt", "Silence it and close its mouth", None
            ),
            "/v1/sessions/{id}/heard": _in_session(
                "heard",
                "What the user said, for gestures that answer to words",
                _json({"text": _TEXT}, "text"),
            ),
            "/v1/sessions/{id}/gesture": _in_session(
                "gesture",
                "Begin a gesture, or end it with the name null",
                _json({"name": {"type": ["string", "null"]}, "force": _FLAG}, "name"),
            ),
            "/v1/sessions/{id}/emotion": _in_session(
                "emotion",
                "Change the mood; null follows the voice",
                _json({"name": {"type": ["string", "null"]}, "intensity": _span(0, 1)}, "name"),
            ),
            "/v1/sessions/{id}/articulation": _in_session(
                "articulation",
                "How strongly the mouth moves",
                _json({"value": _span(0.5, 1.5)}, "value"),
            ),
            "/v1/sessions/{id}/identity": _in_session(
                "identity",
                "Give an expression avatar the face of a photo",
                dict.fromkeys(("image/jpeg", "image/png", "image/webp"), _BINARY),
            ),
            "/v1/video/generate": {
                "post": {
                    **_post(
                        "generateVideo",
                        "videos",
                        "Render a text, or a sound file with the options as parameters",
                        {
                            **_either(
                                {
                                    "text": _TEXT,
                                    "input": _object(
                                        {"type": {"const": "text"}, "text": _TEXT}, "text"
                                    ),
                                    **_OPTIONS,
                                    "wait": _FLAG,
                                }
                            ),
                            **_SOUND,
                        },
                        {200: _ref("Video"), 202: _ref("Video")},
                        *(404, 409, 503),
                    ),
                    "parameters": [
                        *(_query(name, schema) for name, schema in _OPTIONS.items()),
                        _query("wait", {"enum": ["true", "false"]}),
                    ],
                }
            },
            "/v1/video/{id}": {
                "parameters": [_ID],
                "get": _get("video", "videos", "How far a video is", _ref("Video"), 404),
                "delete": _operation("deleteVideo", "videos", "Forget a video", _ENDED, 404),
            },
            "/v1/video/{id}/file": {
                "parameters": [_ID],
                "get": _operation(
                    "videoFile",
                    "videos",
                    "The video",
                    {
                        200: {
                            "description": "Done.",
                            "content": {"video/mp4": _BINARY, "video/webm": _BINARY},
                        }
                    },
                    *(404, 409),
                ),
            },
            "/v1/agent/{code}/speak": {
                "parameters": [_CODE],
                "post": _post(
                    "agentSpeak",
                    "compatible",
                    "Speak a text in all sessions of an avatar, or in the one of room_id",
                    _either({"message": _TEXT, "text": _TEXT, "room_id": _STRING}),
                    {200: _SPOKEN},
                    *(404, 409, 503),
                ),
            },
            "/v1/agent/{code}/add-context": {
                "parameters": [_CODE],
                "post": _post(
                    "agentAddContext",
                    "compatible",
                    "Words to be said (speak), or taken as heard (add_context)",
                    _json(
                        {
                            "context": _TEXT,
                            "type": {"enum": ["add_context", "speak"]},
                            "room_id": _STRING,
                        },
                        "context",
                    ),
                    {200: _SPOKEN},
                    *(404, 409, 503),
                ),
            },
            "/v2/{user}/runtime-sessions": {
                "parameters": [_USER],
                "get": _get("runtimeSessions", "compatible", "Live sessions", _SESSIONS),
            },
            "/v2/{user}/runtime-sessions/{id}/terminate": {
                "parameters": [_USER, _ID],
                "post": _operation(
                    "terminateRuntimeSession",
                    "compatible",
                    "End a session",
                    {200: _answer("Done.", _object({"success": _FLAG, "id": _STRING}, "success"))},
                    404,
                ),
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Avatar": _object(
                    {
                        "slug": _STRING,
                        "name": _STRING,
                        "kind": {"enum": ["essence", "expression"]},
                        "width": _COUNT,
                        "height": _COUNT,
                        "gestures": {"type": "array", "items": _STRING},
                        "emotions": {"type": "array", "items": _STRING},
                    },
                    *("slug", "name", "kind", "width", "height", "gestures", "emotions"),
                ),
                "Session": _object(
                    {
                        "id": _STRING,
                        "avatar": _STRING,
                        "connected": _FLAG,
                        "mode": {"enum": ["jpeg", "tiles", "h264"]},
                        "speaking": _FLAG,
                        "queued_seconds": {"type": "number", "minimum": 0},
                        "action": {"type": ["string", "null"]},
                        "articulation": _span(0.5, 1.5),
                    },
                    *("id", "avatar", "connected", "speaking", "queued_seconds", "articulation"),
                ),
                "Video": _object(
                    {
                        "id": _STRING,
                        "job_id": _STRING,
                        "avatar": _STRING,
                        "status": {"enum": ["processing", "completed", "failed"]},
                        "progress": _span(0, 1),
                        "created_at": {"type": "integer"},
                        "url": {"type": ["string", "null"]},
                        "result": {
                            "type": ["object", "null"],
                            "properties": {
                                "bytes": _COUNT,
                                "seconds": {"type": "number"},
                                "width": _COUNT,
                                "height": _COUNT,
                            },
                        },
                        "error": {"type": ["object", "null"]},
                    },
                    *("id", "avatar", "status", "progress", "created_at", "url"),
                ),
                "Error": _object(
                    {
                        "error": _object(
                            {
                                "code": _STRING,
                                "message": _STRING,
                                "hint": _STRING,
                                "httpStatus": _STATUS,
                            },
                            *("code", "message", "hint", "httpStatus"),
                        ),
                        "status": {"const": "error"},
                        "status_code": _STATUS,
                    },
                    *("error", "status", "status_code"),
                ),
            },
        },
    }


def _object(properties: _Schema, *required: str) -> _Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(field: str, item: str) -> _Schema:
    return _object({field: {"type": "array", "items": _ref(item)}}, field)


def _span(low: float, high: float) -> _Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def _json(properties: _Schema, *required: str) -> _Schema:
    return {"application/json": {"schema": _object(properties, *required)}}


def _either(properties: _Schema) -> _Schema:
    """JSON with one of the first two properties, or both."""
    content = _json(properties)
    ways = [{"required": [name]} for name in list(properties)[:2]]
    content["application/json"]["schema"]["anyOf"] = ways
    return content


def _answer(description: str, schema: _Schema) -> _Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _path(name: str, description: str) -> _Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
    }


def _query(name: str, schema: _Schema) -> _Schema:
    return {"name": name, "in": "query", "schema": schema}


_STRING: _Schema = {"type": "string"}
_FLAG: _Schema = {"type": "boolean"}
# Something in it can be said: it is not all spaces and control characters.
_TEXT: _Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 2000,
    "pattern": "[^\\p{C}\\p{Z}]",
    "example": "Good morning!",
}
_COUNT: _Schema = {"type": "integer", "minimum": 1}
_STATUS: _Schema = {"type": "integer", "minimum": 400, "maximum": 599}
_BINARY: _Schema = {"schema": {"type": "string", "format": "binary"}}
_FILE: _Schema = {
    "description": "Done.",
    "content": {"video/mp4": _BINARY, "video/webm": _BINARY},
}
_SOUND: _Schema = dict.fromkeys(("audio/wav", "audio/mpeg", "audio/mp4", "audio/ogg"), _BINARY)
_TICKET_SECONDS: _Schema = {"type": "integer", "minimum": 60, "maximum": 604_800, "default": 3600}
_OPTIONS: _Schema = {
    "avatar": _STRING,
    "format": {"enum": ["mp4", "webm"], "default": "mp4"},
    "quality": {"enum": ["LOW", "MEDIUM", "HIGH"], "default": "MEDIUM"},
    "target_size": {"type": "string", "pattern": "^\\d{2,4}(x\\d{2,4})?$", "example": "720"},
}
_ID: _Schema = _path("id", "Of a session or a video.")
_CODE: _Schema = _path("code", "The slug of an avatar.")
_USER: _Schema = _path("user", "Anything: there are no accounts here.")
_CAPTION: _Schema = _query("text", {**_TEXT, "description": "What the sound says, for captions."})
_AVATARS: _Schema = _list("avatars", "Avatar")
_SESSIONS: _Schema = _list("sessions", "Session")
_TICKET: _Schema = _object(
    {"token": _STRING, "avatar": _STRING, "expires_at": {"type": "integer"}, "path": _STRING},
    *("token", "avatar", "expires_at", "path"),
)
_SPOKEN: _Schema = _object(
    {"success": _FLAG, "sessions": {"type": "array", "items": _STRING}}, "success", "sessions"
)
_ENDED: dict[int, _Schema] = {204: {"description": "Done."}}
_REFUSED: _Schema = _answer("Refused; the code says why.", _ref("Error"))


def _operation(
    name: str, tag: str, summary: str, answers: dict[int, _Schema], *refusals: int
) -> _Schema:
    responses = {str(code): answer for code, answer in answers.items()}
    responses |= {str(code): _REFUSED for code in (401, 403, 429, *refusals)}
    return {"operationId": name, "tags": [tag], "summary": summary, "responses": responses}


def _get(name: str, tag: str, summary: str, schema: _Schema, *refusals: int) -> _Schema:
    return _operation(name, tag, summary, {200: _answer("Done.", schema)}, *refusals)


def _post(
    name: str,
    tag: str,
    summary: str,
    content: _Schema,
    answers: dict[int, _Schema],
    *refusals: int,
) -> _Schema:
    answered = {code: _answer("Done.", schema) for code, schema in answers.items()}
    call = _operation(name, tag, summary, answered, *(400, 408, 413, 415, 422), *refusals)
    return {**call, "requestBody": {"required": True, "content": content}}


def _in_session(
    name: str, summary: str, content: _Schema | None, *parameters: _Schema, done: int = 200
) -> _Schema:
    refusals = (404, 409, 503)
    if content is None:
        answers = {done: _answer("Done.", _ref("Session"))}
        call = _operation(name, "sessions", summary, answers, *refusals)
    else:
        call = _post(name, "sessions", summary, content, {done: _ref("Session")}, *refusals)
    return {"parameters": [_ID, *parameters], "post": call}
