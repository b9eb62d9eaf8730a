import av
import cv2
import numpy as np

from bithuman_cli.server.h264 import H264Encoder
from engine.director import Shot


def pictures(units):
    """Each access unit decoded as it comes, BGR."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.flags |= av.codec.context.Flags.low_delay
    for unit in units:
        frames = decoder.decode(av.Packet(unit)) or []
        yield [cv2.cvtColor(f.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2BGR_I420) for f in frames]


def card(shift):
    x, y = np.meshgrid(np.arange(128), np.arange(96))
    grey = 128 + 60 * np.sin((x + shift) / 9) * np.cos(y / 7)
    return np.dstack([grey, grey * 0.8, 255 - grey]).astype(np.uint8)


def test_every_picture_comes_out_at_once_and_looks_like_it_went_in():
    encoder = H264Encoder(128, 96)
    images = [card(shift) for shift in range(12)]
    units = [encoder.encode(image) for image in images]
    assert [key for _, key in units] == [True] + [False] * 11
    assert all(unit.startswith(b"\0\0\0\1") or unit.startswith(b"\0\0\1") for unit, _ in units)
    shown = list(pictures(unit for unit, _ in units))
    assert all(len(frames) == 1 for frames in shown)
    for image, (got,) in zip(images, shown, strict=True):
        assert np.abs(image.astype(int) - got).mean() < 6


def test_a_key_frame_on_demand_starts_a_new_decoder():
    encoder = H264Encoder(128, 96)
    for shift in range(5):
        encoder.encode(card(shift))
    encoder.request_key()
    unit, key = encoder.encode(card(6))
    assert key
    assert len(next(pictures([unit]))) == 1
    assert not encoder.encode(card(7))[1]


async def test_a_client_sees_what_the_avatar_shows(server, avatar, speech):
    async with server.viewer({"modes": ["h264"]}) as viewer:
        assert (await viewer.control("hello"))["mode"] == "h264"
        await viewer.socket.send_bytes(speech(0.6).tobytes())
        await viewer.send(type="flush")
        frames = await viewer.utterance()
        await viewer.send(type="keyframe")
        later = await viewer.frames(8)
    seen = [f for f in frames + later if f.mode == "h264"]
    assert len(seen) >= len(frames)
    assert seen[0].key
    assert any(f.key for f in later)
    assert sum(f.key for f in seen) == 2
    sound = np.frombuffer(b"".join(f.audio for f in frames), np.int16)
    np.testing.assert_array_equal(sound[:9600], speech(0.6))
    for frame, (image,) in zip(seen, pictures(f.image for f in seen), strict=True):
        wanted = avatar.compose(Shot(frame.base, frame.shape or None))
        # Noise at its worst: what counts is that it is this frame and no other.
        assert np.abs(cv2.blur(image, (9, 9)).astype(int) - cv2.blur(wanted, (9, 9))).mean() < 4


async def test_without_pictures_there_is_no_encoder(server):
    async with server.viewer({"modes": ["h264"]}) as viewer:
        await viewer.frames(3)
        (client,) = server.hub.clients.values()
        assert client._outbox._encoder is not None
        await viewer.send(type="pictures", enabled=False)
        await viewer.send(type="ping", t=1)
        await viewer.control("pong")
        assert client._outbox._encoder is None
        await viewer.send(type="pictures", enabled=True)
        first = (await viewer.frames(1))[0]
        while first.mode is None:
            first = (await viewer.frames(1))[0]
        assert first.key
