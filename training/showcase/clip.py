"""Make the moving picture of the README: ``python -m training.showcase.clip docs/jester.webp``.

An avatar says the start of the bundled sample; the clip loops.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import engine
from bithuman_cli import resources
from engine.coefficients import FPS

SECONDS = 6.0
SIDE = 360  # px
QUALITY = 66


def main() -> None:
    """Render the clip and say how large it is."""
    parser = argparse.ArgumentParser(description="Make the README's moving picture.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--avatar", default=resources.find("showcase") / "modern-court-jester.imx")
    parser.add_argument("--audio", default=resources.find("web") / "audio" / "hello.mp3")
    arguments = parser.parse_args()
    pictures = []
    with engine.open(arguments.avatar) as avatar:
        for picture in avatar.render(arguments.audio):
            pictures.append(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
            if len(pictures) >= SECONDS * FPS:
                break
    pictures[0].save(
        arguments.out,
        save_all=True,
        append_images=pictures[1:],
        duration=1000 // FPS,
        loop=0,
        quality=QUALITY,
        method=6,
    )
    print(f"{arguments.out}: {len(pictures)} frames, {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
