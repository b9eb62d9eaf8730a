"""Which base frame and mouth shape an Essence avatar shows next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.director import Cue, Shot
from engine.errors import NotSupported
from engine.essence.selector import ShapeBook, ShapeSelector, select_batch
from engine.motion import ALIASES

_IDLE = "idle"


class EssenceDirector:
    """Plays the idle loop and, from its hubs, gestures; one per session.

    The mouth follows the sound throughout. A gesture begins at the next hub, a few seconds away
    at most. One that is stopped runs on to its end or, in its first half, back to its beginning,
    whichever is nearer: both are at rest.

    Args:
        clips: name to first base frame and length; ``idle`` and the gestures.
        hubs: frames of the idle loop at which gestures begin and end.
        book: of the mouth shapes, shared by all sessions of the avatar.
    """

    def __init__(
        self,
        clips: Mapping[str, tuple[int, int]],
        hubs: Sequence[int],
        book: ShapeBook,
    ) -> None:
        self._clips = clips
        self._hubs = frozenset(hubs)
        self._selector = ShapeSelector(book)
        self._idle = 0  # frame of the loop that comes next
        self._playing: str | None = None
        self._at = 0  # frame of the gesture that comes next
        self._step = 1
        self._waiting: str | None = None

    @property
    def gestures(self) -> tuple[str, ...]:
        """Names that ``act`` takes."""
        return tuple(name for name in self._clips if name != _IDLE) if self._hubs else ()

    @property
    def action(self) -> str | None:
        """The gesture that is running or about to."""
        return self._waiting if self._playing is None else self._playing

    @property
    def kin(self) -> object:
        """Directors of the same avatar step together."""
        return self._selector.book

    def step(self, cue: Cue) -> Shot:
        """The next frame."""
        return self.step_batch([self], [cue])[0]

    @staticmethod
    def step_batch(directors: Sequence[EssenceDirector], cues: Sequence[Cue]) -> list[Shot]:
        """The next frame of several directors of one ``kin``."""
        selectors = [director._selector for director in directors]
        patches = select_batch(selectors, [cue.coefficients for cue in cues])
        return [
            Shot(director._base(), patch)
            for director, patch in zip(directors, patches, strict=True)
        ]

    def _base(self) -> int:
        if self._playing is not None:
            first, frames = self._clips[self._playing]
            base = first + self._at
            self._at += self._step
            if not 0 <= self._at < frames:
                self._playing = None
            return base
        frame = self._idle
        if self._waiting is not None and frame in self._hubs:
            self._playing, self._waiting = self._waiting, None
            self._at, self._step = 0, 1
            return self._base()
        self._idle = (frame + 1) % self._clips[_IDLE][1]
        return frame

    def act(self, gesture: str, *, force: bool = False) -> None:
        """Begin a gesture at the next hub.

        Args:
            gesture: one of ``gestures``, or an alias of one.
            force: end the running one first, rather than wait for it.

        Raises:
            NotSupported: ``GESTURE``.
        """
        name = gesture if gesture in self._clips else ALIASES.get(gesture, gesture)
        if name not in self.gestures:
            raise NotSupported(
                f"this avatar cannot do {gesture!r}",
                code="GESTURE",
                hint="Its gestures: " + (", ".join(self.gestures) or "none") + ".",
            )
        if force:
            self.stop_action()
        self._waiting = name

    def stop_action(self) -> None:
        """Return to rest from a gesture; without one, do nothing."""
        self._waiting = None
        if self._playing is not None and self._at < self._clips[self._playing][1] / 2:
            self._step = -1
            self._at = max(0, self._at - 2)  # the one before the last that was shown

    def say_text(self, text: str) -> None:
        """Words that are about to be spoken; they change nothing, the pictures are made."""

    def set_emotion(self, name: str | None, intensity: float = 1.0) -> None:
        """Change the mood.

        Raises:
            NotSupported: ``EMOTION``, always; the pictures of an Essence avatar are made already.
        """
        del intensity
        raise NotSupported(
            f"the mood of an Essence avatar cannot be changed to {name!r}",
            code="EMOTION",
            hint="Play the photo with `--model expression`.",
        )
