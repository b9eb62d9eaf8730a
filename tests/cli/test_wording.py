"""Wrong command lines are answered in words that are not those of a library."""

from __future__ import annotations

from pathlib import Path

import pytest

from bithuman_cli.main import main


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("build a.jpg --size wide", "Invalid value for '--size': it takes a whole number."),
        ("build a.jpg --face 0", "Invalid value for '--face': it takes 1 or more."),
        ("run --port 70000", "Invalid value for '--port': it takes 65535 or less."),
        ("render a b --limit soon", "Invalid value for '--limit': it takes a number."),
        ("pull a b c", "Too much: b c."),
        ("pull", "Missing argument 'SLUG'."),
        ("completion", "Missing argument 'SHELL'. Choose from: bash, zsh, fish."),
        ("run --colour", "No such option: --colour."),
    ],
)
def test_it_says_what_is_expected(
    capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    assert main(line.split()) == 2
    command = line.split()[0]
    hint = f"hint: `bithuman {command} --help` shows what is possible."
    assert capsys.readouterr().err == f"error: {message}\n{hint}\n"


def test_a_command_that_is_almost_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnu"]) == 2
    assert capsys.readouterr().err.startswith("error: No such command 'rnu'. Did you mean 'run'?\n")


def test_a_file_whose_name_looks_like_an_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-me.imx").touch()
    assert main(["info", "-me.imx"]) == 2
    assert capsys.readouterr().err.endswith("hint: If it is a file, write ./-me.imx\n")
