import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil

ROOT = Path(__file__).parents[2]


async def until_closed(socket):
    while not socket.closed:
        await socket.receive(10)


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
