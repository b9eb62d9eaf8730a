"""``doctor`` on a healthy machine and on one where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bithuman_cli.main import main


def test_all_is_well_here(capsys: pytest.CaptureFixture[str], private_home: Path) -> None:
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is True
    checks = {check["check"]: check for check in told["checks"]}
    assert {"versions", "files", "codecs", "networks", "cache", "voice", "port"} == set(checks)
    # The voice is optional and the port may be taken; neither is a failure.
    needed = checks.keys() - {"voice", "port"}
    assert {checks[name]["status"] for name in needed} == {"ok"}
    assert str(private_home / "cache") in checks["cache"]["detail"]


def test_a_cache_that_cannot_be_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BITHUMAN_CACHE_DIR", str(tmp_path / "file"))
    assert main(["doctor"]) == 69
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failure")]
    assert line.startswith("failure  cache")
    assert str(tmp_path / "file") in line
