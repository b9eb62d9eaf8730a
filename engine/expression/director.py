"""What the face of an Expression avatar does next."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cue import Cue
from engine.director import Shot
from engine.motion import GESTURES, Performer


class ExpressionDirector:
    """A performer, and the mouth that speech asks for; one per session.

    Args:
        seed: the same seed and cues give the same frames; without one it is new every time.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._performer = Performer(seed)

    @property
    def gestures(self) -> tuple[str, ...]:
        """Names that ``act`` takes."""
        return GESTURES

    @property
    def action(self) -> str | None:
        """The gesture that is running or about to."""
        return self._performer.action

    @property
    def kin(self) -> object:
        """All of them are of one kind."""
        return ExpressionDirector

    def step(self, cue: Cue) -> Shot:
        """The next frame."""
        return Shot(face=self._performer.step(cue), mouth=cue.coefficients)

    @staticmethod
    def step_batch(directors: Sequence[ExpressionDirector], cues: Sequence[Cue]) -> list[Shot]:
        """The next frame of several."""
        return [director.step(cue) for director, cue in zip(directors, cues, strict=True)]

    def act(self, gesture: str, *, force: bool = False) -> None:
        """Begin a gesture.

        Args:
            gesture: one of ``gestures``, or an alias of one.
            force: now, dissolving the running one; otherwise after it.

        Raises:
            NotSupported: ``GESTURE``.
        """
        self._performer.act(gesture, force)

    def stop_action(self) -> None:
        """Return to rest from a gesture; without one, do nothing."""
        self._performer.stop_action()

    def say_text(self, text: str) -> None:
        """Words that are about to be spoken."""
        self._performer.say_text(text)

    def set_emotion(self, name: str | None, intensity: float = 1.0) -> None:
        """Change the mood.

        Args:
            name: an emotion, or None to follow the voice.
            intensity: 0 to 1.

        Raises:
            NotSupported: ``EMOTION``.
        """
        self._performer.set_emotion(name, intensity)
