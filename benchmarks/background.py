"""What another background costs: cutting out, live frames, and files of every format and quality.

    python -m benchmarks.background [avatar.imx]

Times are processor times of the whole process, OpenCV on one thread. Without an avatar one is built
from the host of the showcase.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2

import engine
from bithuman_cli import resources
from engine.director import Shot
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.matte import find_person
from engine.face.renderer import Renderer
from engine.stream.avatar import Avatar

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "training" / "showcase" / "portraits" / "studio-host.webp"
BACKGROUNDS = ("none", "#20c040", "transparent")
SECONDS = 2.0


def milliseconds(what: Callable[[int], object], count: int) -> float:
    """Median processor time of calls with 0, 1, … count - 1."""
    times = []
    for i in range(count):
        begin = time.process_time()
        what(i)
        times.append(1000 * (time.process_time() - begin))
    return statistics.median(times)


def wire(avatar: Avatar, shot: Shot) -> None:
    """A picture as it is sent."""
    if avatar.transparent:
        avatar.compose_cut_jpeg(shot)
    else:
        avatar.compose_jpeg(shot)


def live(avatar: Avatar, shots: list[Shot]) -> float:
    """Milliseconds for a picture as it is sent."""
    return milliseconds(lambda i: wire(avatar, shots[i]), len(shots))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure avatars before other backgrounds.")
    parser.add_argument("avatar", type=Path, nargs="?")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    image = load_image(PHOTO)
    renderer = Renderer.from_image(image, find_face(image))
    took = milliseconds(lambda _: find_person(renderer.image, renderer.landmarks), 7)
    print(f"cutting out the person, 512 px      {took:7.1f} ms")
    sound = resources.find("web") / "audio" / "hello.mp3"
    with tempfile.TemporaryDirectory() as directory:
        built = options.avatar
        if built is None:
            built = Path(directory) / "host.imx"
            engine.build(PHOTO, out=built, name="Host")
        for background in BACKGROUNDS:
            begin = time.process_time()
            with engine.open(built, background=background) as avatar:
                opened = time.process_time() - begin
                shots = [Shot(base, 1 + base % 90) for base in range(100)]
                first = live(avatar, shots)
                again = live(avatar, shots)
            print(
                f"essence    {background:<12} open {opened:5.2f} s, frame {first:5.2f} ms, "
                f"then {again:5.2f}"
            )
        for background in BACKGROUNDS:
            with engine.open(PHOTO, model="expression", background=background) as avatar:
                frame = live(avatar, _states(avatar))
            print(f"expression {background:<12} frame {frame:5.2f} ms")
        cases = [(quality, "mp4", "none") for quality in ("LOW", "MEDIUM", "HIGH")]
        cases += [("MEDIUM", kind, "transparent") for kind in ("webm", "mov", "png")]
        for path, model in ((built, None), (PHOTO, "expression")):
            for quality, kind, background in cases:
                out = Path(directory) / f"{model}-{quality}.{kind}"
                begin = time.process_time()
                with engine.open(path, model=model, background=background) as avatar:
                    result = engine.write_video(
                        avatar, sound, out, format=kind, quality=quality, limit=SECONDS
                    )
                cpu = time.process_time() - begin
                print(
                    f"{model or 'essence':<10} {kind:<4} {quality:<6} {result.width:5} px "
                    f"{1000 * cpu / result.frames:6.1f} ms a frame, all included; "
                    f"{result.bytes * 8 / result.seconds / 1000:7.0f} kbit/s"
                )


def _states(avatar: Avatar) -> list[Shot]:
    session = avatar.session(seed=1)
    states = [session.next_index() for _ in range(100)]
    return [Shot(face=state.face, mouth=state.mouth) for state in states]


if __name__ == "__main__":
    main()
