"""Sound in, frames out: what one listener of one avatar sees. No clock, no I/O, no tasks.

The caller decides when a frame is due and asks for it. Frames and their sound leave together, so
they cannot drift apart whatever happens to either side: when sound arrives late, both wait.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.coefficients import COEFFICIENTS, INDEX, SAMPLE_RATE
from engine.cue import Cue
from engine.director import Choice, Director, Shot, step_all
from engine.errors import InvalidAudio, NotSupported
from engine.identity import Photo
from engine.speech import SpeechStream, process_batch
from engine.stream.inbox import Inbox, Pcm, check_pcm
from engine.stream.types import FrameState, Image, VideoFrame
from engine.stream.utterance import Floats, Utterance

ARTICULATION: Final = (0.5, 1.5)
"""Least and greatest articulation of a session."""
MIN_RATE: Final = 8_000
MAX_RATE: Final = 96_000

_HOLD_FRAMES = 5  # 200 ms: how long a missing piece of sound is waited for
_RELAX = 0.35  # share of the mouth's opening left one frame later, once nothing is said
_CLOSED = 0.15  # less than this is closed; with the factor above, in the second frame at most
_CLOSURE = INDEX["lipClosure"]


class Playable(Protocol):
    """What a session needs of an avatar."""

    def director(self, seed: int | None = None) -> Director:
        """A new director."""

    def compose(self, choice: Choice) -> Image:
        """Picture of a frame."""

    @property
    def transparent(self) -> bool:
        """Whether its frames have an alpha channel that says anything."""

    def compose_cut(self, choice: Choice) -> tuple[Image, Image]:
        """Picture of a frame and its alpha."""

    def compose_jpeg(self, choice: Choice) -> bytes:
        """The picture for the wire."""

    def compose_cut_jpeg(self, choice: Choice) -> tuple[bytes, bytes]:
        """Picture and alpha for the wire, of a transparent one."""

    @property
    def opaque(self) -> Playable:
        """The same before its own background, if it is transparent."""

    def gesture_for(self, text: str) -> str | None:
        """The gesture that words ask for, or None."""

    def with_identity(self, image: Photo) -> Playable:
        """The same kind of avatar with another face."""


class Session:
    """One conversation with an avatar.

    An *utterance* is the sound up to ``flush`` or ``last_chunk``. Every sample of it comes out
    once and in order as the ``audio`` of frames, 640 samples of 16 kHz each; the end is padded
    with silence to a whole frame, which is the one marked ``end_of_speech``. The cut of the input
    into pushes makes no difference. Between utterances the avatar idles with its mouth closed; the
    base motion goes on regardless, one step per frame.

    Sound that arrives too late: the mouth holds for up to 200 ms and then closes. If nothing at
    all is pushed for 200 ms the utterance counts as ended and its remainder plays.

    All methods may be called from any thread.

    Args:
        avatar: shared with any number of other sessions.
        seed: the same seed gives the same motion; without one it is new every time.

    Attributes:
        listening: the user is speaking; set by whoever hears the user.
    """

    def __init__(self, avatar: Playable, seed: int | None = None) -> None:
        self._avatar = avatar
        self._director = avatar.director(seed)
        self.listening = False
        self._articulation = 1.0
        self._stop_on_user = self._stop_on_agent = False
        self._stream = SpeechStream()
        self._pushing = threading.Lock()  # taken before the other one
        self._lock = threading.RLock()
        self._inbox = Inbox()
        self._faces_asked = self._face_shown = 0  # counts calls of set_identity
        self._index = 0
        self._mouth: Floats = np.zeros(len(COEFFICIENTS), np.float32)
        self._starved = 0  # frames without sound to play since the last push
        self._since_speech = 0  # frames

    # Input

    def push_audio(
        self, pcm: Pcm, sample_rate: int = SAMPLE_RATE, last_chunk: bool = False
    ) -> None:
        """Add sound to the current utterance.

        Args:
            pcm: mono; int16 or float32 array (n,), or little-endian 16-bit bytes. Bytes may be cut
                anywhere, even inside a sample.
            sample_rate: Hz, 8000 to 96000; may change from push to push.
            last_chunk: this completes the utterance.

        Raises:
            InvalidAudio: not such samples (``INVALID_AUDIO``) or rate (``SAMPLE_RATE``).
            Failed: ``QUEUE_FULL``, more than ten minutes would wait; nothing is added.
        """
        check_pcm(pcm)
        rate = operator.index(sample_rate)
        if not MIN_RATE <= rate <= MAX_RATE:
            raise InvalidAudio(
                f"the sample rate is {rate} Hz, expected {MIN_RATE} to {MAX_RATE}",
                code="SAMPLE_RATE",
            )
        with self._pushing:
            self._push(pcm, rate, last_chunk)

    def flush(self) -> None:
        """End the current utterance; without one, do nothing."""
        with self._lock:
            self._inbox.end()

    def interrupt(self) -> None:
        """Forget all sound not yet played; the mouth is closed within two frames."""
        with self._lock:
            self._inbox.clear()

    # Acting

    @property
    def avatar(self) -> Playable:
        """Who is shown; another after ``set_identity``."""
        return self._avatar

    @property
    def gestures(self) -> tuple[str, ...]:
        """Names that ``act`` takes."""
        return self._director.gestures

    @property
    def action(self) -> str | None:
        """The gesture that is running or about to."""
        with self._lock:
            return self._director.action

    @property
    def articulation(self) -> float:
        """How far the mouth moves while speaking, 0.5 to 1.5; 1 is natural.

        Raises:
            NotSupported: ``ARTICULATION``, set to a value out of range.
        """
        return self._articulation

    @articulation.setter
    def articulation(self, value: float) -> None:
        low, high = ARTICULATION
        if not low <= value <= high:
            raise NotSupported(
                f"the articulation is {value:g}, expected {low:g} to {high:g}", code="ARTICULATION"
            )
        self._articulation = float(value)

    def act(
        self,
        name: str,
        force: bool = False,
        *,
        stop_on_user_speech: bool = False,
        stop_on_agent_speech: bool = False,
    ) -> None:
        """Begin a gesture at the next opportunity.

        Args:
            name: one of ``gestures``, or an alias of one.
            force: now, even if the joint can be seen.
            stop_on_user_speech: end it when the user speaks.
            stop_on_agent_speech: end it when the avatar begins to speak.

        Raises:
            NotSupported: ``GESTURE``.
        """
        with self._lock:
            self._director.act(name, force=force)
            self._stop_on_user, self._stop_on_agent = stop_on_user_speech, stop_on_agent_speech

    def stop_action(self) -> None:
        """Return to rest from a gesture; without one, do nothing."""
        with self._lock:
            self._director.stop_action()

    def set_emotion(self, name: str | None, intensity: float = 1.0) -> None:
        """Change the mood.

        Args:
            name: an emotion, or None to follow the voice.
            intensity: 0 to 1; what is beyond is the nearest of them.

        Raises:
            NotSupported: ``EMOTION``, also for an intensity that is no number.
        """
        if intensity != intensity:
            raise NotSupported("the intensity of a mood is not a number", code="EMOTION")
        with self._lock:
            self._director.set_emotion(name, intensity)

    def say_text(self, text: str) -> None:
        """Words that the avatar is about to speak: they begin a gesture and bring about a mood."""
        with self._lock:
            self._director.say_text(text)
        self._act_on(text)

    def hear_text(self, text: str) -> None:
        """Words that the user spoke: begins the gesture they ask for, if any."""
        self._act_on(text)

    def set_identity(self, image: Photo) -> None:
        """Change the face; the motion goes on.

        It takes up to a second, in which frames go on with the old face: call it from a thread. Of
        several calls at a time the last one counts, whichever is ready first.

        Args:
            image: path, file content or BGR uint8 pixels of a photo.

        Raises:
            InvalidImage: it cannot be used; nothing has changed.
            NotSupported: ``IDENTITY``.
        """
        with self._lock:
            self._faces_asked += 1
            asked = self._faces_asked
        avatar = self._avatar.with_identity(image)  # may take a second: without the lock
        with self._lock:
            if asked > self._face_shown:
                self._face_shown, self._avatar = asked, avatar

    def _act_on(self, text: str) -> None:
        gesture = self._avatar.gesture_for(text)
        if gesture is not None:
            self.act(gesture)

    # Output

    @property
    def pending(self) -> float:
        """Seconds of sound not yet played."""
        with self._lock:
            return self._inbox.pending / SAMPLE_RATE

    @property
    def speaking(self) -> bool:
        """Whether an utterance has started and not finished."""
        with self._lock:
            head = self._inbox.head()
            return head is not None and head.started

    @property
    def ready(self) -> bool:
        """Whether the next frame will carry sound."""
        with self._lock:
            head = self._inbox.head()
            return head is not None and head.ready

    @property
    def spare(self) -> int | None:
        """Frames of sound that can be taken beyond the next one; -1 if not even that.

        None unless an utterance has started that may still get longer.
        """
        with self._lock:
            head = self._inbox.head()
            return None if head is None or not head.started else head.spare

    def next_index(self) -> FrameState:
        """The next frame, as indices; about 0.3 ms of work while speaking."""
        return next_indices([self])[0]

    def next_frame(self) -> VideoFrame:
        """The next frame; its picture is composed when asked for."""
        state = self.next_index()
        avatar = self._avatar
        cut = avatar.compose_cut if avatar.transparent else None
        return VideoFrame(state, avatar.compose, cut)

    def _push(self, pcm: Pcm, rate: int, last_chunk: bool) -> None:
        with self._lock:
            samples = self._inbox.accept(pcm, rate)
            cleared = self._inbox.cleared
        # One second at a time, so that a long push does not keep a frame waiting.
        for start in range(0, len(samples), rate):
            with self._lock:
                if self._inbox.cleared != cleared:
                    return  # interrupted: the rest of this push is unwanted too
                self._inbox.append(samples[start : start + rate], rate)
                self._starved = 0
        if last_chunk:
            with self._lock:
                if self._inbox.cleared == cleared:
                    self._inbox.end()

    # Under the lock

    def _due(self) -> Utterance | None:
        """Start of a frame: the utterance that goes on in it, if one does."""
        head = self._inbox.head()
        if head is not None and not head.ready:
            self._starved += 1
            if self._starved > _HOLD_FRAMES:
                self._inbox.end()
                head = self._inbox.head()
        if head is None or not head.ready:
            return None
        if not head.started:
            self._stream.reset()
        return head

    def _take(self, head: Utterance) -> Floats:
        """Move on by a frame of speech; returns its sound."""
        samples, self._mouth = self._inbox.take(head)
        self._since_speech = 0
        return samples

    def _idle(self) -> None:
        """Move on by a frame without sound."""
        head = self._inbox.head()
        if head is not None and head.started and self._since_speech < _HOLD_FRAMES:
            self._since_speech += 1  # late sound: hold the mouth
        else:
            self._relax()

    def _cue(self, audio: NDArray[np.int16] | None) -> Cue:
        """What the director has to know."""
        speaking = audio is not None
        if not speaking:
            head = self._inbox.head()
            speaking = head is not None and head.started
        if (self._stop_on_user and self.listening) or (self._stop_on_agent and speaking):
            self._director.stop_action()
            self._stop_on_user = self._stop_on_agent = False
        return Cue(self._articulated(), audio, speaking, self.listening)

    def _state(self, shot: Shot, audio: NDArray[np.int16] | None, end: bool) -> FrameState:
        """End of a frame."""
        index = self._index
        self._index += 1
        return FrameState(index, shot.base, shot.patch, audio, end, shot.face, shot.mouth)

    def _articulated(self) -> Floats:
        if self._articulation == 1.0:
            return self._mouth
        mouth: Floats = self._mouth * np.float32(self._articulation)
        np.minimum(mouth, np.float32(1.0), out=mouth)
        mouth[_CLOSURE] = self._mouth[_CLOSURE]  # however lazy the mouth, m, b and p are closed
        return mouth

    def _relax(self) -> None:
        self._mouth = self._mouth * np.float32(_RELAX)
        if float(self._mouth.max()) < _CLOSED:
            self._mouth = np.zeros_like(self._mouth)


def next_indices(sessions: Sequence[Session]) -> list[FrameState]:
    """The next frame of several distinct sessions, their networks evaluated in one batch.

    The result is that of ``next_index`` on each; with eight speakers it takes half the time.
    """
    locked = sorted(sessions, key=id)  # one order, so that two callers cannot lock up
    for session in locked:
        session._lock.acquire()
    try:
        return _next_indices(sessions)
    finally:
        for session in locked:
            session._lock.release()


def _next_indices(sessions: Sequence[Session]) -> list[FrameState]:
    heads = [session._due() for session in sessions]
    hearing = [
        (session._stream, head, sound)
        for session, head in zip(sessions, heads, strict=True)
        if head is not None and len(sound := head.wanted())
    ]
    rows = process_batch([stream for stream, _, _ in hearing], [sound for _, _, sound in hearing])
    for (_, head, _), heard in zip(hearing, rows, strict=True):
        head.hear(heard)
    sounds = []
    for session, due in zip(sessions, heads, strict=True):
        if due is None:
            session._idle()
        else:
            sounds.append(session._take(due))
    spoken = iter(_to_pcm(sounds))
    audio = [None if head is None else next(spoken) for head in heads]
    cues = [session._cue(sound) for session, sound in zip(sessions, audio, strict=True)]
    shots = step_all([session._director for session in sessions], cues)
    return [
        session._state(shot, sound, head is not None and head.done)
        for session, shot, sound, head in zip(sessions, shots, audio, heads, strict=True)
    ]


def _to_pcm(sounds: list[Floats]) -> Sequence[NDArray[np.int16]]:
    """Frames of float32 samples as int16."""
    if not sounds:
        return []
    samples = np.array(sounds)
    samples *= 32768.0
    np.rint(samples, out=samples)
    np.clip(samples, -32768, 32767, out=samples)
    return list(samples.astype(np.int16))
