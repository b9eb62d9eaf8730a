"""The HTTP API, over a real socket."""

import asyncio
import json
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import engine
from bithuman_cli import resources
from bithuman_cli.server.app import create_app
from bithuman_cli.server.hub import Hub
from bithuman_cli.server.openapi import describe

PORTRAIT = Path(__file__).parents[2] / "training/showcase/portraits"


async def ask(server, method, path, **options):
    async with server.http.request(method, f"{server.url}v1/{path}", **options) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def test_avatars_and_sessions_are_listed(server):
    status, answer = await ask(server, "GET", "avatars")
    assert status == 200
    assert [a["name"] for a in answer["avatars"]] == ["Test Card"]
    assert (await ask(server, "GET", "sessions")) == (200, {"sessions": []})
    async with server.viewer() as viewer:
        hello = await viewer.control("hello")
        _, answer = await ask(server, "GET", "sessions")
        assert [s["id"] for s in answer["sessions"]] == [hello["session"]]
        status, one = await ask(server, "GET", f"sessions/{hello['session']}")
        assert (status, one["connected"], one["speaking"]) == (200, True, False)


async def test_sound_is_spoken_and_interrupted(server, speech):
    said = speech(4.0)
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        status, answer = await ask(
            server,
            "POST",
            f"sessions/{session}/speak",
            data=said.tobytes(),
            headers={"Content-Type": "audio/pcm; rate=16000"},
        )
        assert status == 202
        assert answer["queued_seconds"] > 3
        frames = []
        while len([f for f in frames if f.audio]) < 5:
            frames += await viewer.frames(1)
        heard = np.frombuffer(b"".join(f.audio for f in frames), np.int16)
        np.testing.assert_array_equal(heard, said[: len(heard)])
        status, answer = await ask(server, "POST", f"sessions/{session}/interrupt")
        assert (status, answer["queued_seconds"]) == (200, 0)
        await viewer.control("interrupted")
        assert not any(f.audio for f in (await viewer.frames(5))[1:])


async def test_ending_a_session(server):
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        assert (await ask(server, "DELETE", f"sessions/{session}"))[0] == 204
        assert await viewer.until_closed() == 4000
    status, answer = await ask(server, "DELETE", f"sessions/{session}")
    assert (status, answer["error"]["code"]) == (404, "NO_SESSION")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("speak", {"text": "hello"}, 409, "VOICE_UNAVAILABLE"),
        ("speak", {"text": "  "}, 422, "TEXT_EMPTY"),
        ("speak", {}, 422, "BAD_FIELD"),
        ("speak", [], 400, "BAD_JSON"),
        ("gesture", {"name": "nod"}, 409, "GESTURE"),
        ("gesture", {"name": "nod", "force": 1}, 422, "BAD_FIELD"),
        ("emotion", {"name": "joy"}, 409, "EMOTION"),
        ("emotion", {"name": "joy", "intensity": 2}, 422, "BAD_FIELD"),
        ("articulation", {"value": 3}, 422, "BAD_FIELD"),
        ("heard", {"text": 5}, 422, "BAD_FIELD"),
        ("identity", {}, 409, "IDENTITY"),
    ],
)
async def test_refusals_say_why(server, path, body, status, code):
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        got, answer = await ask(server, "POST", f"sessions/{session}/{path}", json=body)
        assert (got, answer["error"]["code"]) == (status, code)
        assert answer["error"]["message"]
        await viewer.frames(2)


async def test_sound_of_other_kinds_is_refused(server):
    async with server.viewer() as viewer:
        session = (await viewer.control("hello"))["session"]
        for kind, data, status in (
            ("text/plain", b"12", 415),
            ("audio/pcm", b"1", 422),
            ("audio/pcm; rate=7", b"12", 422),
            ("audio/pcm", bytes(17 << 20), 413),
        ):
            got, _ = await ask(
                server,
                "POST",
                f"sessions/{session}/speak",
                data=data,
                headers={"Content-Type": kind},
            )
            assert got == status, kind
        got, answer = await ask(
            server, "POST", f"sessions/{session}/articulation", json={"value": 1.3}
        )
        assert (got, answer["articulation"]) == (200, 1.3)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=60), path=st.sampled_from(["speak", "gesture", "emotion"]))
