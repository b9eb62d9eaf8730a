"""Plain ``.npy`` arrays without the parts of the format that execute or over-allocate.

Reads versions 1.0 and 2.0 of the NumPy array file format (NEP 1) for boolean, integer and float
arrays only. The header is matched literally, never evaluated, and pickled data has no code path.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidAvatar

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '(?P<descr>[<>|][biuf][1248])', 'fortran_order': (?P<fortran>False|True), "
    rb"'shape': \((?P<shape>(?:\d{1,12}, ?)*(?:\d{1,12})?)\), \} *\n"
)
_MAX_HEADER = 4096


def load_npy(data: bytes, member: str, max_bytes: int) -> NDArray[Any]:
    """Decode an array of numbers.

    Args:
        data: the whole ``.npy`` file.
        member: name used in errors.
        max_bytes: largest array accepted, in bytes.

    Returns:
        A read-only array over ``data`` (no copy), in the stored dtype and shape; floats are finite.

    Raises:
        InvalidAvatar: anything else than a plain array of numbers of exactly the declared size.
    """

    def bad(reason: str) -> InvalidAvatar:
        return InvalidAvatar(f"{member}: {reason}", member=member)

    if data[:6] != _MAGIC or len(data) < 12:
        raise bad("is not a NumPy array")
    if data[6:8] == b"\x01\x00":
        start, length = 10, int.from_bytes(data[8:10], "little")
    elif data[6:8] == b"\x02\x00":
        start, length = 12, int.from_bytes(data[8:12], "little")
    else:
        raise bad("has an unknown NumPy format version")
    if length > _MAX_HEADER:
        raise bad("has a header that is too long")
    match = _HEADER.fullmatch(data[start : start + length])
    if match is None:
        raise bad("is not a plain array of numbers (objects and records are refused)")
    try:
        dtype = np.dtype(match["descr"].decode())
    except TypeError as error:  # such as 'b8' or 'f1'
        raise bad("has an unknown number type") from error
    shape = tuple(int(size) for size in match["shape"].replace(b" ", b"").split(b",") if size)
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes or len(shape) > 8:
        raise bad(f"declares an array of {size} bytes, more than the {max_bytes} allowed")
    if size != len(data) - start - length:
        raise bad("declares a size that its data does not have")
    order: Any = "F" if match["fortran"] == b"True" else "C"
    array = np.frombuffer(data, dtype, offset=start + length).reshape(shape, order=order)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise bad("contains values that are not finite")
    return array
