"""``bithuman render``: an avatar and a recording become a video file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import engine
from bithuman_cli import avatars
from bithuman_cli.errors import UsageError
from bithuman_cli.options import Avatar, Force, ModelOption, Registry, choose_output
from bithuman_cli.output import out


class Quality(StrEnum):
    """Video quality; the names are those of the hosted service."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


def render(
    avatar: Avatar,
    sound: Annotated[
        Path | None,
        typer.Argument(metavar="AUDIO", help="What it says: any audio or video file."),
    ] = None,
    audio: Annotated[
        Path | None, typer.Option("--audio", "-a", help="The same, as an option.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Video to write. [default: AUDIO's name with .mp4]"),
    ] = None,
    target_size: Annotated[
        str | None,
        typer.Option(metavar="N|WxH", help="Pixels: the longer side, or width x height."),
    ] = None,
    quality: Annotated[
        Quality, typer.Option(case_sensitive=False, help="Of the picture; HIGH makes larger files.")
    ] = Quality.MEDIUM,
    limit: Annotated[
        float | None, typer.Option(min=0.04, help="Stop after so many seconds.")
    ] = None,
    force: Force = False,
    model: ModelOption = None,
    registry: Registry = None,
) -> None:
    """Make a video of an avatar that says a recording.

    H.264 and AAC in mp4; every sound sample keeps its place.
    """
    if (sound is None) == (audio is None):
        raise UsageError("Name one recording, as the second argument or with --audio.")
    source = sound or audio
    assert source is not None
    target = choose_output(output, Path(f"{source.stem}.mp4"), source, force=force)

    with avatars.open_avatar(avatar, model, registry) as opened, out.steps() as steps:
        result = engine.write_mp4(
            opened,
            source,
            target,
            target_size=target_size,
            quality=quality.value,
            limit=limit,
            progress=steps.of("frames"),
        )
    out.result(
        {
            "output": str(result.path),
            "bytes": result.bytes,
            "seconds": result.seconds,
            "width": result.width,
            "height": result.height,
            "frames": result.frames,
        },
        str(result.path),
    )
