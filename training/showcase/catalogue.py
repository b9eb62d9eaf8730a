"""Bring ``showcase.json`` up to date with the avatars under ``showcase/``.

    python -m training.showcase.catalogue
    python -m training.showcase.catalogue --describe SLUG "One line about it." --default SLUG

Name, kind, licence, width and height come from each file's manifest, sha256 and bytes from the
file. The order and the descriptions of entries that are there already stay as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from bithuman_cli import catalogue
from engine import imx

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "showcase.json"


def entry(path: Path, description: str) -> dict[str, object]:
    """The catalogue entry of an avatar file."""
    with imx.Reader(path) as reader:
        manifest = reader.manifest
    return {
        "slug": path.stem,
        "name": manifest.name,
        "description": description,
        "url": path.relative_to(ROOT).as_posix(),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "kind": manifest.kind,
        "licence": manifest.licence,
        "width": manifest.width,
        "height": manifest.height,
    }


def main() -> None:
    """Rewrite the catalogue; exit with a message if it would not be valid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--describe", nargs=2, action="append", default=[], metavar=("SLUG", "TEXT")
    )
    parser.add_argument("--default", metavar="SLUG")
    arguments = parser.parse_args()

    old = json.loads(FILE.read_text())
    described = {model["slug"]: model["description"] for model in old["models"]}
    described |= dict(arguments.describe)
    paths = {path.stem: path for path in sorted((ROOT / "showcase").glob("*.imx"))}
    if nameless := sorted(paths.keys() - described.keys()):
        sys.exit(f"describe these first: {', '.join(nameless)} (--describe SLUG TEXT)")
    models = [entry(paths[slug], text) for slug, text in described.items() if slug in paths]
    default = arguments.default or old["default"] or (models[0]["slug"] if models else None)
    new = {**old, "default": default, "models": models}
    if new != old:
        new["version"] = str(int(old["version"]) + 1)
        new["updated"] = datetime.now(UTC).date().isoformat()
    text = json.dumps(new, indent=2, ensure_ascii=False) + "\n"
    catalogue.parse(text.encode(), FILE.as_uri())
    FILE.write_text(text)


if __name__ == "__main__":
    main()
