"""Bring the table of digests in engine/models/MODELS.md up to date.

python -m training.digests
"""

from __future__ import annotations

import re
from pathlib import Path

from training.packages import sha256

MODELS = Path(__file__).resolve().parents[1] / "engine" / "models"
_START, _END = "<!-- digests -->\n", "<!-- end of digests -->\n"


def table(folder: Path) -> str:
    """A Markdown table of every model file: name, size, sha256."""
    rows = ["| File | Bytes | sha256 |", "| --- | ---: | --- |"]
    files = (file for file in sorted(folder.iterdir()) if file.suffix in (".onnx", ".npz", ".npy"))
    rows += [f"| `{file.name}` | {file.stat().st_size} | `{sha256(file)}` |" for file in files]
    return "\n".join(rows) + "\n"


def main() -> None:
    """Rewrite the table in place."""
    document = MODELS / "MODELS.md"
    pattern = re.compile(f"{_START}.*?{_END}", re.DOTALL)
    text, count = pattern.subn(
        lambda _: f"{_START}{table(MODELS)}{_END}", document.read_text(), count=1
    )
    if count != 1:
        raise ValueError(f"{document} has no place for the digests.")
    document.write_text(text)


if __name__ == "__main__":
    main()
