"""What happens to a server, one line each on stderr: for people, or as JSON for collectors.

Whatever libraries log or warn of (``warnings``) comes out in the same form.

An event is logged with ``extra={"event": name, ...}``; what else is in there are its fields, such
as the id of the session. Writing is left to a thread: whoever reads the lines may stall, and
nobody's frames wait for that. If it stalls for long, lines are dropped and counted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

__all__ = ["Format", "to_stderr"]

Format = Literal["text", "json"]

_LOGGER: Final = "bithuman_cli"
_MOST_WAITING: Final = 10_000
_LAST_WORDS: Final = 1.0  # seconds to write what is left in the end
_STANDARD: Final = frozenset(
    (*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime", "taskName")
)


@contextlib.contextmanager
def to_stderr(form: Format, level: int = logging.INFO, *, threaded: bool = True) -> Iterator[None]:
    """Write what is logged to stderr while the body runs, instead of where it went before.

    Warnings of Python are logged, too.

    Args:
        form: ``text`` or ``json``.
        level: least level of the server that is written; of others, warnings and more.
        threaded: in a thread, for what must not wait; not in a process that will be forked.
    """
    logger = logging.getLogger(_LOGGER)
    handler = _Threaded(sys.stderr) if threaded else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    before = logger.level, root.handlers, warnings.showwarning
    root.handlers = [handler]
    logger.setLevel(level)
    warnings.showwarning = _log_warning
    try:
        yield
    finally:
        level_before, root.handlers, warnings.showwarning = before
        logger.setLevel(level_before)
        handler.close()


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """``warnings.showwarning``, as one event; ``logging.captureWarnings`` makes lines of it."""
    extra = {"event": "warning", "category": category.__name__, "where": f"{filename}:{lineno}"}
    logging.getLogger("py.warnings").warning("%s", message, extra=extra)


class _Threaded(logging.Handler):
    """Formats where it is called and writes in a thread."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the thread."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is left, unless nobody takes it."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(_LAST_WORDS)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                entry = {"msg": f"{dropped} lines were dropped", "levelno": logging.WARNING}
                entry |= {"levelname": "WARNING", "event": "dropped", "lines": dropped}
                line = f"{self.format(logging.makeLogRecord(entry))}\n{line}"
            try:
                self._stream.write(f"{line}\n")
                self._stream.flush()
            except (OSError, ValueError):
                return  # nobody reads any more


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class _Json(logging.Formatter):
    """One object: time, level, event, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": fields.pop("event", "error" if record.exc_info else "log"),
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class _Text(logging.Formatter):
    """Time, message, fields; level only where it is more than information."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        fields = _fields(record)
        fields.pop("event", None)
        detail = "".join(f"  {name}={value}" for name, value in fields.items())
        line = f"{when} {level}{record.getMessage()}{detail}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line
