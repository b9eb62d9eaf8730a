"""The container: what is written is read back; nothing malformed gets further than opening."""

import dataclasses
import io
import json
import os
import random
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import imx
from engine.errors import AvatarError, Failed, InvalidAvatar
from engine.imx import container

MANIFEST = imx.Manifest(
    kind="essence",
    name="Jester",
    width=512,
    height=512,
    clips={"idle": imx.Clip("clips/idle.mp4", 300, loop=True)},
    mouth=imx.Mouth(4, 96, (160, 256, 352, 448)),
)
MEMBERS = {
    "clips/idle.mp4": b"video" * 40,
    "codebook.npy": b"numbers",
    "mouth/mask.png": b"\x89PNG",
    "mouth/00/001.webp": b"",
}


@pytest.fixture
def avatar(tmp_path: Path) -> Path:
    path = tmp_path / "avatar.imx"
    imx.write(path, MANIFEST, MEMBERS)
    return path


def opened(path: Path) -> tuple[imx.Manifest, dict[str, bytes]]:
    with imx.Reader(path) as reader:
        return reader.manifest, {name: reader.read(name) for name in reader.members}


# Writing


names = st.from_regex(
    r"[A-Za-z0-9_][a-z0-9_.-]{0,9}(/[a-z0-9_][a-z0-9_.-]{0,9}){0,2}", fullmatch=True
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(names, st.binary(max_size=200), max_size=8))
def test_round_trip(tmp_path: Path, extra: dict[str, bytes]) -> None:
    members = dict(MEMBERS)
    taken = {name.lower() for name in members} | {"manifest.json"}
    for name, data in extra.items():
        if name.lower() not in taken:
            taken.add(name.lower())
            members[name] = data
    path = tmp_path / "avatar.imx"
    stored = imx.write(path, MANIFEST, members)
    manifest, content = opened(path)
    assert manifest == stored
    assert dataclasses.replace(manifest, members={}) == MANIFEST
    assert content == members
    with zipfile.ZipFile(path) as archive:  # any zip tool agrees
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"manifest.json", *members}


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    imx.write(tmp_path / "a.imx", MANIFEST, MEMBERS)
    imx.write(tmp_path / "b.imx", MANIFEST, dict(reversed(MEMBERS.items())))
    assert (tmp_path / "a.imx").read_bytes() == (tmp_path / "b.imx").read_bytes()


def test_write_respects_the_umask_and_leaves_nothing_else(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        imx.write(tmp_path / "a.imx", MANIFEST, MEMBERS)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.imx").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a.imx"]


def test_failed_write_keeps_the_old_file(avatar: Path) -> None:
    before = avatar.read_bytes()
    with pytest.raises(InvalidAvatar, match="unsafe name"):
        imx.write(avatar, MANIFEST, MEMBERS | {"../evil": b""})
    assert avatar.read_bytes() == before
    assert len(list(avatar.parent.iterdir())) == 1


def test_write_to_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(Failed) as caught:
        imx.write(tmp_path / "none" / "a.imx", MANIFEST, MEMBERS)
    assert caught.value.code == "WRITE_FAILED"


def test_writer_refuses_what_the_reader_would(tmp_path: Path) -> None:
    for members in (
        MEMBERS | {"A.npy": b"", "a.npy": b""},
        {name: data for name, data in MEMBERS.items() if name != "codebook.npy"},
    ):
        with pytest.raises(InvalidAvatar):
            imx.write(tmp_path / "a.imx", MANIFEST, members)
    assert list(tmp_path.iterdir()) == []


# Opening what is not an avatar


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        *((data, "hosted bitHuman service") for data in (b"", b"PK", b"RIFF....WAVE")),
        *((data, "hosted bitHuman service") for data in (b"\0" * 4096, b"PK\5\6" + b"\0" * 18)),
        *((data, 'model="expression"') for data in (b"RIFF....WEBPVP8 ", b"\x89PNG\r\n")),
        (b"\xff\xd8\xff\xe0....", 'model="expression"'),
    ],
)
def test_other_files_are_not_imx(tmp_path: Path, data: bytes, hint: str) -> None:
    path = tmp_path / "other.imx"
    path.write_bytes(data)
    error = refused(path)
    assert error.code == "NOT_IMX"
    assert hint in error.hint


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AvatarError) as caught:
        imx.Reader(tmp_path / "none.imx")
    assert caught.value.code == "FILE_NOT_FOUND"


