"""Sessions: nothing is lost, nothing drifts, however the sound arrives."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.audio import Resampler
from engine.coefficients import SAMPLES_PER_FRAME
from engine.director import Shot
from engine.errors import Failed, InvalidAudio, NotSupported
from engine.speech import LOOK_AHEAD_FRAMES
from engine.stream.avatar import Avatar
from engine.stream.session import Session, next_indices
from engine.stream.types import FrameState

Make = Callable[..., np.ndarray]


def drain(session: Session) -> list[FrameState]:
    frames = []
    while session.ready:
        frames.append(session.next_index())
    return frames


def said(session: Session, pcm: np.ndarray, rate: int = 16_000) -> list[FrameState]:
    session.push_audio(pcm, rate, last_chunk=True)
    return drain(session)


def sound(frames: list[FrameState]) -> np.ndarray:
    spoken = [frame.audio for frame in frames if frame.audio is not None]
    return np.concatenate(spoken) if spoken else np.empty(0, np.int16)


def mouths(frames: list[FrameState]) -> list[int | None]:
    return [frame.patch for frame in frames]


def test_every_sample_comes_out_once_and_the_mouth_moves(
    avatar: Avatar, speech: np.ndarray
) -> None:
    pcm = speech[: 3 * 16_000 - 100]
    frames = said(Session(avatar), pcm)
    out = sound(frames)
    assert len(frames) == -(-len(pcm) // SAMPLES_PER_FRAME)
    assert all(frame.audio is not None and frame.audio.dtype == np.int16 for frame in frames)
    np.testing.assert_array_equal(out[: len(pcm)], pcm)
    assert not out[len(pcm) :].any()
    assert [frame.end_of_speech for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert len({frame.patch for frame in frames}) > 2


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000])
    | st.integers(8_000, 96_000),
    samples=st.integers(1, 6_000),
    sizes=st.lists(st.integers(1, 4_000) | st.sampled_from([1, 2, 3]), min_size=1, max_size=30),
    as_bytes=st.booleans(),
    early=st.booleans(),
)
def test_the_cut_of_the_input_makes_no_difference(
    avatar: Avatar,
    speech: np.ndarray,
    rate: int,
    samples: int,
    sizes: list[int],
    as_bytes: bool,
    early: bool,
) -> None:
    pcm = speech[:samples]
    whole = Session(avatar)
    expected = said(whole, pcm, rate)
    cut = Session(avatar)
    frames: list[FrameState] = []
    data = pcm.astype("<i2").tobytes()
    at = turn = 0
    while at < (len(data) if as_bytes else len(pcm)):
        size = sizes[turn % len(sizes)]
        cut.push_audio(data[at : at + size] if as_bytes else pcm[at : at + size], rate)
        at += size
        turn += 1
        if early:  # frames taken as soon as they are ready, or all at the end
            frames += drain(cut)
    cut.flush()
    frames += drain(cut)
    np.testing.assert_allclose(sound(frames).astype(int), sound(expected).astype(int), atol=1)
    assert mouths(frames) == mouths(expected)
    assert [f.end_of_speech for f in frames] == [f.end_of_speech for f in expected]
    length = round(samples * 16_000 / rate)
    assert len(frames) == -(-length // SAMPLES_PER_FRAME)


def test_one_sample_at_a_time(avatar: Avatar, speech: np.ndarray) -> None:
    pcm = speech[:3000]
    session = Session(avatar)
    for sample in pcm:
        session.push_audio(np.array([sample]))
    session.flush()
    np.testing.assert_array_equal(sound(drain(session))[:3000], pcm)


def test_a_minute_at_once(avatar: Avatar, speech: np.ndarray) -> None:
    minute = np.tile(speech, 20)
    session = Session(avatar)
    session.push_audio(minute.tobytes(), last_chunk=True)
    assert session.pending == pytest.approx(60)
    start = time.perf_counter()
    session.next_index()
    assert time.perf_counter() - start < 0.2
    frames = drain(session)
    assert len(frames) == 1499
    np.testing.assert_array_equal(sound(frames), minute[SAMPLES_PER_FRAME:])


def test_other_rates_are_resampled_without_delay(avatar: Avatar, speech_like: Make) -> None:
    for rate in (8_000, 24_000, 44_100, 48_000):
        pcm = speech_like(1.0, rate)
        out = sound(said(Session(avatar), pcm, rate))[:16_000] / 32768
        resampler = Resampler(rate)
        expected = np.concatenate([resampler.process(pcm), resampler.flush()])
        np.testing.assert_allclose(out, expected.clip(-1, 1), atol=2e-5)


def test_the_rate_may_change_inside_an_utterance(
    avatar: Avatar, speech: np.ndarray, speech_like: Make
) -> None:
    session = Session(avatar)
    session.push_audio(speech_like(0.5, 48_000), 48_000)
    session.push_audio(speech_like(0.5, 8_000), 8_000)
    session.push_audio(speech[:8_000], 16_000, last_chunk=True)
    frames = drain(session)
    assert len(frames) == 38
    np.testing.assert_array_equal(sound(frames)[16_000:24_000], speech[:8_000])


def test_float_and_damaged_input(avatar: Avatar) -> None:
    pcm = np.array([0.5, np.nan, np.inf, -np.inf, 7, -7], np.float32)
    out = sound(said(Session(avatar), pcm))
    assert out[:6].tolist() == [16384, 0, 32767, -32768, 32767, -32768]


@pytest.mark.parametrize("rate", [0, -1, 7_999, 96_001, 10**12])
def test_impossible_rates(avatar: Avatar, speech: np.ndarray, rate: int) -> None:
    with pytest.raises(InvalidAudio) as caught:
        Session(avatar).push_audio(speech, rate)
    assert caught.value.code == "SAMPLE_RATE"


def test_samples_of_another_type(avatar: Avatar) -> None:
    with pytest.raises(InvalidAudio):
        Session(avatar).push_audio(np.zeros(10, np.int64))  # type: ignore[arg-type]


def test_idle_has_a_closed_mouth_and_the_base_never_stops(
    avatar: Avatar, speech: np.ndarray
) -> None:
    session = Session(avatar)
    frames = [session.next_index() for _ in range(7)]
    frames += said(session, speech)
    frames += [session.next_index() for _ in range(50)]
    assert [frame.frame_index for frame in frames] == list(range(len(frames)))
    assert [frame.base for frame in frames] == [
        i % avatar.player.frames for i in range(len(frames))
    ]
    assert mouths(frames[:7]) == [None] * 7
    assert mouths(frames[-47:]) == [None] * 47
    assert all(frame.audio is None for frame in frames[:7] + frames[-50:])


def test_silence_keeps_the_mouth_exactly_closed(avatar: Avatar) -> None:
    frames = said(Session(avatar), np.zeros(32_000, np.int16))
    assert len(frames) == 50
    assert mouths(frames) == [None] * 50


def test_speech_starts_after_the_look_ahead_and_not_before(
    avatar: Avatar, speech: np.ndarray
) -> None:
    session = Session(avatar)
    needed = (1 + LOOK_AHEAD_FRAMES) * SAMPLES_PER_FRAME
    session.push_audio(speech[: needed - 1])
    assert not session.ready
    assert session.next_index().audio is None
    session.push_audio(speech[needed - 1 : needed])
    assert session.ready
    frame = session.next_index()
    assert frame.audio is not None
    np.testing.assert_array_equal(frame.audio, speech[:SAMPLES_PER_FRAME])
    assert session.speaking


def test_utterances_wait_for_each_other(avatar: Avatar, speech: np.ndarray) -> None:
    session = Session(avatar)
    first, second = speech[:5_000], speech[5_000:11_000]
    session.push_audio(first, last_chunk=True)
    session.push_audio(second, last_chunk=True)
    frames = drain(session)
    ends = [i for i, frame in enumerate(frames) if frame.end_of_speech]
    assert ends == [7, 17]
    np.testing.assert_array_equal(sound(frames[:8])[:5_000], first)
    np.testing.assert_array_equal(sound(frames[8:])[:6_000], second)
    # Each is heard afresh, as if nothing had been said before.
    assert mouths(frames[8:]) == mouths(said(Session(avatar), second))


def test_flush_without_speech_does_nothing(avatar: Avatar) -> None:
    session = Session(avatar)
    session.flush()
    session.push_audio(b"", last_chunk=True)
    session.push_audio(b"\1", last_chunk=True)  # half a sample is no sound
    assert not session.speaking
    assert session.pending == 0
    frame = session.next_index()
    assert frame.audio is None
    assert not frame.end_of_speech
    session.push_audio(b"\2\0", last_chunk=True)  # which does not shift what follows
    assert sound(drain(session))[0] == 2


def test_interrupt_drops_everything_and_closes_the_mouth(
    avatar: Avatar, speech: np.ndarray
) -> None:
    session = Session(avatar)
    session.push_audio(np.tile(speech, 10))
    while (frame := session.next_index()).patch is None or frame.frame_index < 10:
        pass
    session.interrupt()
    assert session.pending == 0
    assert not session.speaking
    frames = [session.next_index() for _ in range(6)]
    assert all(frame.audio is None for frame in frames)
    assert mouths(frames)[2:] == [None] * 4  # within 120 ms
    assert not any(frame.end_of_speech for frame in frames)
    # What is said next starts clean.
    assert mouths(said(session, speech)) == mouths(said(Session(avatar), speech))


def test_interrupt_from_another_thread_during_a_long_push(
    avatar: Avatar, speech_like: Make
) -> None:
    session = Session(avatar)
    minutes = np.tile(speech_like(3.0, 96_000), 40)
    started = threading.Event()

    def push() -> None:
        started.set()
        session.push_audio(minutes, 96_000, last_chunk=True)

    thread = threading.Thread(target=push)
    thread.start()
    started.wait()
    while session.pending == 0:
        time.sleep(0.001)
    session.interrupt()
    assert session.pending == 0
    thread.join()
    assert session.pending == 0
    assert not session.ready


def test_late_sound_holds_then_closes_and_never_loses_its_place(
    avatar: Avatar, speech: np.ndarray
) -> None:
    session = Session(avatar)
    session.push_audio(speech[:9_600])
    before = drain(session)
    assert len(before) == 15 - LOOK_AHEAD_FRAMES
    waiting = [session.next_index() for _ in range(4)]
    assert all(frame.audio is None for frame in waiting)
    assert mouths(waiting) == [before[-1].patch] * 4
    session.push_audio(speech[9_600:19_200], last_chunk=True)
    after = drain(session)
    # The same frames as without the gap: only the clock moved on.
    assert mouths(before + after) == mouths(said(Session(avatar), speech[:19_200]))
    np.testing.assert_array_equal(sound(before + after), speech[:19_200])


def test_sound_that_never_comes_ends_the_utterance(avatar: Avatar, speech: np.ndarray) -> None:
    session = Session(avatar)
    session.push_audio(speech[:9_700])
    frames = [session.next_index() for _ in range(40)]
    spoken = [frame for frame in frames if frame.audio is not None]
    assert len(spoken) == 16  # all of it, the tail padded
    np.testing.assert_array_equal(sound(spoken)[:9_700], speech[:9_700])
    assert [frame.frame_index for frame in frames if frame.end_of_speech] == [
        spoken[-1].frame_index
    ]
    gap = [frame.audio is None for frame in frames].index(True)
    assert spoken[-1].frame_index <= gap + 5 + 3
    assert mouths(frames)[-10:] == [None] * 10


def test_trickling_sound_lets_the_mouth_close(avatar: Avatar, speech: np.ndarray) -> None:
    session = Session(avatar)
    session.push_audio(np.tile(speech[2_000:4_000], 4))
    drain(session)
    frames = []
    for _ in range(12):  # never enough for a frame, never nothing
        session.push_audio(speech[:20])
        frames.append(session.next_index())
    assert mouths(frames)[-4:] == [None] * 4
    assert session.speaking


def test_the_queue_is_bounded(avatar: Avatar) -> None:
    session = Session(avatar)
    nine_minutes = np.zeros(9 * 60 * 16_000, np.int16)
    session.push_audio(nine_minutes)
    with pytest.raises(Failed) as caught:
        session.push_audio(nine_minutes)
    assert caught.value.code == "QUEUE_FULL"
    assert session.pending == pytest.approx(540)
    session.push_audio(nine_minutes[: 59 * 16_000])


def test_a_flood_of_tiny_utterances_is_bounded(
    avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.stream.inbox.MAX_QUEUED_SECONDS", 10.0)
    session = Session(avatar)
    for _ in range(249):  # each takes a frame to say, however short it is
        session.push_audio(b"\1\0", last_chunk=True)
    with pytest.raises(Failed):
        session.push_audio(bytes(3_200), last_chunk=True)
    assert len(drain(session)) == 249


def test_batch_equals_one_by_one(avatar: Avatar, speech: np.ndarray) -> None:
    alone = [Session(avatar) for _ in range(5)]
    together = [Session(avatar) for _ in range(5)]
    for i, pair in enumerate(zip(alone, together, strict=True)):
        for session in pair:
            if i != 3:  # one has nothing to say
                session.push_audio(speech[i * 1_000 : 16_000 - i * 2_500], last_chunk=i % 2 == 0)
    for tick in range(40):
        if tick == 9:
            alone[4].interrupt()
            together[4].interrupt()
        for expected, frame in zip(
            [session.next_index() for session in alone], next_indices(together), strict=True
        ):
            assert frame.patch == expected.patch
            assert frame.base == expected.base
            assert frame.end_of_speech == expected.end_of_speech
            np.testing.assert_array_equal(frame.audio, expected.audio)


def test_concurrent_push_and_take(avatar: Avatar, speech: np.ndarray) -> None:
    session = Session(avatar)
    pcm = np.tile(speech, 5)

    def push() -> None:
        for start in range(0, len(pcm), 777):
            session.push_audio(pcm[start : start + 777])
        session.flush()

    thread = threading.Thread(target=push)
    thread.start()
    frames: list[FrameState] = []
    while thread.is_alive() or session.ready:
        frames += drain(session)
    np.testing.assert_array_equal(sound(frames), pcm)
    thread.join()


def test_frames_compose_when_asked(avatar: Avatar, speech: np.ndarray) -> None:
    session = Session(avatar)
    idle = session.next_frame()
    assert idle.has_image
    assert idle.audio_chunk is None
    assert idle.bgr_image.shape == (96, 96, 3)
    assert idle.bgr_image is idle.bgr_image
    np.testing.assert_array_equal(idle.rgb_image, idle.bgr_image[:, :, ::-1])
    session.push_audio(speech, last_chunk=True)
    frame = session.next_frame()
    while frame.state.patch is None:
        frame = session.next_frame()
    assert frame.audio_chunk is not None
    assert frame.audio_chunk.duration == pytest.approx(0.04)
    assert frame.audio_chunk.bytes == frame.audio_chunk.array.tobytes()
    mouth = frame.bgr_image[64, 48].astype(int)
    assert abs(mouth - (0, 20 * frame.state.patch, 255)).max() < 12
    base = avatar.compose(Shot(frame.state.base))
    np.testing.assert_array_equal(frame.bgr_image[:40], base[:40])


def test_articulation_changes_the_opening_and_no_closure(
    avatar: Avatar, speech: np.ndarray
) -> None:
    natural = mouths(said(Session(avatar), speech))
    opening: dict[float, float] = {}
    for articulation in (0.5, 1.0, 1.5):
        session = Session(avatar)
        session.articulation = articulation
        shown = mouths(said(session, speech))
        opening[articulation] = sum(shape for shape in shown if shape and shape < 8)
        # At rest (None) the lips are together, too: it may stand for either.
        for shape, usual in zip(shown, natural, strict=True):
            assert shape is None or usual is None or (shape >= 8) == (usual >= 8)
    assert opening[0.5] < 0.8 * opening[1.0] < 0.8 * opening[1.5]
    for wrong in (0.4, 1.6, float("nan")):
        with pytest.raises(NotSupported) as error:
            session.articulation = wrong
        assert error.value.code == "ARTICULATION"


def test_what_this_avatar_cannot_do(avatar: Avatar) -> None:
    session = Session(avatar)
    assert (session.gestures, session.action) == ((), None)
    session.stop_action()
    session.say_text("hello there")
    session.hear_text("hello there")
    requests: list[tuple[str, Callable[[], None]]] = [
        ("GESTURE", lambda: session.act("wave")),
        ("EMOTION", lambda: session.set_emotion("joy")),
        ("IDENTITY", lambda: session.set_identity("other.jpg")),
    ]
    for code, request in requests:
        with pytest.raises(NotSupported) as error:
            request()
        assert error.value.code == code
