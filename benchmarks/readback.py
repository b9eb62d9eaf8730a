"""Does an Expression avatar do what it is told? Landmarks are read back from its frames.

    python -m benchmarks.readback [photo.jpg …]

Half a minute of speech at 512×512 with all the motion of a live session. Read by the landmark
network and compared with what was commanded: the pose of the head (rms of each angle), the gap of
the inner lips over the width of the mouth (rms), the lids at the end of each blink and between
blinks, and the shape of the face at rest against the photo (mean distance of the landmarks;
no limit where the photo shows teeth, whose mouth is closed at rest).
Fails where a limit is broken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

import engine
from bithuman_cli import resources
from engine.audio import decode
from engine.coefficients import FPS, SAMPLE_RATE
from engine.director import Shot
from engine.expression.player import ExpressionPlayer
from engine.face.image import load_image
from engine.face.landmarks import find_face, head_pose
from engine.face.measure import eye_aspect, lip_gap
from engine.face.renderer import Renderer

ROOT: Final = Path(__file__).resolve().parents[1]
PHOTOS: Final = (
    *sorted((ROOT / "training/showcase/portraits").glob("*.webp")),
    ROOT / "tests/data/face_front.webp",
    ROOT / "tests/data/face_smile.webp",
)
SECONDS: Final = 30
EVERY: Final = 3  # frames between two that are read, besides those of blinks
TEETH: Final = 0.05  # gap of the lips over the width of the mouth
POSE_LIMIT, MOUTH_LIMIT, CLOSED_LIMIT, REST_LIMIT = 1.5, 0.04, 0.12, 1.0


class ReadBack(NamedTuple):
    """Worst of three angles in degrees, mouth widths, eye aspects, px."""

    pose: float
    mouth: float
    closed: float
    opened: float
    blinks: int
    rest: float
    teeth: bool  # shown by the photo: closing that mouth is meant to change the face

    @property
    def good(self) -> bool:
        """Whether all limits are kept."""
        return (
            self.pose <= POSE_LIMIT
            and self.mouth <= MOUTH_LIMIT
            and self.closed < CLOSED_LIMIT < self.opened
            and (self.rest <= REST_LIMIT or self.teeth)
        )


def measure(photo: Path) -> ReadBack:
    """Let one photo talk and read its frames."""
    image = load_image(photo)
    renderer = Renderer.from_image(image, find_face(image), 512)
    player = ExpressionPlayer(renderer)
    sound = (decode(resources.find("web") / "audio" / "hello.mp3") * 32767).astype(np.int16)
    sound = np.tile(sound, -(-SECONDS * SAMPLE_RATE // len(sound)))[: SECONDS * SAMPLE_RATE]
    session = engine.open(photo, model="expression").session(seed=1)
    session.push_audio(sound, last_chunk=True)

    still = find_face(player.draw(Shot()), face=1).points
    neutral = np.array(head_pose(still))
    poses, mouths, closed, opened = [], [], [], []
    blinks, before = 0, 0.0
    for index in range(SECONDS * FPS):
        state = session.next_index()
        assert state.face is not None
        lids = float(state.face.blink.min())
        shut = lids > 0.97
        blinks += shut and before <= 0.97
        before = lids
        if index % EVERY and not shut:
            continue
        seen = find_face(player.draw(state), face=1).points
        poses.append(np.array(head_pose(seen)) - neutral - state.face.pose)
        mouths.append(lip_gap(seen) - lip_gap(player.landmarks(state)))
        if shut:
            closed.append(max(eye_aspect(seen)))
        elif state.face.blink.max() == 0:
            opened.append(min(eye_aspect(seen)))
    return ReadBack(
        pose=float(np.sqrt((np.array(poses) ** 2).mean(0)).max()),
        mouth=float(np.sqrt((np.array(mouths) ** 2).mean())),
        closed=float(np.median(closed)) if closed else 1.0,
        opened=float(np.percentile(opened, 5)),
        blinks=blinks,
        rest=float(np.linalg.norm((still - renderer.landmarks)[:468, :2], axis=1).mean()),
        teeth=lip_gap(renderer.landmarks) > TEETH,
    )


def main() -> int:
    """Print a line per face; 1 if any breaks a limit."""
    parser = argparse.ArgumentParser(description="Read poses, mouths and lids back from frames.")
    parser.add_argument("photos", type=Path, nargs="*")
    photos = parser.parse_args().photos or PHOTOS
    cv2.setNumThreads(1)
    columns = ("pose", "mouth", "closed", "open", "blinks", "rest")
    print(f"{'photo':<22}", *(f"{name:>6}" for name in columns))
    good = True
    for photo in photos:
        found = measure(photo)
        good &= found.good
        print(
            f"{photo.stem:<22} {found.pose:5.2f}° {found.mouth:6.3f} {found.closed:6.3f} "
            f"{found.opened:6.3f} {found.blinks:6d} {found.rest:4.2f}px"
            f"{'' if found.good else '  out of limits'}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
