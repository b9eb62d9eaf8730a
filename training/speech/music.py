"""Music of sampled instruments and choirs, to be heard with the mouth at rest.

Made on the spot: chords, basses, melodies and drums in random keys, written as a MIDI file and
played by FluidSynth (Debian ``fluidsynth``) with the recorded instruments of FluidR3 (Debian
``fluid-soundfont-gm``, MIT). No piece of music that exists is learned from.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

SECONDS = 10  # of a clip
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
_RATE = 16_000
_TICKS = 480  # per second: a quarter note is set to last one
_RING = 3  # s in which the last notes of a clip die away before the next one
_DRUMS = 9  # the channel of percussion in General MIDI
# Programs of General MIDI (0-based).
_CHORDS = (0, 2, 4, 16, 19, 21, 24, 25, 27, 29, 30, 46, 48, 49, 50, 52, 54, 61, 88, 89, 90, 91, 92)
_BASSES = (32, 33, 34, 35, 36, 38, 39, 43, 58)
# What a listener may take for a voice: choirs, strings, winds, a lead that slides.
_VOICES = (40, 41, 42, 52, 53, 54, 85, 91, 56, 57, 59, 60, 64, 65, 66, 67, 68, 71, 73, 75, 22, 23)
_MELODIES = (0, 4, 11, 12, 13, 24, 26, 28, 45, 78, 79, 80, 81, 82, 104, 105, 107, 110, 111)
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10))

Event = tuple[int, bytes]  # ticks from the beginning, message


def clips(count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Plays music.

    Args:
        count: of clips.
        generator: source of randomness.

    Returns:
        (count, 160 000) float32 at 16 kHz, RMS 0.3.

    Raises:
        SystemExit: FluidSynth or its instruments are missing.
    """
    if not SOUNDFONT.exists():
        raise SystemExit("instruments are missing: apt-get install fluidsynth fluid-soundfont-gm")
    step = (SECONDS + _RING) * _TICKS
    events: list[Event] = []
    for i in range(count):
        events += [(t + i * step, m) for t, m in _piece(generator)]
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "score.mid", Path(folder) / "sound.wav"
        score.write_bytes(_midi(events))
        command = ["fluidsynth", "-niq", "-g", "0.4", "-r", str(_RATE), "-F", str(sound)]
        try:
            subprocess.run([*command, SOUNDFONT, score], check=True, capture_output=True)
        except FileNotFoundError:
            raise SystemExit("fluidsynth is missing: apt-get install fluidsynth") from None
        played, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    mono = played.mean(axis=1)
    mono = np.pad(mono, (0, max(0, count * (SECONDS + _RING) * _RATE - len(mono))))
    out = mono[: count * (SECONDS + _RING) * _RATE].reshape(count, -1)[:, : SECONDS * _RATE]
    level = np.sqrt((out**2).mean(axis=1, keepdims=True))
    return np.asarray(out * (0.3 / (level + 1e-3)), np.float32)


def _piece(rng: np.random.Generator) -> list[Event]:
    """Ten seconds: some of chords, bass, melody, drums."""
    beat = float(rng.uniform(0.3, 1.0))  # s
    scale = _SCALES[int(rng.integers(len(_SCALES)))]
    key = int(rng.integers(36, 48))
    degrees = rng.permutation(7)[:4]
    parts = rng.random(4) < (0.75, 0.6, 0.8, 0.45)
    if not parts[:3].any():
        parts[2] = True
    events: list[Event] = []

    def pitch(degree: int, octave: int) -> int:
        return int(np.clip(key + 12 * (octave + degree // 7) + scale[degree % 7], 21, 108))

    def note(channel: int, number: int, start: float, length: float, loud: float) -> None:
        start = max(0.0, start + float(rng.normal(0, 0.008)))
        end = min(SECONDS, start + length)
        if end > start + 0.02:
            velocity = int(np.clip(loud * rng.uniform(0.8, 1.1), 10, 127))
            events.append((int(start * _TICKS), bytes([0x90 | channel, number, velocity])))
            events.append((int(end * _TICKS), bytes([0x80 | channel, number, 0])))

    def program(channel: int, choices: tuple[int, ...]) -> None:
        events.append((0, bytes([0xC0 | channel, int(rng.choice(choices))])))
        vibrato = int(rng.integers(0, 100)) if rng.random() < 0.5 else 0
        events.append((0, bytes([0xB0 | channel, 1, vibrato])))

    bar = 4 * beat
    bars = int(SECONDS / bar) + 1
    if parts[0]:
        program(0, _CHORDS)
        each = float(rng.choice([bar, bar / 2, beat, beat / 2]))
        broken = rng.random() < 0.4
        for i in range(int(SECONDS / each) + 1):
            degree = int(degrees[int(i * each / bar) % 4])
            for k, step in enumerate((0, 2, 4, 6)[: int(rng.integers(2, 5))]):
                delay = k * each / 4 if broken else 0.0
                note(0, pitch(degree + step, 1), i * each + delay, each, 75)
    if parts[1]:
        program(1, _BASSES)
        for i in range(bars * 4):
            if rng.random() < 0.8:
                note(1, pitch(int(degrees[i // 4 % 4]), 0), i * beat, beat * 0.9, 90)
    if parts[2]:
        sung = rng.random() < 0.6
        program(2, _VOICES if sung else _MELODIES)
        at, degree = 0.0, int(rng.integers(0, 7))
        octave = int(rng.integers(1, 4))
        while at < SECONDS:
            length = beat * float(rng.choice([0.25, 0.5, 0.5, 1, 1, 2]))
            degree = int(np.clip(degree + rng.integers(-3, 4), -4, 12))
            if rng.random() < 0.88:
                legato = rng.uniform(0.7, 1.05)
                note(2, pitch(degree, octave), at, length * legato, 100)
                if sung and rng.random() < 0.3:  # slides into the note
                    low = int(rng.integers(3000, 8192))
                    for k in range(6):
                        bend = low + (8192 - low) * k // 5
                        tick = int((at + 0.015 * k) * _TICKS)
                        events.append((tick, bytes([0xE2, bend & 127, bend >> 7])))
            at += length
        events.append((SECONDS * _TICKS, bytes([0xE2, 0, 64])))
    if parts[3]:
        pattern = rng.random((16, 3)) < (0.3, 0.2, 0.6)
        for i in range(int(SECONDS / (beat / 4)) + 1):
            for hit, number in zip(pattern[i % 16], (36, 38, 42), strict=True):
                if hit:
                    note(_DRUMS, number, i * beat / 4, 0.1, 90)
    return events


def _midi(events: list[Event]) -> bytes:
    """A Standard MIDI File of one track."""
    track = bytearray(b"\x00\xff\x51\x03" + (1_000_000).to_bytes(3, "big"))
    now = 0
    # Notes end before others of the same time begin.
    for tick, message in sorted(events, key=lambda e: (e[0], e[1][0] & 0xF0 == 0x90)):
        track += _variable(tick - now) + message
        now = tick
    track += _variable(_TICKS) + b"\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1]) + _TICKS.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + bytes(track)


def _variable(value: int) -> bytes:
    out = bytearray([value & 127])
    while value := value >> 7:
        out.insert(0, 128 | value & 127)
    return bytes(out)
