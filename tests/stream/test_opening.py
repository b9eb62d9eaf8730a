"""Opening avatars by path and slug."""

import gc
import hashlib
import os
import shutil
import threading
import weakref
from pathlib import Path

import pytest

import engine
from engine import imx
from engine.director import Shot
from engine.errors import AvatarError, Failed, InvalidAvatar, NotSupported


def test_handles_share_memory_until_the_last_is_closed(avatar_path: Path) -> None:
    with engine.open(avatar_path) as one, engine.open(str(avatar_path)) as two:
        assert one.player is two.player
        player = weakref.ref(one.player)
        one.close()
        with pytest.raises(Failed) as caught:
            one.compose(Shot())
        assert caught.value.code == "CLOSED"
        assert two.compose(Shot()).shape == (96, 96, 3)
    gc.collect()
    assert player() is None


def test_a_file_that_was_replaced_is_opened_anew(avatar_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.imx"
    shutil.copy(avatar_path, path)
    with engine.open(path) as one:
        shutil.copy(avatar_path, tmp_path / "b.imx")
        os.utime(tmp_path / "b.imx", ns=(1, 1))
        (tmp_path / "b.imx").replace(path)
        with engine.open(path) as two:
            assert one.player is not two.player


def test_slugs(avatar_path: Path, private_home: Path, tmp_path: Path) -> None:
    with pytest.raises(AvatarError) as caught:
        engine.open("test-card")
    assert caught.value.code == "MODEL_NOT_FOUND"
    assert "bithuman pull test-card" in caught.value.hint
    folder = private_home / "cache" / "showcase"
    folder.mkdir(parents=True)
    shutil.copy(avatar_path, folder / "test-card.imx")
    assert engine.open("test-card").name == "Test Card"
    with pytest.raises(AvatarError):
        engine.open("test-card", cache=tmp_path)


def test_slugs_without_the_variable(
    avatar_path: Path, private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BITHUMAN_CACHE_DIR")
    folder = private_home / ".cache" / "bithuman" / "showcase"
    folder.mkdir(parents=True)
    shutil.copy(avatar_path, folder / "test-card.imx")
    assert engine.open("test-card").path == folder / "test-card.imx"


@pytest.mark.parametrize(
    "name", ["none.imx", "some/where", "../up", "Not A Slug", "", "a\0b", "x" * 5000]
)
def test_missing_paths(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AvatarError) as caught:
        engine.open(name)
    assert caught.value.code in ("FILE_NOT_FOUND", "FILE_NOT_ACCESSIBLE")


def test_a_photo_in_a_pipe_is_read_once(tmp_path: Path) -> None:
    photo = (Path(__file__).parents[1] / "data" / "face_front.webp").read_bytes()
    pipe = tmp_path / "photo"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(photo,), daemon=True).start()
    with engine.open(pipe, model="expression") as avatar:
        assert avatar.manifest.provenance.source_sha256 == hashlib.sha256(photo).hexdigest()
        assert avatar.fine(600)[1] == (600, 600)  # from what was read then


def test_damaged_and_foreign_files(avatar_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.imx"
    path.write_bytes(avatar_path.read_bytes()[:-100])
    with pytest.raises(InvalidAvatar):
        engine.open(path)


def test_avatars_say_what_they_are(avatar_path: Path, tmp_path: Path) -> None:
    assert engine.open(avatar_path, model="essence").kind == "essence"
    photo = Path(__file__).parents[2] / "training/showcase/portraits/studio-host.webp"
    path = engine.build_expression(photo, out=tmp_path / "e.imx", name="E", size=256).path
    assert engine.open(path, model="expression").kind == "expression"
    for file, other in ((avatar_path, "expression"), (path, "essence"), (path, "emotion")):
        with pytest.raises(NotSupported) as caught:
            engine.open(file, model=other)
        assert caught.value.code == "MODEL"


def test_an_expression_avatar_without_its_portrait(tmp_path: Path) -> None:
    path = tmp_path / "portrait.imx"
    imx.write(path, imx.Manifest(kind="expression", name="P", width=512, height=512), {})
    with pytest.raises(InvalidAvatar) as caught:
        engine.open(path)
    assert caught.value.member == "portrait.webp"
