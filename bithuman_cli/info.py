"""``bithuman info``: what is inside an avatar file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bithuman_cli import avatars
from bithuman_cli.options import Avatar, Registry
from bithuman_cli.output import format_bytes, out
from engine import imx

LONGEST_FOLDER = 8  # members of a folder that are still named one by one


def info(avatar: Avatar, registry: Registry = None) -> None:
    """Show what an avatar is and what its file contains.

    Every member is checked against its digest on the way.
    """
    path = avatars.resolve(avatar, registry)
    with imx.Reader(path) as reader:
        manifest, members = reader.manifest, dict(reader.members)
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    fields = asdict(manifest)
    fields.pop("members", None)  # told below, with sizes
    out.result(
        {
            "path": str(path),
            "format_version": imx.VERSION,
            "size_bytes": size,
            "sha256": digest,
            "engine": "bithuman",
            "family": manifest.kind,
            "manifest": fields,
            "members": [{"name": name, "bytes": bytes_} for name, bytes_ in members.items()],
        },
        _describe(path, size, digest, manifest, members),
    )


def _describe(
    path: Path, size: int, digest: str, manifest: imx.Manifest, members: Mapping[str, int]
) -> str:
    made = manifest.provenance
    rows = {
        "file": str(path),
        "name": manifest.name,
        "kind": manifest.kind,
        "picture": f"{manifest.width} x {manifest.height}, {manifest.fps} frames a second",
        "clips": ", ".join(
            f"{name} ({clip.frames / manifest.fps:.1f} s{', loop' if clip.loop else ''})"
            for name, clip in manifest.clips.items()
        ),
        "gestures": ", ".join(manifest.gestures),
        "matte": "the background can be replaced" if manifest.backdrop else "",
        "size": f"{format_bytes(size)} in {len(members)} members",
        "sha256": digest,
        "licence": manifest.licence,
        "made from": f"sha256 {made.source_sha256}" if made.source_sha256 else "",
        "made by": f"{made.tool} {made.tool_version}".strip(),
        "made on": made.created,
        "notice": made.notice,
    }
    lines = [f"{label:<10}{value}" for label, value in rows.items() if value]
    lines.append("members")
    lines += [f"{count:>12,}  {name}" for name, count in _grouped(members)]
    return "\n".join(lines)


def _grouped(members: Mapping[str, int]) -> list[tuple[str, int]]:
    """Members and their bytes; the hundreds of pictures of a folder as one line.

    ``--json`` names each of them.
    """
    folders: dict[str, list[tuple[str, int]]] = {}
    for name, count in members.items():
        folders.setdefault(name.rpartition("/")[0].partition("/")[0], []).append((name, count))
    rows = []
    for folder, inside in folders.items():
        if folder and len(inside) > LONGEST_FOLDER:
            rows.append((f"{folder}/ ({len(inside)} files)", sum(count for _, count in inside)))
        else:
            rows += inside
    return rows
