from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from training import packages
from training.packages import Package, fetch, sha256, unpack


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package file that is in the cache already."""
    monkeypatch.setattr(packages, "CACHE", tmp_path)
    folder = tmp_path / "pypi" / "thing-1.0"
    folder.mkdir(parents=True)
    file = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("thing/data.txt", "hello")
    return file


def test_a_cached_package_needs_no_network(cached: Path) -> None:
    package = Package("pypi", "thing", "1.0", sha256(cached))
    assert fetch(package) == cached
    tree = unpack(package)
    assert (tree / "thing" / "data.txt").read_text() == "hello"
    assert unpack(package) == tree


def test_another_digest_is_refused(cached: Path) -> None:
    with pytest.raises(ValueError, match="expected 0000"):
        fetch(Package("pypi", "thing", "1.0", "0" * 64))


def test_the_commands_run_nothing_of_the_package(tmp_path: Path) -> None:
    wheel = packages._command(Package("pypi", "thing", "1.0", "", platform="any"), tmp_path)
    assert wheel[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", ":all:", "thing==1.0"} <= set(wheel)
    npm = packages._command(Package("npm", "@scope/thing", "2.0", ""), tmp_path)
    assert npm[:3] == ["npm", "pack", "--ignore-scripts"]
    assert npm[-1] == "@scope/thing@2.0"
    debian = packages._command(Package("debian", "thing", "3-1", ""), tmp_path)
    assert debian == ["apt-get", "download", "thing=3-1"]
