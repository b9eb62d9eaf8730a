"""A head that lives: what a face does from one frame to the next, without end and without loops.

Layers are added up: posture and breath, lids, gaze, beats of speech, attention while listening,
mood, and a gesture. Every layer moves by critically damped springs or minimum-jerk moves, so the
sum has no jumps whatever is asked of it.

What speech does follows the literature: heads nod and brows rise with pitch accents (Graf et al.,
2002; Munhall et al., 2004); speakers look away when they begin and back when they finish (Kendon,
1967); listeners nod in small beats and keep their eyes on the speaker.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.coefficients import FPS
from engine.cue import Cue
from engine.motion.emotions import emotion
from engine.motion.face import COLUMN, SIZE, FaceState, Floats, Track
from engine.motion.gestures import canonical, gesture
from engine.motion.prosody import Prosody
from engine.motion.sentiment import sentiment

__all__ = ["Performer"]

_DT: Final = 1.0 / FPS
_YAW, _PITCH, _ROLL = (COLUMN[name] for name in ("yaw", "pitch", "roll"))
_LIDS: Final = slice(COLUMN["blinkLeft"], COLUMN["blinkRight"] + 1)
_X, _Y = COLUMN["gazeRight"], COLUMN["gazeUp"]
_BREATH: Final = COLUMN["breath"]
_BROWS: Final = [COLUMN[name] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")]
_SMILES: Final = [COLUMN[name] for name in ("mouthSmileLeft", "mouthSmileRight")]
_MICRO: Final = (  # small things a face does for no reason
    {"mouthPressLeft": 0.22, "mouthPressRight": 0.22},
    {"browInnerUp": 0.22},
    {"mouthSmileLeft": 0.2, "mouthSmileRight": 0.14},
    {"browOuterUpRight": 0.2},
    {"eyeSquintLeft": 0.25, "eyeSquintRight": 0.25},
)

_CLOSE, _OPEN = 0.09, 0.16  # seconds a lid takes
_DOWN, _UP = 0.20, 0.48  # seconds the head takes for a beat
_FADE: Final = 0.24  # seconds in which an interrupted gesture dissolves
_MOOD_RATE: Final = 3.0  # 1/s, of the spring between moods: settled after about a second
_INFERRED: Final = 0.4  # strongest mood that a voice alone brings about
_NAMED: Final = ("joy", "sadness")
_WORDED: Final = 0.75  # strongest mood that words bring about
_LINGERS: Final = 1.2  # seconds for which the mood of words outlasts them
_UNSPOKEN: Final = 4.0  # seconds words may wait for their sound


class _Spring:
    """A critically damped spring for a vector: reaches its target smoothly, never overshoots."""

    def __init__(self, size: int, rate: float) -> None:
        self.at = np.zeros(size, np.float32)
        self.target = np.zeros(size, np.float32)
        self.rate = rate
        self._speed = np.zeros(size, np.float32)

    def step(self) -> Floats:
        """One frame; exact for a target that stands still, whatever the rate."""
        rate, decay = self.rate, np.float32(math.exp(-self.rate * _DT))
        offset = self.at - self.target
        push = (self._speed + np.float32(rate) * offset) * np.float32(_DT)
        self._speed = (self._speed - np.float32(rate) * push) * decay
        self.at = self.target + (offset + push) * decay
        return self.at


@dataclass
class _Playing:
    """A gesture under way."""

    name: str
    track: Track
    at: int = 0
    fading: int = 0  # frames since it was told to stop


class Performer:
    """Moves one face; one per session.

    Args:
        seed: the same seed and cues give the same motion; without one it is new every time.
    """

    def __init__(self, seed: int | None = None) -> None:
        # Not for secrets; unlike numpy's generators it costs nothing per number.
        self._random = random.Random(seed)  # noqa: S311
        self._time = 0.0
        self._prosody = Prosody()
        self._head = _Spring(3, 2.2)
        self._beats: list[tuple[float, Floats]] = []
        self._eyes = _Spring(2, 28.0)
        self._brows = _Spring(1, 9.0)
        self._micro = _Spring(SIZE, 5.0)
        self._mood = _Spring(SIZE, _MOOD_RATE)
        self._chosen: str | None = None
        self._intensity = 1.0
        self._worded: tuple[str, float] | None = None
        self._worded_ends = 0.0
        self._playing: _Playing | None = None
        self._ending: list[_Playing] = []
        self._waiting: str | None = None
        self._was_speaking = self._was_listening = False
        self._since_beat = 0.0
        self._posture_at = self._micro_at = self._gaze_at = self._nod_at = 0.0
        self._micro_ends = math.inf
        self._brow_ends = math.inf
        self._away = False
        self._blinks: list[float] = []
        self._blink_at = self._interval(3.2)
        self._breath = [self._random.random(), 4.0, 0.9]  # phase, seconds, depth
        self._sway = [self._random.uniform(0, 2 * math.pi) for _ in range(6)]

    @property
    def action(self) -> str | None:
        """The gesture that is running or about to."""
        if self._playing is not None:
            return self._playing.name
        return self._waiting

    def act(self, name: str, force: bool = False) -> None:
        """Begin a gesture.

        Args:
            name: one of ``GESTURES`` or an alias.
            force: now, dissolving the running one; otherwise after it.

        Raises:
            NotSupported: ``GESTURE``.
        """
        plain = canonical(name)
        if force:
            self.stop_action()
            self._begin(plain)
        else:
            self._waiting = plain

    def stop_action(self) -> None:
        """Dissolve the running gesture and forget the waiting one."""
        self._waiting = None
        if self._playing is not None:
            self._ending.append(self._playing)
            self._playing = None

    def set_emotion(self, name: str | None, intensity: float = 1.0) -> None:
        """Change the mood; the face gets there in about a second.

        Args:
            name: one of ``EMOTIONS``, or None to follow words and voice.
            intensity: 0 to 1; clamped.

        Raises:
            NotSupported: ``EMOTION``.
        """
        if name is not None:
            emotion(name)
        self._chosen, self._intensity = name, min(1.0, max(0.0, intensity))

    def say_text(self, text: str) -> None:
        """Words it is about to speak: unless a mood was set, they bring about their own."""
        found = sentiment(text)
        if found is not None:
            self._worded = found
            self._worded_ends = self._time + _UNSPOKEN

    def step(self, cue: Cue) -> FaceState:
        """The next frame, within what a photo can show."""
        self._prosody.hear(cue.audio)
        self._talk(cue)
        self._listen(cue)
        vector = np.zeros(SIZE, np.float32)
        vector[:3] = self._hold_head(cue)
        vector[:3] += self._nod()
        gaze = self._look(cue)
        # The eyes stay on their target while the head moves: against it, by the signs of both.
        vector[_X] = gaze[0] + vector[_YAW]
        vector[_Y] = gaze[1] + vector[_PITCH]
        vector[_LIDS] = self._blink()
        vector[_BREATH] = self._breathe()
        vector[_PITCH] -= 0.35 * vector[_BREATH]
        vector[_BROWS] += self._raise_brows()
        vector += self._twitch(cue)
        vector += self._feel(cue)
        vector += self._gesture(cue)
        self._time += _DT
        return FaceState(vector).clipped()

    # Layers

    def _hold_head(self, cue: Cue) -> Floats:
        """Slow sway, and postures that are taken up and held; livelier while speaking."""
        if self._time >= self._posture_at:
            reach = 0.35 if cue.listening else 1.25 if cue.speaking else 1.0
            yaw, pitch, roll = (self._random.gauss(0, s) for s in (1.7, 0.8, 0.7))
            self._head.target[:] = np.clip(
                (reach * yaw, reach * pitch, reach * (roll + 0.35 * yaw)), -3.5, 3.5
            )
            if cue.listening:
                self._head.target[_ROLL] += math.copysign(1.5, self._head.at[_ROLL] or 1.0)
            self._head.rate = self._random.uniform(1.6, 2.8) * (1.5 if cue.speaking else 1.0)
            self._posture_at = self._time + self._interval(1.8 if cue.speaking else 3.4)
        t, p = self._time, self._sway
        sway = (
            0.45 * math.sin(0.83 * t + p[0]) + 0.3 * math.sin(1.57 * t + p[1]),
            0.3 * math.sin(0.69 * t + p[2]) + 0.2 * math.sin(1.91 * t + p[3]),
            0.3 * math.sin(0.57 * t + p[4]) + 0.2 * math.sin(1.33 * t + p[5]),
        )
        return self._head.step() + np.array(sway, np.float32)

    def _talk(self, cue: Cue) -> None:
        """Beats on stressed syllables; looking away at the beginning, back at the end."""
        self._since_beat += _DT
        if cue.speaking and not self._was_speaking:
            self._posture_at = self._time
            if self._random.random() < 0.6:
                self._avert(self._random.uniform(0.5, 1.1))
        elif self._was_speaking and not cue.speaking:
            self._look_back()
            if self._random.random() < 0.4:
                self._blink_at = min(self._blink_at, self._time + 0.1)
        self._was_speaking = cue.speaking
        stress = self._prosody.stress
        if not cue.speaking or stress <= 0 or self._since_beat < 0.32:
            return
        self._since_beat = 0.0
        if self._random.random() < 0.35 + 0.4 * stress:
            pitch = self._random.uniform(0.75, 1.5) * (0.5 + stress)
            self._beat(self._random.gauss(0, 0.33), pitch, self._random.gauss(0, 0.25))
        if self._random.random() < 0.15 + 0.45 * stress:
            self._brows.target[0] = self._random.uniform(0.2, 0.35) + 0.3 * stress
            self._brow_ends = self._time + self._random.uniform(0.2, 0.5)
        if self._random.random() < 0.07:
            self._avert(self._random.uniform(0.4, 0.9))

    def _listen(self, cue: Cue) -> None:
        """Eyes on the user, small nods now and then."""
        if cue.listening and not self._was_listening:
            self._look_back()
            self._posture_at = self._time
            self._nod_at = self._time + self._random.uniform(0.8, 2.0)
        self._was_listening = cue.listening
        if cue.listening and self._time >= self._nod_at:
            self._beat(0.0, self._random.uniform(1.3, 2.0), 0.0)
            again = self._random.random() < 0.4
            self._nod_at = self._time + (0.42 if again else self._random.uniform(1.6, 3.6))

    def _beat(self, yaw: float, pitch: float, roll: float) -> None:
        """Move the head by some degrees and back."""
        self._beats.append((self._time, np.array((yaw, pitch, roll), np.float32)))

    def _nod(self) -> Floats:
        """What the beats under way add up to: yaw, pitch, roll."""
        self._beats = [beat for beat in self._beats if self._time - beat[0] < _DOWN + _UP]
        total = np.zeros(3, np.float32)
        for start, reach in self._beats:
            age = self._time + _DT - start
            share = age / _DOWN if age < _DOWN else 1.0 - (age - _DOWN) / _UP
            total += np.float32(_ease(share)) * reach
        return total

    def _look(self, cue: Cue) -> Floats:
        """Fixations, mostly on the viewer's eyes and mouth, with glances away."""
        if self._time >= self._gaze_at:
            away = not self._away and not cue.listening and self._random.random() < 0.25
            if away:
                self._avert(self._random.uniform(0.35, 1.0))
            else:
                self._look_back()
        return self._eyes.step()

    def _avert(self, seconds: float) -> None:
        side = self._random.choice((-1.0, 1.0))
        target = (side * self._random.uniform(2.5, 6.0), self._random.uniform(-2.0, 3.0))
        self._glance(target, seconds)
        self._away = True

    def _look_back(self) -> None:
        target = (self._random.gauss(0, 0.7), self._random.gauss(-0.2, 0.5))
        self._glance(target, self._interval(1.4))
        self._away = False

    def _glance(self, target: tuple[float, float], seconds: float) -> None:
        far = math.dist(target, self._eyes.target)
        self._eyes.target[:] = target
        self._gaze_at = self._time + seconds
        # Large shifts are often hidden behind a blink (Evinger et al., 1994).
        if far > 4.5 and self._random.random() < 0.5:
            self._blink_at = min(self._blink_at, self._time)

    def _blink(self) -> float:
        """Closure of both lids; they fall faster than they rise (VanderWerf et al., 2003)."""
        if self._time >= self._blink_at:
            self._blinks.append(self._time)
            twice = self._random.random() < 0.1
            self._blink_at = self._time + (0.42 if twice else self._interval(3.8))
        self._blinks = [start for start in self._blinks if self._time - start < _CLOSE + _OPEN]
        closure = 0.0
        for start in self._blinks:
            age = self._time - start
            share = age / _CLOSE if age < _CLOSE else 1.0 - (age - _CLOSE) / _OPEN
            closure = max(closure, _ease(share))
        return closure

    def _breathe(self) -> float:
        """Unequal breaths: 40 % in, 50 % out, a short rest."""
        phase, seconds, depth = self._breath
        phase += _DT / seconds
        if phase >= 1.0:
            phase -= 1.0
            seconds = 4.0 * math.exp(self._random.gauss(0, 0.1))
            depth = min(1.0, max(0.65, self._random.gauss(0.88, 0.08)))
        self._breath = [phase, seconds, depth]
        if phase < 0.4:
            return depth * _ease(phase / 0.4)
        return depth * _ease(1.0 - (phase - 0.4) / 0.5)

    def _raise_brows(self) -> Floats:
        if self._time >= self._brow_ends:
            self._brows.target[0] = 0.0
            self._brow_ends = math.inf
        return self._brows.step()

    def _twitch(self, cue: Cue) -> Floats:
        """Micro-expressions, while nothing is said."""
        if self._time >= self._micro_ends or (cue.speaking and self._micro_ends < math.inf):
            self._micro.target[:] = 0.0
            self._micro_ends = math.inf
        if self._time >= self._micro_at:
            if self._micro_at > 0.0 and not cue.speaking:
                units = self._random.choice(_MICRO)
                self._micro.target[:] = FaceState.of(units=units).vector
                self._micro_ends = self._time + self._random.uniform(0.5, 1.4)
            self._micro_at = self._time + self._interval(6.0)
        return self._micro.step()

    def _feel(self, cue: Cue) -> Floats:
        """The mood that was asked for, or the one that words suggest, or the voice."""
        if self._worded is not None:
            if cue.speaking:
                self._worded_ends = self._time + _LINGERS
            elif self._time >= self._worded_ends:
                self._worded = None
        if self._chosen is not None:
            name, strength = self._chosen, self._intensity
        elif self._worded is not None:
            name, strength = self._worded[0], _WORDED * self._worded[1]
        else:
            arousal = self._prosody.arousal
            name, strength = _NAMED[arousal < 0], _INFERRED * abs(arousal)
        self._mood.target[:] = strength * emotion(name).vector
        return self._mood.step()

    def _gesture(self, cue: Cue) -> Floats:
        if self._playing is None and self._waiting is not None:
            self._begin(self._waiting)
        total = np.zeros(SIZE, np.float32)
        playing = self._playing
        if playing is not None:
            total += playing.track.values[playing.at]
            playing.at += 1
            if playing.at == len(playing.track):
                self._playing = None
        for ending in self._ending:
            ending.fading += 1
            share = 1.0 - ending.fading * _DT / _FADE
            if share > 0 and ending.at < len(ending.track):
                total += np.float32(_ease(share)) * ending.track.values[ending.at]
                ending.at += 1
            else:
                ending.fading = FPS  # over
        self._ending = [ending for ending in self._ending if ending.fading < FPS]
        if cue.speaking:
            # Smiles and laughs shape the lips less while these have words to form.
            total[_SMILES] *= 0.7
        return total

    def _begin(self, name: str) -> None:
        self._waiting = None
        track = gesture(name, self._random.randrange(1, 1 << 30))
        self._playing = _Playing(name, track)

    def _interval(self, mean: float) -> float:
        """Log-normal waiting time in seconds."""
        spread = 0.45
        value = self._random.lognormvariate(math.log(mean) - 0.5 * spread**2, spread)
        return min(2.5 * mean, max(0.35 * mean, value))


def _ease(share: float) -> float:
    """Minimum-jerk step from 0 to 1."""
    x = min(1.0, max(0.0, share))
    return x * x * x * (10.0 - 15.0 * x + 6.0 * x * x)
