"""The public surface: adding or removing a name is a decision, so it is written down here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import engine

EXPORTED = [
    "COEFFICIENTS",
    "FPS",
    "SAMPLES_PER_FRAME",
    "SAMPLE_RATE",
    "AsyncBithuman",
    "AudioChunk",
    "Avatar",
    "AvatarError",
    "Bithuman",
    "Failed",
    "FrameState",
    "InvalidAudio",
    "InvalidAvatar",
    "InvalidImage",
    "InvalidVideo",
    "NotAuthorised",
    "NotSupported",
    "RenderResult",
    "Session",
    "VideoControl",
    "VideoFrame",
    "build",
    "build_expression",
    "open",
    "output_format",
    "write_mp4",
    "write_video",
]


def test_exported_members() -> None:
    assert engine.__all__ == EXPORTED
    assert dir(engine) == sorted(EXPORTED)


@pytest.mark.parametrize("name", EXPORTED)
def test_every_name_resolves_and_is_documented(name: str) -> None:
    member = getattr(engine, name)
    if callable(member):
        assert member.__doc__
        assert member.__module__.startswith("engine.")


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = engine.nothing


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, engine\n"
        "heavy = {'numpy', 'cv2', 'av', 'onnxruntime', 'PIL'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_engine_knows_no_web_and_no_terminal() -> None:
    code = (
        "import sys, engine\n"
        "[getattr(engine, name) for name in engine.__all__]\n"
        "found = {'aiohttp', 'httpx', 'typer', 'rich', 'bithuman_cli'} & set(sys.modules)\n"
        "sys.exit(', '.join(found) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_reported_to_anybody(tmp_path: Path) -> None:
    """The runtime of the networks keeps no device id and no queue of events to send."""
    code = "from engine.models import session; session('face_detector.onnx')"
    quiet = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    homes = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | homes)
    assert not list(tmp_path.iterdir())
