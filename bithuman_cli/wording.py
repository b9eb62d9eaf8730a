"""What Typer finds wrong with a command line, in a sentence for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import typer

from bithuman_cli.errors import UsageError

__all__ = ["in_words"]

_BETTER: Final = (
    (re.compile(r"Input should be a valid integer\b.*"), "it takes a whole number."),
    (re.compile(r"Input should be a valid number\b.*"), "it takes a number."),
    (re.compile(r"Input should be greater than or equal to (\S+)\."), r"it takes \1 or more."),
    (re.compile(r"Input should be less than or equal to (\S+)\."), r"it takes \1 or less."),
    (re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)\."), r"Too much: \1."),
    (re.compile(r"Value error, "), ""),  # a type, to programmers
)


def in_words(error: typer.TyperException, arguments: Sequence[str]) -> UsageError:
    """The error of a command line.

    Args:
        error: what Typer says.
        arguments: the command line.
    """
    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "bithuman"
    message = error.format_message().strip()
    if not message.endswith((".", "?")):
        message += "."
    message = re.sub(r"\s*\n\s*", " ", message)  # a list of choices has a line for each
    for pattern, better in _BETTER:
        message = pattern.sub(better, message)
    hint = f"`{path} --help` shows what is possible."
    files = [word for word in arguments if word.startswith("-") and Path(word).is_file()]
    if files and hasattr(error, "option_name"):
        hint = f"If it is a file, write ./{files[0]}"
    return UsageError(message, hint=hint)
