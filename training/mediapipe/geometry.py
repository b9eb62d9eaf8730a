"""The canonical face of MediaPipe's geometry pipeline: 468 vertices, their UV and triangles.

The file is a protocol buffer (``GeometryPipelineMetadata`` in MediaPipe's
``face_geometry/protos``). Its message is simple enough to read without generated code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CanonicalFace", "parse"]

_MESH, _VERTEX_BUFFER, _INDEX_BUFFER = 1, 3, 4  # field numbers
_VARINT, _BYTES, _FIXED32 = 0, 2, 5  # wire types


@dataclass(frozen=True)
class CanonicalFace:
    """An average face looking at the camera.

    Attributes:
        vertices: float32 (468, 3), centimetres, x right, y up, z to the viewer.
        uv: float32 (468, 2) in [0, 1].
        triangles: int16 (898, 3).
    """

    vertices: npt.NDArray[np.float32]
    uv: npt.NDArray[np.float32]
    triangles: npt.NDArray[np.int16]


def parse(data: bytes) -> CanonicalFace:
    """Read ``geometry_pipeline_metadata_landmarks.binarypb``."""
    (mesh,) = (
        value for field, value in _fields(data) if field == _MESH and isinstance(value, bytes)
    )
    floats, indices = bytearray(), list[int]()
    for field, value in _fields(mesh):
        if field == _VERTEX_BUFFER and isinstance(value, bytes):
            floats += value
        elif field == _INDEX_BUFFER and isinstance(value, int):
            indices.append(value)
    vertices = np.frombuffer(floats, "<f4").reshape(-1, 5)
    return CanonicalFace(
        vertices[:, :3].astype(np.float32),
        vertices[:, 3:].astype(np.float32),
        np.array(indices, np.int16).reshape(-1, 3),
    )


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of one message, in order."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        field, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield field, value
            continue
        if wire_type == _BYTES:
            length, position = _varint(message, position)
        elif wire_type == _FIXED32:
            length = 4
        else:
            raise ValueError(f"Unexpected wire type {wire_type} at byte {position}.")
        yield field, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