def test_folder_and_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.imx"
    os.mkfifo(pipe)
    for path, code in ((tmp_path, "FILE_NOT_FOUND"), (pipe, "NOT_IMX"), ("/dev/zero", "NOT_IMX")):
        with pytest.raises(AvatarError) as caught:
            imx.Reader(path)
        assert caught.value.code == code


def test_zip_without_manifest(tmp_path: Path) -> None:
    path = tmp_path / "plain.imx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InvalidAvatar) as caught:
        imx.Reader(path)
    assert caught.value.code == "MISSING_MANIFEST"


def test_closed_reader_says_so(avatar: Path) -> None:
    reader = imx.Reader(avatar)
    reader.close()
    reader.close()
    with pytest.raises(Failed, match="closed"):
        reader.read("codebook.npy")
    with pytest.raises(InvalidAvatar, match="no member"):
        reader.read("other")


# Opening what has been tampered with


def repack(
    path: Path,
    *,
    edit: Callable[[dict[str, bytes]], None] = lambda content: None,
    info: Callable[[zipfile.ZipInfo], None] = lambda info: None,
    target: str = "codebook.npy",
) -> None:
    """Rewrite the archive with Python's zipfile after changing contents or one entry's header."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    edit(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)
            if name == target:
                info(entry)
            archive.writestr(entry, data)


def refused(path: Path) -> InvalidAvatar:
    with pytest.raises(InvalidAvatar) as caught:
        imx.Reader(path)
    return caught.value


def test_repacking_unchanged_is_fine(avatar: Path) -> None:
    repack(avatar)
    assert opened(avatar)[1] == MEMBERS


def test_wrong_digest(avatar: Path) -> None:
    repack(avatar, edit=lambda content: content.update({"codebook.npy": b"Numbers"}))
    error = refused(avatar)
    assert (error.code, error.member) == ("SHA256_MISMATCH", "codebook.npy")
    assert str(error).startswith(f"{avatar.name}: codebook.npy is damaged")


def test_wrong_size(avatar: Path) -> None:
    repack(avatar, edit=lambda content: content.update({"codebook.npy": b"more numbers"}))
    assert refused(avatar).member == "codebook.npy"


def test_unlisted_and_missing_members(avatar: Path) -> None:
    repack(avatar, edit=lambda content: content.update({"extra.txt": b"hello"}))
    assert refused(avatar).member == "extra.txt"
    repack(avatar, edit=lambda content: (content.pop("extra.txt"), content.pop("codebook.npy")))
    assert refused(avatar).member == "codebook.npy"


def test_zip_bomb_is_refused_unopened(avatar: Path) -> None:
    def deflate(info: zipfile.ZipInfo) -> None:
        info.compress_type = zipfile.ZIP_DEFLATED

    repack(
        avatar,
        edit=lambda content: content.update({"codebook.npy": bytes(64 << 20)}),
        info=deflate,
    )
    assert avatar.stat().st_size < 1 << 20
    tracemalloc.start()
    error = refused(avatar)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.member == "codebook.npy"
    assert "compressed" in str(error)
    assert peak < 2 << 20


def test_symlink_and_device_entries(avatar: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR):

        def special(info: zipfile.ZipInfo, kind: int = kind) -> None:
            info.create_system = 3
            info.external_attr = (kind | 0o777) << 16

        repack(avatar, info=special)
        error = refused(avatar)
        assert error.member == "codebook.npy"
        assert "link" in str(error)


def test_duplicates(avatar: Path) -> None:
    for name in ("codebook.npy", "Codebook.NPY"):
        data = avatar.read_bytes()
        with zipfile.ZipFile(avatar, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile objects to what is tested here
            archive.writestr(name, b"numbers")
        error = refused(avatar)
        assert error.member == name
        assert "twice" in str(error)
        avatar.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/etc/evil",
        "..\\evil",
        "C:\\evil",
        "C:evil",
        "a/../../evil",
        "\u2025/evil",
        "e\u0301vil",
        "\uff0e\uff0e/evil",
        "con\u202egpj.exe",
        "x" * 300,
        " ",
        "dir/",
    ],
)
def test_unsafe_names(avatar: Path, name: str) -> None:
    repack(avatar, edit=lambda content: content.update({name: b""}))
    assert "unsafe name" in str(refused(avatar))


def test_nul_in_a_name(avatar: Path) -> None:
    # Python's writer cuts names at NUL, so patch the bytes: same length, both headers.
    avatar.write_bytes(avatar.read_bytes().replace(b"codebook.npy", b"code\0ook.npy"))
    assert "unsafe name" in str(refused(avatar))


def test_overlong_utf8_and_non_utf8_names(avatar: Path) -> None:
    for evil in (b"\xc0\xae\xc0\xae\xc0\xafbook", b"\xff\xfe\xfd\xfcook.npy"):
        data = avatar.read_bytes()
        avatar.write_bytes(data.replace(b"codebook.npy", evil.ljust(12, b"x")))
        assert "unsafe name" in str(refused(avatar))
        avatar.write_bytes(data)


def directory_entry(data: bytes, name: bytes) -> int:
    """Offset of the central directory record of ``name``."""
    return data.rindex(name) - 46


def patched(data: bytes, offset: int, layout: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, offset, value)
    return bytes(changed)


@pytest.mark.parametrize("size", [8, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_absurd_sizes_in_the_directory(avatar: Path, size: int) -> None:
    data = avatar.read_bytes()
    central = directory_entry(data, b"codebook.npy")
    local = data.index(b"codebook.npy") - 30
    for offset in (20, 24):
        data = patched(data, central + offset, "<I", size)
    for offset in (18, 22):
        data = patched(data, local + offset, "<I", size)
    avatar.write_bytes(data)
    tracemalloc.start()
    assert refused(avatar).member == "codebook.npy"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("offset", "layout", "value", "word"),
    [
        (8, "<H", 1, "encrypted"),
        (8, "<H", 8, "streamed"),
        (8, "<H", 0x2000, "encrypted"),
        (10, "<H", 12, "compressed"),
        (20, "<I", 3, "compressed"),
        (34, "<H", 1, "overlaps"),
        (42, "<I", 0, "overlaps"),
        (42, "<I", 1 << 30, "overlaps"),
        (16, "<I", 7, "contradicts"),
    ],
)
def test_bad_directory_fields(
    avatar: Path, offset: int, layout: str, value: int, word: str
) -> None:
    data = avatar.read_bytes()
    avatar.write_bytes(
        patched(data, directory_entry(data, b"codebook.npy") + offset, layout, value)
    )
    error = refused(avatar)
    assert error.member == "codebook.npy"
    assert word in str(error)


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (4, "<H", 1),
        (6, "<H", 1),
        (8, "<H", 1),
        (8, "<I", 0xFFFFFFFF),
        (8, "<I", 0x00010001),
        (10, "<H", 6),
        (12, "<I", 0),
        (12, "<I", 0xFFFFFFFF),
        (16, "<I", 0),
        (16, "<I", 0xFFFFFFFF),
        (20, "<H", 1),
    ],
)
def test_bad_end_record(avatar: Path, offset: int, layout: str, value: int) -> None:
    data = avatar.read_bytes()
    avatar.write_bytes(patched(data, len(data) - 22 + offset, layout, value))
    refused(avatar)


def test_zip64(avatar: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as entry:
        entry.write(b"x")
    avatar.write_bytes(buffer.getvalue())
    refused(avatar)


def test_data_around_the_archive(avatar: Path) -> None:
    data = avatar.read_bytes()
    for changed in (data + b"\0", data + data, b"MZ" + data, data[:-22] + b"hidden" + data[-22:]):
        avatar.write_bytes(changed)
        refused(avatar)


def test_gap_between_members(avatar: Path) -> None:
    data = avatar.read_bytes()
    at = data.index(b"codebook.npy") - 30
    shifted = data[:at] + b"secret" + data[at:]
    end = len(shifted) - 22
    shifted = patched(shifted, end + 16, "<I", struct.unpack_from("<I", shifted, end + 16)[0] + 6)
    avatar.write_bytes(shifted)
    refused(avatar)


def test_too_many_members(tmp_path: Path) -> None:
    path = tmp_path / "many.imx"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(container.MAX_MEMBERS + 1):
            archive.writestr(f"m{number}", b"")
    assert "members" in str(refused(path))


def test_huge_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "huge.imx"
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(container.MAX_TOTAL + 1)
    assert "more than" in str(refused(path))


def test_oversized_manifest(tmp_path: Path) -> None:
    path = tmp_path / "fat.imx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", b"[" * (container.MAX_MANIFEST + 1))
    assert refused(path).member == "manifest.json"


@pytest.mark.parametrize("filler", [b"[],", b'{"a":{}},'])
def test_memory_for_the_worst_manifest_is_bounded(tmp_path: Path, filler: bytes) -> None:
    path = tmp_path / "fat.imx"
    count = (container.MAX_MANIFEST - 16) // len(filler)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", b'{"a":[' + filler * (count - 4) + b"0]}")
    tracemalloc.start()
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 128 << 20


def test_change_after_opening_is_noticed(avatar: Path) -> None:
    with imx.Reader(avatar) as reader:
        data = bytearray(avatar.read_bytes())
        at = data.index(b"numbers")
        with avatar.open("r+b") as file:
            file.seek(at)
            file.write(b"NUMBERS")
        with pytest.raises(InvalidAvatar) as caught:
            reader.read("codebook.npy")
        assert caught.value.code == "SHA256_MISMATCH"
        with avatar.open("r+b") as file:
            file.truncate(at)
        with pytest.raises(InvalidAvatar, match="shorter"):
            reader.read("codebook.npy")


# Fuzzing: whatever happens to the bytes, either the content is intact or the file is refused.


def survives(path: Path, original: tuple[imx.Manifest, dict[str, bytes]]) -> bool:
    try:
        assert opened(path) == original
    except InvalidAvatar:
        return False
    return True


def test_every_truncation_is_refused(avatar: Path) -> None:
    data, original = avatar.read_bytes(), opened(avatar)
    for length in range(len(data)):
        avatar.write_bytes(data[:length])
        assert not survives(avatar, original)


def test_every_flipped_byte_is_refused_or_harmless(avatar: Path) -> None:
    data, original = avatar.read_bytes(), opened(avatar)
    random.seed(0)
    harmless = 0
    with avatar.open("r+b") as file:
        for at, byte in enumerate(data):
            for mask in (1 << random.randrange(8), random.randrange(1, 256)):
                file.seek(at)
                file.write(bytes([byte ^ mask]))
                file.flush()
                harmless += survives(avatar, original)
            file.seek(at)
            file.write(bytes([byte]))
        file.flush()
    # Only dates, versions and permission bits of the zip records may change unnoticed.
    assert harmless < 2 * len(MEMBERS | {"manifest.json": b""}) * (4 + 2 + 4 + 4 + 4 + 2)
    assert survives(avatar, original)


@settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["insert", "delete", "repeat", "replace"]),
            st.integers(0, 1 << 16),
            st.binary(min_size=1, max_size=40),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_random_edits(avatar: Path, edits: list[tuple[str, int, bytes]]) -> None:
    imx.write(avatar, MANIFEST, MEMBERS)
    data, original = avatar.read_bytes(), opened(avatar)
    for action, where, payload in edits:
        at = where % max(1, len(data))
        if action == "insert":
            data = data[:at] + payload + data[at:]
        elif action == "delete":
            data = data[:at] + data[at + len(payload) :]
        elif action == "repeat":
            data = data[:at] + data[at : at + len(payload)] + data[at:]
        else:
            data = data[:at] + payload + data[at + len(payload) :]
    avatar.write_bytes(data)
    survives(avatar, original)


def test_manifest_edits_with_valid_zip_are_still_checked(avatar: Path) -> None:
    def edit(content: dict[str, bytes]) -> None:
        root = json.loads(content["manifest.json"])
        root["members"]["codebook.npy"]["size"] = 1 << 39
        content["manifest.json"] = json.dumps(root).encode()

    repack(avatar, edit=edit)
    assert refused(avatar).member == "codebook.npy"
