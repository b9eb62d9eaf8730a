"""``run``: the address it takes, what it tells, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bithuman_cli.run_options import DEFAULT_PORT


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_serves_the_page_until_it_is_told_to_stop(
    bithuman: Any, avatar: Path, end: signal.Signals, code: int
) -> None:
    process = bithuman.start("run", avatar, "--json", "--port", "0")
    started = json.loads(process.stdout.readline())
    assert started["schema_version"] == 1
    assert (started["event"], started["code"]) == ("session_started", "face")
    assert started["url"] == f"http://127.0.0.1:{started['port']}/"
    assert b"<!doctype html>" in read(started["url"]).lower()
    assert json.loads(read(f"{started['url']}health"))["status"] == "ok"
    process.send_signal(end)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (code, "", "")


def test_the_next_port_is_taken_and_said(bithuman: Any, avatar: Path) -> None:
    with socket.socket() as taken:
        # Busy by us or by somebody else: it is busy.
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", DEFAULT_PORT))
            taken.listen()
        process = bithuman.start("run", avatar)
        url = process.stdout.readline().strip()
        port = int(url.rstrip("/").rpartition(":")[2])
        assert port != DEFAULT_PORT
        assert f"Port {DEFAULT_PORT} is taken" in process.stderr.readline()


def test_a_port_that_was_asked_for_is_not_replaced(bithuman: Any, avatar: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = bithuman("run", avatar, "--json", "--port", str(taken.getsockname()[1]))
    assert (ended.code, ended.error["code"]) == (69, "PORT_IN_USE")


def test_an_avatar_of_the_catalogue_is_pulled_first(
    bithuman: Any, avatar: Path, site: Any, private_home: Path
) -> None:
    site.publish(avatar.read_bytes())
    command = ("run", "--json", "--port", "0", "--registry", site.catalogue)
    process = bithuman.start(*command)
    assert json.loads(process.stdout.readline())["code"] == "test-face"
    assert (private_home / "cache" / "showcase" / "test-face.imx").is_file()


def test_what_is_no_avatar_is_refused(bithuman: Any, tmp_path: Path) -> None:
    path = tmp_path / "no.imx"
    path.write_bytes(b"PK\x03\x04 not really")
    ended = bithuman("run", path, "--json")
    assert ended.code == 65


def test_a_photo_is_told_how_to_become_an_avatar(bithuman: Any) -> None:
    (bithuman.directory / "my face.JPG").write_bytes(b"\xff\xd8\xff")
    ended = bithuman("run", "my face.JPG", "--json")
    assert (ended.code, ended.error["code"]) == (65, "NOT_IMX")
    assert "bithuman build 'my face.JPG'" in ended.error["hint"]
    ended = bithuman("run", "face.jpg", "--json")
    assert (ended.code, ended.error["code"]) == (66, "FILE_NOT_FOUND")


def test_an_address_of_another_machine(bithuman: Any, avatar: Path) -> None:
    command = ("run", avatar, "--host", "192.0.2.1", "--allow-public-bind", "--json")
    ended = bithuman(*command)
    assert (ended.code, ended.error["code"]) == (2, "USAGE")
    assert "--token" in ended.error["hint"]
    assert bithuman(*command, "--token", "short").code == 2
    ended = bithuman(*command, "--token", "0123456789abcdef")
    assert (ended.code, ended.error["code"]) == (69, "ADDRESS_UNAVAILABLE")


def test_https_with_a_certificate(bithuman: Any, avatar: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    tls = ("--tls-cert", certificate, "--tls-key", key)
    process = bithuman.start("run", avatar, "--json", "--port", "0", *tls)
    url = json.loads(process.stdout.readline())["url"]
    assert url.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cafile=str(certificate))
    with urllib.request.urlopen(f"{url}health", timeout=20, context=trust) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert bithuman("run", avatar, "--tls-cert", certificate, "--json").code == 2
    ended = bithuman("run", avatar, "--tls-cert", certificate, "--tls-key", "no.pem", "--json")
    assert (ended.code, ended.error["code"]) == (66, "FILE_NOT_FOUND")
    ended = bithuman("run", avatar, "--tls-cert", key, "--tls-key", certificate, "--json")
    assert (ended.code, ended.error["code"]) == (2, "USAGE")


def test_phones_find_it_by_a_code_where_there_is_a_terminal(bithuman: Any, avatar: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bithuman_cli", "run", avatar, "--port", "0"]
    exposed = ["--host", "0.0.0.0", "--allow-public-bind"]
    process = subprocess.Popen(
        [*map(str, command), *exposed],
        env={**os.environ, "TERM": "xterm", "BITHUMAN_TOKEN": "0123456789abcdef"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        shown = b""
        while b"Ctrl-C" not in shown:
            shown += os.read(ours, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    text = shown.decode()
    if "Other machines" not in text:
        pytest.skip("this machine is in no network")
    assert "?token=0123456789abcdef" in text
    assert sum(line.count("█") for line in text.splitlines()) > 100


@pytest.mark.parametrize(
    "option",
    [
        ("--allow-origin", "example.org"),
        ("--allow-origin", "*"),
        ("--allow-host", "https://example.org"),
        ("--allow-host", "example.org:80"),
    ],
)
def test_who_is_allowed_must_be_said_clearly(
    bithuman: Any, avatar: Path, option: tuple[str, str]
) -> None:
    ended = bithuman("run", avatar, *option, "--json")
    assert (ended.code, ended.error["code"]) == (2, "USAGE")
    assert "example.org" in ended.error["hint"]


def test_how_to_embed_it_is_said(bithuman: Any, avatar: Path) -> None:
    allowed = ("--allow-origin", "https://www.example.org", "--allow-host", "avatars.example.org")
    process = bithuman.start("run", avatar, "--port", "0", *allowed)
    url = process.stdout.readline().strip()
    line = f'<script src="{url}embed.js" data-avatar="face"></script>'
    assert line in process.stderr.readline()
    request = urllib.request.Request(f"{url}embed.js", headers={"Host": "avatars.example.org"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert b"bithuman" in answer.read()
    with urllib.request.urlopen(f"{url}embed/face/", timeout=20) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors https://www.example.org" in policy
