"""The one sink for everything a command says.

- human: the result (a path, a table) to stdout, notes and progress to stderr, progress only where
  somebody watches. Errors are a sentence and a hint.
- ``--json``: one object on stdout with ``schema_version`` 1; errors as one object on stderr.
- ``--quiet``: the result and errors, nothing else.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TextIO

from bithuman_cli.environment import NO_COLOR, TERM, is_ci
from bithuman_cli.errors import Problem

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["SCHEMA_VERSION", "Output", "Steps", "format_bytes", "out"]

SCHEMA_VERSION: Final = 1
_BOLD_RED: Final = "\x1b[1;31m"
_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"


@dataclass
class Output:
    """How to talk; set once from the command line.

    Attributes:
        json: machine-readable.
        quiet: no notes, no progress.
        no_color: never colour.
        debug: tracebacks.
        command: the name that errors are reported under, ``""`` before it is known.
    """

    json: bool = False
    quiet: bool = False
    no_color: bool = False
    debug: bool = False
    command: str = ""

    def result(self, data: Mapping[str, object], text: str) -> None:
        """What the command was run for.

        Args:
            data: the JSON object, without ``schema_version``.
            text: the human form; one path or several lines.
        """
        if self.json:
            text = json.dumps({"schema_version": SCHEMA_VERSION, **data}, ensure_ascii=False)
        print(text, flush=True)

    def table(
        self, data: Mapping[str, object], header: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """A result with rows: a table on a terminal, tab-separated lines in a pipe."""
        if self.json:
            self.result(data, "")
            return
        if not rows:
            return
        if not sys.stdout.isatty():
            self.result(data, "\n".join("\t".join(row) for row in rows))
            return
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*header, box=SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console(no_color=not self.colours(sys.stdout), highlight=False).print(table)

    def note(self, text: str) -> None:
        """A remark for people, on stderr."""
        if not self.json and not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def error(self, problem: Problem) -> None:
        """An error, on stderr."""
        if self.json:
            body = {
                "code": problem.code,
                "message": problem.message,
                "command": self.command,
                "hint": problem.hint,
            }
            line = json.dumps({"schema_version": SCHEMA_VERSION, "error": body}, ensure_ascii=False)
            print(line, file=sys.stderr, flush=True)
            return
        red, dim, reset = (_BOLD_RED, _DIM, _RESET) if self.colours(sys.stderr) else ("", "", "")
        print(f"{red}error:{reset} {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"{dim}hint:{reset} {problem.hint}", file=sys.stderr)
        sys.stderr.flush()

    @contextlib.contextmanager
    def steps(self, unit: Literal["bytes", "items"] = "items") -> Iterator[Steps]:
        """Progress bars on stderr while the block runs; nothing unless a person watches."""
        watched = not (self.json or self.quiet or is_ci()) and self.animates(sys.stderr)
        steps = Steps(unit, colours=self.colours(sys.stderr)) if watched else Steps(None)
        try:
            yield steps
        finally:
            steps.stop()

    def colours(self, stream: TextIO) -> bool:
        """Whether to colour what goes to this stream."""
        return not self.no_color and not NO_COLOR.value and self.animates(stream)

    @staticmethod
    def animates(stream: TextIO) -> bool:
        """Whether the stream is a terminal that understands control sequences."""
        return stream.isatty() and TERM.value != "dumb"


class Steps:
    """Progress of named stages, each with a bar of its own; drawn from the first report on.

    Args:
        unit: what is counted, or ``None`` to draw nothing.
        colours: whether the bars have any.
    """

    def __init__(self, unit: Literal["bytes", "items"] | None, *, colours: bool = False) -> None:
        self._unit = unit
        self._colours = colours
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Set how far a stage is; the first call for a stage makes its bar."""
        if self._unit is None:
            return
        if self._progress is None:
            self._progress = self._draw()
            self._progress.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)

    def _draw(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns: list[ProgressColumn] = [TextColumn("{task.description:<10}"), BarColumn()]
        if self._unit == "bytes":
            columns += [DownloadColumn(), TransferSpeedColumn()]
        else:
            columns.append(MofNCompleteColumn())
        columns.append(TimeRemainingColumn())
        return Progress(*columns, console=Console(stderr=True, no_color=not self._colours))

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._progress is not None:
            self._progress.stop()

    def of(self, stage: str) -> Callable[[int, int | None], None]:
        """The progress of one stage as a function of (done, total)."""
        return lambda done, total: self(stage, done, total)


def format_bytes(count: int) -> str:
    """A size for people, decimal units: ``3.4 MB``."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"


out: Final = Output()
