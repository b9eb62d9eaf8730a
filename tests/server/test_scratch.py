"""Folders of servers: gone with them, or when the next one starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bithuman_cli.server import scratch

USE = """
import os, time
from bithuman_cli.server import scratch
with scratch.folder() as path:
    if os.fork():
        print(path, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def other(place: Path) -> Iterator[tuple[int, Path]]:
    """Two processes, a process group, that use a folder."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", USE]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        yield process.pid, Path(process.stdout.readline().strip())
        os.killpg(process.pid, signal.SIGKILL)


def test_a_folder_is_private_and_ends_with_its_body(place: Path) -> None:
    with scratch.folder() as path:
        assert path.stat().st_mode & 0o777 == 0o700
        (path / "video.mp4").write_text("x")
    assert not list(place.iterdir())


def test_folders_of_the_living_are_kept_and_those_of_the_dead_go(
    place: Path, other: tuple[int, Path]
) -> None:
    group, theirs = other
    with scratch.folder() as mine:
        assert theirs.is_dir()
        assert mine != theirs
    os.kill(group, signal.SIGKILL)  # only the first of the two
    with scratch.folder():
        assert theirs.is_dir()


def test_a_killed_server_leaves_nothing_for_long(place: Path, other: tuple[int, Path]) -> None:
    group, theirs = other
    (theirs / "video.mp4").write_text("somebody speaks")
    os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while theirs.is_dir() and time.monotonic() < deadline:  # ending two processes takes a moment
        with scratch.folder():
            time.sleep(0.02)
    assert not list(place.iterdir())
