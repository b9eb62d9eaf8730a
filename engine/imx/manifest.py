"""``manifest.json``: what an avatar is, where it came from, and a digest of every other member.

Parsing trusts nothing: every field has a type and a range, and text that ends up on a terminal or
a page must be printable. Unknown fields are ignored, so that a later writer of the same format
version may add some.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from engine.coefficients import FPS
from engine.errors import InvalidAvatar

FORMAT: Final = "bithuman-imx"
VERSION: Final = 1
KINDS: Final = ("essence", "expression")
MEMBER: Final = "manifest.json"

MAX_FRAMES: Final = 25 * 3600  # one hour of a clip
MAX_SIDE: Final = 4096

_HEX256 = re.compile(r"[0-9a-f]{64}")
# Plain ASCII path segments: no room for "..", drives, backslashes, NUL or look-alike letters.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
MAX_NAME: Final = 128


def safe_name(name: str) -> bool:
    """Whether ``name`` may be a member: relative, ASCII, no dot segments, at most 128 long."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Member:
    """Length in bytes and lower-case hex SHA-256 of one member."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of base motion: its video member, length in frames, and whether it loops.

    ``alpha`` is the member with the share of the person in each of its pixels, if there is one.
    """

    member: str
    frames: int
    loop: bool = False
    alpha: str | None = None


@dataclass(frozen=True, slots=True)
class Mouth:
    """The mouth bank: ``poses`` x ``shapes`` patches of the box ``roi`` = (x0, y0, x1, y1) px."""

    poses: int
    shapes: int
    roi: tuple[int, int, int, int]
    codebook: str = "codebook.npy"
    mask: str = "mouth/mask.png"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the avatar was made from and with, and the marking that it is synthetic."""

    source_sha256: str = ""
    tool: str = ""
    tool_version: str = ""
    created: str = ""
    ai_generated: bool = True
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of ``manifest.json``. ``members`` is filled in by the writer.

    ``backdrop`` is the member with the picture behind the person, if every clip has an ``alpha``.
    """

    kind: str
    name: str
    width: int
    height: int
    rig_version: int = 1
    clips: Mapping[str, Clip] = field(default_factory=dict)
    mouth: Mouth | None = None
    gestures: tuple[str, ...] = ()
    backdrop: str | None = None
    licence: str = ""
    provenance: Provenance = field(default_factory=Provenance)
    members: Mapping[str, Member] = field(default_factory=dict)
    fps: int = FPS
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, as stored."""
        return {"format": FORMAT, **json.loads(json.dumps(asdict(self)))}

    def to_json(self) -> bytes:
        """The stored bytes: UTF-8, keys sorted, so equal manifests are equal files."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1, sort_keys=True)
        return text.encode() + b"\n"


def parse(data: bytes) -> Manifest:
    """Read and validate ``manifest.json``.

    Raises:
        InvalidAvatar: ``NOT_IMX`` (another format), ``UNSUPPORTED_IMX_VERSION``, or
            ``INVALID_IMX`` naming the field that is wrong.
    """
    try:
        root = json.loads(
            data.decode(), object_pairs_hook=_unique_keys, parse_constant=_no_constants
        )
    except (ValueError, RecursionError) as error:
        raise _bad(f"is not valid JSON ({error})") from error
    if not isinstance(root, dict) or root.get("format") != FORMAT:
        raise InvalidAvatar(
            f'manifest.json does not say "format": "{FORMAT}"', member=MEMBER, code="NOT_IMX"
        )
    version = root.get("version")
    if type(version) is not int:
        raise _bad('field "version" is missing or not a whole number')
    if version != VERSION:
        raise InvalidAvatar(
            f"the avatar has format version {version}, this program reads version {VERSION}",
            member=MEMBER,
            code="UNSUPPORTED_IMX_VERSION",
            hint="Update bithuman, or build the avatar again."
            if version > VERSION
            else "Build the avatar again.",
        )
    return _manifest(_Fields(root, ""))


