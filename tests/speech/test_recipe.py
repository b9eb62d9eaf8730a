"""The training recipe on a tiny set; needs the packages of training/speech/requirements.txt."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from engine.coefficients import INDEX
from engine.speech import SpeechNetwork, coefficients

torch = pytest.importorskip("torch")
for package in ("espeakng_loader", "scipy", "onnx", "pocketsphinx", "django", "pykakasi"):
    pytest.importorskip(package)

from engine import models  # noqa: E402
from training.speech import (  # noqa: E402
    augment,
    baselines,
    config,
    espeak,
    evaluate,
    export,
    kokoro,
    measures,
    mel,
    model,
    music,
    phones,
    recordings,
    restore,
    shards,
    texts,
    train,
)

pytestmark = pytest.mark.models


def sentence(text: str) -> shards.Utterance:
    engine = espeak.espeak()
    engine.voice("en-us")
    audio, segments = engine.synthesise(text)
    at16k = np.interp(
        np.arange(0, len(audio) * 16_000 // engine.sample_rate) * engine.sample_rate / 16_000,
        np.arange(len(audio)),
        audio,
    ).astype(np.int16)
    return shards.Utterance(at16k, segments, "espeak:x", "espeak", "en-us", text)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> config.Config:
    tiny = dataclasses.replace(
        config.quick(tmp_path_factory.mktemp("work")),
        instruments=0,
        hours={"espeak": 0.01},
        weights={"espeak": 1.0},
        steps=60,
        batch=6,
    )
    said = [
        "My puppy bumped a big blue map by the pump.",
        "People move the heavy box above five wooden tables.",
        "We saw four ships far away on the open sea.",
        "She thinks that you should choose the other chair.",
    ]
    shards.write(tiny.shards / "espeak" / "0000.npz", [sentence(s) for s in said * 2])
    return tiny


def test_shards_come_back_as_they_were(tmp_path: Path) -> None:
    said = [sentence("A happy man."), sentence("Five more.")]
    shards.write(tmp_path / "espeak" / "0000.npz", said)
    for before, after in zip(said, shards.read_all(tmp_path, ["espeak"]), strict=True):
        np.testing.assert_array_equal(after.audio, before.audio)
        assert [s[0] for s in after.segments] == [s[0] for s in before.segments]
        assert (after.speaker, after.text) == (before.speaker, before.text)


def test_bilabials_seal_the_lips_and_vowels_part_them(tiny: config.Config) -> None:
    utterance = next(iter(shards.read_all(tiny.shards, ["espeak"])))
    spans = phones.intervals(utterance)
    curves = phones.curves(spans, len(utterance.audio) // 160)
    sealed = [(a + b) / 2 for c, a, b in spans if c == phones.BILABIAL]
    assert len(sealed) >= 9
    for time in sealed:
        row = curves[round((time - 0.01) * 100)]
        assert row[INDEX["lipClosure"]] > 0.85
        assert row[INDEX["mouthClose"]] >= row[INDEX["jawOpen"]] - 1e-6
    assert curves[:, INDEX["jawOpen"]].max() > 0.35


def test_training_learns_and_the_exported_network_runs(tiny: config.Config) -> None:
    batch = train.Batches(tiny, np.random.default_rng(7)).next()

    def loss(network: model.SpeechModel) -> float:
        sound, targets, labels = batch
        logits, classes = network(sound)
        return float(train.loss_of(tiny, logits, classes, targets, labels))

    before = loss(model.SpeechModel(tiny.conv1, tiny.conv2, tiny.hidden))
    train.train(tiny)
    assert loss(train.load(tiny)) < 0.5 * before
    export.export(tiny)
    session = onnxruntime.InferenceSession(str(tiny.runs / "speech.onnx"))
    rows = coefficients(np.zeros(16_000, np.float32), SpeechNetwork(session))
    assert rows.shape == (25, 16)
    # Whether somebody speaks is an output of its own, and what the coefficients are multiplied by.
    sound = np.zeros((3, 640), np.float32)
    shown, _, voice = session.run(
        ["coefficients", "next_state", "voice"],
        {"pcm": sound, "state": SpeechNetwork(session).initial(3)},
    )
    assert voice.shape == (3, 1)
    assert (shown <= voice).all()


def test_nobody_speaks_in_the_middle_of_pauses_only() -> None:
    def activity(text: str) -> str:
        vowel = phones.CLASS_INDEX["AA"]
        labels = torch.tensor([[phones.SILENCE if c == "_" else vowel for c in text]])
        return "".join(str(int(x)) for x in train.activity(labels)[0])

    # A stop's silence is speech, a pause of 160 ms is not; its ends belong to the words around it.
    assert activity("aa_aa__aaa___aaa") == 16 * "1"
    assert activity("aa____aa______aa") == "1110011110000111"
    assert activity("_____") == "00000"
    assert activity("_aaaa__") == "1111110"


def test_an_interrupted_training_goes_on(tiny: config.Config) -> None:
    longer = dataclasses.replace(tiny, work=tiny.work / "again", steps=20, checkpoint_steps=10)
    shutil.copytree(tiny.shards, longer.shards)
    half = dataclasses.replace(longer, steps=10)
    train.train(half)
    assert torch.load(longer.runs / "checkpoint.pt", weights_only=True)["step"] == 10
    train.train(longer)
    assert torch.load(longer.runs / "checkpoint.pt", weights_only=True)["step"] == 20


@pytest.mark.parametrize("sizes", [None, (96, 192, 200)])
def test_the_network_that_ships_can_be_trained_on(sizes: tuple[int, int, int] | None) -> None:
    network = (model.SpeechModel(*sizes) if sizes else model.SpeechModel()).eval()
    restore.restore(models.path("speech.onnx"), network)  # a larger one begins as the same function
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 6_400)).astype(np.float32)
    with torch.no_grad():
        wanted = model.shown(network(torch.from_numpy(mel.log_mel(sound)))[0]).numpy()
    shipped = SpeechNetwork()
    states = shipped.initial(2)
    for m in range(10):
        rows, states = shipped.step(sound[:, 640 * m : 640 * (m + 1)], states)
        np.testing.assert_allclose(rows, wanted[:, m], atol=1e-5)
    with pytest.raises(ValueError, match="other layers"):
        restore.restore(models.path("speech.onnx"), model.SpeechModel(hidden=64))


LANGUAGES = {
    "en-us": "The quick brown fox jumps over the lazy dog, maybe thirty times.",
    "es": "El pequeño caballo bebe agua y su dueño lleva un sombrero rojo.",
    "fr": "Un bon vin blanc, du pain et un peu de beurre, s'il vous plaît.",
    "de": "Fünf böse Köpfe pfeifen über den grünen Bergen, sagt der Bäcker.",
    "it": "Gli gnocchi della zia sono buoni, ma il pesce mi piace di più.",
    "pt-br": "O pão não está bom, mas o vinho da minha mãe é ótimo.",
    "ru": "Большой белый медведь любит рыбу и мёд, а мышь боится кошки.",
    "hi": "भारत में बहुत बड़े पहाड़ और मीठे फल हैं, मुझे पसंद है",
    "ar": "مرحبا بكم في بيتنا الكبير، الطقس جميل اليوم",
    "cmn": "请把这本书放在桌子上，明天我们去北京吃饭。",
    "ja": "わたし は まいにち ぱん と りんご を たべます、ふゆ は さむい です",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phone_of_a_language_has_a_class(language: str) -> None:
    engine = espeak.espeak()
    engine.voice(language)
    audio, segments = engine.synthesise(LANGUAGES[language])
    spoken = [s for s, _, _ in segments if s not in ("_", "", "ʲ") and not s.startswith("(")]
    assert [s for s in spoken if not phones.classes_of(s, "espeak", language)] == []
    utterance = shards.Utterance(audio, segments, "espeak:x", "espeak", language)
    assert phones.BILABIAL in {c for c, _, _ in phones.intervals(utterance)}


def test_languages_mean_different_lips_by_the_same_symbol() -> None:
    def name(symbol: str, language: str) -> list[str]:
        return [phones.CLASSES[c] for c in phones.classes_of(symbol, "espeak", language)]

    assert name("ə-", "fr") == ["OW"]  # rounded
    assert name("ph", "cmn") == ["PP"]  # one phone, not p and h
    assert name("β", "es") == ["BB"]
    assert name("ˈä", "ja") == name("a", "ja")
    assert name("(en)", "ja") == []
    assert name("ɜː", "en-us") == ["ER"]
    assert name("ɜ", "de") == ["AX"]


def test_stops_of_espeak_begin_with_their_silence() -> None:
    said = sentence("A happy poppy upon a copper cup.")
    spans = [(a, b) for c, a, b in phones.intervals(said) if c == phones.BILABIAL]
    bias = config.TIMING_BIAS["espeak"]
    reported = [(a - bias, b - bias) for s, a, b in said.segments if s.lstrip("ˈˌ") == "p"]
    assert len(spans) == len(reported) >= 5
    earlier = np.array([a[0] - b[0] for a, b in zip(reported, spans, strict=True)])
    assert np.median(earlier) > 0.02
    for start, _ in spans[1:]:  # and nothing is left between the stop and the phone before it
        assert any(abs(b - start) < 1e-6 for _, _, b in phones.intervals(said))


@pytest.mark.parametrize("shift", range(8))
def test_a_short_closure_shows_in_one_frame_wherever_it_falls(shift: int) -> None:
    spans = [
        (phones.CLASS_INDEX["AA"], 0.0, 0.4),
        (phones.BILABIAL, 0.4, 0.44),
        (phones.CLASS_INDEX["AA"], 0.44, 0.9),
    ]
    curves = phones.curves(spans, 90).astype(np.float16)
    at = np.arange(20) * 4 + shift / 2
    rows = train.frame_targets(curves, at, 1.0)
    sealed = rows[:, INDEX["lipClosure"]]
    assert sealed.max() > 0.8
    assert (sealed > train.CLOSED).sum() <= 2
    assert measures.closures_of(rows)


def test_a_telephone_codec_keeps_time() -> None:
    said = sentence("Maybe five people.").audio
    coded = train.telephone_codec(said)
    assert coded.shape == said.shape
    assert np.corrcoef(said, coded)[0, 1] > 0.99
    assert (said != coded).any()


def test_short_phrases_begin_and_end_with_closures() -> None:
    said = [texts.said("en", random.Random(i)) for i in range(60)]
    phrases = [p.strip() for text in said for p in re.split(r"[.,?!]", text) if p.strip()]
    lips = [p[0].lower() in "pbm" or p[-1].lower() in "pbm" for p in phrases]
    plain = [
        p.strip() for s in texts.sentences("en")[:500] for p in s.split(",") if p.strip(" .!?")
    ]
    usual = [p[0].lower() in "pbm" for p in plain]
    assert np.mean(lips) > 2 * np.mean(usual)
    assert texts.said("zh", random.Random(1)).count("。") >= 1  # words are not told apart there


def test_pauses_are_put_around_bilabials() -> None:
    text = "some people bring bread home but nobody eats them now"
    changed = [texts.with_pauses(text, random.Random(i)) for i in range(20)]
    assert all(c.replace(",", "") == text for c in changed)
    assert "some, people" in " ".join(changed)
    assert not any("eats, them" in c for c in changed)


@pytest.mark.parametrize("language", ["us", "fr", "hi", "ja", "zh"])
def test_kokoro_gets_phonemes_with_classes(language: str) -> None:
    text = texts.sentences({"us": "en"}.get(language, language))[0]
    spoken = kokoro.phonemes(text, language)
    letters = [c for c in spoken if c.isalpha() and c not in "ˈˌːʰʲᵝ"]
    assert len(letters) > 5
    assert [c for c in letters if not phones.classes_of(c, "kokoro")] == []


def test_a_foreign_sentence_is_aligned_with_english_models() -> None:
    engine = espeak.espeak()
    engine.voice("es")
    text = "Mi padre bebe un poco de café por la mañana"
    audio, own = engine.synthesise(text)
    at16k = np.interp(
        np.arange(0, len(audio) * 16_000 // engine.sample_rate) * engine.sample_rate / 16_000,
        np.arange(len(audio)),
        audio,
    ).astype(np.int16)
    segments = recordings.force(at16k, text, "es", beam=1e-120)  # synthetic speech fits badly
    assert segments is not None

    def middles(parts: list[shards.Segment], source: str) -> list[float]:
        u = shards.Utterance(at16k, parts, "", source, "es")
        return [(a + b) / 2 for c, a, b in phones.intervals(u) if c == phones.BILABIAL]

    found, wanted = middles(segments, "aligned"), middles(own, "espeak")
    assert len(found) == len(wanted) >= 5
    assert np.median(np.abs(np.array(found) - np.array(wanted))) < 0.04


def test_closures_near_each_other_count_once_and_short_ones_count() -> None:
    said = sentence("A happy man.")
    found = measures.item(said)
    perfect = measures.measure([found], lambda _: found.targets)
    assert perfect.jaw == pytest.approx(1)
    assert perfect.recall > 0.6
    assert perfect.precision == 1
    assert measures.measure([found], baselines.energy).recall == 0


def test_an_m_before_a_b_is_one_closure() -> None:
    bilabial, vowel = phones.BILABIAL, phones.CLASS_INDEX["AA"]
    number = [(vowel, 0.0, 0.2), (bilabial, 0.2, 0.3), (bilabial, 0.3, 0.4), (vowel, 0.4, 0.6)]
    assert measures.expected_closures(number) == [(0.25, pytest.approx(0.35))]
    apart = [(bilabial, 0.1, 0.2), (vowel, 0.2, 0.3), (bilabial, 0.3, 0.4)]
    assert len(measures.expected_closures(apart)) == 2


def test_negatives_are_of_every_kind_and_within_range() -> None:
    generator = np.random.default_rng(3)
    played = generator.normal(0, 0.3, (2, 160_000)).astype(np.float32)
    augmenter = augment.Augmenter(generator, clips=2, instruments=played)
    speech = generator.normal(0, 0.1, (8, 40_960)).astype(np.float32)
    sounds = [augmenter.negative(40_960, speech) for _ in range(60)]
    assert all(s.shape == (40_960,) and np.abs(s).max() <= 1 for s in sounds)
    assert any(not s.any() for s in sounds)  # silence
    assert len({s.tobytes() for s in sounds}) > 45
    assert augmenter.crowd(speech).std() == pytest.approx(1, abs=0.01)


def test_laughter_comes_in_calls_and_is_no_tone() -> None:
    augmenter = augment.Augmenter(np.random.default_rng(4), clips=1)
    sound = augmenter.laughter(8 * 16_000)
    level = np.sqrt((sound[: len(sound) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1))
    rhythm = np.abs(np.fft.rfft(level - level.mean()))
    rate = np.fft.rfftfreq(len(level), 0.01)
    calls = (rate > 3.5) & (rate < 7)
    others = (rate > 8) & (rate < 20)
    assert rhythm[calls].max() > 2 * rhythm[others].max()
    assert 0.5 < np.abs(sound).max() < 3


def test_a_longer_throat_lowers_the_resonances() -> None:
    mel = np.zeros((1, 80), np.float32)
    mel[0, 40] = 1
    assert (mel @ augment._warp(1.0))[0].argmax() == 40
    assert (mel @ augment._warp(0.9))[0].argmax() < 40 < (mel @ augment._warp(1.1))[0].argmax()


def test_music_is_a_midi_file_that_ends_its_notes() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        events = music._piece(generator)
        begun = sorted(m[:2][1:] + bytes([m[0] & 15]) for _, m in events if m[0] & 0xF0 == 0x90)
        ended = sorted(m[:2][1:] + bytes([m[0] & 15]) for _, m in events if m[0] & 0xF0 == 0x80)
        assert begun == ended
        assert all(0 <= t <= music.SECONDS * music._TICKS for t, _ in events)
    data = music._midi(events)
    assert data[:4] == b"MThd"
    assert data[18:22] == int.to_bytes(len(data) - 22, 4, "big")
    assert data.endswith(b"\xff\x2f\x00")


@pytest.mark.skipif(
    not (music.SOUNDFONT.exists() and shutil.which("fluidsynth")),
    reason="fluidsynth and its instruments are not installed",
)
def test_instruments_play() -> None:
    played = music.clips(2, np.random.default_rng(6))
    assert played.shape == (2, 160_000)
    assert np.sqrt((played**2).mean(axis=1)) == pytest.approx(0.3, abs=0.02)
    assert np.abs(np.corrcoef(played)[0, 1]) < 0.2


def test_the_network_that_ships_hears_when_somebody_speaks() -> None:
    hears = baselines.voice(models.path("speech.onnx"))
    said = measures.item(sentence("She thinks that people should choose the other chair."))
    heard, spoken = hears(said.audio), measures.spoken_frames(said)
    assert heard.shape == spoken.shape == (len(said.targets),)
    assert (heard[spoken] > 0.5).mean() > 0.9
    assert (heard[~spoken] > 0.5).mean() < 0.3
    noise = np.random.default_rng(0).normal(0, 0.02, 50 * 640 + 7).astype(np.float32)
    assert hears(noise).shape == (51,)
    assert (hears(noise) > 0.5).mean() < 0.1


def test_a_longer_look_ahead_is_aligned() -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 40 * 640).astype(np.float32)
    path = models.path("speech.onnx")
    usual, later = baselines.engine(path)(audio), baselines.engine(path, look_ahead=3)(audio)
    earlier = baselines.engine(path, look_ahead=1)(audio)
    assert usual.shape == later.shape == earlier.shape
    np.testing.assert_allclose(later[:-2], usual[1:-1], atol=1e-5)  # the same rows, a frame earlier


def test_sections_of_the_readme_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- x: written by the scripts -->\nold\n<!-- end of x -->\nb\n")
    monkeypatch.setattr(evaluate, "README", path)
    evaluate.write_readme("| new \\1 |", "x")
    text = path.read_text()
    assert "| new \\1 |" in text
    assert "old" not in text
    assert text.startswith("a\n")
    assert text.endswith("b\n")
    with pytest.raises(ValueError, match="markers"):
        evaluate.write_readme("", "y")


def test_the_quick_run_goes_from_texts_to_tables(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    for needed in (
        "/usr/bin/flite",
        "/usr/bin/fluidsynth",
        "/usr/share/games/fortunes",
        "/usr/share/pocketsphinx/test",
    ):
        if not Path(needed).exists():
            pytest.skip(f"{needed} is missing: the Debian packages of the recipe")
    root = Path(__file__).parents[2]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = subprocess.run(
        [sys.executable, "-m", "training.speech", "--quick", "--work", str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=True,
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Five minutes, as processor time: how busy the machine is says nothing about the recipe.
    assert after.ru_utime - before.ru_utime < 300
    stages = re.findall(r"^== (\w+)$", printed, re.MULTILINE)
    assert stages == [
        "fetch", "synthesise", "align", "train", "export", "codebook", "ablate", "evaluate",
    ]  # fmt: skip
    assert "| digital silence | this network | 0.000 | 100 % | 0.00 |" in printed
    log = json.loads((tmp_path / "quick" / "runs" / "log.json").read_text())
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert (tmp_path / "quick" / "runs" / "speech.onnx").stat().st_size < 4 << 20
