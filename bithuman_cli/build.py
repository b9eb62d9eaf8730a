"""``bithuman build``: a photo, or a clip of a person, becomes an avatar."""

from __future__ import annotations

import hashlib
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import typer

import engine
from bithuman_cli import avatars
from bithuman_cli.errors import UsageError, no_file
from bithuman_cli.inputs import Pipes, is_piped
from bithuman_cli.options import BackgroundOption, Force, GesturesOption, choose_output, read_words
from bithuman_cli.output import Steps, format_bytes, out
from engine.video.sniff import is_video


class Crop(StrEnum):
    """What of the source becomes the picture."""

    AUTO = "auto"
    NONE = "none"


class _Options(TypedDict):
    """What both models take."""

    out: Path
    name: str
    size: int
    crop: Literal["auto", "none"]
    face: int | None
    background: str | None
    licence: str
    progress: Steps


def build(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTO|CLIP",
            readable=False,
            help="A photo of one person, facing the camera, mouth closed, eyes open, under 10 MB; "
            "or a video of one, 5 to 60 seconds; - reads it from a pipe.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.imx",
            help="Avatar to write. [default: the source's name with .imx]",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call it. [default: the name of its file]"),
    ] = None,
    size: Annotated[
        int, typer.Option(metavar="PIXELS", help="Of the longer side, 128 to 1080.")
    ] = 512,
    crop: Annotated[
        Crop, typer.Option(help="auto: head and shoulders; none: the whole picture.")
    ] = Crop.AUTO,
    face: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Which face, if there are several; 1 is the largest."
        ),
    ] = None,
    background: BackgroundOption = None,
    seed: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Another one moves differently; of photos only."),
    ] = 0,
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="Of the source; kept in the avatar.")
    ] = "",
    gesture: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CLIP",
            help="Add a gesture from a clip of the same person, up to 12 seconds; repeatable.",
        ),
    ] = None,
    gestures_file: GesturesOption = None,
    model: Annotated[
        avatars.Model,
        typer.Option(
            help="essence: rendered beforehand, cheapest to run; expression: a small file, the "
            "whole face moves."
        ),
    ] = avatars.Model.ESSENCE,
    force: Force = False,
) -> None:
    """Turn a photo, or a clip of a person, into an avatar."""
    pipes = Pipes.of(context)
    if is_piped(source):
        if output is None:
            raise UsageError("What comes from a pipe has no name to call it by: add --output.")
        source = pipes.kept(source)
    if not source.is_file():
        raise no_file(source)
    gestures = {key: pipes.kept(clip) for key, clip in _gestures(gesture or []).items()}
    words = read_words(gestures_file)
    if model is avatars.Model.EXPRESSION and (gestures or words or is_video(source)):
        raise UsageError(
            "Expression avatars are made from a photo alone.",
            hint="Leave out --model, or clips, --gesture and --gestures (which `run` takes too).",
        )
    target = choose_output(output, Path(f"{source.stem}.imx"), source, force=force)
    if target.suffix.lower() != ".imx":  # a photo, by a slip, would be replaced by the avatar
        raise UsageError(
            f"{target} does not end with .imx, as avatars do.",
            hint=f"Write --output {shlex.quote(str(target.with_suffix('.imx')))}",
        )

    with out.steps() as steps:
        options: _Options = {
            "out": target,
            "name": target.stem if name is None else name,
            "size": size,
            "crop": crop.value,
            "face": face,
            "background": background,
            "licence": licence,
            "progress": steps,
        }
        if model is avatars.Model.EXPRESSION:
            result = engine.build_expression(source, **options)
        else:
            result = engine.build(source, seed=seed, gestures=gestures, words=words, **options)
    with result.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = result.manifest
    out.note(
        f"Made {result.path} ({format_bytes(result.bytes)}) in {result.seconds:.0f} s. "
        f"`bithuman run {shlex.quote(str(result.path))}` brings it to life."
    )
    out.result(
        {
            "path": str(result.path),
            "bytes": result.bytes,
            "sha256": digest,
            "seconds": result.seconds,
            "name": manifest.name,
            "kind": manifest.kind,
            "width": manifest.width,
            "height": manifest.height,
        },
        str(result.path),
    )


def _gestures(options: list[str]) -> dict[str, Path]:
    """What ``--gesture`` names; their clips are looked at by the engine."""
    gestures: dict[str, Path] = {}
    for option in options:
        name, equals, clip = option.partition("=")
        if not (name and equals and clip):
            raise UsageError(f"--gesture {option} is not NAME=CLIP.", hint="As in wave=wave.mp4.")
        if name in gestures:
            raise UsageError(f"--gesture names {name} twice.")
        gestures[name] = Path(clip)
    return gestures
