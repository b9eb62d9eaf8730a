"""``python -m training.speech [stage …] [--quick] [--work DIR]``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
from pathlib import Path

from training.speech import config as configuration

STAGES = (
    "fetch", "synthesise", "align", "train", "export", "codebook", "ablate", "evaluate",
)  # fmt: skip
_NOT_AGAIN = ("codebook", "ablate")  # training on leaves them: avatars contain the codebook


def main() -> None:
    """Runs the stages in order; each resumes where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m training.speech", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="stage", help=" ".join(STAGES) + " (all)")
    parser.add_argument("--quick", action="store_true", help="a tiny set, to see that it runs")
    parser.add_argument("--further", action="store_true", help="train on from what ships")
    parser.add_argument("--work", type=Path, default=Path("build/speech"), help="working folder")
    parser.add_argument("--study", type=Path, help="an earlier network to compare with, C.onnx")
    parser.add_argument("--source", help="synthesise only this source")
    arguments = parser.parse_args()
    unknown = set(arguments.stages) - set(STAGES)
    if unknown:
        parser.error(f"unknown stage: {', '.join(sorted(unknown))}")
    if arguments.quick and arguments.further:
        parser.error("--quick starts from nothing, leave --further out")
    make = (
        configuration.quick
        if arguments.quick
        else configuration.further
        if arguments.further
        else configuration.full
    )
    config = dataclasses.replace(make(arguments.work.resolve()), study=arguments.study)
    stages = [s for s in STAGES if not (arguments.further and s in _NOT_AGAIN)]
    for stage in arguments.stages or stages:
        print(f"== {stage}", flush=True)
        # Imported late: torch is only needed for training, PocketSphinx only for measuring.
        run = getattr(importlib.import_module(f"training.speech.{stage}"), stage)
        if stage == "synthesise":
            run(config, arguments.source)
        else:
            run(config)


if __name__ == "__main__":
    main()
