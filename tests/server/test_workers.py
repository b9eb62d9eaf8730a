import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bithuman_cli.server.protocol import unpack_frame

ROOT = Path(__file__).parents[2]


async def until_closed(socket):
    while not socket.closed:
        await socket.receive(10)


async def healthy(url):
    """Whether every process answers."""
    async with aiohttp.ClientSession() as fresh, fresh.get(f"{url}metrics") as answer:
        text = await answer.text()
    return 'bithuman_sessions{worker="0"}' in text and 'bithuman_sessions{worker="1"}' in text


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
        assert len(children) == 3
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
            for _ in range(6):  # however it is reached, how it ends is told
                socket, first = await connect(http)
                socket._response.connection.transport.abort()
                socket, again = await connect(http, resume=first["session"])
                assert again["resumed"]
                async with http.delete(f"{url}v1/sessions/{first['session']}") as answer:
                    assert answer.status == 204
                await until_closed(socket)
                assert socket.close_code == 4000
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=15)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()


def running(avatar_path, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "bithuman_cli", "run", str(avatar_path), "--no-open", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_workers_do_not_outlive_the_first_process(avatar_path):
    process = running(avatar_path, "--port", "0", "--workers", "2")
    try:
        process.stdout.readline()
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        process.kill()
        process.wait()
        assert psutil.wait_procs(children, timeout=15)[1] == []
    finally:
        process.kill()
        process.communicate()


async def test_a_worker_that_is_killed_comes_back_and_the_others_go_on(avatar_path):
    process = running(avatar_path, "--port", "0", "--workers", "2", "--log-format", "json")
    parent = psutil.Process(process.pid)
    hello = {"type": "hello", "protocol": 2, "modes": ["tiles"]}
    try:
        url = process.stdout.readline().strip()
        async with aiohttp.ClientSession() as http:
            sockets = []
            for _ in range(16):
                sockets.append(await http.ws_connect(f"{url}ws"))
                await sockets[-1].send_json(hello)
                assert (await sockets[-1].receive_json(timeout=10))["type"] == "hello"
            victim = parent.children()[0]
            mine = {c.laddr.port for c in victim.net_connections() if c.status == "ESTABLISHED"}
            assert mine
            victim.kill()
            victim.wait(5)
            lost = 0
            for socket in sockets:
                async with asyncio.timeout(5):
                    for _ in range(50):
                        message = await socket.receive()
                        if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                            lost += 1
                            break
            assert 0 < lost < 16
            async with asyncio.timeout(15):
                while True:
                    fresh = await http.ws_connect(f"{url}ws")
                    await fresh.send_json(hello)
                    assert (await fresh.receive_json())["type"] == "hello"
                    sockets.append(fresh)
                    alive = [child for child in parent.children() if child.is_running()]
                    held = [c for c in alive if c.pid != victim.pid and c.net_connections("tcp")]
                    if len(held) == 2 and await healthy(url):
                        break
                    await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        events = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
        (died,) = (event for event in events if event["event"] == "worker_died")
        assert (died["level"], died["worker"], died["pid"]) == ("warning", 0, victim.pid)
        assert "SIGKILL" in died["message"]
    finally:
        process.kill()
        process.communicate()


def test_an_error_of_a_worker_is_told_once(tmp_path):
    broken = tmp_path / "broken.imx"
    broken.write_bytes(b"no avatar at all")
    process = running(broken, "--port", "0", "--workers", "3")
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (65, "")
    assert "Traceback" not in errors
    assert errors.count("broken.imx") == 1


DYING = """
import os, signal, sys, time
from bithuman_cli.server.workers import Patience, supervise
from engine.errors import AvatarError

def work(number, again):
    os.write(1, f"{number} {again}\\n".encode())  # in one piece
    if number:
        os._exit(3)
    time.sleep(60)

begin = time.monotonic()
try:
    supervise(2, work, patience=Patience(first=0.01, deaths=4))
except AvatarError as error:
    print(error.code, error, time.monotonic() - begin < 20)
"""


def test_a_worker_that_keeps_dying_ends_them_all():
    process = subprocess.run(
        [sys.executable, "-c", DYING],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert sorted(process.stdout.splitlines()) == [
        "0 False",
        "1 False",
        "1 True",
        "1 True",
        "1 True",
        "WORKERS_FAILED A worker process died 4 times in a row, at last with exit code 3. True",
    ]
    assert process.stderr.count("starting it again") == 3


def test_a_second_ctrl_c_kills_workers_that_do_not_end():
    stubborn = """
import os, signal, time
from bithuman_cli.server.workers import supervise

def work(number, again):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(1, b"ready\\n")  # in one piece: there are two of them
    time.sleep(60)

supervise(2, work)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", stubborn],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        assert psutil.wait_procs(children, timeout=5)[1] == []
    finally:
        process.kill()
        process.communicate()
