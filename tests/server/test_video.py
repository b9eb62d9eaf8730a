"""Videos on request, over a real socket, rendered by a real process."""

import asyncio
import io
import wave
from pathlib import Path

import av
import pytest

import engine
from bithuman_cli.server.answers import Refused
from bithuman_cli.server.voice import Voice

SECONDS = 1.2
PORTRAITS = Path(__file__).parents[2] / "training/showcase/portraits"


@pytest.fixture
def recording(speech):
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 24_000, 0, "NONE", ""))
        wav.writeframes(speech(SECONDS, 24_000).tobytes())
    return file.getvalue()


def is_private(path):
    return path.exists() and path.stat().st_mode & 0o077 == 0


def names_in(directory):
    return [path.name for path in directory.iterdir()]


async def ask(server, method, path, **options):
    async with server.http.request(method, f"{server.url}v1/video/{path}", **options) as response:
        kind = response.content_type
        return response.status, await (
            response.json() if kind == "application/json" else response.read()
        )


async def generate(server, recording, **query):
    headers = {"Content-Type": "audio/wav"}
    return await ask(server, "POST", "generate", data=recording, headers=headers, params=query)


async def finished(server, job):
    async with asyncio.timeout(60):
        while True:
            status, answer = await ask(server, "GET", job)
            assert status == 200
            if answer["status"] != "processing":
                return answer
            await asyncio.sleep(0.1)


async def test_a_video_is_rendered_while_sessions_go_on(server, recording, tmp_path):
    async with server.viewer() as viewer:
        await viewer.control("hello")
        status, job = await generate(server, recording, quality="low", target_size="128")
        assert (status, job["status"], job["url"]) == (202, "processing", None)
        status, answer = await ask(server, "GET", f"{job['id']}/file")
        assert (status, answer["error"]["code"]) == (409, "NOT_COMPLETED")
        done = await finished(server, job["id"])
        assert done["status"] == "completed", done["error"]
        assert done["progress"] == 1
        assert done["result"]["width"] == done["result"]["height"] == 128
        await viewer.frames(2)
    status, video = await ask(server, "GET", f"{job['id']}/file")
    assert (status, len(video)) == (200, done["result"]["bytes"])
    with av.open(io.BytesIO(video)) as file:
        assert file.streams.video[0].width == 128
        assert file.streams.audio[0].rate == 48_000
        assert float(file.duration / av.time_base) == pytest.approx(SECONDS, abs=0.06)
        assert "AI-generated" in file.metadata["comment"]
    directory = server.jobs.find(job["id"]).directory
    assert is_private(directory)
    assert is_private(directory.parent)
    assert (await ask(server, "DELETE", job["id"]))[0] == 204
    assert not is_private(directory)  # nor anything else: it is gone
    assert (await ask(server, "GET", job["id"]))[0] == 404


async def test_a_video_has_the_background_of_the_server(start_server, recording, tmp_path):
    portrait = PORTRAITS / "studio-host.webp"
    with engine.open(portrait, model="expression", background="#00ff00") as live:
        server = await start_server(avatars={"live": live})
        _, job = await generate(server, recording, wait="true", quality="LOW", format="webm")
        assert job["status"] == "completed", job["error"]
        _, video = await ask(server, "GET", f"{job['id']}/file")
    with av.open(io.BytesIO(video)) as file:
        assert file.format.name == "matroska,webm"
        picture = next(file.decode(video=0)).to_ndarray(format="rgb24")
    red, green, blue = picture[4, 4].astype(int)
    assert green > red + 100
    assert green > blue + 100


async def test_it_can_be_waited_for(server, recording):
    status, job = await generate(server, recording, wait="true", quality="LOW", avatar="card")
    assert (status, job["status"], job["avatar"]) == (200, "completed", "card")


async def test_a_video_is_given_up_when_nobody_wants_it_any_more(server, recording, children):
    _, first = await generate(server, recording)
    _, second = await generate(server, recording)
    async with asyncio.timeout(20):
        while not children():  # noqa: ASYNC110 - of the system, no event tells
            await asyncio.sleep(0.01)
    assert (await ask(server, "DELETE", first["id"]))[0] == 204
    assert (await finished(server, second["id"]))["status"] == "completed"
    kept = server.jobs.find(second["id"]).directory
    assert sorted(names_in(kept.parent)) == sorted(["lock", second["id"]])
    await server.jobs.close()
    assert not is_private(kept.parent)
    assert not children()


async def test_the_queue_has_an_end(server, recording, avatar, speech):
    sound = speech(20.0, 48_000).tobytes()

    def flood():
        for _ in range(30):
            server.jobs.submit("card", avatar, pcm=sound)

    with pytest.raises(Refused) as refusal:
        flood()
    assert (refusal.value.status, refusal.value.code) == (503, "BUSY")
    await asyncio.sleep(0.1)  # one is being rendered now
    with pytest.raises(Refused):
        flood()
    status, answer = await generate(server, recording)
    assert (status, answer["error"]["code"]) == (503, "BUSY")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": "hello", "avatar": "nobody"}, 404, "NO_AVATAR"),
        ({"text": " "}, 422, "TEXT_EMPTY"),
        ({"input": {"type": "audio", "audio_url": "http://10.0.0.1/"}}, 422, "BAD_FIELD"),
        ({"input": {"audio_url": "file:///etc/passwd"}}, 422, "BAD_FIELD"),
        ({"input": "hello"}, 422, "BAD_FIELD"),
        ({"text": "hello", "quality": "BEST"}, 422, "BAD_FIELD"),
        ({"text": "hello", "target_size": "9999x2"}, 422, "BAD_FIELD"),
        ({"text": "hello", "wait": "yes"}, 422, "BAD_FIELD"),
        ([], 400, "BAD_JSON"),
    ],
)
async def test_refusals_say_why(server, body, status, code):
    got, answer = await ask(server, "POST", "generate", json=body)
    if code == "BAD_FIELD" and not Voice.available():
        assert got in (409, 422)
        return
    assert (got, answer["error"]["code"]) == (status, code)


@pytest.mark.skipif(not Voice.available(), reason="the voice extra is not installed")
async def test_a_text_becomes_a_video(server):
    body = {
        "agent_code": "card",
        "input": {"type": "text", "text": "Good morning."},
        "quality": "LOW",
        "wait": True,
    }
    status, job = await ask(server, "POST", "generate", json=body)
    assert (status, job["status"]) == (200, "completed"), job
    assert 0.5 < job["result"]["seconds"] < 3
