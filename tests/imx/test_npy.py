"""Arrays: every plain one survives, everything else is refused before it can do harm."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.errors import InvalidAvatar
from engine.imx import load_npy

LIMIT = 1 << 20


def saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@given(
    hnp.arrays(
        hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.boolean_dtypes(),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    st.booleans(),
)
def test_round_trip(array: np.ndarray, fortran: bool) -> None:
    loaded = load_npy(saved(np.asfortranarray(array) if fortran else array), "a.npy", LIMIT)
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)
    assert not loaded.flags.writeable


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(-1, 1, width=32)))
def test_round_trip_float(array: np.ndarray) -> None:
    np.testing.assert_array_equal(load_npy(saved(array), "a.npy", LIMIT), array)


def header(text: bytes, version: bytes = b"\x01\x00") -> bytes:
    width = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(text).to_bytes(width, "little") + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        saved(np.array([{"a": 1}], dtype=object)),
        saved(np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])),
        saved(np.array(["text"])),
        saved(np.array([1j])),
        saved(np.array(["2020"], dtype="datetime64[Y]")),
        saved(np.array([np.nan], np.float32)),
        saved(np.array([np.inf])),
        saved(np.zeros(LIMIT + 1, np.uint8)),
        saved(np.zeros(8, np.float32))[:-1],
        saved(np.zeros(8, np.float32)) + b"\0",
        header(
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 999999999999), }\n"
        ),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1, " * 64 + b"), }\n")
        + b"0000",
        header(b"{'descr': '<b8', 'fortran_order': False, 'shape': (1,), }\n") + b"00000000",
        header(b"{'descr': '<f4', 'fortran_order': __import__('os').abort(), 'shape': (1,), }\n"),
        header(b"(" * 4000),
        header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n") + b"cos\nabort\n(tR.",
        header(b"", b"\x03\x00"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"cos\nabort\n(tR.xxxxxxx",
    ],
)
def test_refuses(data: bytes) -> None:
    with pytest.raises(InvalidAvatar) as caught:
        load_npy(data, "codebook.npy", LIMIT)
    assert caught.value.member == "codebook.npy"
    assert "codebook.npy" in str(caught.value)


@settings(max_examples=300)
@given(st.integers(0, 200), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_harmless(at: int, mask: int) -> None:
    data = bytearray(saved(np.ones((4, 4), np.float32)))
    data[at % len(data)] ^= mask
    with contextlib.suppress(InvalidAvatar):
        assert load_npy(bytes(data), "a.npy", LIMIT).nbytes <= LIMIT
