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
        },
        "paths": {
            "/v1/avatars": {"get": _call("Avatars of this server", _list("avatars", "Avatar"))},
            "/v1/embed-tokens": {
                "post": {
                    "summary": "A token for the page of a site that embeds an avatar",
                    "requestBody": {
                        "required": True,
                        "content": _json(
                            {
                                "avatar": _STRING,
                                "seconds": {"type": "integer", "minimum": 60, "maximum": 604_800},
                            }
                        ),
                    },
                    "responses": {
                        "200": _answer(
                            "Done.",
                            _object(
                                {
                                    "token": _STRING,
                                    "avatar": _STRING,
                                    "expires_at": {"type": "integer"},
                                    "path": _STRING,
                                },
                                *("token", "avatar", "expires_at", "path"),
                            ),
                        )
                    }
                    | {str(code): _REFUSED for code in (400, 404, 413, 422)},
                }
            },
            "/v1/sessions": {"get": _call("Live sessions", _list("sessions", "Session"))},
            "/v1/sessions/{id}": {
                "parameters": [_ID],
                "get": _call("One session", _ref("Session"), 404),
                "delete": {
                    "summary": "End a session",
                    "responses": {"204": {"description": "Ended."}, "404": _REFUSED},
                },
            },
            "/v1/sessions/{id}/speak": _post(
                "Speak a text, or 16-bit mono sound",
                {
                    "application/json": {"schema": _object({"text": _TEXT}, "text")},
                    "audio/pcm": {"schema": {"type": "string", "format": "binary"}},
                },
                202,
                415,
            ),
            "/v1/sessions/{id}/interrupt": _post("Silence it and close its mouth", None),
            "/v1/sessions/{id}/gesture": _post(
                "Begin a gesture, or end it with the name null",
                _json({"name": {"type": ["string", "null"]}, "force": {"type": "boolean"}}, "name"),
            ),
            "/v1/sessions/{id}/emotion": _post(
                "Change the mood; null follows the voice",
                _json({"name": {"type": ["string", "null"]}, "intensity": _span(0, 1)}, "name"),
            ),
            "/v1/sessions/{id}/articulation": _post(
                "How strongly the mouth moves", _json({"value": _span(0.5, 1.5)}, "value")
            ),
            "/v1/sessions/{id}/identity": _post(
                "Give an expression avatar the face of a photo",
                {
                    name: {"schema": {"type": "string", "format": "binary"}}
                    for name in ("image/jpeg", "image/png", "image/webp")
                },
            ),
        },
        "components": {
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
                        "connected": {"type": "boolean"},
                        "mode": {"enum": ["jpeg", "tiles", "h264"]},
                        "speaking": {"type": "boolean"},
                        "queued_seconds": {"type": "number", "minimum": 0},
                        "action": {"type": ["string", "null"]},
                        "articulation": _span(0.5, 1.5),
                    },
                    *("id", "avatar", "connected", "speaking", "queued_seconds", "articulation"),
                ),
                "Error": _object(
                    {
                        "error": _object(
                            {"code": _STRING, "message": _STRING, "hint": _STRING},
                            *("code", "message", "hint"),
                        )
                    },
                    "error",
                ),
            }
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


def _answer(description: str, schema: _Schema) -> _Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_STRING: _Schema = {"type": "string"}
_TEXT: _Schema = {"type": "string", "minLength": 1, "maxLength": 2000}
_COUNT: _Schema = {"type": "integer", "minimum": 1}
_ID: _Schema = {"name": "id", "in": "path", "required": True, "schema": _STRING}
_REFUSED: _Schema = _answer("Refused; the code says why.", _ref("Error"))


def _call(summary: str, schema: _Schema, *refusals: int) -> _Schema:
    answers = {"200": _answer("Done.", schema)}
    return {"summary": summary, "responses": answers | {str(code): _REFUSED for code in refusals}}


def _post(summary: str, content: _Schema | None, done: int = 200, *refusals: int) -> dict[str, Any]:
    refused = (400, 404, 409, 413, 422, 503, *refusals)
    call: _Schema = {
        "summary": summary,
        "responses": {str(done): _answer("Done.", _ref("Session"))}
        | {str(code): _REFUSED for code in refused},
    }
    if content is not None:
        call["requestBody"] = {"required": True, "content": content}
    return {"parameters": [_ID], "post": call}
