"""A command line in a real process, and a real HTTP server that can misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        (line,) = self.stdout.splitlines()
        return json.loads(line)

    @property
    def error(self) -> dict[str, Any]:
        """The error object on stderr."""
        (line,) = self.stderr.splitlines()
        return json.loads(line)["error"]


class Bithuman:
    """Runs ``bithuman`` in processes of its own, in an empty working directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bithuman_cli", *map(str, arguments)],
            cwd=self.directory,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.processes.append(process)
        return process

    def __call__(self, *arguments: str | Path, **options: Any) -> Finished:
        process = self.start(*arguments, **options)
        stdout, stderr = process.communicate(timeout=60)
        assert "Traceback" not in stderr or "--debug" in arguments, stderr
        return Finished(process.returncode, stdout, stderr)


@pytest.fixture
def bithuman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bithuman]:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    directory = tmp_path / "cwd"
    directory.mkdir()
    bithuman = Bithuman(directory)
    yield bithuman
    for process in bithuman.processes:
        process.kill()
        process.communicate()


@dataclass
class Behaviour:
    """How the server treats one path; every field may change between requests.

    Attributes:
        body: the whole file.
        cuts: for each request in turn, after how many bytes the connection is cut.
        ranges: ``honest``, ``ignored`` (200 with everything), or ``wrong`` (206 from 0 on).
        statuses: for each request in turn, an error status to answer with.
        unsized: no Content-Length; the end of the connection is the end of the file.
        hang: send this many bytes, then nothing until the server stops.
        location: redirect there.
        started: set when the first bytes of a body are out.
        gate: body bytes after the first wait for this.
    """

    body: bytes
    cuts: list[int] = field(default_factory=list)
    ranges: str = "honest"
    statuses: list[int] = field(default_factory=list)
    unsized: bool = False
    hang: int | None = None
    location: str | None = None
    started: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None


class Site:
    """Files behind ``http://127.0.0.1:port/``, and the requests that came in."""

    def __init__(self) -> None:
        self.files: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.stopping = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.requests.append((self.path, self.headers.get("Range")))
                site.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        file = self.files.get(request.path)
        if file is None:
            self._status(request, 404)
        elif file.location is not None:
            request.send_response(302)
            request.send_header("Location", file.location)
            request.send_header("Connection", "close")
            request.send_header("Content-Length", "0")
            request.end_headers()
        elif file.statuses and (status := file.statuses.pop(0)) != 200:
            self._status(request, status)
        else:
            with contextlib.suppress(ConnectionError):
                self._send(request, file)

    def _status(self, request: BaseHTTPRequestHandler, status: int) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.send_header("Retry-After", "0")
        request.send_header("Connection", "close")
        request.end_headers()

    def _send(self, request: BaseHTTPRequestHandler, file: Behaviour) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
        start = int(wanted[1]) if wanted and file.ranges != "ignored" else 0
        total = len(file.body)
        if wanted and start >= total:
            self._status(request, 416)
            return
        if wanted and file.ranges == "wrong":
            start = 0
        body = file.body[start:]
        if wanted and file.ranges != "ignored":
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            request.send_response(200)
        request.send_header("Connection", "close")
        if not file.unsized:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if file.cuts:
            body = body[: file.cuts.pop(0)]
        if file.hang is not None:
            body = body[: file.hang]
        request.wfile.write(body[:1])
        request.wfile.flush()
        file.started.set()
        if file.gate is not None:
            file.gate.wait(30)
        request.wfile.write(body[1:])
        request.wfile.flush()
        if file.hang is not None:
            self.stopping.wait(30)

    def publish(
        self, body: bytes, slug: str = "test-face", *, url: str | None = None, **overrides: Any
    ) -> Behaviour:
        """Serve a file and a catalogue that names it; returns the knobs of the file."""
        file = Behaviour(body)
        self.files[f"/{slug}.imx"] = file
        model = {
            "slug": slug,
            "name": "Test face",
            "description": "A face for tests.",
            "url": url or f"{slug}.imx",
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
            "kind": "essence",
            "licence": "CC0-1.0",
            "width": 512,
            "height": 512,
            **overrides,
        }
        self.files["/showcase.json"] = Behaviour(json.dumps(catalogue_of(model)).encode())
        return file

    @property
    def catalogue(self) -> str:
        return f"{self.url}/showcase.json"

    def ranges_asked(self, slug: str = "test-face") -> list[str | None]:
        """The Range header of every request for the avatar, in order."""
        return [wanted for path, wanted in self.requests if path == f"/{slug}.imx"]


def catalogue_of(*models: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "version": "7",
        "updated": "2026-11-22",
        "default": models[0]["slug"] if models else None,
        "models": list(models),
    }


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield site
    site.stopping.set()
    for file in site.files.values():
        if file.gate is not None:
            file.gate.set()
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture
def watch() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is true, at most a minute."""
    import time

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small avatar, made by the command itself."""
    root = Path(__file__).resolve().parents[2]
    directory = tmp_path_factory.mktemp("avatar")
    command = [sys.executable, "-m", "bithuman_cli", "build", root / "tests/data/face_front.webp"]
    options = ["--output", "face.imx", "--size", "128", "--licence", "CC0-1.0", "--name", "Test"]
    subprocess.run(
        [*map(str, command), *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=300,
    )
    return directory / "face.imx"


@pytest.fixture(scope="session")
def recording() -> Path:
    """A few seconds of speech."""
    return Path(__file__).resolve().parents[2] / "web" / "audio" / "hello.mp3"
