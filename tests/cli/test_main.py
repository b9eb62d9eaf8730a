"""The command line as a user and as a script meet it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bithuman_cli import __version__
from bithuman_cli.errors import EXIT_CODES, CliError, UsageError, explain
from bithuman_cli.main import COMMANDS, main
from engine import errors as engine_errors


def test_help_names_every_command_and_variable(bithuman: Any) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        shown = bithuman(*arguments)
        assert (shown.code, shown.stderr) == (0, "")
        for word in (*COMMANDS, "--json", "BITHUMAN_CACHE_DIR", "NO_COLOR"):
            assert word in shown.stdout


@pytest.mark.parametrize("command", [*COMMANDS, "ls", "get", "inspect"])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith(f"Usage: bithuman {command} ")
    assert not re.search(
        r"<(str|int|float|path|list)\b", shown.out
    )  # which would be Python's types
    if command in COMMANDS:
        assert COMMANDS[command].summary in shown.out


@pytest.mark.parametrize("command", ["run", "cache list"])
def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["help", *command.split()]) == 0
    shown = capsys.readouterr().out
    assert main([*command.split(), "--help"]) == 0
    assert capsys.readouterr().out == shown


def test_aliases_are_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert "inspect" not in capsys.readouterr().out


def test_version_in_all_forms(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["-V"], ["version"]):
        assert main(arguments) == 0
        assert capsys.readouterr().out == f"bithuman {__version__}\n"
    for arguments in (["--json", "version"], ["version", "--json"], ["--version", "--json"]):
        assert main(arguments) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["schema_version"], shown["version"]) == (1, __version__)


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["frobnicate"], "USAGE", 2),
        (["--frobnicate"], "USAGE", 2),
        (["pull"], "USAGE", 2),
        (["pull", "a", "b"], "USAGE", 2),
        (["run", "--port", "many"], "USAGE", 2),
        (["run", "--port", "70000"], "USAGE", 2),
        (["run", "--host", "0.0.0.0"], "USAGE", 2),
        (["run", "--host", "192.0.2.1"], "USAGE", 2),
        (["render", "x.imx"], "USAGE", 2),
        (["render", "x.imx", "a.wav", "--audio", "b.wav"], "USAGE", 2),
        (["render", "x.imx", "a.wav", "--quality", "SUPERB"], "USAGE", 2),
        (["build", "x.jpg", "--crop", "round"], "USAGE", 2),
        (["completion", "cmd"], "USAGE", 2),
        (["run", "./no-such.imx"], "FILE_NOT_FOUND", 66),
        (["info", "no-such.imx"], "FILE_NOT_FOUND", 66),
        (["build", "no-such.jpg"], "FILE_NOT_FOUND", 66),
        (["pull", "no-such-avatar"], "SLUG_NOT_FOUND", 66),
        (["run", "no-such-avatar"], "SLUG_NOT_FOUND", 66),
        (["list", "--registry", "no-such.json"], "CATALOGUE_NOT_FOUND", 66),
        (["list", "--registry", "http://example.org/x.json"], "CATALOGUE_UNAVAILABLE", 69),
    ],
)
def test_errors_are_a_sentence_a_code_and_an_exit_code(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: str,
    exit_code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--json"]) == exit_code
    told = capsys.readouterr()
    assert told.out == ""
    error = json.loads(told.err)["error"]
    assert error["code"] == code
    assert error["command"] == arguments[0].replace("--frobnicate", "")
    assert error["message"]

    assert main(arguments) == exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {error['message']}\n")
    assert "\x1b" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(["frobnicate"], 2), (["info", "no-such.imx"], 66), (["pull", "no-such-avatar"], 66)],
)
def test_the_process_ends_with_that_exit_code(
    bithuman: Any, arguments: list[str], exit_code: int
) -> None:
    assert bithuman(*arguments).code == exit_code


def test_a_mistyped_command_is_understood(bithuman: Any) -> None:
    assert "'render'" in bithuman("rendr").stderr


def test_what_comes_after_two_dashes_is_no_flag(bithuman: Any) -> None:
    told = bithuman("--json", "pull", "--", "--quiet")
    assert told.error["code"] == "SLUG_NOT_FOUND"


def test_tracebacks_only_for_those_who_ask(bithuman: Any) -> None:
    assert "Traceback" in bithuman("pull", "no-such-avatar", "--debug").stderr
    # A catalogue whose name no file system takes is an error that nobody planned for.
    assert bithuman("list", "--registry", "x" * 5000).code != 0


def test_a_reader_that_stops_reading_is_no_error(bithuman: Any) -> None:
    process = bithuman.start("--help")
    process.stdout.close()
    process.wait(30)
    assert process.stderr.read() == ""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_are_no_error(closed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bithuman_cli", "list"]
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": root, "BITHUMAN_CACHE_DIR": str(tmp_path)}
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
    ended = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0
    assert ("modern-court-jester" in ended.stdout) == ("1>" not in closed)
    assert ("brings" in ended.stderr) == ("2>" not in closed)


@pytest.mark.parametrize(
    ("encoding", "name"), [("ascii", "Sch\u00f6n.imx"), ("utf-8", "\udcff.imx")]
)
def test_any_file_name_can_be_printed(bithuman: Any, encoding: str, name: str) -> None:
    folder = bithuman.directory / "cache" / "showcase"
    folder.mkdir(parents=True)
    (folder / name).touch()
    environment = {"PYTHONIOENCODING": encoding, "BITHUMAN_CACHE_DIR": str(folder.parent)}
    listed = bithuman.start("cache", "list", env=os.environ | environment, errors="replace")
    stdout, stderr = listed.communicate(timeout=30)
    assert (listed.returncode, stdout.count(".imx")) == (0, 1), stderr


def test_every_code_has_an_exit_code_of_the_documented_set() -> None:
    assert set(EXIT_CODES.values()) <= {1, 2, 65, 66, 69, 70, 130}


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (UsageError("no"), "USAGE", 2),
        (CliError("no", code="PORT_IN_USE"), "PORT_IN_USE", 69),
        (engine_errors.InvalidAvatar("no", code="NOT_IMX"), "NOT_IMX", 65),
        (engine_errors.InvalidImage("no", code="SEVERAL_FACES"), "SEVERAL_FACES", 65),
        (engine_errors.InvalidImage("no", code="FILE_NOT_FOUND"), "FILE_NOT_FOUND", 66),
        (engine_errors.InvalidAudio("no", code="AUDIO_NOT_FOUND"), "AUDIO_NOT_FOUND", 66),
        (engine_errors.InvalidAudio("no", code="AUDIO_EMPTY"), "AUDIO_EMPTY", 65),
        (engine_errors.AvatarError("no", code="MODEL_NOT_FOUND"), "MODEL_NOT_FOUND", 66),
        (engine_errors.NotSupported("no"), "NOT_SUPPORTED", 69),
        (engine_errors.Failed("no"), "FAILED", 1),
        (FileNotFoundError(2, "No such file", "x"), "FILE_NOT_FOUND", 66),
        (OSError(28, "No space left on device", "x"), "DISK_FULL", 69),
        (OSError(28, "No space left on device"), "DISK_FULL", 69),
        (PermissionError(13, "Permission denied", "x"), "FILE_NOT_ACCESSIBLE", 66),
        (ZeroDivisionError("oops"), "INTERNAL", 70),
        (OSError("no file"), "INTERNAL", 70),
    ],
)
def test_every_kind_of_error_is_explained(error: Exception, code: str, exit_code: int) -> None:
    problem = explain(error)
    assert (problem.code, problem.exit_code) == (code, exit_code)


def test_messages_of_the_engine_become_sentences() -> None:
    told = explain(engine_errors.Failed("cannot write a.mp4: Permission denied")).message
    assert told == "Cannot write a.mp4: Permission denied."
    assert explain(engine_errors.InvalidAvatar("a.imx is cut off")).message == "a.imx is cut off."


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_back(bithuman: Any, shell: str) -> None:
    script = bithuman("completion", shell)
    assert script.code == 0
    assert "_BITHUMAN_COMPLETE" in script.stdout


def complete(line: str) -> list[str]:
    """What bash would offer for the last word of a line."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_BITHUMAN_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    command = [sys.executable, "-c", "from bithuman_cli.main import COMMANDS, main; main([])"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_completion_offers_commands_options_and_avatars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Any
) -> None:
    site.publish(b"x")
    path = tmp_path / "showcase.json"
    path.write_bytes(site.files["/showcase.json"].body)
    monkeypatch.setenv("BITHUMAN_SHOWCASE_URL", str(path))
    assert complete("bithuman re") == ["render"]
    assert "--max-sessions" in complete("bithuman run --")
    assert complete("bithuman pull te") == ["test-face"]
    monkeypatch.setenv("BITHUMAN_SHOWCASE_URL", str(tmp_path / "gone.json"))
    assert complete("bithuman pull te") == []


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys; from bithuman_cli.main import COMMANDS, main; main(['--help'])\n"
        "print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(ended.stderr.strip().replace("'", '"')))
    assert not loaded & {"aiohttp", "av", "cv2", "httpx", "numpy", "onnxruntime", "PIL", "rich"}
