"""Which base frame and mouth shape an Essence avatar shows next."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.cue import Cue
from engine.director import Shot
from engine.errors import NotSupported
from engine.essence.layout import Walk
from engine.essence.selector import ShapeBook, ShapeSelector, select_batch
from engine.motion import ALIASES

__all__ = ["Course", "EssenceDirector"]

_IDLE: Final = "idle"
_QUICK: Final = 4  # frames at most from one to the next, on the way to a gesture
_AT_ONCE: Final = 8  # the same when it is forced
_CHANGE: Final = 2  # the same when the avatar begins to speak or to listen
_SHARE: Final = 0.6  # of the fastest motion there is, on the way to something else
_LATE: Final = 20  # frames: an arc that ends sooner is not cut short for that


@dataclass(frozen=True)
class _Arc:
    """Frames from a hub to the one before a hub, in the order in which they are shown."""

    frames: NDArray[np.int64]
    kind: str
    name: int  # of both ways of the same frames


class Course:
    """What the directors of one avatar share: its clips, and the ways through them.

    Args:
        clips: name to first base frame and length; ``idle`` and the gestures.
        walk: what is known of the idle clip and the mouths of gestures.
        travel: float64 (frames,), how far the face moves from each base frame of a clip to the
            next, px.
    """

    def __init__(
        self, clips: Mapping[str, tuple[int, int]], walk: Walk, travel: NDArray[np.float64]
    ) -> None:
        self.clips = clips
        self.walk = walk
        self.travel = travel
        # Nearly as far as it ever moves in a frame, but for the wildest hundredth.
        self.fastest = _SHARE * float(np.quantile(travel, 0.99))
        self.arcs = _arcs(clips[_IDLE][1], walk)


class EssenceDirector:
    """Walks through the idle clip from hub to hub and, from any of them, into gestures.

    All hubs look alike, so what follows one may follow another: a random walk over the arcs
    between them, both ways where the file says so, of the kind that suits what goes on, without
    those that were shown last. A gesture is asked for in the middle of an arc: the avatar goes to
    the nearer end of it, no faster than it ever moves, and from there into the gesture. One that
    is stopped runs on to its end or back to its beginning, whichever is nearer.

    The mouth follows the sound throughout.

    Args:
        course: the clips, shared by all sessions of the avatar.
        book: of the mouth shapes, shared likewise.
        seed: the same seed and cues give the same frames.
    """

    def __init__(self, course: Course, book: ShapeBook, seed: int | None = None) -> None:
        self._course = course
        self._selector = ShapeSelector(book)
        # Not for secrets; unlike numpy's generators it costs nothing per number.
        self._random = random.Random(seed)  # noqa: S311
        self._recent: list[int] = []
        self._arc = course.arcs[0]
        self._at = 0  # of the arc, which frame comes next
        self._shown = -1  # which was shown last; -1 if none of it
        self._step = 1
        self._reach = 1  # frames at most from one to the next
        self._manner = _IDLE
        self._playing: str | None = None
        self._frame = 0  # of the gesture, which comes next
        self._way = 1
        self._waiting: str | None = None

    @property
    def gestures(self) -> tuple[str, ...]:
        """Names that ``act`` takes."""
        if not self._course.walk.hubs:
            return ()
        return tuple(name for name in self._course.clips if name != _IDLE)

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
            director._shot(cue, patch)
            for director, cue, patch in zip(directors, cues, patches, strict=True)
        ]

    def _shot(self, cue: Cue, patch: int | None) -> Shot:
        manner = "speaking" if cue.speaking else "listening" if cue.listening else _IDLE
        if manner != self._manner:
            self._manner = manner
            self._change()
        base = self._base()
        if patch is None and not cue.speaking:
            patch = self._course.walk.mouths.get(base)
        return Shot(base, patch)

    def act(self, gesture: str, *, force: bool = False) -> None:
        """Begin a gesture at the next hub, which is at most about a second away.

        Args:
            gesture: one of ``gestures``, or an alias of one.
            force: end the running one first, rather than wait for it, and hurry.

        Raises:
            NotSupported: ``GESTURE``.
        """
        name = gesture if gesture in self._course.clips else ALIASES.get(gesture, gesture)
        if name not in self.gestures:
            raise NotSupported(
                f"this avatar cannot do {gesture!r}",
                code="GESTURE",
                hint="Its gestures: " + (", ".join(self.gestures) or "none") + ".",
            )
        if force:
            self.stop_action()
        self._waiting = name
        self._hurry(_AT_ONCE if force else _QUICK)

    def stop_action(self) -> None:
        """Return to rest from a gesture; without one, do nothing."""
        self._waiting = None
        if self._playing is not None and self._way > 0:
            if self._frame < self._course.clips[self._playing][1] / 2:
                self._way = -1
                self._frame = max(0, self._frame - 2)  # the one before the last that was shown
        elif self._playing is None:
            self._reach = 1

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
            hint='Expression avatars can: --model expression, or in Python model="expression".',
        )

    # Base frames

    def _base(self) -> int:
        if self._playing is None:
            if self._at >= len(self._arc.frames):  # the next one begins at a hub
                self._turn()
            # At a hub if one comes next, or was shown just now.
            if self._waiting is not None and (self._at == 0 or self._shown == 0):
                self._playing, self._waiting = self._waiting, None
                self._frame, self._way = 0, 1
        if self._playing is not None:
            return self._gesture(self._playing)
        self._shown = self._at
        frames = self._arc.frames
        if self._step < 0 and self._at == 0:  # back where the arc began: on into another
            self._turn()
            self._at, self._shown = 1, 0
            return int(frames[0])
        ahead = frames[self._at :] if self._step > 0 else frames[self._at :: -1]
        self._at += self._step * self._leap(ahead, self._reach)
        return int(frames[self._shown])

    def _gesture(self, name: str) -> int:
        first, frames = self._course.clips[name]
        base = first + self._frame
        self._frame += self._way
        if not 0 <= self._frame < frames:
            self._playing = None
            self._turn()
        return base

    def _leap(self, ahead: NDArray[np.int64], most: int) -> int:
        """How many frames to go on: several where little moves, but not beyond the last."""
        if most == 1 or len(ahead) <= 1:
            return 1
        near = ahead[: most + 1]
        way = np.cumsum(self._course.travel[np.minimum(near[:-1], near[1:])])
        leap = int(np.searchsorted(way, self._course.fastest, "right"))
        return max(1, min(leap, len(ahead) - 1))

    def _turn(self) -> None:
        """Choose the arc that comes next; not one of those shown last."""
        arcs = self._course.arcs
        options = [arc for arc in arcs if arc.kind == self._manner]
        options = options or [arc for arc in arcs if arc.kind == _IDLE] or arcs
        names = {arc.name for arc in options}
        shy = [name for name in self._recent if name in names][-(len(names) // 2) :]
        options = [arc for arc in options if len(names) == 1 or arc.name not in shy]
        self._arc = self._random.choice(options)
        self._recent = [name for name in self._recent if name != self._arc.name]
        self._recent.append(self._arc.name)
        self._at, self._shown, self._step, self._reach = 0, -1, 1, 1

    def _hurry(self, reach: int) -> None:
        """Go to the nearer end of the arc that is under way."""
        if self._playing is not None or not self._course.walk.hubs or self._at == 0:
            return
        if self._reach == 1 and self._step > 0:
            travel = self._course.travel[self._arc.frames]
            shown = self._shown

            def cost(steps: NDArray[np.float64]) -> float:
                return max(len(steps) / reach, float(steps.sum()) / max(self._course.fastest, 1e-6))

            if cost(travel[:shown]) < cost(travel[shown:]):
                self._step, self._at = -1, max(0, shown - 1)
        self._reach = max(self._reach, reach)

    def _change(self) -> None:
        """Something else goes on now: do not finish a long arc of another kind first."""
        kinds = {arc.kind for arc in self._course.arcs}
        long = len(self._arc.frames) - self._at > _LATE
        if long and self._manner in kinds and self._arc.kind != self._manner:
            self._hurry(_CHANGE)


def _arcs(frames: int, walk: Walk) -> list[_Arc]:
    """The ways from hub to hub; the whole loop where none are known."""
    if not walk.hubs:
        return [_Arc(np.arange(frames), _IDLE, 0)]
    arcs: list[_Arc] = []
    ends = [*walk.hubs[1:], walk.hubs[0] + frames]
    for number, (start, end) in enumerate(zip(walk.hubs, ends, strict=True)):
        there = np.arange(start, end) % frames
        kind = walk.kinds[number] if walk.kinds else _IDLE
        arcs.append(_Arc(there, kind, number))
        if walk.reversible:
            back = np.arange(end, start, -1) % frames
            arcs.append(_Arc(back, kind, number))
    return arcs


def travel_of(
    clips: Mapping[str, tuple[int, int]],
    affine: NDArray[np.float64],
    patch: Sequence[int],
) -> NDArray[np.float64]:
    """How far the mouth moves from each base frame to the next of its clip: float64 (frames,), px.

    Args:
        clips: name to first base frame and length.
        affine: (frames, 2, 3) patch pixels to frame pixels.
        patch: width and height of a patch.
    """
    width, height = patch
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    placed = np.einsum("nij,kj->nki", affine, corners)
    travel = np.zeros(len(affine))
    for first, frames in clips.values():
        steps = np.linalg.norm(np.diff(placed[first : first + frames], axis=0), axis=2).max(axis=1)
        travel[first : first + frames - 1] = steps
    return travel
