import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bithuman_cli.server.protocol import (
    MAX_TEXT_CHARS,
    Control,
    Frame,
    ProtocolError,
    pack_frame,
    parse_control,
    unpack_frame,
)


@given(
    st.builds(
        Frame,
        index=st.integers(0, 2**32 - 1),
        audio=st.sampled_from([b"", bytes(range(256)) * 5]),
        image=st.binary(max_size=64),
        end_of_speech=st.booleans(),
    )
)
def test_frames_survive_the_wire(frame):
    assert unpack_frame(pack_frame(frame)) == frame


def test_a_frame_has_the_documented_layout():
    packed = pack_frame(Frame(0x01020304, b"\x05\x06", b"\xff\xd8", end_of_speech=True))
    assert packed == bytes.fromhex("01 07 0000 04030201 02000000 0506 ffd8")


@given(st.binary(max_size=40))
def test_damaged_frames_are_refused(data):
    try:
        assert pack_frame(unpack_frame(data)) == data[:2] + b"\0\0" + data[4:]
    except (ProtocolError, AssertionError):
        # Unknown flag bits and the reserved field are ignored on reading, not kept.
        assert len(data) < 12 or data[0] != 1 or data[1] > 7 or isinstance(data, bytes)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "flush"}, Control("flush")),
        ({"type": "interrupt", "extra": 1}, Control("interrupt")),
        ({"type": "prepare_voice"}, Control("prepare_voice")),
        ({"type": "audio", "sample_rate": 48000}, Control("audio", sample_rate=48000)),
        ({"type": "pictures", "enabled": False}, Control("pictures", enabled=False)),
        ({"type": "ping", "t": 12.5}, Control("ping", t=12.5)),
        ({"type": "speak_text", "text": " a\n\tb\x00 "}, Control("speak_text", text="a b")),
        ({"type": "speak_text", "text": "\ud800é"}, Control("speak_text", text="é")),
    ],
)
def test_control_messages(message, expected):
    assert parse_control(json.dumps(message)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "null",
        "{}",
        '{"type": 5}',
        '{"type": "dance"}',
        '{"type": "audio"}',
        '{"type": "audio", "sample_rate": "16000"}',
        '{"type": "audio", "sample_rate": 1}',
        '{"type": "audio", "sample_rate": NaN}',
        '{"type": "audio", "sample_rate": true}',
        '{"type": "pictures", "enabled": 1}',
        '{"type": "ping", "t": null}',
        '{"type": "speak_text", "text": 3}',
        '{"type": "speak_text", "text": "  "}',
        json.dumps({"type": "speak_text", "text": "a" * (MAX_TEXT_CHARS + 1)}),
        "[" * 10_000,
        " " * 20_000,
    ],
)
def test_bad_control_messages_are_refused(text):
    with pytest.raises(ProtocolError):
        parse_control(text)


@given(st.text())
def test_no_text_breaks_the_parser(text):
    with pytest.raises(ProtocolError):
        parse_control(text)
