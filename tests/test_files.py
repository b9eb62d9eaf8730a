"""Files are written whole or not at all, and in the place of nothing but files."""

import os
from pathlib import Path

import pytest

from engine.errors import Failed
from engine.files import atomic, atomic_folder, home


def write(path: Path, content: str = "new") -> None:
    with atomic(path) as part:
        assert part.suffix == (path.suffix or ".part")
        part.write_text(content)


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(path) as part:
        part.write_text("half" * (1 // 0))
    assert path.read_text() == "old"
    write(path)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "null.mp4").symlink_to("/dev/null")
    before = {path: path.lstat() for path in tmp_path.iterdir()}
    for path in before:
        with pytest.raises(Failed) as caught:
            write(path)
        assert caught.value.code == "WRITE_FAILED"
    assert {path: path.lstat() for path in tmp_path.iterdir()} == before


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("a.txt", "not-yet.txt"):
        link = tmp_path / name
        link.symlink_to(tmp_path / "there" / name)
        write(link)
        assert link.is_symlink()
        assert (tmp_path / "there" / name).read_text() == "new"


@pytest.mark.parametrize("name", ["x" * 251 + ".txt", "\u00fc" * 125 + ".txt", "\U0001f600" * 62])
def test_names_as_long_as_they_may_be(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert (tmp_path / name).read_text() == "new"
    (tmp_path / name).unlink()
    with atomic_folder(tmp_path / name) as part:
        (part / "a").touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_users_without_a_home_have_none_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(user: int) -> None:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert not home().exists()
