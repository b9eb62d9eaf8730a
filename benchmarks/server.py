"""A server as a user would start it, and what it takes of the machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

__all__ = ["DEFAULT", "ROOT", "SERVER_CORES", "Server", "running"]

ROOT = Path(__file__).parents[1]
DEFAULT = ROOT / "showcase" / "modern-court-jester.imx"
SERVER_CORES = {0, 1}
_TASKS = re.compile(r"bithuman_tasks \d+$")


@dataclass
class Server:
    """A running server.

    Attributes:
        host: address and port.
        process: its first process.
    """

    host: str
    process: psutil.Process

    @property
    def processes(self) -> list[psutil.Process]:
        """It and its workers."""
        return [self.process, *self.process.children(recursive=True)]

    @property
    def memory(self) -> float:
        """Resident MiB of all processes."""
        return float(sum(p.memory_info().rss for p in self.processes)) / 2**20

    @property
    def descriptors(self) -> int:
        """Open files and sockets of all processes."""
        return int(sum(p.num_fds() for p in self.processes))

    @property
    def processor_seconds(self) -> float:
        """User and system time so far."""
        times = [p.cpu_times() for p in self.processes]
        return float(sum(t.user + t.system for t in times))

    @property
    def tasks(self) -> int:
        """Tasks of the event loop of the process that answers."""
        with urllib.request.urlopen(f"http://{self.host}/metrics") as response:
            text = response.read().decode()
        return int(next(line.split()[1] for line in text.split("\n") if _TASKS.match(line)))

    def health(self) -> dict[str, Any]:
        """What it says of itself."""
        return self._asked("/health")

    def end_sessions(self) -> None:
        """End all, those among them that wait to be resumed."""
        for session in self._asked("/v1/sessions")["sessions"]:
            gone = f"http://{self.host}/v1/sessions/{session['id']}"
            urllib.request.urlopen(urllib.request.Request(gone, method="DELETE")).close()

    def _asked(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self.host}{path}") as response:
            report: dict[str, Any] = json.load(response)
        return report


@contextlib.contextmanager
def running(avatar: Path, options: list[str]) -> Iterator[Server]:
    """A server on its cores, stopped at the end."""
    command = [
        *(sys.executable, "-m", "bithuman_cli", "run", str(avatar.resolve())),
        *("--no-open", "--port", "0", "--max-sessions", "2000", "--quiet", *options),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORES),
    )
    try:
        if process.stdout is None:
            raise SystemExit("the server has no output")
        url = process.stdout.readline().strip()
        yield Server(url.removeprefix("http://").rstrip("/"), psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
