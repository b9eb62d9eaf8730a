"""The HTTP API under ``/v1``: what a page can do to its session, for backends in any language.

Bodies are JSON objects, but for pictures and sound. See ``answers`` for refusals, ``openapi`` for
the description that is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any, Final

from aiohttp import web

from bithuman_cli.server.answers import (
    Refused,
    answering,
    body,
    fields,
    flag,
    number,
    text,
)
from bithuman_cli.server.client import Client
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.openapi import describe
from bithuman_cli.server.protocol import (
    MAX_MESSAGE_BYTES,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    spoken_text,
)
from bithuman_cli.server.tickets import Tickets
from bithuman_cli.server.uploads import Uploads
from bithuman_cli.server.video import TRACK_RATE, Job, Jobs
from bithuman_cli.server.voice import INSTALL_HINT, Voice
from engine.coefficients import SAMPLE_RATE
from engine.errors import NotSupported

__all__ = ["Api"]

_ENDED: Final = 4000
_LONGEST_TICKET: Final = 7 * 24 * 3600
_LONGEST_WAIT: Final = 120.0  # seconds that a request waits for its video
_RAW: Final = re.compile(r"audio/(?:pcm|l16)(?:\s*;\s*rate=(\d{1,6}))?", re.IGNORECASE)
_FILE: Final = re.compile(r"(?:audio|video)/[\w.+-]+|application/(?:ogg|octet-stream)")
_CONTAINERS: Final = ("mp4", "webm")
_QUALITIES: Final = ("LOW", "MEDIUM", "HIGH")
_SIZE: Final = re.compile(r"\d{2,4}(?:x\d{2,4})?")
_LARGEST_SIDE: Final = 1920


class Api:
    """The handlers.

    Args:
        hub: the sessions.
        tickets: issues tokens for sites that embed avatars.

    Attributes:
        jobs: videos; to be closed in the end.
    """

    def __init__(self, hub: Hub, tickets: Tickets) -> None:
        self._hub = hub
        self._tickets = tickets
        self._uploads = Uploads()
        self.jobs = Jobs()

    def routes(self) -> list[web.RouteDef]:
        """The routes of the API."""
        session = "/v1/sessions/{id}"
        video = "/v1/video/{id:[0-9a-f]{16}}"
        return [
            web.get("/v1/openapi.json", answering(self.openapi)),
            web.get("/v1/avatars", answering(self.avatars)),
            web.post("/v1/embed-tokens", answering(self.embed_token)),
            web.get("/v1/sessions", answering(self.sessions)),
            web.get(session, answering(self.session)),
            web.delete(session, answering(self.end)),
            web.post(f"{session}/speak", answering(self.speak)),
            web.post(f"{session}/interrupt", answering(self.interrupt)),
            web.post(f"{session}/heard", answering(self.heard)),
            web.post(f"{session}/gesture", answering(self.gesture)),
            web.post(f"{session}/emotion", answering(self.emotion)),
            web.post(f"{session}/articulation", answering(self.articulation)),
            web.post(f"{session}/identity", answering(self.identity)),
            web.post("/v1/video/generate", answering(self.generate)),
            web.get(video, answering(self.video)),
            web.delete(video, answering(self.remove_video)),
            web.get(f"{video}/file", answering(self.video_file)),
            # Under the names of the hosted service.
            web.post("/v1/agent/{code}/speak", answering(self.agent_speak)),
            web.post("/v1/agent/{code}/add-context", answering(self.agent_context)),
            web.get("/v2/{user}/runtime-sessions", answering(self.sessions)),
            web.post("/v2/{user}/runtime-sessions/{id}/terminate", answering(self.terminate)),
        ]

    # -- the server ------------------------------------------------------------------------------

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of all of this."""
        return web.json_response(describe())

    async def avatars(self, request: web.Request) -> web.Response:
        """Who can be talked to."""
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
        """A token for the page of a site that embeds an avatar."""
        found = await fields(request)
        slug = self._slug(found)
        seconds = number(found, "seconds", 60, _LONGEST_TICKET, 3600)
        ticket, expiry = self._tickets.issue(slug, int(seconds))
        return web.json_response(
            {"token": ticket, "avatar": slug, "expires_at": expiry, "path": f"/embed/{slug}/"}
        )

    # -- sessions --------------------------------------------------------------------------------

    async def sessions(self, request: web.Request) -> web.Response:
        """All of them."""
        return web.json_response({"sessions": [_state(c) for c in self._hub.clients.values()]})

    async def session(self, request: web.Request) -> web.Response:
        """One of them."""
        return web.json_response(_state(self._client(request)))

    async def end(self, request: web.Request) -> web.Response:
        """End one."""
        self._hub.end(self._client(request).id, _ENDED, "ended through the API")
        return web.Response(status=204)

    async def terminate(self, request: web.Request) -> web.Response:
        """The same, as the hosted service calls it."""
        client = self._client(request)
        self._hub.end(client.id, _ENDED, "ended through the API")
        return web.json_response({"success": True, "id": client.id})

    async def speak(self, request: web.Request) -> web.Response:
        """Say a text, a file, or raw sound."""
        client = self._client(request)
        if request.content_type == "application/json":
            client.speak(spoken_text(text(await fields(request), "text")))
            return web.json_response(_state(client), status=202)
        client.check_open()
        words = request.query.get("text")
        caption = None if words is None else spoken_text(words)
        kind = request.headers.get("Content-Type", "").strip()
        if raw := _RAW.fullmatch(kind):
            rate = int(raw[1] or SAMPLE_RATE)
            if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
                raise Refused(422, "SAMPLE_RATE", f"The sample rate cannot be {rate} Hz.")
            pcm = await body(request, 16 * MAX_MESSAGE_BYTES)
            if not pcm or len(pcm) % 2:
                raise Refused(422, "BAD_AUDIO", "PCM16 has two bytes for each sample, one or more.")
        elif _FILE.fullmatch(request.content_type):
            pcm, rate = await self._uploads.audio(request), SAMPLE_RATE
        else:
            raise Refused(
                415,
                "MEDIA_TYPE",
                "Send a JSON object with a text, a sound file, or raw sound.",
                "Content-Type: audio/mpeg for example, or audio/pcm; rate=16000 for 16-bit mono.",
            )
        if caption is not None:
            client.spoken(caption)
        await client.push(pcm, rate)
        client.flush()
        return web.json_response(_state(client), status=202)

    async def interrupt(self, request: web.Request) -> web.Response:
        """Silence it."""
        client = self._client(request)
        client.interrupt()
        return web.json_response(_state(client))

    async def heard(self, request: web.Request) -> web.Response:
        """Tell it what the user said."""
        client = self._client(request)
        client.heard(spoken_text(text(await fields(request), "text")))
        return web.json_response(_state(client))

    async def gesture(self, request: web.Request) -> web.Response:
        """Begin or end a gesture."""
        client = self._client(request)
        found = await fields(request)
        force = flag(found, "force")
        if "name" in found and found["name"] is None:
            client.stop_action()
        else:
            client.act(text(found, "name"), force)
        return web.json_response(_state(client))

    async def emotion(self, request: web.Request) -> web.Response:
        """Change its mood."""
        client = self._client(request)
        found = await fields(request)
        intensity = number(found, "intensity", 0.0, 1.0, 1.0)
        name = None if found.get("name", "") is None else text(found, "name")
        client.set_emotion(name, intensity)
        return web.json_response(_state(client))

    async def articulation(self, request: web.Request) -> web.Response:
        """How strongly the mouth moves."""
        client = self._client(request)
        client.set_articulation(number(await fields(request), "value", 0.5, 1.5))
        return web.json_response(_state(client))

    async def identity(self, request: web.Request) -> web.Response:
        """Another face."""
        client = self._client(request)
        if not client.swappable:
            raise NotSupported(
                "The face of this avatar cannot be replaced while it plays.",
                code="IDENTITY",
                hint="Start the server with a photo and --model expression.",
            )
        await client.set_identity(await self._uploads.image(request))
        return web.json_response(_state(client))

    # -- videos ----------------------------------------------------------------------------------

    async def generate(self, request: web.Request) -> web.Response:
        """Begin a video: of a text in JSON, or of a sound file with the options in the query."""
        pcm = words = None
        if request.content_type == "application/json":
            found = await fields(request)
            spoken = found.get("input", found)
            if not isinstance(spoken, dict):
                raise Refused(422, "BAD_FIELD", '"input" must be an object.')
            if "audio_url" in spoken or spoken.get("type", "text") != "text":
                raise Refused(
                    422,
                    "BAD_FIELD",
                    "This server fetches nothing from elsewhere.",
                    "Send the sound file itself as the body, its type in Content-Type.",
                )
            words = spoken_text(text(spoken, "text"))
            if not Voice.available():
                raise Refused(409, "VOICE_UNAVAILABLE", "No voice is installed here.", INSTALL_HINT)
        elif _FILE.fullmatch(request.content_type):
            found = {**request.query}
            if "wait" in found:
                found["wait"] = found["wait"] not in ("", "0", "false")
        else:
            raise Refused(
                415,
                "MEDIA_TYPE",
                "Send a JSON object with a text, or a sound file.",
                "Content-Type: audio/mpeg for example.",
            )
        slug, wait = self._slug(found), flag(found, "wait")
        quality = text({"quality": "MEDIUM", **found}, "quality").upper()
        if quality not in _QUALITIES:
            raise Refused(422, "BAD_FIELD", f'"quality" must be one of {", ".join(_QUALITIES)}.')
        container = text({"format": "mp4", **found}, "format")
        if container not in _CONTAINERS:
            raise Refused(422, "BAD_FIELD", f'"format" must be one of {", ".join(_CONTAINERS)}.')
        size = _target_size(found)
        if words is None:
            pcm = await self._uploads.audio(request, TRACK_RATE)
        job = self.jobs.submit(
            slug,
            self._hub.avatars[slug],
            text=words,
            pcm=pcm,
            quality=quality,
            target_size=size,
            container=container,
        )
        if wait:
            with contextlib.suppress(TimeoutError):  # the answer says that it goes on
                await asyncio.wait_for(job.over.wait(), _LONGEST_WAIT)
        return web.json_response(_video(job), status=202 if job.status == "processing" else 200)

    async def video(self, request: web.Request) -> web.Response:
        """How far a video is."""
        return web.json_response(_video(self.jobs.find(request.match_info["id"])))

    async def remove_video(self, request: web.Request) -> web.Response:
        """Forget a video, finished or not."""
        self.jobs.remove(self.jobs.find(request.match_info["id"]))
        return web.Response(status=204)

    async def video_file(self, request: web.Request) -> web.StreamResponse:
        """The video itself."""
        job = self.jobs.find(request.match_info["id"])
        if job.status != "completed":
            raise Refused(409, "NOT_COMPLETED", f"The video is {job.status}.")
        kind = job.file.suffix.removeprefix(".")
        name = f'attachment; filename="{job.slug}-{job.id}.{kind}"'
        headers = {"Content-Type": f"video/{kind}", "Content-Disposition": name}
        return web.FileResponse(job.file, headers=headers)

    # -- names of the hosted service -------------------------------------------------------------

    async def agent_speak(self, request: web.Request) -> web.Response:
        """Say a text in all sessions of an avatar, or in one."""
        found = await fields(request)
        words = spoken_text(text(found, "message" if "message" in found else "text"))
        clients = self._audience(request, found)
        for client in clients:
            client.speak(words)
        return web.json_response({"success": True, "sessions": [client.id for client in clients]})

    async def agent_context(self, request: web.Request) -> web.Response:
        """Words to be said (type ``speak``) or taken as heard: there is no language model here."""
        found = await fields(request)
        words = spoken_text(text(found, "context"))
        kind = text({"type": "add_context", **found}, "type")
        if kind not in ("add_context", "speak"):
            raise Refused(422, "BAD_FIELD", '"type" must be add_context or speak.')
        clients = self._audience(request, found)
        for client in clients:
            if kind == "speak":
                client.speak(words)
            else:
                client.heard(words)
        return web.json_response({"success": True, "sessions": [client.id for client in clients]})

    def _audience(self, request: web.Request, found: dict[str, Any]) -> list[Client]:
        code = request.match_info["code"]
        room = text(found, "room_id") if "room_id" in found else None
        if code not in self._hub.avatars:
            raise _no_avatar()
        clients = [
            client
            for client in self._hub.clients.values()
            if client.slug == code and room in (None, client.id)
        ]
        if not clients:
            raise Refused(404, "NO_SESSION", "Nobody watches this avatar.")
        return clients

    # -- what requests name ----------------------------------------------------------------------

    def _client(self, request: web.Request) -> Client:
        client = self._hub.clients.get(request.match_info["id"])
        if client is None:
            raise Refused(
                404, "NO_SESSION", "There is no such session.", "GET /v1/sessions lists them."
            )
        return client

    def _slug(self, found: dict[str, Any]) -> str:
        for name in ("avatar", "agent_code", "agent_id"):
            if name in found:
                slug = text(found, name)
                if slug not in self._hub.avatars:
                    raise _no_avatar()
                return slug
        return self._hub.default


def _no_avatar() -> Refused:
    return Refused(404, "NO_AVATAR", "There is no such avatar.", "GET /v1/avatars lists them.")


def _target_size(found: dict[str, Any]) -> str | None:
    if "target_size" not in found:
        return None
    size = text(found, "target_size")
    if not _SIZE.fullmatch(size) or max(map(int, size.split("x"))) > _LARGEST_SIDE:
        raise Refused(
            422,
            "BAD_FIELD",
            f'"target_size" must be like "720" or "720x1280", {_LARGEST_SIDE} at most.',
        )
    return size


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


def _video(job: Job) -> dict[str, Any]:
    done = job.status == "completed"
    return {
        "id": job.id,
        "job_id": job.id,
        "avatar": job.slug,
        "status": job.status,
        "progress": job.progress,
        "created_at": int(job.created),
        "url": f"/v1/video/{job.id}/file" if done else None,
        "result": job.result if done else None,
        "error": job.error,
    }
