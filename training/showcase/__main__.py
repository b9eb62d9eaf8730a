"""Make the bundled avatars.

    python -m training.showcase render modern-court-jester   # needs Blender's Python module
    python -m training.showcase build                        # all portraits -> showcase/*.imx

``render`` draws a character with Cycles and writes ``portraits/<slug>.webp``; install
``training/showcase/requirements.txt`` first (Python 3.11). ``build`` turns every portrait into an
avatar and brings ``showcase.json`` up to date; it needs nothing but the project itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PORTRAITS = HERE / "portraits"


@dataclass(frozen=True)
class Character:
    """A bundled avatar.

    Attributes:
        module: the module of this package that builds its scene.
        name: for people.
        description: one line for the catalogue.
        seed: of the idle motion.
        crop: ``"none"`` keeps the whole portrait in the frame, ``"auto"`` frames the face.
    """

    module: str
    name: str
    description: str
    seed: int
    crop: Literal["auto", "none"] = "none"


CHARACTERS = {
    "modern-court-jester": Character(
        "jester",
        "Modern Court Jester",
        "A freckled fool in felt and bells, rendered from CC0 MakeHuman geometry",
        seed=5,
    ),
    "studio-host": Character(
        "host",
        "Studio Host",
        "A calm presenter in a teal sweater, rendered from CC0 MakeHuman geometry",
        seed=11,
        crop="auto",
    ),
}
LICENCE = "CC0-1.0"


def build(slugs: list[str]) -> None:
    """Build avatars from their portraits and update the catalogue."""
    from engine import essence

    describe: list[str] = []
    for slug in slugs:
        character = CHARACTERS[slug]
        result = essence.build(
            PORTRAITS / f"{slug}.webp",
            out=ROOT / "showcase" / f"{slug}.imx",
            name=character.name,
            licence=LICENCE,
            seed=character.seed,
            crop=character.crop,
        )
        print(f"{slug}: {result.bytes / 1e6:.2f} MB in {result.seconds:.0f} s")
        describe += ["--describe", slug, character.description]
    command = [sys.executable, "-m", "training.showcase.catalogue", *describe]
    subprocess.run([*command, "--default", next(iter(CHARACTERS))], cwd=ROOT, check=True)


def render(slugs: list[str], size: int, samples: int, threads: int, out: Path) -> None:
    """Render portraits."""
    from training.showcase import portrait

    for slug in slugs:
        path = portrait.render(
            CHARACTERS[slug].module, out / f"{slug}.webp", size, samples, threads
        )
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.showcase",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", choices=("render", "build"))
    parser.add_argument("slugs", nargs="*", metavar="SLUG", help=", ".join(CHARACTERS))
    parser.add_argument("--size", type=int, default=768, help="pixels of the portrait (768)")
    parser.add_argument("--samples", type=int, default=32, help="paths per pixel (32)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=PORTRAITS, help="folder of the portraits")
    options = parser.parse_args()
    slugs = options.slugs or list(CHARACTERS)
    if unknown := sorted(set(slugs) - CHARACTERS.keys()):
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.step == "build":
        build(slugs)
    else:
        render(slugs, options.size, options.samples, options.threads, options.out)


if __name__ == "__main__":
    main()
