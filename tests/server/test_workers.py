import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bithuman_cli.server.protocol import unpack_frame

ROOT = Path(__file__).parents[2]


async def until_closed(socket):
    while not socket.closed:
        await socket.receive(10)


async def they_are_one_server(http, url):
    """Whichever process a request reaches, it knows what all of them hold."""

    async def ask(method, path, **options):
        # A connection of its own each time: the kernel chooses a process for it.
        async with (
            aiohttp.ClientSession() as fresh,
            fresh.request(method, url + path, **options) as answer,
        ):
            return answer.status, await answer.text()

    for _ in range(3):
        sessions = json.loads((await ask("GET", "v1/sessions"))[1])["sessions"]
        assert len({session["id"] for session in sessions}) == 24
        health = json.loads((await ask("GET", "health"))[1])
        assert (health["sessions"], health["max_sessions"]) == (24, 90)
    for session in sessions:
        status, state = await ask("POST", f"v1/sessions/{session['id']}/interrupt")
        assert (status, json.loads(state)["id"]) == (200, session["id"])
    sound = {"data": bytes(32_000), "headers": {"Content-Type": "audio/pcm; rate=16000"}}
    assert (await ask("POST", f"v1/sessions/{sessions[-1]['id']}/speak", **sound))[0] == 202
    assert (await ask("GET", "v1/sessions/0123456789abcdef"))[0] == 404
    slug = sessions[0]["avatar"]
    context = {"context": "Nothing in particular.", "type": "add_context"}
    status, answer = await ask("POST", f"v1/agent/{slug}/add-context", json=context)
    assert (status, len(json.loads(answer)["sessions"])) == (200, 24)
    families = text_string_to_metric_families((await ask("GET", "metrics"))[1])
    (held,) = (family for family in families if family.name == "bithuman_sessions")
    assert {sample.labels["worker"] for sample in held.samples} == {"0", "1", "2"}
    assert sum(sample.value for sample in held.samples) == 24
    assert (await ask("GET", "ready")) == (200, "ready\n")


async def test_several_processes_serve_one_port_and_end_together(avatar_path):
    command = [sys.executable, "-m", "bithuman_cli", "run", str(avatar_path), "--no-open"]
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [*command, "--port", "0", "--workers", "3", "--max-sessions", "90"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        url = process.stdout.readline().strip()
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        sockets = []
        async with aiohttp.ClientSession() as http:
            for _ in range(24):
                socket = await http.ws_connect(f"{url}ws")
                await socket.send_json({"type": "hello", "protocol": 2, "modes": ["tiles"]})
                assert (await socket.receive_json(timeout=10))["type"] == "hello"
                sockets.append(socket)
            await they_are_one_server(http, url)
            process.send_signal(signal.SIGTERM)
            await asyncio.gather(*map(until_closed, sockets))
            assert {socket.close_code for socket in sockets} == {1001}
        _, errors = process.communicate(timeout=15)
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert not any(child.is_running() for child in children)
    finally:
        process.kill()
        process.communicate()


async def test_a_session_is_resumed_whichever_process_is_reached(avatar_path, speech):
    command = [sys.executable, "-m", "bithuman_cli", "run", str(avatar_path), "--no-open"]
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [*command, "--port", "0", "--workers", "3", "--max-sessions", "30", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    hello = {"type": "hello", "protocol": 2, "modes": ["tiles"]}

    async def connect(http, **fields):
        socket = await http.ws_connect(f"{url}ws")
        await socket.send_json({**hello, **fields})
        return socket, await socket.receive_json(timeout=10)

    try:
        url = process.stdout.readline().strip()
        async with aiohttp.ClientSession() as http:
            socket, first = await connect(http)
            for _ in range(8):  # by chance alone, one in six thousand would pass
                socket._response.connection.transport.abort()
                socket, again = await connect(http, resume=first["session"])
                assert (again["session"], again["resumed"]) == (first["session"], True)
            await socket.send_bytes(speech(1.0).tobytes())
            heard = b""
            while len(heard) < 2 * 15_000:
                message = await socket.receive(5)
                if message.type is aiohttp.WSMsgType.BINARY:
                    heard += unpack_frame(message.data).audio
            assert heard == speech(1.0).tobytes()[: len(heard)]
            await socket.close()
            async with asyncio.timeout(5):
                while True:
                    async with http.get(f"{url}v1/sessions/{first['session']}") as answer:
                        if answer.status == 404:  # it said goodbye
                            break
                    await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=15)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()


def test_workers_do_not_outlive_the_first_process(avatar_path):
    command = [sys.executable, "-m", "bithuman_cli", "run", str(avatar_path), "--no-open"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        process.stdout.readline()
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
        assert child.wait(timeout=15) is None or not child.is_running()
    finally:
        process.kill()
        process.communicate()
