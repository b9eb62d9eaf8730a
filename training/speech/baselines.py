"""What the network is compared with: loudness, headaudio, and the network of an earlier study."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS, INDEX, SAMPLES_PER_FRAME
from engine.speech import SpeechNetwork, coefficients
from engine.speech.stream import LOOK_AHEAD_FRAMES
from training.speech import phones
from training.speech.mel import log_mel

Audio = NDArray[np.float32]
System = Callable[[Audio], NDArray[np.float32]]  # sound -> (frames, 16), row i centred in frame i

# headaudio's visemes (those of Oculus) in its order, and our classes.
_VISEMES = (
    "AA", "EH", "IY", "OW", "UW", "PP", "SS", "TH", "DD", "FF", "KK", "NN", "RR", "CH", "sil",
)  # fmt: skip


def session(path: Path) -> onnxruntime.InferenceSession:
    """A network on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def engine(path: Path, look_ahead: int = LOOK_AHEAD_FRAMES) -> System:
    """The engine with the network of a file, which may look further ahead than the engine does."""
    network = SpeechNetwork(session(path))
    later = look_ahead - LOOK_AHEAD_FRAMES

    def run(audio: Audio) -> NDArray[np.float32]:
        frames = -(-len(audio) // SAMPLES_PER_FRAME)
        silence = np.zeros(abs(later) * SAMPLES_PER_FRAME, np.float32)
        if later < 0:  # answers early: hears everything later
            return coefficients(np.concatenate([silence, audio]), network)[:frames]
        return coefficients(np.concatenate([audio, silence]), network)[later : later + frames]

    return run


def voice(path: Path) -> Callable[[Audio], NDArray[np.float32]]:
    """The network's own voice activity: sound -> (frames,) probabilities."""
    network = session(path)

    def run(audio: Audio) -> NDArray[np.float32]:
        later = LOOK_AHEAD_FRAMES * SAMPLES_PER_FRAME
        sound = np.pad(audio, (0, later + -len(audio) % SAMPLES_PER_FRAME))
        state = SpeechNetwork(network).initial()
        found = []
        for frame in sound.reshape(-1, 1, SAMPLES_PER_FRAME):
            state, heard = network.run(["next_state", "voice"], {"pcm": frame, "state": state})
            found.append(heard[0, 0])
        return np.array(found[LOOK_AHEAD_FRAMES:], np.float32)

    return run


def energy(audio: Audio) -> NDArray[np.float32]:
    """The louder, the wider the jaw; 35 dB from closed to open."""
    frames = len(audio) // SAMPLES_PER_FRAME
    power = (audio.reshape(frames, SAMPLES_PER_FRAME) ** 2).mean(axis=1)
    level = 10 * np.log10(power + 1e-9)
    rows = np.zeros((frames, len(COEFFICIENTS)), np.float32)
    rows[:, INDEX["jawOpen"]] = np.clip((level - np.percentile(level, 95) + 35) / 35, 0, 1) * 0.5
    return rows


def headaudio(package: Path, sounds: Sequence[Audio]) -> System:
    """Npm @met4citizen/headaudio 0.1.0 (MIT), its own code and model, in node.

    Its viseme values blend our targets of the classes with the same names. It has no look-ahead of
    its own and asks for the sound to be delayed by 50-100 ms; it gets the 80 ms that we take.

    Args:
        package: the unpacked package.
        sounds: all that it will be asked about, so that node starts once.
    """
    targets = phones.TARGETS[[phones.CLASS_INDEX[name] for name in _VISEMES]]
    late = LOOK_AHEAD_FRAMES * SAMPLES_PER_FRAME
    known: dict[bytes, NDArray[np.float32]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, audio in enumerate(sounds):
            path = Path(folder) / f"{i}.sound"
            path.write_bytes(np.pad(audio, (0, late)).astype("<f4").tobytes())
        script = Path(__file__).with_name("headaudio.mjs")
        subprocess.run(["node", script, package, folder], check=True)
        for i, audio in enumerate(sounds):
            alphas = np.fromfile(Path(folder) / f"{i}.values", "<f4").reshape(-1, len(_VISEMES))
            rows = (alphas @ targets)[LOOK_AHEAD_FRAMES:][: len(audio) // SAMPLES_PER_FRAME]
            known[audio.tobytes()] = np.asarray(rows, np.float32)
    return lambda audio: known[audio.tobytes()]


def study(path: Path) -> System:
    """The network of the study that came before this recipe, 140 ms of look-ahead.

    Not part of the repository. Its log-mel windows are centred, and its scale has another zero.
    """
    network = session(path)
    shapes = {i.name: i.shape for i in network.get_inputs()}
    offset = np.float32((np.log(1e7) - 8) / 4)

    def run(audio: Audio) -> NDArray[np.float32]:
        frames = len(audio) // SAMPLES_PER_FRAME
        steps = frames + 4
        # Centred windows of 400 every 160 samples are causal ones of a sound 40 samples early.
        early = np.pad(audio[40:], (0, steps * SAMPLES_PER_FRAME - len(audio) + 40))
        mel = (log_mel(early.astype(np.float32)) - offset).T[None]
        state = {name: np.zeros(shapes[name], np.float32) for name in ("s1", "s2", "h")}
        rows = []
        for m in range(steps):
            step = np.ascontiguousarray(mel[:, :, 4 * m : 4 * m + 4])
            row, *new = network.run(None, {"mel": step, **state})
            state = dict(zip(state, new, strict=True))
            rows.append(row[0])
        times = 0.04 * np.arange(steps) - 0.11
        centres = 0.04 * np.arange(frames) + 0.02
        columns = [np.interp(centres, times, column) for column in np.array(rows).T]
        return np.asarray(np.stack(columns, axis=1), np.float32)

    return cached(run)


def cached(system: System) -> System:
    """Computes every sound once."""
    remembered = cache(lambda raw: system(np.frombuffer(raw, np.float32)))
    return lambda audio: remembered(np.ascontiguousarray(audio, np.float32).tobytes())
