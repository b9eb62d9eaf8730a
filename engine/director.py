"""How a session and an avatar agree on the next picture.

Per session a *director* decides, frame by frame, what is shown; players only draw. Both kinds of
avatars have one, so that sessions, servers and files need not know which kind they play.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.cue import Cue
from engine.motion import FaceState


class Shot(NamedTuple):
    """One picture before anybody needs its pixels; ``Shot()`` is the avatar at rest.

    Attributes:
        base: Essence: base frame, counted through all clips of the avatar in the order of its
            manifest.
        patch: Essence: mouth shape laid over it, or None for the base frame as it is.
        face: Expression: everything that moves in the face but speech.
        mouth: Expression: float32 (16,) what speech does to it; None is closed lips.
    """

    base: int = 0
    patch: int | None = None
    face: FaceState | None = None
    mouth: NDArray[np.float32] | None = None


class Choice(Protocol):
    """What players draw: a `Shot`, or a frame of a session."""

    @property
    def base(self) -> int:
        """As in `Shot`."""

    @property
    def patch(self) -> int | None:
        """As in `Shot`."""

    @property
    def face(self) -> FaceState | None:
        """As in `Shot`."""

    @property
    def mouth(self) -> NDArray[np.float32] | None:
        """As in `Shot`."""


class Player(Protocol):
    """Draws the pictures of one avatar; immutable, shared by sessions and threads."""

    def director(self, seed: int | None = None) -> Director:
        """A new director; without a seed each plays differently."""

    def draw(self, choice: Choice) -> NDArray[np.uint8]:
        """A picture, new BGR uint8 (height, width, 3)."""

    def draw_jpeg(self, choice: Choice) -> bytes:
        """A picture for the wire."""

    def over(self, background: NDArray[np.uint8] | None) -> Player:
        """The same before another background, BGR uint8 (height, width, 3).

        None makes a player for transparent frames.

        Raises:
            NotSupported: ``MATTE``.
        """

    def draw_cut(self, choice: Choice) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Picture (height, width, 3) and alpha (height, width), of players for such frames."""

    def draw_cut_jpeg(self, choice: Choice) -> tuple[bytes, bytes]:
        """The same for the wire: JPEG and PNG."""


class Director(Protocol):
    """Chooses the pictures of one session; the same seed and cues give the same pictures."""

    @property
    def gestures(self) -> tuple[str, ...]:
        """Names that ``act`` takes."""

    @property
    def action(self) -> str | None:
        """The gesture that is running or about to."""

    @property
    def kin(self) -> object:
        """The same object in directors that can step together."""

    def step(self, cue: Cue) -> Shot:
        """The next frame."""

    @staticmethod
    def step_batch(directors: Sequence[Any], cues: Sequence[Cue]) -> list[Shot]:
        """The next frame of several distinct directors of one ``kin``, cheaper than one by one."""

    def act(self, gesture: str, *, force: bool = False) -> None:
        """Begin a gesture at the next opportunity.

        Args:
            gesture: one of ``gestures``, or an alias of one.
            force: now, even if the joint can be seen.

        Raises:
            NotSupported: ``GESTURE``.
        """

    def stop_action(self) -> None:
        """Return to rest from a gesture; without one, do nothing."""

    def say_text(self, text: str) -> None:
        """Words that are about to be spoken, for the mood they suggest."""

    def set_emotion(self, name: str | None, intensity: float = 1.0) -> None:
        """Change the mood.

        Args:
            name: an emotion, or None to follow the voice.
            intensity: 0 to 1.

        Raises:
            NotSupported: ``EMOTION``.
        """


def step_all(directors: Sequence[Director], cues: Sequence[Cue]) -> list[Shot]:
    """The next frame of several distinct directors, each kin in one go."""
    kins: dict[int, list[int]] = {}
    for i, director in enumerate(directors):
        kins.setdefault(id(director.kin), []).append(i)
    shots: dict[int, Shot] = {}
    for members in kins.values():
        kin = [directors[i] for i in members]
        step = kin[0].step_batch
        shots.update(zip(members, step(kin, [cues[i] for i in members]), strict=True))
    return [shots[i] for i in range(len(directors))]
