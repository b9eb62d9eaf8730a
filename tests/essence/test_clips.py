import io

import av
import cv2
import numpy as np
import pytest

from engine.errors import InvalidAvatar
from engine.essence import clips

SIZE, COUNT = 128, 40


def textured(index: int, count: int = COUNT) -> np.ndarray:
    """Noise and smooth colour, drifting around the loop."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(0, 60, (SIZE, SIZE)), (0, 0), 1.5)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    picture = noise[..., None] + np.dstack([x, y, 180 - x]) * 0.5 + 70
    angle = 2 * np.pi * index / count
    matrix = np.array([[1, 0, 1.5 * np.cos(angle)], [0, 1, 1.5 * np.sin(angle)]])
    moved = cv2.warpAffine(
        picture.astype(np.float32), matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT
    )
    return np.clip(moved, 0, 255).astype(np.uint8)


def encode_loop(count: int) -> bytes:
    return clips.encode((textured(i, count) for i in clips.loop_order(count)), fps=25)


def decode(data: bytes, frames: int = COUNT, loop: bool = True) -> list[np.ndarray]:
    found = dict(
        clips.decode(data, member="c.mp4", width=SIZE, height=SIZE, frames=frames, loop=loop)
    )
    assert sorted(found) == list(range(frames))
    return [found[i] for i in range(frames)]


@pytest.fixture(scope="module")
def loop() -> bytes:
    return encode_loop(COUNT)


def test_colour_survives() -> None:
    """No matrix, range or chroma mix-up: flat colours come back within two levels."""
    rng = np.random.default_rng(3)
    for colour in [(0, 0, 0), (255, 255, 255), (30, 60, 200), *rng.integers(0, 256, (12, 3))]:
        image = np.full((32, 32, 3), colour, np.uint8)
        data = clips.encode([image], fps=25, crf=12)
        (_, back), *_ = clips.decode(data, member="c", width=32, height=32, frames=1, loop=False)
        assert np.abs(back.astype(int) - image).max() <= 3, colour


def test_colour_agrees_with_webp_and_jpeg(loop: bytes) -> None:
    """The three codecs a mouth passes through keep the mean colour to one level."""
    source = textured(5).astype(float)
    webp = cv2.imencode(".webp", textured(5), [cv2.IMWRITE_WEBP_QUALITY, 88])[1]
    jpeg = cv2.imencode(".jpg", textured(5), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    video = decode(loop)[5].astype(float)
    for picture in (video, cv2.imdecode(webp, 1), cv2.imdecode(jpeg, 1)):
        assert np.abs((picture - source).mean(axis=(0, 1))).max() < 1


def test_colour_is_tagged(loop: bytes) -> None:
    with av.open(io.BytesIO(loop)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert stream.average_rate == 25
        assert frame.colorspace == 6  # SMPTE 170M, the BT.601 matrix
        assert frame.color_range == 1  # limited


def test_equal_frames_equal_bytes(loop: bytes) -> None:
    assert encode_loop(COUNT) == loop


def test_no_pulse_at_the_seam(loop: bytes) -> None:
    images = [image.astype(float) for image in decode(loop)]
    change = [np.abs(images[i] - images[i - 1]).mean() for i in range(COUNT)]
    inside = np.median(change[1:])
    assert change[0] < 1.5 * inside
    assert max(change) < 2.5 * inside
    for i in range(COUNT):
        assert np.abs(images[i] - textured(i)).mean() < 4


def test_a_plain_clip() -> None:
    data = clips.encode([textured(i) for i in range(5)], fps=25)
    assert len(decode(data, 5, loop=False)) == 5


def test_a_loop_shorter_than_its_lap() -> None:
    data = encode_loop(4)
    assert len(decode(data, 4)) == 4


def test_no_frames() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        clips.encode([], fps=25)


@pytest.mark.parametrize("frames", [COUNT - 1, COUNT + 1])
def test_wrong_length(loop: bytes, frames: int) -> None:
    with pytest.raises(InvalidAvatar, match="does not have the"):
        decode(loop, frames)


def test_wrong_size(loop: bytes) -> None:
    with pytest.raises(InvalidAvatar, match="is not 64x64 pixels"):
        list(clips.decode(loop, member="c", width=64, height=64, frames=COUNT, loop=True))


@pytest.mark.parametrize("damage", ["empty", "noise", "cut", "sound"])
def test_not_a_video(loop: bytes, damage: str) -> None:
    sound = io.BytesIO()
    with av.open(sound, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = {
        "empty": b"",
        "noise": np.random.default_rng(0).bytes(5000),
        "cut": loop[: len(loop) // 2],
        "sound": sound.getvalue(),
    }[damage]
    with pytest.raises(InvalidAvatar) as caught:
        decode(data)
    assert caught.value.member == "c.mp4"


def test_any_damage_is_refused_or_plays() -> None:
    """Also damage to the header, which names the codec and says how long everything is."""
    data = clips.encode([textured(i) for i in range(3)], fps=25)
    header = data.index(b"moov")
    rng = np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(header, len(data))] = rng.integers(256)
        try:
            decode(bytes(damaged), 3, loop=False)
        except InvalidAvatar as error:
            refused.append(error.member)
    assert len(refused) > 30
    assert set(refused) == {"c.mp4"}


def test_an_unknown_codec() -> None:
    data = clips.encode([textured(0)], fps=25).replace(b"avc1", b"\xca\xff??")
    with pytest.raises(InvalidAvatar, match="no video that can be decoded"):
        decode(data, 1, loop=False)


def test_frames_at_rest_become_alike_and_those_around_follow() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(100, 120, (8, 8, 3), np.uint8) for _ in range(60)]
    settle = clips.Settle()
    around = [*range(20, 60), *range(20)]  # as decode gives them
    settled = dict(settle(((i, frames[i]) for i in around), {5, 30, 50}))
    assert list(settled) == around
    for hub in (5, 30, 50):
        assert np.array_equal(settled[hub], frames[30])
    missing = frames[30].astype(int) - frames[50]
    for away in range(1, 12):
        share = max(0.0, 1 - away / 6)
        for i in (50 - away, (50 + away) % 60 if away < 10 else 49):
            if abs(i - 50) == away:
                expected = frames[i] + share * missing
                assert np.abs(settled[i] - expected).max() <= 1
    assert np.array_equal(settled[35], frames[35])
    # A gesture ends where the others do.
    other = dict(settle(((i, frames[i + 7]) for i in range(20)), {0, 19}))
    assert np.array_equal(other[0], frames[30])
    assert np.array_equal(other[19], frames[30])
    assert np.array_equal(other[10], frames[17])
    plain = dict(clips.Settle()(enumerate(frames), ()))
    assert all(plain[i] is frames[i] for i in range(60))
