"""What goes where: results, notes and progress, with and without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bithuman_cli.output import format_bytes


def in_a_terminal(*arguments: str, cwd: Path, **environment: str) -> str:
    """Everything a person sees of a command, control sequences included."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    env["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", "bithuman_cli", *arguments],
        cwd=cwd,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not block:
            break
        seen += block
    os.close(ours)
    process.wait(30)
    return seen.decode()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (3_456_789, "3.5 MB"),
        (2_000_000_000, "2.0 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_a_terminal_gets_progress_and_colour(site: Any, tmp_path: Path) -> None:
    site.publish(b"x" * 500_000)
    seen = in_a_terminal("pull", "test-face", "--registry", site.catalogue, cwd=tmp_path)
    assert "━" in seen
    assert "500.0" in seen
    seen = in_a_terminal("pull", "nobody", "--registry", site.catalogue, cwd=tmp_path)
    assert "\x1b[1;31merror:" in seen


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--no-color"], {}),
        ([], {"NO_COLOR": "1"}),
        ([], {"TERM": "dumb"}),
    ],
)
def test_no_colour_where_it_is_not_wanted(
    site: Any, tmp_path: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    site.publish(b"x" * 1000)
    command = ("pull", "nobody", "--registry", site.catalogue, *arguments)
    assert "\x1b" not in in_a_terminal(*command, cwd=tmp_path, **environment)


@pytest.mark.parametrize(
    ("arguments", "environment"), [(["-q"], {}), ([], {"CI": "true"}), ([], {"TERM": "dumb"})]
)
def test_no_progress_where_nobody_watches(
    site: Any, tmp_path: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    site.publish(b"x" * 1000)
    command = ("pull", "test-face", "--registry", site.catalogue, *arguments)
    assert "━" not in in_a_terminal(*command, cwd=tmp_path, **environment)


def test_quiet_leaves_only_the_result(bithuman: Any, site: Any) -> None:
    site.publish(b"x" * 1000)
    loud = bithuman("pull", "test-face", "--registry", site.catalogue, "--force")
    assert "Pulled test-face (1.0 kB)" in loud.stderr
    quiet = bithuman("pull", "test-face", "--registry", site.catalogue, "--force", "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout == loud.stdout


def test_a_table_on_a_terminal_and_lines_in_a_pipe(
    bithuman: Any, site: Any, tmp_path: Path
) -> None:
    site.publish(b"x" * 1000)
    seen = in_a_terminal("list", "--registry", site.catalogue, cwd=tmp_path)
    assert "description" in seen
    assert "A face for tests." in seen
    piped = bithuman("list", "--registry", site.catalogue)
    assert piped.stdout == "test-face\t1.0 kB\t-\tA face for tests.\n"
