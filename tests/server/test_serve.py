import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from bithuman_cli.server.listening import listen, network_url, page_url
from bithuman_cli.server.protocol import unpack_frame
from bithuman_cli.server.serve import default_sessions
from engine.errors import AvatarError

ROOT = Path(__file__).parents[2]

PROGRAM = """
import resource
import sys
import engine
from bithuman_cli.server import Settings, serve
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
sys.modules["bithuman_cli.server.serve"]._IDLE_SECONDS = 1.0
try:
    serve(lambda: {"card": engine.open(sys.argv[1])},
          Settings(host="127.0.0.1", port=int(sys.argv[2]), port_is_explicit=False,
                   max_sessions=32),
          lambda url, slugs: print(url, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
def running(avatar_path, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(avatar_path), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )
    yield process
    process.kill()
    process.communicate()


def test_a_busy_default_port_is_skipped_and_an_explicit_one_is_not():
    with listen("127.0.0.1", 0, port_is_explicit=True) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port, port_is_explicit=False) as second:
            assert port < second.getsockname()[1] < port + 50
        with pytest.raises(AvatarError) as refusal:
            listen("127.0.0.1", port, port_is_explicit=True)
    assert refusal.value.code == "PORT_IN_USE"
    assert str(port) in str(refusal.value)


def test_a_port_can_be_used_again_at_once():
    with listen("127.0.0.1", 0, port_is_explicit=True) as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            first.accept()[0].close()  # leaves the port in TIME_WAIT
    listen("127.0.0.1", port, port_is_explicit=True).close()


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(AvatarError) as refusal:
        listen("192.0.2.1", 0, port_is_explicit=True)
    assert refusal.value.code == "ADDRESS_UNAVAILABLE"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/"),
        ("localhost", "http://localhost:80/"),
        ("0.0.0.0", "http://127.0.0.1:80/"),
        ("::1", "http://[::1]:80/"),
        ("::", "http://127.0.0.1:80/"),
    ],
)
def test_the_url_can_be_opened_on_this_machine(host, url):
    assert page_url(host, 80) == url


def test_other_machines_get_an_address_that_reaches_this_one():
    with listen("0.0.0.0", 0, port_is_explicit=True) as listener:
        port = listener.getsockname()[1]
        url = network_url("0.0.0.0", port)
        if url is None:
            pytest.skip("this machine is in no network")
        assert URL(url).host != "0.0.0.0"
        socket.create_connection((URL(url).host, port), timeout=5).close()


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "")])
async def test_signals_end_it_cleanly(running, number, said):
    url = running.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url), running.stderr.read()
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}ws") as viewer:
        await viewer.send_json({"type": "hello", "protocol": 2, "modes": ["jpeg"]})
        await viewer.receive(5)
        running.send_signal(number)
        while not viewer.closed:
            await viewer.receive(5)
        assert viewer.close_code == 1001
    out, err = running.communicate(timeout=10)
    assert out.strip() == said
    events = [line.split()[1] for line in err.splitlines()]
    assert (events[0], events[-1]) == ("connected", "disconnected")
    assert "Traceback" not in err
    assert running.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", URL(url).port), timeout=1)


async def test_sigterm_lets_the_sentence_be_finished(running, speech):
    url = running.stdout.readline().strip()
    said = speech(1.5)
    heard = b""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}ws") as viewer:
        await viewer.send_json({"type": "hello", "protocol": 2, "modes": ["tiles"]})
        await viewer.send_bytes(said.tobytes())
        while not viewer.closed:
            message = await viewer.receive(5)
            if message.type is aiohttp.WSMsgType.BINARY:
                audio = unpack_frame(message.data).audio
                if audio and not heard:
                    running.send_signal(signal.SIGTERM)
                heard += audio
        assert viewer.close_code == 1001
    running.communicate(timeout=10)
    assert running.returncode == 0
    assert heard[: said.nbytes] == said.tobytes()


async def test_ctrl_c_while_it_is_ending_kills_it(running, speech):
    url = running.stdout.readline().strip()
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}ws") as viewer:
        await viewer.send_json({"type": "hello", "protocol": 2, "modes": ["tiles"]})
        for _ in range(10):
            await viewer.send_bytes(speech(1.0).tobytes())  # it would take all of its time
        await viewer.receive(5)
        running.send_signal(signal.SIGTERM)
        message = await viewer.receive(5)
        while message.type is not aiohttp.WSMsgType.TEXT or "draining" not in message.data:
            message = await viewer.receive(5)
        started = time.monotonic()
        running.send_signal(signal.SIGINT)
        await asyncio.to_thread(running.wait, 5)
        assert time.monotonic() - started < 2
    assert running.returncode == 130


def test_the_most_expensive_avatar_decides_how_many_are_let_in():
    cores = os.cpu_count() or 1
    assert default_sessions(["essence"], 1) == 100
    assert default_sessions(["essence", "essence"], 4) == 400
    assert default_sessions(["essence", "expression"], 1) == 4
    assert default_sessions(["expression"], 2 * cores) == 4 * cores


async def test_who_asks_for_nothing_is_cut_off_and_the_rest_is_not(running):
    url = running.stdout.readline().strip()
    address = ("127.0.0.1", URL(url).port)
    idle = [socket.create_connection(address, 5) for _ in range(150)]  # more than 100 descriptors
    idle[0].sendall(b"GET / HTTP/1.1\r\nHost: 127")  # and no further
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}ws") as viewer:
        await viewer.send_json({"type": "hello", "protocol": 2, "modes": ["jpeg"]})
        start = time.monotonic()
        while time.monotonic() - start < 2.0:
            assert (await viewer.receive(5)).type in (
                aiohttp.WSMsgType.TEXT,
                aiohttp.WSMsgType.BINARY,
            )
    for one in idle:
        with one:
            assert one.recv(100) == b""


async def test_sigterm_under_load_lets_everybody_finish(running, speech):
    url = running.stdout.readline().strip()
    everybody_talks = asyncio.Barrier(21)

    async def viewer(http, number):
        said, heard = speech(1.0 + number / 20), b""
        mode = "h264" if number == 7 else ("tiles", "jpeg")[number % 2]
        async with http.ws_connect(f"{url}ws", max_msg_size=0) as socket:
            await socket.send_json({"type": "hello", "protocol": 2, "modes": [mode]})
            await socket.send_bytes(said.tobytes())
            while not socket.closed:
                message = await socket.receive(20)
                if message.type is aiohttp.WSMsgType.BINARY:
                    audio = unpack_frame(message.data).audio
                    heard += audio
                    if audio and len(heard) == len(audio):
                        await everybody_talks.wait()
            assert socket.close_code == 1001
        assert heard[: said.nbytes] == said.tobytes()

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(viewer(http, number))
        await everybody_talks.wait()
        running.send_signal(signal.SIGTERM)
    _, err = await asyncio.to_thread(running.communicate, timeout=15)
    assert running.returncode == 0
    assert "Traceback" not in err
