"""Inputs that cannot be used, over all commands: 66 if not there or not readable, 65 if bad."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bithuman_cli.main import main
from tests.video import film

PHOTO = Path(__file__).resolve().parents[1] / "data" / "face_front.webp"
EXPRESSION = ("--model", "expression")
RUN = ("--no-open", "--port", "0")
DAC_OVERRIDE, DAC_READ_SEARCH, DROP = 1, 2, 24  # linux/capability.h, linux/prctl.h
KINDS = (".webp", ".mp4", ".imx", ".mp3", ".json")
PROGRAM = """
import json, sys
from bithuman_cli.main import main
print(json.dumps([main(command) for command in json.load(sys.stdin)]))
"""


@pytest.fixture
def commands(avatar: Path, recording: Path) -> Callable[[str], list[list[str]]]:
    """Commands that read a file of some name, with each of the extensions."""

    def named(stem: str) -> list[list[str]]:
        photo, clip, imx, sound, words = (stem + kind for kind in KINDS)
        lines: list[tuple[str | Path, ...]] = [
            ("build", photo),
            ("build", clip),
            ("build", photo, *EXPRESSION),
            ("build", PHOTO, "--gesture", f"wave={clip}"),
            ("build", PHOTO, "--gestures", words),
            ("build", PHOTO, *EXPRESSION, "--background", photo),
            ("info", imx),
            ("render", imx, recording),
            ("render", photo, recording, *EXPRESSION),
            ("render", avatar, sound),
            ("render", avatar, recording, "--background", photo),
            ("run", imx, *RUN),
            ("run", photo, *RUN, *EXPRESSION),
            ("run", avatar, *RUN, "--gestures", words),
            ("run", avatar, *RUN, "--background", photo),
            ("pull", "somebody", "--registry", words),
        ]
        outputs = {"build": ("-o", "out.imx"), "render": ("-o", "out.mp4")}
        return [[str(word) for word in (*line, *outputs.get(str(line[0]), ()))] for line in lines]

    return named


@pytest.fixture
def good(avatar: Path, recording: Path, tmp_path: Path) -> dict[str, bytes]:
    """A file of each kind."""
    clip = film.write(tmp_path / "good.mp4", iter([np.full((48, 64, 3), 90, np.uint8)] * 5))
    files = dict(zip(KINDS, (PHOTO, clip, avatar, recording), strict=False))
    return {kind: file.read_bytes() for kind, file in files.items()} | {
        ".json": b'{"hello": "nod"}'
    }


@pytest.fixture
def code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], int]:
    monkeypatch.chdir(tmp_path)

    def run(command: list[str]) -> int:
        ended = main([*command, "--json"])
        told = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
        assert told["message"].endswith("."), told
        return ended

    return run


@pytest.mark.parametrize("what", ["absent", "a folder", "a dangling link", "below a file"])
def test_what_is_not_there(
    code: Callable[[list[str]], int], commands: Callable[[str], list[list[str]]], what: str
) -> None:
    for kind in KINDS:
        if what == "a folder":
            Path(f"x{kind}").mkdir()
        elif what == "a dangling link":
            Path(f"x{kind}").symlink_to("nowhere")
    Path("file").write_bytes(b"")
    stem = "file/x" if what == "below a file" else "x"
    assert {" ".join(c): code(c) for c in commands(stem)} == {
        " ".join(c): 66 for c in commands(stem)
    }


@pytest.mark.parametrize("what", ["empty", "cut"])
def test_what_is_there_and_bad(
    code: Callable[[list[str]], int],
    commands: Callable[[str], list[list[str]]],
    good: dict[str, bytes],
    what: str,
) -> None:
    # Of a recording, what is there of it is spoken; ten bytes are none.
    for kind, content in good.items():
        length = 10 if kind in (".mp3", ".json") else min(300, len(content))
        Path(f"x{kind}").write_bytes(content[:length] if what == "cut" else b"")
    assert {" ".join(c): code(c) for c in commands("x")} == {" ".join(c): 65 for c in commands("x")}


def test_what_may_not_be_read(
    commands: Callable[[str], list[list[str]]], good: dict[str, bytes], tmp_path: Path
) -> None:
    for kind, content in good.items():
        (tmp_path / f"x{kind}").write_bytes(content)
        (tmp_path / f"x{kind}").chmod(0)

    def as_others_are() -> None:
        """Whoever is root may read everything, but for this."""
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(DROP, capability, 0, 0, 0)

    def ran(program: str, *, given: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            input=given,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            preexec_fn=as_others_are,
            timeout=120,
        )
        return ended.stdout

    if ran("import os; print(os.access('x.imx', os.R_OK))", given="") != "False\n":
        pytest.skip("this user may read everything")
    wanted = commands("x")
    assert json.loads(ran(PROGRAM, given=json.dumps(wanted))) == [66] * len(wanted)
