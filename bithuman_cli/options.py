"""Parameters that several commands share.

Parameters that name files to read have ``readable=False``: Typer would call one that may not be
read a mistake in the command (2), instead of an input that is not there for it (66).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bithuman_cli import avatars
from bithuman_cli.errors import CliError, UsageError
from engine.files import is_special

__all__ = [
    "Avatar",
    "BackgroundOption",
    "Force",
    "GesturesOption",
    "ModelOption",
    "Registry",
    "choose_output",
    "read_words",
]

Registry = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL|FILE",
        help="Take avatars from another catalogue.",
    ),
]
Avatar = Annotated[
    str,
    typer.Argument(
        metavar="AVATAR",
        help="An .imx file, or an avatar of the catalogue by name.",
        autocompletion=avatars.complete_slug,
    ),
]
ModelOption = Annotated[
    avatars.Model | None,
    typer.Option("--model", help="expression: animate a photo as it is, without building."),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        "--background",
        metavar="transparent|COLOUR|PICTURE|none",
        help="What is behind the person: nothing, a colour such as #00ff00, a picture, or what "
        "the photo shows. [default: none]",
    ),
]
GesturesOption = Annotated[
    Path | None,
    typer.Option(
        "--gestures",
        metavar="FILE",
        readable=False,
        help='Words that begin gestures, as JSON: {"hello": "greet", "no": null}.',
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]


def choose_output(
    named: Path | None, default: Path, source: Path, *, force: bool, folder: bool = False
) -> Path:
    """Where a command writes its file.

    A file that the user names is replaced, as compilers do; one that nobody named never is.

    Args:
        named: what ``--output`` says.
        default: without it.
        source: the input, which is never overwritten.
        force: replace ``default`` too.
        folder: a folder is written; one that is there already must be empty.

    Raises:
        CliError: ``OUTPUT_EXISTS``, or ``USAGE`` when the output is the input.
    """
    path = named or default
    if folder:
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise CliError(
                f"{path} is there already.",
                code="OUTPUT_EXISTS",
                hint="Name a folder that does not exist or is empty.",
            )
        return path
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder, not a file to write.",
            hint=f"Name a file in it, such as {path / default}.",
        )
    if is_special(path):
        raise UsageError(f"{path} is not a file to write.", hint="Name a file.")
    if path.exists():
        if source.exists() and path.samefile(source):
            raise UsageError(
                f"{path} would overwrite its own input.", hint="Name another file with --output."
            )
        if named is None and not force:
            raise CliError(
                f"{path} is there already.",
                code="OUTPUT_EXISTS",
                hint="--force replaces it, --output names another file.",
            )
    return path


def read_words(file: Path | None) -> dict[str, str | None]:
    """The words of ``--gestures``; none without it.

    Raises:
        AvatarError: ``FILE_NOT_FOUND`` or ``GESTURES_INVALID``.
    """
    if file is None:
        return {}
    from engine.motion import keywords

    return keywords.load(file)
