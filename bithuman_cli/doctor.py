"""``bithuman doctor``: whether everything that the other commands need works on this machine."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Literal

import typer

from bithuman_cli import __version__, cache, catalogue, resources
from bithuman_cli.errors import EXIT_UNAVAILABLE, CliError, explain
from bithuman_cli.output import format_bytes, out
from bithuman_cli.run_options import DEFAULT_PORT

LITTLE_SPACE: Final = 200_000_000  # bytes: an avatar, a video and some air
LIBRARIES: Final = ("numpy", "av", "onnxruntime", "opencv-python-headless", "aiohttp")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; a warning takes something away, a failure breaks a command."""

    check: str
    status: Literal["ok", "warning", "failure"]
    detail: str


def doctor() -> None:
    """Check that everything works on this machine.

    Decodes, encodes and runs the networks for real; takes a second or two.
    """
    findings = [_examine(name, check) for name, check in _CHECKS.items()]
    healthy = all(finding.status != "failure" for finding in findings)
    out.result(
        {"healthy": healthy, "checks": [asdict(finding) for finding in findings]},
        "\n".join(f"{f.status:<9}{f.check:<12}{f.detail}" for f in findings),
    )
    if not healthy:
        raise typer.Exit(EXIT_UNAVAILABLE)


class _Warning(Exception):  # noqa: N818 - it is none
    """Works, but less than it could."""


def _examine(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", check())
    except _Warning as warning:
        return Finding(name, "warning", str(warning))
    except Exception as error:  # whatever breaks here is what the user wants to know
        return Finding(name, "failure", explain(error).message)


def _versions() -> str:
    libraries = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return ", ".join([f"bithuman {__version__}", python, *libraries])


def _codecs() -> str:
    """Encode a picture and a sound and read them back."""
    import av
    import numpy as np

    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/probe.mp4"
        with av.open(path, "w") as file:
            video = file.add_stream("libx264", rate=25)
            video.width = video.height = 64
            sound = file.add_stream("aac", rate=48_000, layout="mono")
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="bgr24")
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.float32), "fltp", "mono")
            silence.sample_rate = 48_000
            file.mux(video.encode(picture) + video.encode(None))
            file.mux(sound.encode(silence) + sound.encode(None))
        with av.open(path) as file:
            kinds = [type(frame).__name__ for frame in file.decode()]
    if not {"AudioFrame", "VideoFrame"} <= set(kinds):
        raise CliError("What was encoded cannot be read back.", code="INSTALLATION_INCOMPLETE")
    return "H.264 and AAC encode and decode"


def _networks() -> str:
    """Look for a face in an empty picture and listen to a second of silence."""
    import numpy as np

    from engine import speech
    from engine.face.detect import detect_faces

    faces = detect_faces(np.full((256, 256, 3), 128, np.uint8))
    mouth = speech.coefficients(np.zeros(16_000, np.float32))
    if faces or mouth.any():
        raise CliError(
            "The networks see a face or hear speech where there is none.",
            code="INSTALLATION_INCOMPLETE",
        )
    return "face and speech networks run"


def _files() -> str:
    resources.find("web")
    avatars = catalogue.load(str(resources.find("showcase.json"))).entries
    return f"page, catalogue and {len(avatars)} avatars are bundled"


def _cache() -> str:
    directory = cache.directory()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        free = shutil.disk_usage(directory).free
    if free < LITTLE_SPACE:
        raise _Warning(f"{directory} has only {format_bytes(free)} left")
    return f"{directory} is writable, {format_bytes(free)} free"


def _voice() -> str:
    from bithuman_cli.server.voice import INSTALL_HINT, Voice

    if not Voice.available():
        raise _Warning(f"typed text cannot be spoken: {INSTALL_HINT}")
    return "typed text can be spoken"


def _port() -> str:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            raise _Warning(f"port {DEFAULT_PORT} is taken; run takes the next free one") from None
    return f"port {DEFAULT_PORT} is free"


_CHECKS: Final[dict[str, Callable[[], str]]] = {
    "versions": _versions,
    "files": _files,
    "codecs": _codecs,
    "networks": _networks,
    "cache": _cache,
    "voice": _voice,
    "port": _port,
}