def _manifest(top: _Fields) -> Manifest:
    kind = top.text("kind", 1, 32)
    if kind not in KINDS:
        raise _bad(f'field "kind" is {kind!r}, expected one of {", ".join(KINDS)}')
    members = {
        name: Member(entry.integer("size", 0, 1 << 40), entry.digest("sha256"))
        for name, entry in top.objects("members")
    }
    width = top.integer("width", 16, MAX_SIDE)
    height = top.integer("height", 16, MAX_SIDE)
    clips = {
        name: Clip(
            entry.member("member", members),
            entry.integer("frames", 1, MAX_FRAMES),
            entry.flag("loop"),
            entry.member("alpha", members) if entry.has("alpha") else None,
        )
        for name, entry in top.objects("clips")
    }
    mouth = _mouth(top.object("mouth"), members, width, height) if top.has("mouth") else None
    if kind == "essence" and ("idle" not in clips or mouth is None):
        raise _bad('an essence avatar needs "idle" in the field "clips", and the field "mouth"')
    backdrop = top.member("backdrop", members) if top.has("backdrop") else None
    if backdrop and (bare := [name for name, clip in clips.items() if clip.alpha is None]):
        raise _bad(f'field "clips.{bare[0]}.alpha" is missing, expected because of "backdrop"')
    gestures = top.texts("gestures")
    if unknown := [name for name in gestures if name not in clips]:
        raise _bad(f'field "gestures" names {unknown[0]!r}, which is not a clip')
    provenance = top.object("provenance")
    source = provenance.text("source_sha256", 0, 64)
    if source and not _HEX256.fullmatch(source):
        raise _bad('field "provenance.source_sha256" is not a SHA-256 digest')
    return Manifest(
        kind=kind,
        name=top.text("name", 1, 120),
        width=width,
        height=height,
        rig_version=top.integer("rig_version", 0, 1 << 16),
        clips=clips,
        mouth=mouth,
        gestures=gestures,
        backdrop=backdrop,
        licence=top.text("licence", 0, 4000),
        provenance=Provenance(
            source_sha256=source,
            tool=provenance.text("tool", 0, 120),
            tool_version=provenance.text("tool_version", 0, 120),
            created=provenance.text("created", 0, 64),
            ai_generated=provenance.flag("ai_generated"),
            notice=provenance.text("notice", 0, 4000),
        ),
        members=members,
        fps=top.integer("fps", FPS, FPS),
        version=VERSION,
    )


def _mouth(entry: _Fields, members: Mapping[str, Member], width: int, height: int) -> Mouth:
    box = entry.integers("roi", 4, 0, MAX_SIDE)
    x0, y0, x1, y1 = box
    if not (x0 < x1 <= width and y0 < y1 <= height):
        raise _bad(f'field "mouth.roi" {list(box)} is not a box inside {width}x{height}')
    return Mouth(
        poses=entry.integer("poses", 1, 100),
        shapes=entry.integer("shapes", 1, 1000),
        roi=(x0, y0, x1, y1),
        codebook=entry.member("codebook", members),
        mask=entry.member("mask", members),
    )


class _Fields:
    """Typed access to one JSON object; every refusal names the dotted path of the field."""

    def __init__(self, values: dict[str, Any], path: str) -> None:
        self._values = values
        self._path = path

    def has(self, key: str) -> bool:
        return self._values.get(key) is not None

    def _fail(self, key: str, expected: str) -> InvalidAvatar:
        state = "wrong" if key in self._values else "missing"
        return _bad(f'field "{self._path}{key}" is {state}, expected {expected}')

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._values.get(key)
        if type(value) is not int or not low <= value <= high:
            span = str(low) if low == high else f"a whole number from {low} to {high}"
            raise self._fail(key, span)
        return value

    def integers(self, key: str, count: int, low: int, high: int) -> list[int]:
        value = self._values.get(key)
        if (
            not isinstance(value, list)
            or len(value) != count
            or not all(type(item) is int and low <= item <= high for item in value)
        ):
            raise self._fail(key, f"{count} whole numbers from {low} to {high}")
        return value

    def flag(self, key: str) -> bool:
        value = self._values.get(key)
        if not isinstance(value, bool):
            raise self._fail(key, "true or false")
        return value

    def text(self, key: str, low: int, high: int) -> str:
        value = self._values.get(key)
        if not isinstance(value, str) or not low <= len(value) <= high or not _printable(value):
            raise self._fail(key, f"printable text of {low} to {high} characters")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key)
        if not isinstance(value, list) or not all(
            isinstance(item, str) and len(item) <= 120 and _printable(item) for item in value
        ):
            raise self._fail(key, "a list of names")
        return tuple(value)

    def digest(self, key: str) -> str:
        value = self._values.get(key)
        if not isinstance(value, str) or not _HEX256.fullmatch(value):
            raise self._fail(key, "64 lower-case hexadecimal digits")
        return value

    def member(self, key: str, members: Mapping[str, Member]) -> str:
        value = self._values.get(key)
        if not isinstance(value, str) or value not in members:
            raise self._fail(key, 'the name of a member listed in "members"')
        return value

    def object(self, key: str) -> _Fields:
        value = self._values.get(key)
        if not isinstance(value, dict):
            raise self._fail(key, "an object")
        return _Fields(value, f"{self._path}{key}.")

    def objects(self, key: str) -> list[tuple[str, _Fields]]:
        """Entries of an object of objects whose keys are safe names."""
        entries = []
        for name, value in self.object(key)._values.items():
            if not safe_name(name):
                raise _bad(f'"{key}" has the unsafe name {name[:MAX_NAME]!r}')
            if not isinstance(value, dict):
                raise _bad(f'"{self._path}{key}.{name}" is not an object')
            entries.append((name, _Fields(value, f"{self._path}{key}.{name}.")))
        return entries


def _printable(text: str) -> bool:
    # Terminal escapes and bidirectional overrides are not printable in this sense.
    return text.replace("\n", " ").isprintable()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not allowed")


def _bad(reason: str) -> InvalidAvatar:
    return InvalidAvatar(f"manifest.json: {reason}", member=MEMBER)
