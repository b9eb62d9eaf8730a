"""Render everything a face must be able to do into one labelled picture, to look at.

    python benchmarks/contact_sheet.py photo.jpg sheet.png
    python benchmarks/contact_sheet.py photo.jpg mouths.png --zoom

Under each name stands what the landmark network reads back from the rendered frame: the inner
lip gap over the mouth width, and for the blinks the height of the eye over its width.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.coefficients import COEFFICIENTS, INDEX
from engine.errors import InvalidImage
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.measure import eye_aspect, lip_gap
from engine.face.renderer import Renderer
from training.speech.phones import CLASSES, TARGETS

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Tile = tuple[str, Callable[[], Image]]


def shape(**values: float) -> Floats:
    """A coefficient vector by name."""
    vector = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        vector[INDEX[name]] = value
    return vector


def tiles(renderer: Renderer, quality: str) -> list[Tile]:
    """Everything on the sheet: a label and how to render it."""
    rest = shape()

    def show(coefficients: Floats, **options: object) -> Callable[[], Image]:
        return lambda: renderer.render(coefficients, quality=quality, **options)  # type: ignore[arg-type]

    entries: list[Tile] = [("photo", lambda: renderer.image), ("rest", show(rest))]
    entries += [(name, show(TARGETS[i])) for i, name in enumerate(CLASSES) if name != "sil"]
    entries += [
        ("jaw + close", show(shape(jawOpen=0.4, mouthClose=0.4))),
        ("jaw, sealed", show(shape(jawOpen=0.4, lipClosure=1))),
        ("smile", show(shape(mouthSmile=0.8))),
        ("pucker", show(shape(mouthPucker=1))),
        ("funnel", show(shape(mouthFunnel=1))),
        ("brows up", show(rest, units={"browInnerUp": 0.8, "browOuterUpLeft": 0.8,
                                       "browOuterUpRight": 0.8})),
        ("frown", show(rest, units={"browDownLeft": 0.9, "browDownRight": 0.9})),
        ("blink 1/2", show(rest, blink=(0.5, 0.5))),
        ("blink", show(rest, blink=(1, 1))),
        ("wink left", show(rest, blink=(1, 0))),
        ("gaze right", show(rest, gaze=(8, 0))),
        ("gaze left up", show(rest, gaze=(-8, 5))),
    ]  # fmt: skip
    for name, pose in (
        ("yaw +4", (4.0, 0.0, 0.0)),
        ("yaw -4", (-4.0, 0.0, 0.0)),
        ("pitch +4", (0.0, 4.0, 0.0)),
        ("pitch -4", (0.0, -4.0, 0.0)),
        ("roll +4", (0.0, 0.0, 4.0)),
        ("yaw +10", (10.0, 0.0, 0.0)),
        ("yaw -10", (-10.0, 0.0, 0.0)),
    ):
        entries.append((name, show(TARGETS[CLASSES.index("AH")], pose=pose)))
    return entries


def label(tile: Image, lines: list[str]) -> None:
    """Write lines into the left top corner, readable on anything."""
    for row, line in enumerate(lines):
        at = (5, 15 + 16 * row)
        cv2.putText(tile, line, at, 0, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(tile, line, at, 0, 0.45, (90, 255, 255), 1, cv2.LINE_AA)


def read_back(frame: Image, eyes: bool) -> list[str]:
    """What the landmark network sees in a rendered frame, in lines for a label."""
    try:
        seen = find_face(np.asarray(frame), face=1).points
    except InvalidImage:
        return ["no face seen"]
    lines = [f"gap {lip_gap(seen):.3f}"]
    if eyes:
        lines.append("eyes {:.2f} {:.2f}".format(*eye_aspect(seen)))
    return lines


def contact_sheet(renderer: Renderer, zoom: bool, quality: str, measure: bool) -> Image:
    """Draw the sheet: whole faces, or only the mouths at twice their size."""
    points = renderer.landmarks
    face = float(np.linalg.norm(points[10, :2] - points[152, :2]))
    if zoom:
        centre, half, side = (
            points[[13, 14], :2].mean(0) + np.array([0, 0.06 * face]),
            0.36 * face,
            200,
        )
    else:
        centre, half, side = points[[10, 152], :2].mean(0), 0.86 * face, 240
    width, height = renderer.size
    x0, y0 = (max(0, round(float(v - half))) for v in centre)
    x1, y1 = min(width, round(x0 + 2 * half)), min(height, round(y0 + 2 * half))
    columns, sheet = 6, []
    for name, render in tiles(renderer, quality):
        frame = render()
        lines = [name]
        if measure:
            lines += read_back(frame, eyes="blink" in name or "wink" in name)
            print(*lines, sep="\t")
        part = frame[y0:y1, x0:x1]
        enlarge = cv2.INTER_CUBIC if part.shape[0] < side else cv2.INTER_AREA
        tile = np.asarray(cv2.resize(part, (side, side), interpolation=enlarge), np.uint8)
        label(tile, lines)
        sheet.append(tile)
    while len(sheet) % columns:
        sheet.append(np.zeros_like(sheet[0]))
    rows = [np.hstack(sheet[i : i + columns]) for i in range(0, len(sheet), columns)]
    return np.vstack(rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=512, help="side of the rendered frames")
    parser.add_argument("--face", type=int, help="which face, 1 for the largest")
    parser.add_argument("--zoom", action="store_true", help="only the mouths, enlarged")
    parser.add_argument("--quality", choices=("linear", "cubic"), default="linear")
    parser.add_argument("--no-measure", action="store_true", help="do not read landmarks back")
    options = parser.parse_args()
    image = load_image(options.photo)
    renderer = Renderer.from_image(image, find_face(image, options.face), options.size)
    sheet = contact_sheet(renderer, options.zoom, options.quality, not options.no_measure)
    cv2.imwrite(str(options.out), sheet)


if __name__ == "__main__":
    main()
