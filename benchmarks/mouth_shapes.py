"""Do the mouths of finished avatars close and open? Landmarks are read back from their frames.

``python -m benchmarks.mouth_shapes [avatar.imx …]`` looks at every bundled avatar by default and
fails where a closed shape (rest, m, b, p) shows an inner-lip gap above 0.02 of the mouth width, an
open vowel one below 0.2, or a pixel outside the mouth patch changes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine import imx
from engine.coefficients import INDEX
from engine.essence import EssencePlayer
from engine.face.landmarks import find_face, follow_face
from engine.face.measure import eye_aspect, lip_gap

SHOWCASE = Path(__file__).parents[1] / "showcase"
CLOSED_LIMIT, OPEN_LIMIT = 0.02, 0.2
FRAMES = 6  # looked at per shape, spread over the loop


class Mouths(NamedTuple):
    """Inner-lip gap over mouth width: the worst frame of each kind; and stray pixels."""

    rest: float
    sealed: float
    vowels: float
    outside: int

    @property
    def good(self) -> bool:
        """Whether all limits are kept."""
        closed = max(self.rest, self.sealed) <= CLOSED_LIMIT
        return closed and self.vowels >= OPEN_LIMIT and not self.outside


SMILES = ("smile", "laugh", "greet", "kiss", "wink")
"""Gestures left out: over a mouth that a smile makes wider every gap is smaller."""


def measure(player: EssencePlayer) -> Mouths:
    """Read landmarks back from frames of one avatar that does not smile."""
    book = player.codebook
    opening = book[:, INDEX["jawOpen"]] - book[:, INDEX["mouthClose"]]
    rounded = book[:, INDEX["mouthFunnel"]] + book[:, INDEX["mouthPucker"]]
    sealed = np.flatnonzero(book[:, INDEX["lipClosure"]] >= 0.9).tolist()
    vowels = np.flatnonzero((opening >= 0.5) & (rounded < 0.3)).tolist()
    frames = _frames_with_open_eyes(player)
    faces = {frame: find_face(player.compose(frame, None), face=1).points for frame in frames}

    def gaps(shapes: list[int]) -> list[float]:
        return [
            lip_gap(follow_face(player.compose(frame, shape), faces[frame]).points)
            for shape in shapes
            for frame in frames
        ]

    return Mouths(
        rest=max(gaps([0])),
        sealed=max(gaps(sealed)),
        vowels=min(gaps(vowels)),
        outside=_stray_pixels(player, frames),
    )


def _frames_with_open_eyes(player: EssencePlayer) -> list[int]:
    found: list[int] = []
    for start in np.linspace(0, player.frames, FRAMES, endpoint=False).astype(int).tolist():
        smiling = (player.clips[name] for name in SMILES if name in player.clips)
        if any(first - 12 < start < first + frames for first, frames in smiling):
            continue
        window = range(start, min(start + 12, player.frames), 4)
        open_eyes = {
            frame: min(eye_aspect(find_face(player.compose(frame, None), face=1).points))
            for frame in window
        }
        found.append(max(open_eyes, key=lambda frame: open_eyes[frame]))
    return found


def _stray_pixels(player: EssencePlayer, frames: list[int]) -> int:
    count = 0
    for frame in frames:
        x0, y0, x1, y1 = player.patch_box(frame)
        rest = player.compose(frame, None)
        for shape in range(1, player.shapes):
            drawn = player.compose(frame, shape)
            drawn[y0:y1, x0:x1] = rest[y0:y1, x0:x1]
            if not np.array_equal(drawn, rest):
                count += int((drawn != rest).any(axis=2).sum())
    return count


def main() -> int:
    """Print a line per avatar; 1 if any breaks a limit."""
    parser = argparse.ArgumentParser(description="Measure closed and open mouths of avatars.")
    parser.add_argument("avatars", type=Path, nargs="*")
    avatars = parser.parse_args().avatars or sorted(SHOWCASE.glob("*.imx"))
    print(f"{'avatar':<28} {'rest':>6} {'m b p':>6} {'vowels':>6} outside")
    good = True
    for path in avatars:
        with imx.Reader(path) as reader:
            mouths = measure(EssencePlayer(reader))
        good &= mouths.good
        mark = "" if mouths.good else "  out of limits"
        print(
            f"{path.stem:<28} {mouths.rest:6.3f} {mouths.sealed:6.3f} {mouths.vowels:6.3f} "
            f"{mouths.outside:7d}{mark}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
