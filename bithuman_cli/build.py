"""``bithuman build``: a photo becomes an avatar."""

from __future__ import annotations

import hashlib
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import typer

import engine
from bithuman_cli import avatars
from bithuman_cli.errors import CliError
from bithuman_cli.options import BackgroundOption, Force, choose_output
from bithuman_cli.output import Steps, format_bytes, out


class Crop(StrEnum):
    """What of the photo becomes the picture."""

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
    photo: Annotated[
        Path,
        typer.Argument(help="One person, facing the camera, mouth closed, eyes open; under 10 MB."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Avatar to write. [default: PHOTO's name with .imx]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call it. [default: PHOTO's name]")
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels of the longer side.")] = 512,
    crop: Annotated[
        Crop, typer.Option(help="auto: head and shoulders; none: the whole photo.")
    ] = Crop.AUTO,
    face: Annotated[
        int | None,
        typer.Option(min=1, help="Which face, if there are several; 1 is the largest."),
    ] = None,
    background: BackgroundOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one moves differently.")] = 0,
    licence: Annotated[str, typer.Option(help="Of the photo; kept in the avatar.")] = "",
    model: Annotated[
        avatars.Model,
        typer.Option(
            help="essence: rendered beforehand, cheapest to run; expression: a small file, the "
            "whole face moves."
        ),
    ] = avatars.Model.ESSENCE,
    force: Force = False,
) -> None:
    """Turn a photo into an avatar."""
    if not photo.is_file():
        raise CliError(f"There is no file {photo}.", code="FILE_NOT_FOUND")
    target = choose_output(output, Path(f"{photo.stem}.imx"), photo, force=force)

    with out.steps() as steps:
        options: _Options = {
            "out": target,
            "name": name or photo.stem,
            "size": size,
            "crop": crop.value,
            "face": face,
            "background": background,
            "licence": licence,
            "progress": steps,
        }
        if model is avatars.Model.EXPRESSION:
            result = engine.build_expression(photo, **options)
        else:
            result = engine.build(photo, seed=seed, **options)
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
