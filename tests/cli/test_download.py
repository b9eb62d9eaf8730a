"""Downloads against a real server that cuts, lies, hangs and changes its mind."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bithuman_cli.download import Policy, download, get
from bithuman_cli.errors import CliError

BODY = random.Random(1).randbytes(300_000)
QUICK = Policy(attempts=3, stall=0.5, backoff=0.01)


def fetch(site: Any, target: Path, body: bytes = BODY, **options: Any) -> bool:
    return download(
        f"{site.url}/test-face.imx",
        target,
        sha256=hashlib.sha256(body).hexdigest(),
        size=len(body),
        policy=QUICK,
        **options,
    )


def part_of(target: Path, body: bytes = BODY) -> Path:
    digest = hashlib.sha256(body).hexdigest()
    return target.with_name(f"{target.name}.{digest[:16]}.incomplete")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "face.imx"


def test_fetches_once_and_then_finds_it(site: Any, target: Path) -> None:
    site.publish(BODY)
    seen: list[tuple[int, int]] = []

    assert fetch(site, target, progress=lambda done, total: seen.append((done, total))) is False
    assert fetch(site, target) is True

    assert target.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert len(site.requests) == 1
    assert [path.name for path in target.parent.iterdir() if "incomplete" in path.name] == []


def test_force_fetches_again(site: Any, target: Path) -> None:
    site.publish(BODY)
    fetch(site, target)
    assert fetch(site, target, force=True) is False
    assert len(site.requests) == 2


def test_a_damaged_file_is_not_taken_for_the_right_one(site: Any, target: Path) -> None:
    site.publish(BODY)
    target.parent.mkdir()
    target.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    assert fetch(site, target) is False
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("unsized", [False, True])
def test_goes_on_after_cuts(site: Any, target: Path, unsized: bool) -> None:
    file = site.publish(BODY)
    file.cuts, file.unsized = [100_000, 50_000], unsized
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.ranges_asked() == [None, "bytes=100000-", "bytes=150000-"]


def test_gives_up_after_cuts_without_a_byte_and_keeps_the_part(site: Any, target: Path) -> None:
    file = site.publish(BODY)
    file.cuts = [1000] + [0] * 10
    with pytest.raises(CliError) as caught:
        fetch(site, target)
    assert caught.value.code == "DOWNLOAD_FAILED"
    assert not target.exists()
    assert part_of(target).read_bytes() == BODY[:1000]

    file.cuts = []
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.ranges_asked()[-1] == "bytes=1000-"


@pytest.mark.parametrize("ranges", ["ignored", "wrong"])
def test_survives_a_server_that_does_not_resume(site: Any, target: Path, ranges: str) -> None:
    file = site.publish(BODY)
    file.cuts, file.ranges = [100_000], ranges
    fetch(site, target)
    assert target.read_bytes() == BODY


def test_starts_again_after_416(site: Any, target: Path) -> None:
    site.publish(BODY)
    target.parent.mkdir()
    part_of(target).write_bytes(BODY[:100_000])
    site.files["/test-face.imx"].statuses = [416]
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.ranges_asked() == ["bytes=100000-", None]


def test_a_part_of_other_content_is_thrown_away(site: Any, target: Path) -> None:
    site.publish(BODY)
    target.parent.mkdir()
    part_of(target).write_bytes(b"x" * 100_000)
    fetch(site, target)
    assert target.read_bytes() == BODY


def test_a_part_that_is_too_long_is_thrown_away(site: Any, target: Path) -> None:
    site.publish(BODY)
    target.parent.mkdir()
    part_of(target).write_bytes(BODY + b"more")
    fetch(site, target)
    assert target.read_bytes() == BODY


def test_a_file_that_changes_between_two_requests(site: Any, target: Path) -> None:
    """The server swaps the file after the cut; the catalogue already promises the new one."""
    new = BODY[::-1]
    file = site.publish(BODY)
    file.cuts = [100_000, 0, 0, 0]
    with pytest.raises(CliError):
        fetch(site, target, new)
    file.body, file.cuts = new, []
    fetch(site, target, new)
    assert target.read_bytes() == new


@pytest.mark.parametrize("wrong", [BODY[:-1] + b"?", BODY[:-9], BODY + b"and more"])
@pytest.mark.parametrize("unsized", [False, True])
def test_wrong_content_is_refused_and_removed(
    site: Any, target: Path, wrong: bytes, unsized: bool
) -> None:
    file = site.publish(wrong)
    file.unsized = unsized
    with pytest.raises(CliError) as caught:
        fetch(site, target)
    shorter_without_length = unsized and len(wrong) < len(BODY)
    assert caught.value.code == "SHA256_MISMATCH" or shorter_without_length
    assert not target.exists()


def test_the_old_file_stays_when_the_new_one_is_wrong(site: Any, target: Path) -> None:
    site.publish(b"?" * len(BODY))
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(CliError):
        fetch(site, target)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_final_answer_is_not_asked_for_again(site: Any, target: Path, status: int) -> None:
    site.publish(BODY).statuses = [status] * 9
    with pytest.raises(CliError, match=str(status)) as caught:
        fetch(site, target)
    assert caught.value.code == "DOWNLOAD_FAILED"
    assert len(site.requests) == 1


def test_a_passing_trouble_is_waited_for(site: Any, target: Path) -> None:
    site.publish(BODY).statuses = [503, 429]
    fetch(site, target)
    assert len(site.requests) == 3


def test_a_stalled_connection_is_dropped_and_resumed(site: Any, target: Path) -> None:
    file = site.publish(BODY)
    file.hang = 100_000
    fetch(site, target)
    assert target.read_bytes() == BODY
    assert site.ranges_asked() == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_that_only_hangs_is_given_up(site: Any, target: Path) -> None:
    site.publish(BODY).hang = 0
    with pytest.raises(CliError, match="nothing arrived") as caught:
        fetch(site, target)
    assert caught.value.code == "DOWNLOAD_FAILED"
    assert len(site.requests) == QUICK.attempts


def test_nobody_listens(target: Path) -> None:
    with pytest.raises(CliError) as caught:
        download("http://127.0.0.1:9/x.imx", target, sha256="0" * 64, size=1, policy=QUICK)
    assert caught.value.code == "DOWNLOAD_FAILED"


def test_follows_redirects_but_not_off_https(site: Any, target: Path) -> None:
    file = site.publish(BODY)
    site.files["/elsewhere.imx"] = type(file)(BODY)
    file.location = f"{site.url}/elsewhere.imx"
    fetch(site, target)
    assert target.read_bytes() == BODY

    file.location = "http://example.org/x.imx"
    with pytest.raises(CliError, match="only https"):
        fetch(site, target, force=True)


def test_a_local_file_takes_the_same_way(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "a face.imx"
    source.write_bytes(BODY)
    digest = hashlib.sha256(BODY).hexdigest()
    assert download(source.as_uri(), target, sha256=digest, size=len(BODY)) is False
    assert target.read_bytes() == BODY
    source.write_bytes(BODY[::-1])
    with pytest.raises(CliError) as caught:
        download(source.as_uri(), target, sha256=digest, size=len(BODY), force=True)
    assert caught.value.code == "SHA256_MISMATCH"
    source.unlink()
    with pytest.raises(CliError) as caught:
        download(source.as_uri(), target, sha256=digest, size=len(BODY), force=True)
    assert caught.value.code == "FILE_NOT_FOUND"


def test_a_disk_with_less_room_than_the_file_is_refused_before_it_fills(
    site: Any, target: Path
) -> None:
    site.publish(BODY)
    with pytest.raises(CliError) as caught:
        download(f"{site.url}/test-face.imx", target, sha256="0" * 64, size=1 << 60)
    assert caught.value.code == "DISK_FULL"
    assert site.requests == []


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=2000).map(lambda data: data * 20),
    cuts=st.lists(st.integers(1, 5000), max_size=4),
    ranges=st.sampled_from(["honest", "ignored"]),
    unsized=st.booleans(),
    held=st.integers(0, 30_000),
)
def test_whatever_is_cut_the_file_is_right(
    site: Any,
    tmp_path: Path,
    body: bytes,
    cuts: list[int],
    ranges: str,
    unsized: bool,
    held: int,
) -> None:
    target = tmp_path / os.urandom(8).hex()
    file = site.publish(body)
    file.cuts, file.ranges, file.unsized = list(cuts), ranges, unsized
    part_of(target, body).write_bytes(body[:held])
    if ranges == "ignored":  # nothing can be gained by asking again more often than it cuts
        file.cuts = file.cuts[: QUICK.attempts - 1]
    fetch(site, target, body)
    assert target.read_bytes() == body


def test_a_document_is_capped(site: Any) -> None:
    site.publish(BODY)
    assert get(f"{site.url}/test-face.imx", max_bytes=len(BODY), policy=QUICK) == BODY
    with pytest.raises(CliError, match="larger"):
        get(f"{site.url}/test-face.imx", max_bytes=len(BODY) - 1, policy=QUICK)


def test_a_document_that_is_not_there(site: Any) -> None:
    with pytest.raises(CliError) as caught:
        get(f"{site.url}/nothing", max_bytes=10, policy=QUICK)
    assert caught.value.code == "CATALOGUE_NOT_FOUND"
