"""The live interface: pace, backpressure, interruption, sharing."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import AsyncBithuman, AudioChunk, VideoControl, VideoFrame
from engine.errors import AvatarError, Failed, InvalidAudio, NotSupported
from engine.stream.inbox import MAX_QUEUED_SECONDS


@pytest.fixture
async def runtime(avatar_path: Path) -> AsyncIterator[AsyncBithuman]:
    async with await AsyncBithuman.create(model_path=avatar_path) as opened:
        yield opened


async def take(runtime: AsyncBithuman, seconds: float) -> list[VideoFrame]:
    frames = []
    async for frame in runtime.run():
        frames.append(frame)
        if len(frames) >= seconds * 25:
            await runtime.stop()
    return frames


async def speak(runtime: AsyncBithuman) -> list[VideoFrame]:
    """Frames until the end of an utterance."""
    frames = []
    async for frame in runtime.run():
        frames.append(frame)
        if frame.end_of_speech:
            break
    return frames


def sound(frames: list[VideoFrame]) -> np.ndarray:
    return np.concatenate([f.audio_chunk.array for f in frames if f.audio_chunk is not None])


async def test_surface(runtime: AsyncBithuman) -> None:
    assert (runtime.frame_width, runtime.frame_height) == runtime.get_frame_size() == (96, 96)
    assert runtime.get_first_frame().shape == (96, 96, 3)
    assert (runtime.settings.FPS, runtime.settings.INPUT_SAMPLE_RATE) == (25, 16_000)
    await runtime.start()
    with pytest.raises(NotSupported):
        await runtime.set_identity("other.jpg")


async def test_create_ignores_keys_and_checks_its_arguments(avatar_path: Path) -> None:
    opened = await AsyncBithuman.create(
        model_path=str(avatar_path),
        model="essence",
        api_secret="x",
        token="y",
        agent_code="z",
        api_url="u",
    )
    opened.cleanup()
    opened.shutdown()
    with pytest.raises(ValueError, match="either"):
        await AsyncBithuman.create()
    with pytest.raises(AvatarError):
        await AsyncBithuman.create(model_path="none.imx")
    with pytest.raises(NotSupported, match="essense"):
        await AsyncBithuman.create(model_path=avatar_path, model="essense")


async def test_speech_comes_out_whole(runtime: AsyncBithuman, speech: np.ndarray) -> None:
    await runtime.push_audio(speech[:16_000].tobytes(), 16_000, last_chunk=True)
    frames = await speak(runtime)
    np.testing.assert_array_equal(sound(frames), speech[:16_000])
    assert frames[-1].end_of_speech
    assert all(frame.bgr_image.shape == (96, 96, 3) and frame.has_image for frame in frames)
    idle = await take(runtime, 0.2)
    assert all(frame.audio_chunk is None and frame.has_image for frame in idle)
    indices = [frame.frame_index for frame in [*frames, *idle]]
    assert indices == list(range(len(indices)))


async def test_pieces_and_flush(runtime: AsyncBithuman, speech: np.ndarray) -> None:
    data = speech[:12_345].tobytes()
    for start in range(0, len(data), 321):  # odd: cuts inside samples
        await runtime.push_audio(data[start : start + 321], 16_000, last_chunk=False)
    await runtime.flush()
    frames = await speak(runtime)
    np.testing.assert_array_equal(sound(frames)[:12_345], speech[:12_345])
    assert sum(frame.audio_chunk is not None for frame in frames) == 20


async def test_pace(runtime: AsyncBithuman) -> None:
    start = time.perf_counter()
    frames = await take(runtime, 2.0)
    elapsed = time.perf_counter() - start
    assert len(frames) == 50
    assert 1.92 <= elapsed <= 2.5  # the last wait ends early


async def test_a_slow_consumer_is_not_flooded_and_loses_no_sound(
    runtime: AsyncBithuman, speech: np.ndarray
) -> None:
    await runtime.push_audio(speech[:32_000], last_chunk=True)
    frames, times = [], []
    async for frame in runtime.run():
        frames.append(frame)
        times.append(time.perf_counter())
        if len(frames) == 5:
            time.sleep(0.5)  # noqa: ASYNC251 - the loop itself stalls
        if frame.end_of_speech:
            break
    np.testing.assert_array_equal(sound(frames), speech[:32_000])
    after = np.array(times[5:]) - times[5]
    assert np.count_nonzero(after < 0.4) <= 12  # the pace, not the twelve frames that were missed


async def test_interrupt_from_a_thread(runtime: AsyncBithuman, speech: np.ndarray) -> None:
    await runtime.push_audio(np.tile(speech, 20), last_chunk=False)
    frames = []
    async for frame in runtime.run():
        frames.append(frame)
        if len(frames) == 12:
            assert frame.audio_chunk is not None
            thread = threading.Thread(target=runtime.interrupt)
            thread.start()
            thread.join()
        if len(frames) == 20:
            break
    assert all(frame.audio_chunk is None for frame in frames[12:])
    assert [frame.state.patch for frame in frames[14:]] == [None] * 6


async def test_interrupt_drops_what_still_waits_to_be_pushed(
    runtime: AsyncBithuman, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.stream.async_bithuman.MAX_QUEUED_SECONDS", 3.0)
    frames = asyncio.create_task(take(runtime, 1.0))
    await asyncio.sleep(0.05)
    pushes = [asyncio.create_task(runtime.push_audio(np.tile(speech, 3))) for _ in range(2)]
    await asyncio.sleep(0.2)
    assert not any(push.done() for push in pushes)  # waiting for room
    runtime.interrupt()
    await asyncio.gather(*pushes)
    assert runtime.session.pending == 0
    assert (await frames)[-1].audio_chunk is None


async def test_backpressure(
    runtime: AsyncBithuman, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.stream.async_bithuman.MAX_QUEUED_SECONDS", 2.0)
    with pytest.raises(Failed) as caught:  # nobody would ever make room
        await runtime.push_audio(speech)
    assert caught.value.code == "QUEUE_FULL"
    assert runtime.session.pending == 0
    talk = asyncio.create_task(speak(runtime))
    await asyncio.sleep(0.05)
    await runtime.push_audio(speech)
    assert runtime.session.pending <= 2.0
    np.testing.assert_array_equal(sound(await talk), speech)


async def test_the_real_bound(runtime: AsyncBithuman) -> None:
    long = np.zeros(int(MAX_QUEUED_SECONDS + 1) * 16_000, np.int16)
    with pytest.raises(Failed):
        await runtime.push_audio(long)


async def test_a_second_run_replaces_the_first(runtime: AsyncBithuman) -> None:
    first = runtime.run()
    await anext(first)
    second = runtime.run()
    await anext(second)
    with pytest.raises(StopAsyncIteration):
        await anext(first)
    assert (await anext(second)).frame_index == 2
    await second.aclose()


async def test_stop_ends_a_wait_at_once(runtime: AsyncBithuman) -> None:
    frames = [frame async for frame in _stopping(runtime)]
    assert len(frames) == 3


async def _stopping(runtime: AsyncBithuman) -> AsyncIterator[VideoFrame]:
    async for frame in runtime.run():
        if frame.frame_index == 2:
            await runtime.stop()
        yield frame


async def test_idle_frames_only_when_wanted(runtime: AsyncBithuman, speech: np.ndarray) -> None:
    await runtime.push_audio(speech[:6_400], last_chunk=True)
    frames: list[VideoFrame] = []

    async def collect() -> None:
        async for frame in runtime.run(out_buffer_empty=lambda: False, idle_timeout=0.1):
            frames.append(frame)  # noqa: PERF401 - kept when the time is up

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(collect(), 0.8)
    assert all(frame.audio_chunk is not None for frame in frames)
    assert len(frames) == 10


async def test_control(runtime: AsyncBithuman, speech: np.ndarray) -> None:
    await runtime.push(VideoControl(audio=AudioChunk(speech[:1_600])))
    assert runtime.session.pending == pytest.approx(0.1)
    for control in (
        VideoControl(text="hello"),
        VideoControl(action="mini_wave_hello"),
        VideoControl(action=["laugh_react", "clap_cheer"]),
        VideoControl(target_video="dance"),
        VideoControl(articulation=math.nan),
        VideoControl(articulation=-math.inf),
    ):
        with pytest.raises(NotSupported):
            await runtime.push(control)
    await runtime.push(VideoControl())


@pytest.mark.parametrize("control", [None, {"action": "nod"}, VideoControl(audio=b"ab")])
async def test_what_is_no_control_is_refused(runtime: AsyncBithuman, control: Any) -> None:
    with pytest.raises(TypeError, match=r"VideoControl|AudioChunk"):
        await runtime.push(control)


async def test_conversations_share_an_avatar_but_not_their_speech(
    avatar_path: Path, speech: np.ndarray
) -> None:
    one, two = await asyncio.gather(
        AsyncBithuman.create(model_path=avatar_path), AsyncBithuman.create(model_path=avatar_path)
    )
    three = await AsyncBithuman.create(avatar=engine.open(avatar_path))
    assert one.avatar.player is two.avatar.player is three.avatar.player
    await one.push_audio(speech[:6_400])
    talking, listening = await asyncio.gather(speak(one), take(two, 0.4))
    assert len(sound(talking)) == 6_400
    assert all(frame.audio_chunk is None for frame in listening)
    one.shutdown()
    assert two.get_first_frame().shape == (96, 96, 3)
    three.shutdown()  # leaves an avatar it did not open alone
    assert three.get_first_frame().shape == (96, 96, 3)


async def test_opening_does_not_block_the_loop(avatar_path: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await AsyncBithuman.create(model_path=avatar_path)
    ticker.cancel()
    assert ticks > 0


@pytest.mark.parametrize("sound", ["words", 5, None, [1, 2]])
async def test_what_is_no_sound_is_refused(runtime: AsyncBithuman, sound: object) -> None:
    with pytest.raises(InvalidAudio):
        await runtime.push_audio(sound)  # type: ignore[arg-type]
    with pytest.raises(InvalidAudio):
        runtime.session.push_audio(sound)  # type: ignore[arg-type]
    assert runtime.session.pending == 0
