"""The networks and tables that ship with the engine; see MODELS.md for what each file is."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["path", "release", "session"]

_HERE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """Where a model file is, for example ``path("face_basis.npz")``.

    Raises:
        FileNotFoundError: there is no such model; the installation is incomplete.
    """
    file = _HERE / name
    if not file.is_file():
        raise FileNotFoundError(f"The model file {file} is missing; reinstall bithuman.")
    return file


@functools.cache
def session(name: str) -> onnxruntime.InferenceSession:
    """An inference session on a model file, created once per process.

    It computes on one CPU thread, the caller's own, and does not spin while idle: an avatar
    server runs many sessions and must not use a core to wait. ``run`` may be called from
    several threads.

    Args:
        name: file name with its suffix, for example ``"face_landmarks.onnx"``.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: warnings here are about graph clean-up
    return onnxruntime.InferenceSession(
        str(path(name)), options, providers=["CPUExecutionProvider"]
    )


def release() -> None:
    """Let go of networks that nobody is using; they are loaded again when they are needed.

    Those that fit a face hold 40 MB, and a face that is fitted needs none of them.
    """
    session.cache_clear()
