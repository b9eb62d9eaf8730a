"""``bithuman cache`` and ``--offline``, in real processes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def showcase(private_home: Path) -> Path:
    """The cache of the test, with nothing in it."""
    directory = private_home / "cache" / "showcase"
    directory.mkdir(parents=True)
    return directory


def pull(bithuman: Any, site: Any, avatar: Path) -> Path:
    """Publish a real avatar and fetch it."""
    site.publish(avatar.read_bytes())
    return Path(bithuman("pull", "test-face", "--registry", site.catalogue, "--json").json["path"])


def test_list_shows_avatars_and_what_interrupted_downloads_left(
    bithuman: Any, site: Any, avatar: Path, showcase: Path
) -> None:
    assert bithuman("cache", "list", "--json").json["avatars"] == []
    assert bithuman("cache", "list").stdout == ""
    path = pull(bithuman, site, avatar)
    (showcase / "other.imx.0123456789abcdef.incomplete").write_bytes(b"x" * 1500)
    shown = bithuman("cache", "list", "--json").json
    size = avatar.stat().st_size
    assert shown["avatars"] == [{"slug": "test-face", "bytes": size, "path": str(path)}]
    assert shown["leftover_bytes"] == 1500
    told = bithuman("cache", "list")
    assert told.stdout.splitlines()[0].split("\t")[0] == "test-face"
    assert "1.5 kB" in told.stderr


def test_rm_removes_what_is_named_and_nothing_else(
    bithuman: Any, site: Any, avatar: Path, showcase: Path
) -> None:
    path = pull(bithuman, site, avatar)
    other = showcase / "other.imx"
    shutil.copy(avatar, other)
    nothing = bithuman("cache", "rm", "--json")
    assert (nothing.code, nothing.error["code"]) == (2, "USAGE")
    unknown = bithuman("cache", "rm", "test-face", "nobody", "--json")
    assert (unknown.code, unknown.error["code"]) == (66, "SLUG_NOT_FOUND")
    assert path.exists()

    removed = bithuman("cache", "rm", "test-face", "--json").json
    assert (removed["removed"], removed["bytes"]) == ([str(path)], avatar.stat().st_size)
    assert not path.exists()
    assert other.exists()
    assert bithuman("cache", "rm", "--all").code == 0
    assert not other.exists()


def test_prune_takes_the_unfinished_and_the_outdated(
    bithuman: Any, site: Any, avatar: Path, showcase: Path
) -> None:
    path = pull(bithuman, site, avatar)
    part = showcase / "test-face.imx.0123456789abcdef.incomplete"
    part.write_bytes(b"half")
    foreign = showcase / "from-elsewhere.imx"
    shutil.copy(avatar, foreign)

    arguments = ("cache", "prune", "--registry", site.catalogue)
    assert bithuman(*arguments, "--dry-run", "--json").json["would_remove"] == [str(part)]
    assert part.exists()
    assert bithuman(*arguments, "--json").json["removed"] == [str(part)]
    assert (part.exists(), path.exists()) == (False, True)

    site.publish(avatar.read_bytes() + b"another version")
    assert bithuman(*arguments, "--json").json["removed"] == [str(path)]
    assert foreign.exists()


def test_verify_finds_a_flipped_byte(
    bithuman: Any, site: Any, avatar: Path, showcase: Path
) -> None:
    path = pull(bithuman, site, avatar)
    arguments = ("cache", "verify", "--registry", site.catalogue)
    assert bithuman(*arguments).stdout == "test-face\tok\n"

    site.publish(avatar.read_bytes() + b"another version")
    assert bithuman(*arguments).stdout == "test-face\tok, the catalogue has another version\n"

    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    told = bithuman(*arguments, "--json")
    assert told.code == 65
    assert told.json["avatars"][0]["sound"] is False
    assert told.error["code"] == "SHA256_MISMATCH"
    assert "pull --force test-face" in told.error["hint"]


@pytest.mark.parametrize("way", ["flag", "environment"])
def test_offline_never_connects(
    bithuman: Any,
    site: Any,
    avatar: Path,
    showcase: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    pull(bithuman, site, avatar)
    asked = len(site.requests)
    flags = ["--offline"] if way == "flag" else []
    if way == "environment":
        monkeypatch.setenv("BITHUMAN_OFFLINE", "1")
    refused = bithuman("list", "--registry", site.catalogue, "--json", *flags)
    assert (refused.code, refused.error["code"]) == (69, "OFFLINE")
    # What is here stays usable.
    found = bithuman("info", "test-face", "--registry", site.catalogue, "--json", *flags)
    assert found.json["manifest"]["name"] == "Test"
    assert len(site.requests) == asked
