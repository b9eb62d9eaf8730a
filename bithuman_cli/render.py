"""``bithuman render``: an avatar and a recording become a video file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import engine
from bithuman_cli import avatars
from bithuman_cli.errors import CliError, UsageError, no_file
from bithuman_cli.inputs import Pipes, is_piped
from bithuman_cli.options import (
    Avatar,
    BackgroundOption,
    Force,
    ModelOption,
    Registry,
    choose_output,
)
from bithuman_cli.output import out


class Quality(StrEnum):
    """Video quality, see ``engine.write_video``."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Format(StrEnum):
    """What is written; see ``engine.write_video``."""

    MP4 = "mp4"
    WEBM = "webm"
    MOV = "mov"
    PNG = "png"


def render(
    context: typer.Context,
    avatar: Avatar,
    sound: Annotated[
        Path | None,
        typer.Argument(
            metavar="AUDIO",
            readable=False,
            help="What it says: any audio or video file; - reads it from a pipe.",
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            "--audio", "-a", metavar="AUDIO", readable=False, help="The same, as an option."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Say this instead, where the voice is installed."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Video to write: .mp4, .webm or .mov, or folder/ for numbered PNG pictures. "
            "[default: the name of AUDIO, or with --text of AVATAR, with .mp4, or .webm if "
            "transparent]",
        ),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option("--format", help="Of the output. [default: by its name]"),
    ] = None,
    background: BackgroundOption = None,
    target_size: Annotated[
        str | None,
        typer.Option(metavar="N|WxH", help="Pixels: the longer side, or width x height."),
    ] = None,
    quality: Annotated[
        Quality, typer.Option(case_sensitive=False, help="Of the picture; high makes larger files.")
    ] = Quality.MEDIUM,
    limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.04, help="Stop after so much sound.")
    ] = None,
    force: Force = False,
    model: ModelOption = None,
    registry: Registry = None,
) -> None:
    """Make a video of an avatar that says a recording or a text.

    H.264 and AAC in mp4, VP9 and Opus in webm, ProRes 4444 in mov, or PNG pictures with a WAV in a
    folder; all but mp4 can be transparent. Every sound sample keeps its place.
    """
    if [sound, audio, text].count(None) != 2:
        raise UsageError("Name one recording, as AUDIO or with --audio, or a --text to say.")
    source = sound or audio or Path(avatar)  # which a text calls its video by
    if text is not None:
        _check_text(text)
    elif output is None and is_piped(source):
        raise UsageError("Sound from a pipe has no name to call the video by: add --output.")
    transparent = (background or "").strip().lower() == "transparent"
    suffix = output_format or (Format.WEBM if transparent else Format.MP4)
    default = Path(source.stem if suffix is Format.PNG else f"{source.stem}.{suffix.value}")
    kind = output_format.value if output_format else _format(output or str(default))
    named = None if output is None else Path(output)
    target = choose_output(named, default, source, force=force, folder=kind == "png")
    if transparent and kind == "mp4":
        raise UsageError(
            "mp4 files cannot be transparent.",
            hint="Name a .webm, a .mov or a folder, or choose a colour with --background.",
        )

    pipes = Pipes.of(context)
    if text is None:
        source = _recording(source, pipes)
    with (
        avatars.open_avatar(pipes.kept(avatar), model, registry, background) as opened,
        contextlib.nullcontext(source) if text is None else _spoken(text) as recording,
        out.steps() as steps,
    ):
        result = engine.write_video(
            opened,
            recording,
            target,
            format=kind,
            target_size=target_size,
            quality=quality.value.upper(),
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


def _format(output: str) -> str:
    """What the name of the output asks for; a folder that is there may have been meant either way.

    Raises:
        UsageError: it is such a folder.
        AvatarError: ``OUTPUT_FORMAT``.
    """
    if not output.endswith("/") and Path(output).is_dir():
        raise UsageError(
            f"{output} is a folder.",
            hint=f"Name a video in it, or write {output}/ for numbered PNG pictures.",
        )
    return engine.output_format(output)


def _recording(source: Path, pipes: Pipes) -> Path:
    """A file to read a recording from.

    Raises:
        CliError: ``AUDIO_NOT_FOUND``.
    """
    source = pipes.kept(source)
    if source.is_dir() or not source.exists():
        raise no_file(source, code="AUDIO_NOT_FOUND")
    return source


def _check_text(text: str) -> None:
    """Raise what stands in the way of speaking it."""
    from bithuman_cli.server.voice import INSTALL_HINT, Voice

    if not any(character.isalnum() for character in text):
        raise UsageError("There is nothing to say in --text.")
    if not Voice.available():
        raise CliError(
            "There is no voice here to speak a text.", code="VOICE_UNAVAILABLE", hint=INSTALL_HINT
        )


@contextlib.contextmanager
def _spoken(text: str) -> Iterator[Path]:
    """A file with what is said."""
    from bithuman_cli.server.voice import write_speech

    with tempfile.TemporaryDirectory(prefix="bithuman-") as directory:
        path = Path(directory) / "speech.wav"
        write_speech(text, path)
        yield path