def test_no_body_is_an_internal_error(avatar, body, path):
    async def run():
        hub = Hub({"card": avatar}, voice=None, max_sessions=2)
        app = create_app(hub, page=resources.find("web"), bound="127.0.0.1")
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(f"http://127.0.0.1:{port}/ws") as socket,
            ):
                await socket.send_json({"type": "hello", "protocol": 2, "modes": ["jpeg"]})
                hello = await socket.receive_json()
                url = f"http://127.0.0.1:{port}/v1/sessions/{hello['session']}/{path}"
                async with http.post(
                    url, data=body, headers={"Content-Type": "application/json"}
                ) as answer:
                    assert answer.status < 500 or answer.status == 503
        finally:
            await runner.cleanup()

    asyncio.run(run())


async def test_the_description_matches_the_routes(server):
    status, described = await ask(server, "GET", "openapi.json")
    assert (status, described) == (200, describe())
    app = create_app(server.hub, page=resources.find("web"), bound="127.0.0.1")
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource
        and route.resource.canonical.startswith(("/v1/", "/v2/"))
        and route.method != "HEAD"
    }
    written = {
        (method, path)
        for path, methods in described["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert served - written == {("get", "/v1/openapi.json")}
    assert written <= served


async def test_every_refusal_looks_the_same(start_server):
    server = await start_server(token="0123456789abcdef")
    bearer = {"Authorization": "Bearer 0123456789abcdef"}
    for method, path, headers, status, code in (
        ("GET", "sessions", {}, 401, "UNAUTHORISED"),
        ("GET", "sessions", {"Host": "evil.example"}, 403, "FORBIDDEN"),
        ("GET", "nothing", bearer, 404, "NOT_FOUND"),
        ("PUT", "sessions", bearer, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "sessions/none", bearer, 404, "NO_SESSION"),
        ("GET", "video/none", bearer, 404, "NOT_FOUND"),
        ("GET", "video/0123456789abcdef", bearer, 404, "NO_VIDEO"),
    ):
        got, answer = await ask(server, method, path, headers=headers)
        assert got == status, path
        assert set(answer) == {"error", "status", "status_code"}
        assert set(answer["error"]) == {"code", "message", "hint", "httpStatus"}
        assert (answer["error"]["code"], answer["status_code"]) == (code, status)
        assert answer["error"]["message"].endswith(".")


async def test_the_names_of_the_hosted_service(server):
    assert (await ask(server, "POST", "agent/card/speak", json={"text": "hi"}))[0] == 404
    async with server.viewer() as viewer, server.viewer() as other:
        session = (await viewer.control("hello"))["session"]
        await other.control("hello")
        status, answer = await ask(server, "POST", "agent/card/speak", json={"message": "hi"})
        assert (status, answer["error"]["code"]) == (409, "VOICE_UNAVAILABLE")
        context = {"context": "The visitor likes tea.", "room_id": session}
        status, answer = await ask(server, "POST", "agent/card/add-context", json=context)
        assert (status, answer) == (200, {"success": True, "sessions": [session]})
        del context["room_id"]
        _, answer = await ask(server, "POST", "agent/card/add-context", json=context)
        assert len(answer["sessions"]) == 2
        _, answer = await ask(server, "POST", "agent/nobody/speak", json={"message": "hi"})
        assert answer["error"]["code"] == "NO_AVATAR"
        status, answer = await ask(server, "GET", "../v2/me/runtime-sessions")
        assert len(answer["sessions"]) == 2
        status, answer = await ask(server, "POST", f"../v2/me/runtime-sessions/{session}/terminate")
        assert (status, answer["success"]) == (200, True)
        assert await viewer.until_closed() == 4000


async def test_an_expression_avatar_acts_and_takes_another_face(start_server):
    with engine.open(PORTRAIT / "modern-court-jester.webp", model="expression") as live:
        server = await start_server(avatars={"live": live})
        async with server.viewer() as viewer:
            hello = await viewer.control("hello")
            assert hello["avatar"]["kind"] == "expression"
            assert "nod" in hello["avatar"]["gestures"]
            assert "joy" in hello["avatar"]["emotions"]
            at = f"sessions/{hello['session']}"
            assert (await ask(server, "POST", f"{at}/emotion", json={"name": "joy"}))[0] == 200
            status, answer = await ask(server, "POST", f"{at}/gesture", json={"name": "nod"})
            assert (status, answer["action"]) == (200, "nod")
            assert (await viewer.control("action"))["gesture"] == "nod"
            before = (await viewer.frames(2))[-1].index
            photo = (PORTRAIT / "studio-host.webp").read_bytes()
            assert (await ask(server, "POST", f"{at}/identity", data=photo))[0] == 200
            await viewer.control("identity")
            assert (await viewer.frames(2))[-1].index > before
            status, answer = await ask(server, "POST", f"{at}/identity", data=b"no picture")
            assert status == 422
            assert answer["error"]["message"]
            await viewer.frames(2)


async def test_metrics_and_readiness(start_server, speech):
    server = await start_server(max_sessions=1)

    async def text(path):
        async with server.http.get(server.url + path) as response:
            return response.status, await response.text()

    assert await text("ready") == (200, "ready\n")
    async with server.viewer() as viewer:
        await viewer.socket.send_bytes(speech(0.4).tobytes())
        await viewer.send(type="flush")
        await viewer.utterance()
        assert (await text("ready"))[0] == 503
        _, metrics = await text("metrics")
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    assert all(family.documentation for family in families.values())

    def value(name):
        return families[name].samples[0].value

    assert value("bithuman_sessions") == 1
    assert families["bithuman_frames_sent"].type == "counter"
    assert value("bithuman_frames_sent") > 5
    assert value("bithuman_frames_late") >= 0
    assert value("bithuman_frames_dropped") >= 0
    assert value("bithuman_resident_memory_bytes") > 30e6
    for name in ("audio_lag", "encode", "network"):
        histogram = families[f"bithuman_{name}_milliseconds"]
        assert histogram.type == "histogram"
        buckets = [s.value for s in histogram.samples if s.name.endswith("_bucket")]
        (count,) = (s.value for s in histogram.samples if s.name.endswith("_count"))
        assert buckets == sorted(buckets)
        assert buckets[-1] == count > 0


async def test_metrics_say_what_a_crowd_got(start_server, speech):
    server = await start_server(max_sessions=24)
    said = speech(1.6)
    everybody = asyncio.Event()
    received = []

    async def watch(mode):
        async with server.viewer({"modes": [mode]}) as viewer:
            await viewer.socket.send_bytes(said.tobytes())
            await viewer.send(type="flush")
            received.extend(await viewer.utterance())
            await viewer.send(type="pictures", enabled=False)
            if len([f for f in received if f.end_of_speech]) == 24:
                everybody.set()
            reading = asyncio.create_task(viewer.until_closed(60))
            await everybody.wait()
            reading.cancel()

    async def samples():
        async with server.http.get(f"{server.url}metrics") as response:
            families = text_string_to_metric_families(await response.text())
            return {s.name: s.value for family in families for s in family.samples if not s.labels}

    crowd = [asyncio.create_task(watch("tiles" if n % 3 else "jpeg")) for n in range(24)]
    async with asyncio.timeout(20):
        while server.hub.sessions < 24:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with server.viewer():
            pass
    during = await samples()
    assert during["bithuman_sessions"] == during["bithuman_max_sessions"] == 24
    await asyncio.gather(*crowd)
    after = await samples()
    assert after["bithuman_sessions_begun_total"] == 24
    assert after["bithuman_sessions_refused_total"] == 1
    assert len([f for f in received if f.audio]) == 24 * 40
    # Those between the end of speech and the wish for no more pictures are not in the list.
    assert 0 <= after["bithuman_frames_sent_total"] - len(received) < 24 * 25
    assert after["bithuman_audio_lag_milliseconds_count"] == 24
    assert after["bithuman_encode_milliseconds_count"] >= 8 * 40
    turns = after["bithuman_network_milliseconds_count"]
    assert len(received) / 24 <= turns


async def test_several_avatars_have_a_gallery_and_paths(start_server, avatar):
    server = await start_server(avatars={"one": avatar, "two": avatar})
    async with server.http.get(server.url) as response:
        page = await response.text()
    assert "/one/" in page
    assert "/two/poster.jpg" in page
    assert "AI-generated" in page
    for path, status in (("one/", 200), ("two/poster.jpg", 200), ("three/", 404), ("one", 200)):
        async with server.http.get(server.url + path) as response:
            assert response.status == status, path
    for path, code in (("three/", "NO_AVATAR"), ("three/ws", "NO_AVATAR"), ("a/b/c", "NOT_FOUND")):
        async with server.http.get(server.url + path) as response:
            problem = (await response.json())["error"]
            assert (response.status, problem["code"], problem["httpStatus"]) == (404, code, 404)
        browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        async with server.http.get(server.url + path, headers=browser) as response:
            assert (response.status, response.content_type) == (404, "text/html")
            assert problem["message"].removesuffix(".") in await response.text()
            assert response.headers["X-Frame-Options"] == "DENY"
    async with server.http.ws_connect(f"{server.url}two/ws") as socket:
        await socket.send_json({"type": "hello", "protocol": 2, "modes": ["jpeg"]})
        assert (await socket.receive_json())["avatar"]["slug"] == "two"
