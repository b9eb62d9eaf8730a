from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import decode
from engine.coefficients import COEFFICIENTS, FPS
from engine.cue import Cue
from engine.errors import NotSupported
from engine.motion import EMOTIONS, GESTURES, Performer, emotion
from engine.motion.face import COLUMN
from engine.motion.prosody import Prosody

MOUTH = np.zeros(len(COEFFICIENTS), np.float32)
IDLE = Cue(MOUTH)
LISTENING = Cue(MOUTH, listening=True)
HELLO = Path(__file__).parents[2] / "web/audio/hello.mp3"


@pytest.fixture(scope="module")
def speech() -> list[Cue]:
    sound = (decode(HELLO) * 32767).astype(np.int16)
    frames = sound[: len(sound) // 640 * 640].reshape(-1, 640)
    return [Cue(MOUTH, audio=frame, speaking=True) for frame in frames]


def perform(performer: Performer, cues: list[Cue]) -> np.ndarray:
    return np.array([performer.step(cue).vector for cue in cues])


def test_the_same_seed_gives_the_same_motion_and_no_seed_another() -> None:
    cues = [IDLE] * 200
    np.testing.assert_array_equal(perform(Performer(3), cues), perform(Performer(3), cues))
    assert np.abs(perform(Performer(), cues) - perform(Performer(), cues)).max() > 0.1


def test_idling_stays_near_the_photo_blinks_like_people_and_never_repeats_itself() -> None:
    moves = perform(Performer(5), [IDLE] * (300 * FPS))
    assert np.abs(moves[:, :3]).max() < 6
    assert 0.3 < moves[:, 0].std() < 3
    blinks = np.count_nonzero(np.diff((moves[:, 3] > 0.5).astype(int)) == 1) / 5
    assert 10 < blinks < 30  # a minute
    # No stretch of eight seconds comes back within five minutes.
    head = moves[:, :2] - moves[:, :2].mean(0)
    window = 8 * FPS
    stretches = np.lib.stride_tricks.sliding_window_view(head, window, axis=0)[:: FPS // 5]
    flat = stretches.reshape(len(stretches), -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    alike = flat @ flat.T
    apart = np.abs(np.subtract.outer(range(len(flat)), range(len(flat)))) > 5 * 8
    assert alike[apart].max() < 0.98


requests = st.one_of(
    st.tuples(st.just("act"), st.sampled_from(GESTURES), st.booleans()),
    st.tuples(st.just("stop")),
    st.tuples(st.just("mood"), st.sampled_from([None, *EMOTIONS]), st.floats(0, 1)),
    st.tuples(st.just("play"), st.integers(1, 40), st.sampled_from(["idle", "listen", "speak"])),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(requests, max_size=12), st.integers(0, 1000))
def test_nothing_makes_the_face_jump(script: list[tuple[object, ...]], seed: int) -> None:
    performer = Performer(seed)
    rng = np.random.default_rng(seed)
    moves = []
    for kind, *values in [*script, ("play", 30, "idle")]:
        match kind:
            case "act":
                performer.act(*values)
            case "stop":
                performer.stop_action()
            case "mood":
                performer.set_emotion(*values)
            case "play":
                count, what = values
                for _ in range(count):
                    audio = (rng.normal(0, 6000, 640)).clip(-32768, 32767).astype(np.int16)
                    cue = {
                        "idle": IDLE,
                        "listen": LISTENING,
                        "speak": Cue(MOUTH, audio=audio, speaking=True),
                    }[what]
                    moves.append(performer.step(cue).vector)
    steps = np.abs(np.diff(moves, axis=0))
    assert np.isfinite(moves).all()
    assert steps[:, :3].max(initial=0) < 5.0  # degrees per frame; two gestures at once at most
    assert steps[:, 8:].max(initial=0) < 0.75


def test_speech_is_accompanied_by_nods_and_brows(speech: list[Cue]) -> None:
    cues = (speech * 6)[: 40 * FPS]
    talking = np.concatenate([perform(Performer(seed), cues) for seed in range(3)])
    idling = np.concatenate([perform(Performer(seed), [IDLE] * len(cues)) for seed in range(3)])
    assert np.diff(talking[:, 1]).std() > 1.5 * np.diff(idling[:, 1]).std()
    brows = slice(8 + 2, 8 + 5)
    assert talking[:, brows].max(1).mean() > 1.5 * idling[:, brows].max(1).mean()


def test_heads_are_set_in_motion_and_stopped_gently(speech: list[Cue]) -> None:
    for cues in ((speech * 6)[: 40 * FPS], [LISTENING] * (40 * FPS)):
        for seed in range(3):
            pose = perform(Performer(seed), cues)[:, :3]
            # A beat of 2° in the fifth of a second that heads take for it needs 0.46.
            assert np.abs(np.diff(pose, 2, axis=0)).max() < 0.6  # degrees per frame²


def test_a_listener_looks_at_the_speaker_and_nods() -> None:
    listening = np.concatenate([perform(Performer(s), [LISTENING] * 750) for s in range(3)])
    idling = np.concatenate([perform(Performer(s), [IDLE] * 750) for s in range(3)])
    # The direction of the eyes in space: in the head, minus how the head is turned.
    away = [np.linalg.norm(m[:, 5:7] - m[:, :2], axis=1).mean() for m in (listening, idling)]
    assert away[0] < 0.7 * away[1]
    assert np.diff(listening[:, 1]).max() > 1.3 * np.diff(idling[:, 1]).max()


@pytest.mark.parametrize("name", GESTURES)
def test_gestures_run_while_talking_and_end(speech: list[Cue], name: str) -> None:
    performer = Performer(1)
    perform(performer, speech[:10])
    assert performer.action is None
    performer.act(name)
    assert performer.action == name
    plain, acting = Performer(1), performer
    perform(plain, speech[:10])
    difference = np.abs(perform(acting, speech[10:70]) - perform(plain, speech[10:70])).max(0)
    assert difference.max() > 0.15
    perform(performer, [IDLE] * 60)
    assert performer.action is None


def test_gestures_queue_are_forced_and_are_stopped() -> None:
    performer = Performer(2)
    performer.act("nod")
    perform(performer, [IDLE] * 5)
    performer.act("shake")
    assert performer.action == "nod"
    perform(performer, [IDLE] * 50)
    assert performer.action == "shake"
    performer.act("smile", force=True)
    assert performer.action == "smile"
    performer.stop_action()
    assert performer.action is None
    with pytest.raises(NotSupported):
        performer.act("moonwalk")
    with pytest.raises(NotSupported):
        performer.set_emotion("hunger")


@pytest.mark.parametrize("name", EMOTIONS)
def test_moods_are_reached_in_a_second_or_two_and_left_again(name: str) -> None:
    performer, plain = Performer(4), Performer(4)
    performer.set_emotion(name, 0.8)
    plain.set_emotion("neutral")
    units = slice(8, None)
    reached = perform(performer, [IDLE] * 60)[-1] - perform(plain, [IDLE] * 60)[-1]
    np.testing.assert_allclose(reached[units], 0.8 * emotion(name).vector[units], atol=0.06)
    performer.set_emotion(None)
    left = perform(performer, [IDLE] * 60)[-1] - perform(plain, [IDLE] * 60)[-1]
    assert np.abs(left[units]).max() < 0.06


def test_a_rising_voice_sounds_joyful_a_falling_one_sad() -> None:
    def tone(pitch: float, loudness: float, seconds: float) -> list[np.ndarray]:
        t = np.arange(int(seconds * 16000)) / 16000
        wave = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 12))
        samples = (loudness * 9000 * wave).clip(-32768, 32767).astype(np.int16)
        return list(samples.reshape(-1, 640))

    heard = {}
    for name, pitch, loudness in (("up", 200.0, 1.0), ("down", 105.0, 0.2)):
        prosody = Prosody()
        for frame in [*tone(140.0, 0.5, 4), *tone(pitch, loudness, 3)]:
            prosody.hear(frame)
        heard[name] = prosody.arousal
    assert heard["up"] > 0.3
    assert heard["down"] < -0.3


def test_faster_syllables_are_excited() -> None:
    def syllables(rate: float, seconds: float) -> list[np.ndarray]:
        t = np.arange(int(seconds * 16000)) / 16000
        wave = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12))
        envelope = 0.06 + 0.94 * np.sin(np.pi * rate * t) ** 2
        return list((5000 * envelope * wave).astype(np.int16).reshape(-1, 640))

    heard = []
    for rate in (6.0, 2.0):
        prosody = Prosody()
        for frame in [*syllables(4.0, 6), *syllables(rate, 3)]:
            prosody.hear(frame)
        heard.append(prosody.arousal)
    assert heard[0] > heard[1] + 0.3


def test_words_bring_about_a_mood_while_they_are_spoken(speech: list[Cue]) -> None:
    performer, plain = Performer(4), Performer(4)
    smile = COLUMN["mouthSmileLeft"]
    performer.say_text("What wonderful news! I am so glad and happy for you!")
    plain.set_emotion("neutral")
    talking = perform(performer, speech[:75])[:, smile] - perform(plain, speech[:75])[:, smile]
    assert talking[-1] > 0.3
    after = perform(performer, [IDLE] * 100)[:, smile] - perform(plain, [IDLE] * 100)[:, smile]
    assert abs(after[-1]) < 0.1


def test_a_mood_that_was_set_is_stronger_than_words(speech: list[Cue]) -> None:
    performer, plain = Performer(4), Performer(4)
    for one in (performer, plain):
        one.set_emotion("neutral")
    performer.say_text("Wonderful, wonderful, wonderful!")
    np.testing.assert_array_equal(perform(performer, speech[:50]), perform(plain, speech[:50]))
