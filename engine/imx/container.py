"""The ``.imx`` file: a stored (never deflated) zip whose manifest has a digest of every member.

The zip layout follows PKWARE's APPNOTE.TXT 6.3.10, restricted to what such a file needs, so that
nothing can hide in it: members lie back to back from byte 0 to the central directory, the end
record is the last 22 bytes, no compression, encryption, zip64, data descriptors, links or
duplicates. ``unzip`` and every zip tool read the result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from engine.closing import Closing
from engine.errors import AvatarError, Failed, InvalidAvatar
from engine.files import atomic, not_read
from engine.imx import manifest as manifests
from engine.imx.manifest import Manifest, Member, safe_name

MAX_TOTAL: Final = 512 << 20
"""Largest file accepted, bytes."""
MAX_MEMBER: Final = 256 << 20
"""Largest member accepted, bytes. ``Reader.read`` allocates one member, never more."""
MAX_MEMBERS: Final = 16_384
MAX_MANIFEST: Final = 2 << 20
"""Largest ``manifest.json``, bytes. Opening any file takes less than 128 MiB of memory."""

_MAX_DIRECTORY = 6 << 20
_BLOCK = 1 << 20
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC = 0x04034B50, 0x02014B50, 0x06054B50
_UTF8_FLAG = 0x0800
_HOSTED = (
    "Avatar files of the hosted bitHuman service are a different, closed format; "
    "make an open one from a photo with `bithuman build photo.jpg`."
)
_PICTURE = 'Make an avatar of it with `bithuman build`, or open it with model="expression".'
_PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG")  # JPEG, PNG


def looks_like_imx(path: Path) -> bool:
    """Whether a file begins as avatars do; no more is looked at, and of a pipe nothing."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(4) == _LOCAL_MAGIC.to_bytes(4, "little")
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say of what is wrong in a file which file it is: several may be open."""
    try:
        yield
    except InvalidAvatar as error:
        if path.name not in str(error):
            error.args = (f"{path.name}: {error}",)
        raise


class _Entry(NamedTuple):
    offset: int  # of the data, from the start of the file
    size: int
    crc: int


def write(
    path: str | os.PathLike[str], manifest: Manifest, members: Mapping[str, bytes]
) -> Manifest:
    """Write an avatar file atomically; equal input gives equal bytes.

    Args:
        path: target; its folder must exist.
        manifest: ``members`` in it is ignored and replaced by the digests of ``members``.
        members: name to content, without ``manifest.json``.

    Returns:
        The manifest as stored.

    Raises:
        InvalidAvatar: the result would not be readable (name, size or field out of range).
        Failed: ``WRITE_FAILED``, the folder is missing, read-only or full.
    """
    digests = {
        name: Member(len(data), hashlib.sha256(data).hexdigest())
        for name, data in sorted(members.items())
    }
    stored = dataclasses.replace(manifest, members=digests)
    head = stored.to_json()
    stored = manifests.parse(head)
    _check_limits({manifests.MEMBER: len(head)} | {n: m.size for n, m in digests.items()})
    with atomic(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [(manifests.MEMBER, head), *sorted(members.items())]:
            info = zipfile.ZipInfo(name)  # dated 1980-01-01
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
    return stored


class Reader(Closing):
    """An open, completely verified avatar file.

    Opening checks the container, the manifest and the digest of every member before anything is
    decoded. Reading is safe from several threads at once. Use as a context manager or ``close``.

    Raises:
        AvatarError: ``FILE_NOT_FOUND`` or ``FILE_NOT_ACCESSIBLE``.
        InvalidAvatar: ``NOT_IMX``, ``UNSUPPORTED_IMX_VERSION``, ``MISSING_MANIFEST``,
            ``SHA256_MISMATCH`` or ``INVALID_IMX``; ``member`` names the first wrong part.
    """

    manifest: Manifest
    """The validated manifest."""
    members: Mapping[str, int]
    """Sizes in bytes of all members by name, without ``manifest.json``."""
    status: os.stat_result
    """Of the open file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = Path(path)
        self._file = _open_regular(self.path)
        try:
            with naming(self.path):
                self.status = os.fstat(self._file)
                self._entries = _directory(self._file, self.status.st_size, self.path)
                self.manifest = self._read_manifest()
                sizes = {name: member.size for name, member in self.manifest.members.items()}
                self.members = MappingProxyType(sizes)
                self._verify()
        except OSError as error:
            self.close()
            raise Failed(
                f"cannot read {self.path}: {error.strerror}", code="READ_FAILED"
            ) from error
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> bytes:
        """Content of one member, checked against its digest once more.

        Raises:
            InvalidAvatar: no such member, or the file changed since it was opened.
            Failed: ``CLOSED``.
        """
        if name not in self.members:
            raise InvalidAvatar(f"{self.path.name} has no member {name}", member=name)
        if self._file < 0:
            raise Failed(f"{self.path.name} is closed", code="CLOSED")
        entry = self._entries[name]
        data = _pread(self._file, entry.size, entry.offset)
        if hashlib.sha256(data).hexdigest() != self.manifest.members[name].sha256:
            raise _mismatch(name)
        return data

    def close(self) -> None:
        """Release the file; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # __init__ did not get as far as opening
            self.close()

    def _read_manifest(self) -> Manifest:
        entry = self._entries.get(manifests.MEMBER)
        if entry is None:
            raise InvalidAvatar(
                f"{self.path.name} has no manifest.json",
                member=manifests.MEMBER,
                code="MISSING_MANIFEST",
                hint=_HOSTED,
            )
        data = _pread(self._file, entry.size, entry.offset)
        if zlib.crc32(data) != entry.crc:
            raise InvalidAvatar("manifest.json is damaged", member=manifests.MEMBER)
        return manifests.parse(data)

    def _verify(self) -> None:
        listed = self.manifest.members
        present = self._entries.keys() - {manifests.MEMBER}
        for name in sorted(present ^ listed.keys()):
            where = "not listed in the manifest" if name in present else "missing from the file"
            raise InvalidAvatar(f"{name} is {where}", member=name)
        for name, expected in listed.items():
            entry = self._entries[name]
            if entry.size != expected.size:
                raise InvalidAvatar(
                    f"{name} has {entry.size} bytes, the manifest says {expected.size}",
                    member=name,
                )
            digest, crc = hashlib.sha256(), 0
            for start in range(0, entry.size, _BLOCK):
                count = min(_BLOCK, entry.size - start)
                block = _pread(self._file, count, entry.offset + start)
                digest.update(block)
                crc = zlib.crc32(block, crc)
            if digest.hexdigest() != expected.sha256 or crc != entry.crc:
                raise _mismatch(name)


def _open_regular(path: Path) -> int:
    try:
        # Non-blocking: a named pipe called avatar.imx must not hang the program.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        code, message = not_read(path, error)
        raise AvatarError(message, code=code) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            code, message = not_read(path, IsADirectoryError())
            raise AvatarError(message, code=code)
        raise InvalidAvatar(f"{path} is not a file", code="NOT_IMX")
    return descriptor


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0:
        part = os.pread(descriptor, size, offset)
        if not part:
            raise InvalidAvatar("the file became shorter while it was read")
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _directory(descriptor: int, size: int, path: Path) -> dict[str, _Entry]:
    """Parse the end record, the central directory and all local headers."""

    def bad(reason: str, member: str = "") -> InvalidAvatar:
        return InvalidAvatar(f"{member or path.name} {reason}", member=member)

    start = _pread(descriptor, min(12, size), 0)
    if start[:4] != _LOCAL_MAGIC.to_bytes(4, "little"):
        picture = start.startswith(_PICTURE_MAGIC) or start[8:] == b"WEBP"
        raise InvalidAvatar(
            f"{path.name} is not an .imx avatar of the open format",
            code="NOT_IMX",
            hint=_PICTURE if picture else _HOSTED,
        )
    if size > MAX_TOTAL:
        raise bad(f"has {size} bytes, more than the {MAX_TOTAL} allowed")
    if size < _END.size:
        raise bad("is cut off")
    magic, disk, first_disk, here, count, length, begin, comment = _END.unpack(
        _pread(descriptor, _END.size, size - _END.size)
    )
    if magic != _END_MAGIC or comment:
        raise bad("is cut off or has data after its end")
    if disk or first_disk or here != count or count == 0xFFFF or begin == 0xFFFFFFFF:
        raise bad("uses a split or 64-bit zip layout, which avatars do not need")
    if begin + length != size - _END.size:
        raise bad("has a directory that does not end where the file ends")
    if count > MAX_MEMBERS or length > _MAX_DIRECTORY:
        raise bad(f"has more than {MAX_MEMBERS} members")

    directory = _pread(descriptor, length, begin)
    entries: dict[str, _Entry] = {}
    seen: set[str] = set()
    at = expected = 0
    for _ in range(count):
        if len(directory) - at < _CENTRAL.size:
            raise bad("has a directory that is cut off")
        fields = _CENTRAL.unpack_from(directory, at)
        (magic, made, _, flags, method, _, _, crc, packed, plain) = fields[:10]
        name_length, extra_length, comment, disk, _, attributes, offset = fields[10:]
        raw = directory[at + _CENTRAL.size : at + _CENTRAL.size + name_length]
        at += _CENTRAL.size + name_length + extra_length + comment
        if magic != _CENTRAL_MAGIC or len(raw) != name_length or at > len(directory):
            raise bad("has a damaged directory")
        name = _member_name(raw, path)
        if name.lower() in seen:  # also when only the case differs: unpacking would overwrite
            raise bad("appears twice", name)
        seen.add(name.lower())
        mode = attributes >> 16 if made >> 8 == 3 else 0
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise bad("is a link or special file", name)
        if flags & ~_UTF8_FLAG:
            raise bad("is encrypted or streamed, which avatars never are", name)
        if method != 0 or packed != plain:
            raise bad("is compressed; avatars are stored plain", name)
        if disk or offset != expected:
            raise bad("overlaps another member, or leaves a gap before it", name)
        data = _local(descriptor, raw, offset, begin, (flags, method, crc, packed, plain), name)
        if data + plain > begin:
            raise bad("reaches beyond the end of the file", name)
        entries[name] = _Entry(data, plain, crc)
        expected = data + plain
    if at != len(directory) or expected != begin:
        raise bad("has data that belongs to no member")
    _check_limits({name: entry.size for name, entry in entries.items()})
    return entries


def _local(
    descriptor: int,
    raw: bytes,
    offset: int,
    limit: int,
    expected: tuple[int, int, int, int, int],
    name: str,
) -> int:
    """Check one local header against its directory entry; returns the offset of the data."""
    wrong = InvalidAvatar(f"{name} has a header that contradicts the directory", member=name)
    if offset + _LOCAL.size + len(raw) > limit:
        raise wrong
    head = _pread(descriptor, _LOCAL.size + len(raw), offset)
    fields: tuple[int, ...] = _LOCAL.unpack_from(head)
    magic, _, flags, method, _, _, crc, packed, plain, name_length, extra = fields
    if magic != _LOCAL_MAGIC or (flags, method, crc, packed, plain) != expected:
        raise wrong
    if name_length != len(raw) or head[_LOCAL.size :] != raw:
        raise wrong
    return offset + _LOCAL.size + len(raw) + extra


def _member_name(raw: bytes, path: Path) -> str:
    name = raw.decode("ascii", "backslashreplace")
    if not safe_name(name):
        shown = name[: manifests.MAX_NAME]
        raise InvalidAvatar(
            f"{path.name} has a member with the unsafe name {shown!r}", member=shown
        )
    return name


def _check_limits(sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        if not safe_name(name):
            raise InvalidAvatar(f"{name[:128]!r} is not a safe member name", member=name[:128])
        limit = MAX_MANIFEST if name == manifests.MEMBER else MAX_MEMBER
        if size > limit:
            raise InvalidAvatar(
                f"{name} has {size} bytes, more than the {limit} allowed", member=name
            )
    if len({name.lower() for name in sizes}) != len(sizes):
        raise InvalidAvatar("two members have names that differ only in case")
    if len(sizes) > MAX_MEMBERS or sum(sizes.values()) > MAX_TOTAL:
        raise InvalidAvatar(f"an avatar has at most {MAX_MEMBERS} members and {MAX_TOTAL} bytes")


def _mismatch(name: str) -> InvalidAvatar:
    return InvalidAvatar(
        f"{name} is damaged: its SHA-256 digest is not the one in the manifest",
        member=name,
        code="SHA256_MISMATCH",
        hint="Download or build the avatar again.",
    )
