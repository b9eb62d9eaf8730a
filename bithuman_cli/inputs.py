"""What comes through pipes, kept in files: few inputs are read once and from front to back."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, TypeVar

import typer

from bithuman_cli.errors import UsageError

__all__ = ["Pipes", "is_piped"]

STDIN: Final = "-"
_NAMES: Final = {STDIN: "the standard input", "/dev/stdin": "the standard input"}
_Source = TypeVar("_Source", str, Path)


def is_piped(source: str | Path) -> bool:
    """Whether what is named can be read only once."""
    return str(source) == STDIN or Path(source).is_fifo()


class Pipes(contextlib.ExitStack):
    """Copies of what came through pipes; they are removed at the end."""

    @classmethod
    def of(cls, context: typer.Context) -> Pipes:
        """Those of a command, which last as long as it does."""
        return context.with_resource(cls())

    def kept(self, source: _Source) -> _Source:
        """A file with what is named; itself unless it is a pipe or ``-``.

        Raises:
            UsageError: it is ``-`` and somebody would have to type it.
        """
        if not is_piped(source):
            return source
        stdin = str(source) == STDIN
        if stdin and sys.stdin.isatty():
            raise UsageError(
                "There is nothing on the standard input.",
                hint="Send something through a pipe, or name a file.",
            )
        folder = tempfile.TemporaryDirectory(prefix="bithuman-")
        # As errors call it; the shell's own pipes have numbers for names.
        name = Path(source).name
        path = Path(self.enter_context(folder), _NAMES.get(str(source), name))
        if path.name.isdecimal():
            path = path.with_name("the pipe")
        with (
            contextlib.nullcontext(sys.stdin.buffer) if stdin else Path(source).open("rb") as pipe,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(pipe, file)
        return type(source)(path)
