from pathlib import Path

import pytest

from bithuman_cli.crash import write_report
from bithuman_cli.main import _fail
from bithuman_cli.output import out


def broken() -> Exception:
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        return error
    raise AssertionError


def test_the_report_has_the_traceback_and_the_versions(private_home: Path) -> None:
    path = write_report(broken())
    assert path is not None
    assert private_home in path.parents
    text = path.read_text()
    assert text.startswith("bithuman ")
    assert "ZeroDivisionError: division by zero" in text
    assert "_ = 1 / 0" in text


def test_a_report_replaces_the_one_before(private_home: Path) -> None:
    first = write_report(ValueError("the first"))
    second = write_report(ValueError("the second"))
    assert first == second
    assert second is not None
    assert "the first" not in second.read_text()


def test_no_report_where_none_can_be_written(
    private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = private_home / "file"
    blocker.write_text("")
    monkeypatch.setenv("HOME", str(blocker))
    monkeypatch.setenv("XDG_STATE_HOME", str(blocker))
    assert write_report(broken()) is None


def test_users_see_one_sentence_and_where_the_rest_is(
    private_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "debug", False)
    assert _fail(broken()) == 70
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert "last-crash.log" in "".join(shown.split())  # wrapped wherever the path is long
