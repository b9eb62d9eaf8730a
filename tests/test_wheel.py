"""The wheel, as somebody who has nothing else gets it: a new virtualenv and an empty directory."""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import subprocess
import sys
import urllib.request
import wave
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(directory)]
    subprocess.run([*command, str(ROOT)], check=True)
    (path,) = directory.glob("bithuman-*.whl")
    return path


class Installed:
    """The command of the new virtualenv, away from the source tree."""

    def __init__(self, script: Path, cwd: Path, home: Path) -> None:
        self.script = script
        self.cwd = cwd
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "BITHUMAN_"))}
        self.environment = {**kept, "HOME": str(home)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.script), *arguments],
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> str:
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        return stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("elsewhere")
    environment = directory / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    for name in ("home", "cwd"):
        (directory / name).mkdir()
    return Installed(environment / "bin" / "bithuman", directory / "cwd", directory / "home")


def test_the_wheel_carries_everything(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    models = {path.relative_to(ROOT).as_posix() for path in (ROOT / "engine" / "models").iterdir()}
    data = {
        f"bithuman_cli/{path.relative_to(ROOT).as_posix()}"
        for folder in ("web", "showcase")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    expected = data | {name for name in models if "__pycache__" not in name}
    expected |= {"bithuman_cli/showcase.json", "bithuman_cli/py.typed", "engine/py.typed"}
    assert expected <= names
    assert not [name for name in names if name.startswith(("tests/", "training/", "benchmarks/"))]
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names if ".dist-info/" in name}


def test_from_an_empty_directory_to_a_video(installed: Installed) -> None:
    from bithuman_cli import __version__

    assert installed("--version") == f"bithuman {__version__}\n"
    listed = installed.json("list")
    slug = listed["default"]
    assert len(listed["models"]) >= 2

    pulled = installed.json("pull", slug)
    path = Path(pulled["path"])
    assert (path.parent.name, path.suffix, pulled["cached"]) == ("showcase", ".imx", False)

    told = installed.json("info", slug)
    assert told["path"] == str(path)
    assert told["size_bytes"] == path.stat().st_size == pulled["bytes"]
    assert told["manifest"]["provenance"]["ai_generated"] is True

    write_tone(installed.cwd / "tone.wav", seconds=1.0)
    made = installed.json("render", slug, "tone.wav")
    assert made["output"] == "tone.mp4"
    assert made["seconds"] == pytest.approx(1.0, abs=0.05)
    assert (installed.cwd / "tone.mp4").stat().st_size == made["bytes"] > 1000


def test_the_page_is_served(installed: Installed) -> None:
    process = installed.start("run", "--json", "--port", "0")
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    assert started["event"] == "session_started"
    try:
        with urllib.request.urlopen(started["url"], timeout=30) as page:
            assert b"<!doctype html>" in page.read().lower()
        health = started["url"].split("?")[0].rstrip("/") + "/health"
        with urllib.request.urlopen(health, timeout=30) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr


def write_tone(path: Path, seconds: float, rate: int = 16_000) -> None:
    samples = [
        int(9000 * math.sin(2 * math.pi * 180 * i / rate) * math.sin(2 * math.pi * 3 * i / rate))
        for i in range(int(seconds * rate))
    ]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
