"""How long ``bithuman build`` takes and how large the avatar is.

``python -m benchmarks.build [photo] [--size 512]`` prints one line per stage. Processor time is
printed as well, since a busy machine stretches the time on the clock.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from engine.essence import build

PHOTO = Path(__file__).parents[1] / "tests" / "data" / "face_front.webp"


def main() -> None:
    """Build once into a temporary folder and print what it took."""
    parser = argparse.ArgumentParser(description="Measure the build of an avatar.")
    parser.add_argument("photo", type=Path, nargs="?", default=PHOTO)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()

    stages: dict[str, tuple[float, float]] = {}

    def note(stage: str, _done: int, _total: int) -> None:
        now = time.perf_counter()
        stages[stage] = (stages.get(stage, (now, now))[0], now)

    with tempfile.TemporaryDirectory() as folder:
        result = build(
            options.photo, out=Path(folder, "a.imx"), name="a", size=options.size, progress=note
        )
    manifest = result.manifest
    sizes = {name: member.size for name, member in manifest.members.items()}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{options.photo.name} at {manifest.width}x{manifest.height}: {result.seconds:.1f} s")
    for stage, (begin, end) in stages.items():
        print(f"  {stage:<8}{end - begin:6.1f} s")
    print(f"processor {usage.ru_utime + usage.ru_stime:.1f} s, imports included")
    print(f"peak memory {usage.ru_maxrss / 1024:.0f} MiB")
    patches = [size for name, size in sizes.items() if name.startswith("mouth/")]
    print(
        f"file {result.bytes / 1e6:.2f} MB: clip {sizes['clips/idle.mp4'] / 1e6:.2f} MB, ", end=""
    )
    print(f"{len(patches)} mouth members {sum(patches) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
