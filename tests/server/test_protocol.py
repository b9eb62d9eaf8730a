import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bithuman_cli.server.protocol import (
    MAX_TEXT_CHARS,
    Control,
    Frame,
    Hello,
    ProtocolError,
    frame_index,
    pack_frame,
    parse_control,
    parse_hello,
    sound_of,
    unpack_frame,
)

FRAMES = st.builds(
    Frame,
    index=st.integers(0, 2**32 - 1),
    base=st.integers(0, 2**16 - 1),
    shape=st.integers(0, 255),
    audio=st.sampled_from([b"", bytes(range(256)) * 5]),
    mode=st.sampled_from([None, "tiles"]),
    end_of_speech=st.booleans(),
    key=st.booleans(),
    speaking=st.booleans(),
)


@given(FRAMES, st.sampled_from(["jpeg", "h264"]), st.binary(min_size=1, max_size=64))
def test_frames_survive_the_wire(frame, mode, image):
    assert unpack_frame(pack_frame(frame)) == frame
    with_picture = replace(frame, mode=mode, image=image)
    assert unpack_frame(pack_frame(with_picture)) == with_picture


@given(FRAMES, st.sampled_from(["jpeg", "h264"]), st.binary(min_size=1, max_size=64), st.binary())
def test_the_sound_of_a_frame_is_the_frame_without_its_picture(frame, mode, image, alpha):
    frame = replace(frame, audio=bytes(range(256)) * 5)
    silent = replace(frame, mode=None, key=False)
    for shown in (frame, replace(frame, mode=mode, image=image, alpha=alpha)):
        message = pack_frame(shown)
        assert frame_index(message) == frame.index
        assert unpack_frame(sound_of(message)) == silent


def test_a_frame_has_the_documented_layout():
    sound = b"\x05\x06" * 640
    packed = pack_frame(
        Frame(0x01020304, 0x0506, 7, sound, "jpeg", b"\xff\xd8", end_of_speech=True, speaking=True)
    )
    assert packed[:8] == bytes.fromhex("04030201 0605 07 57")
    assert packed[8:] == sound + b"\xff\xd8"


@given(st.binary(max_size=40) | st.binary(min_size=1280, max_size=1300))
def test_whatever_is_read_as_a_frame_can_be_sent_as_it_was(data):
    try:
        frame = unpack_frame(data)
    except ProtocolError:
        return
    packed = pack_frame(frame)
    assert packed[:7] + packed[8:] == data[:7] + data[8:]
    assert packed[7] | 0b10110000 == data[7] | 0b10110000  # unknown flags, modes without a picture


def opening(**fields):
    return json.dumps({"type": "hello", "protocol": 2, "modes": ["jpeg", "tiles"], **fields})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Hello(("jpeg", "tiles"), "jpeg")),
        ({"modes": ["h264", "tiles"]}, Hello(("tiles",), "tiles")),
        ({"mode": "tiles"}, Hello(("jpeg", "tiles"), "tiles")),
        ({"mode": "h264"}, Hello(("jpeg", "tiles"), "jpeg")),
        ({"resume": "0a", "next": 7}, Hello(("jpeg", "tiles"), "jpeg", "0a", 7)),
        ({"resume": "0a"}, Hello(("jpeg", "tiles"), "jpeg", "0a")),
    ],
)
def test_hello(fields, expected):
    assert parse_hello(opening(**fields), ("jpeg", "tiles")) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "HELLO_EXPECTED"),
        ("[]", "HELLO_EXPECTED"),
        ('{"type": "flush"}', "HELLO_EXPECTED"),
        (opening(protocol=1), "PROTOCOL_VERSION"),
        (opening(protocol=None), "PROTOCOL_VERSION"),
        (opening(modes="jpeg"), "HELLO_EXPECTED"),
        (opening(modes=[]), "NO_COMMON_MODE"),
        (opening(modes=["smoke", {}, None]), "NO_COMMON_MODE"),
        (opening(resume="../x"), "HELLO_EXPECTED"),
        (opening(resume="0a", next=-1), "HELLO_EXPECTED"),
        (opening(resume="0a", next=True), "HELLO_EXPECTED"),
    ],
)
def test_bad_openings_are_refused(text, code):
    with pytest.raises(ProtocolError) as refusal:
        parse_hello(text, ("jpeg", "tiles"))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "flush"}, Control("flush")),
        ({"type": "interrupt", "extra": 1}, Control("interrupt")),
        ({"type": "prepare_voice"}, Control("prepare_voice")),
        ({"type": "audio", "sample_rate": 48000}, Control("audio", sample_rate=48000)),
        ({"type": "pictures", "enabled": False}, Control("pictures", enabled=False)),
        ({"type": "audio_return", "enabled": False}, Control("audio_return", enabled=False)),
        ({"type": "mode", "mode": "tiles"}, Control("mode", mode="tiles")),
        ({"type": "act", "gesture": "nod"}, Control("act", name="nod")),
        ({"type": "act", "gesture": "nod", "force": True}, Control("act", name="nod", force=True)),
        ({"type": "emotion", "name": None}, Control("emotion")),
        (
            {"type": "emotion", "name": "joy", "intensity": 0.5},
            Control("emotion", name="joy", value=0.5),
        ),
        ({"type": "articulation", "value": 1.2}, Control("articulation", value=1.2)),
        ({"type": "heard", "text": "hi"}, Control("heard", text="hi")),
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
        '{"type": "mode", "mode": 1}',
        '{"type": "act"}',
        '{"type": "act", "gesture": "nod", "force": 1}',
        '{"type": "emotion", "name": "joy", "intensity": 2}',
        '{"type": "articulation", "value": 3}',
        '{"type": "listening"}',
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


def test_a_hello_can_be_passed_on():
    for hello in (
        Hello(("jpeg", "tiles"), "tiles"),
        Hello(("jpeg",), "jpeg", resume="ab12", next=7, alpha=True),
        Hello(("jpeg",), "jpeg", resume="ab12"),
    ):
        assert parse_hello(json.dumps(hello.message()), hello.modes) == hello
