"""``bithuman completion``: the script that teaches a shell to complete commands and avatars."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells that Typer writes completion for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="The shell to write it for.")],
) -> None:
    """Print the completion script of a shell.

    `bithuman --install-completion` installs it instead.
    """
    # This variable is how the script itself will call back; "source" asks for the script.
    os.environ["_BITHUMAN_COMPLETE"] = f"source_{shell.value}"
    context.find_root().command.main(args=[], prog_name="bithuman")
