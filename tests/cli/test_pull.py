"""``list`` and ``pull`` in real processes against a real server."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bithuman_cli import resources

BODY = random.Random(2).randbytes(400_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def cached(private_home: Path) -> Path:
    """Where the avatar of the test site ends up."""
    return private_home / "cache" / "showcase" / "test-face.imx"


def parts(cached: Path) -> list[Path]:
    return list(cached.parent.glob("*.incomplete"))


def test_list_tells_what_is_here(bithuman: Any, site: Any) -> None:
    site.publish(BODY)
    before = bithuman("list", "--json", "--registry", site.catalogue).json
    assert before["schema_version"] == 1
    assert (before["version"], before["updated"]) == ("7", "2026-11-22")
    assert before["source"] == site.catalogue
    (model,) = before["models"]
    assert model["slug"] == before["default"] == "test-face"
    assert (model["bytes"], model["cached"]) == (len(BODY), False)
    assert model["url"] == f"{site.url}/test-face.imx"

    bithuman("pull", "test-face", "--registry", site.catalogue)
    (model,) = bithuman("browse", "--json", "--registry", site.catalogue).json["models"]
    assert model["cached"] is True


def test_pull_prints_the_path_and_then_finds_it_there(
    bithuman: Any, site: Any, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish(BODY)
    monkeypatch.setenv("BITHUMAN_SHOWCASE_URL", site.catalogue)
    first = bithuman("pull", "test-face")
    assert (first.code, first.stdout) == (0, f"{cached}\n")
    assert cached.read_bytes() == BODY

    again = bithuman("download", "test-face", "--json").json
    assert again == {
        "schema_version": 1,
        "slug": "test-face",
        "path": str(cached),
        "cached": True,
        "sha256": DIGEST,
        "bytes": len(BODY),
    }
    assert bithuman("get", "test-face", "--force", "--json").json["cached"] is False


def test_the_cache_is_in_the_home_directory(
    bithuman: Any, site: Any, private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish(BODY)
    monkeypatch.delenv("BITHUMAN_CACHE_DIR")
    pulled = bithuman("pull", "test-face", "--registry", site.catalogue, "--json").json
    expected = private_home / ".cache" / "bithuman" / "showcase" / "test-face.imx"
    assert Path(pulled["path"]) == expected


def test_a_local_catalogue_with_local_avatars(bithuman: Any, site: Any, tmp_path: Path) -> None:
    site.publish(BODY)
    (tmp_path / "test-face.imx").write_bytes(BODY)
    catalogue = tmp_path / "showcase.json"
    catalogue.write_bytes(site.files["/showcase.json"].body)
    pulled = bithuman("pull", "test-face", "--registry", catalogue, "--json").json
    assert Path(pulled["path"]).read_bytes() == BODY
    assert site.requests == []


def test_ctrl_c_leaves_a_part_that_the_next_pull_goes_on_with(
    bithuman: Any, site: Any, cached: Path, watch: Callable[..., None]
) -> None:
    file = site.publish(BODY)
    file.hang = 150_000
    process = bithuman.start("pull", "test-face", "--registry", site.catalogue)
    watch(lambda: any(part.stat().st_size >= 100_000 for part in parts(cached)))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (130, "")
    assert "goes on where this one stopped" in stderr
    assert "Traceback" not in stderr
    (part,) = parts(cached)
    held = part.stat().st_size

    file.hang = None
    assert bithuman("pull", "test-face", "--registry", site.catalogue).code == 0
    assert cached.read_bytes() == BODY
    assert parts(cached) == []
    assert site.ranges_asked()[-1] == f"bytes={held}-"


def test_a_killed_pull_frees_the_lock(
    bithuman: Any, site: Any, cached: Path, watch: Callable[..., None]
) -> None:
    file = site.publish(BODY)
    file.hang = 10
    process = bithuman.start("pull", "test-face", "--registry", site.catalogue)
    assert file.started.wait(20)
    process.kill()
    process.communicate()
    file.hang = None
    assert bithuman("pull", "test-face", "--registry", site.catalogue).code == 0
    assert cached.read_bytes() == BODY


def test_a_wrong_digest(bithuman: Any, site: Any, cached: Path) -> None:
    site.publish(BODY, sha256="0" * 64)
    ended = bithuman("pull", "test-face", "--registry", site.catalogue, "--json")
    assert ended.code == 65
    assert ended.error["code"] == "SHA256_MISMATCH"
    assert DIGEST in ended.error["message"]
    assert not cached.exists()
    assert parts(cached) == []


def test_an_avatar_that_is_not_on_the_server(bithuman: Any, site: Any) -> None:
    site.publish(BODY, url="gone.imx")
    ended = bithuman("pull", "test-face", "--registry", site.catalogue, "--json")
    assert (ended.code, ended.error["code"]) == (69, "DOWNLOAD_FAILED")
    assert "404" in ended.error["message"]


def test_a_catalogue_that_is_not_on_the_server(bithuman: Any, site: Any) -> None:
    ended = bithuman("list", "--registry", f"{site.url}/gone.json", "--json")
    assert (ended.code, ended.error["code"]) == (66, "CATALOGUE_NOT_FOUND")


def test_a_catalogue_that_is_no_catalogue(bithuman: Any, site: Any) -> None:
    site.publish(BODY)
    ended = bithuman("list", "--registry", f"{site.url}/test-face.imx", "--json")
    assert (ended.code, ended.error["code"]) == (65, "CATALOGUE_INVALID")


def test_416_starts_again(bithuman: Any, site: Any, cached: Path) -> None:
    cached.parent.mkdir(parents=True)
    cached.with_name(f"test-face.imx.{DIGEST[:16]}.incomplete").write_bytes(BODY[:1000])
    site.publish(BODY).statuses = [416]
    assert bithuman("pull", "test-face", "--registry", site.catalogue).code == 0
    assert cached.read_bytes() == BODY


def test_a_full_disk(bithuman: Any, site: Any, cached: Path) -> None:
    site.publish(BODY)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    command = ("pull", "test-face", "--registry", site.catalogue, "--json")
    ended = bithuman(*command, preexec_fn=small_files)
    assert (ended.code, ended.error["code"]) == (69, "DISK_FULL")
    assert "BITHUMAN_CACHE_DIR" in ended.error["hint"]
    assert not cached.exists()
    assert bithuman(*command).code == 0  # room was made
    assert cached.read_bytes() == BODY


def test_a_file_system_without_room(
    bithuman: Any, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(mount)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system needs more rights than this user has")
    try:
        site.publish(BODY)
        monkeypatch.setenv("BITHUMAN_CACHE_DIR", str(mount))
        ended = bithuman("pull", "test-face", "--registry", site.catalogue, "--json")
        assert (ended.code, ended.error["code"]) == (69, "DISK_FULL")
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_cache_that_cannot_be_made(
    bithuman: Any, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish(BODY)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BITHUMAN_CACHE_DIR", str(tmp_path / "file"))
    ended = bithuman("pull", "test-face", "--registry", site.catalogue, "--json")
    assert (ended.code, ended.error["code"]) == (1, "CACHE_NOT_WRITABLE")
    assert "BITHUMAN_CACHE_DIR" in ended.error["hint"]


def test_what_is_here_needs_no_writing(bithuman: Any, site: Any, cached: Path) -> None:
    command = ["pull", "test-face", "--registry", site.catalogue, "--json"]
    site.publish(BODY)
    assert not bithuman(*command).json["cached"]
    for file in cached.parent.glob(".*.lock"):
        file.unlink()
    assert bithuman(*command).json["cached"]
    assert list(cached.parent.iterdir()) == [cached]


def test_bundled_avatars_need_no_cache(
    bithuman: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BITHUMAN_CACHE_DIR", str(tmp_path / "file"))
    told = bithuman("info", "modern-court-jester", "--json").json
    assert Path(told["path"]) == resources.find("showcase") / "modern-court-jester.imx"
    assert bithuman("pull", "modern-court-jester").code == 1


def test_two_pulls_at_once_fetch_once(bithuman: Any, site: Any, cached: Path) -> None:
    file = site.publish(BODY)
    file.gate = threading.Event()
    first = bithuman.start("pull", "test-face", "--registry", site.catalogue, "--json")
    assert file.started.wait(20)
    second = bithuman.start("pull", "test-face", "--registry", site.catalogue)
    line = second.stderr.readline()
    assert "Another bithuman is pulling test-face" in line
    file.gate.set()
    told, _ = first.communicate(timeout=30)
    second.communicate(timeout=30)
    assert json.loads(told)["cached"] is False
    assert (first.returncode, second.returncode) == (0, 0)
    assert cached.read_bytes() == BODY
    assert len(site.ranges_asked()) == 1


def test_a_mistyped_name_is_understood(bithuman: Any, site: Any) -> None:
    site.publish(BODY)
    ended = bithuman("pull", "tset-face", "--registry", site.catalogue)
    assert ended.code == 66
    assert "test-face" in ended.stderr


def test_what_was_pulled_stays_usable(bithuman: Any, site: Any, avatar: Path, cached: Path) -> None:
    site.publish(avatar.read_bytes())
    bithuman("pull", "test-face", "--registry", site.catalogue)
    gone = bithuman("info", "test-face", "--json", "--registry", f"{site.url}/gone.json").json
    other = bithuman("info", "test-face", "--json").json  # the bundled catalogue does not have it
    assert gone["path"] == other["path"] == str(cached)
