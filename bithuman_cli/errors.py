"""What went wrong, for people and for scripts: one sentence, a hint, a code and an exit code.

Exit codes follow ``sysexits.h`` where it has one: an input that does not exist or may not be read
is 66 (``EX_NOINPUT``), one that is there and bad 65 (``EX_DATAERR``), a wrong command 2 by custom.
The engine's errors carry a ``code`` too, so one table serves both; a code that is not in it falls
back on the type of the error.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import AvatarError, InvalidAudio, InvalidAvatar, InvalidImage, NotSupported
from engine.files import NO_ROOM

__all__ = [
    "EXIT_CODES",
    "EXIT_INTERRUPTED",
    "CliError",
    "Problem",
    "UsageError",
    "explain",
    "no_file",
]

EXIT_GENERIC: Final = 1
EXIT_USAGE: Final = 2
EXIT_BAD_INPUT: Final = 65
EXIT_NOT_FOUND: Final = 66
EXIT_UNAVAILABLE: Final = 69
EXIT_INTERNAL: Final = 70
EXIT_INTERRUPTED: Final = 130

EXIT_CODES: Final[dict[str, int]] = {
    # broken down
    "WORKERS_FAILED": EXIT_INTERNAL,
    # how the command was called
    "BACKGROUND": EXIT_USAGE,
    "NO_ALPHA": EXIT_USAGE,
    "OUTPUT_FORMAT": EXIT_USAGE,
    "GESTURE_NAME": EXIT_USAGE,
    "LICENCE_NOT_SUPPORTED": EXIT_USAGE,
    "LIMIT": EXIT_USAGE,
    "NAME_NOT_SUPPORTED": EXIT_USAGE,
    "QUALITY": EXIT_USAGE,
    "SECONDS": EXIT_USAGE,
    "SIZE_NOT_SUPPORTED": EXIT_USAGE,
    "SOURCE_DATE_EPOCH": EXIT_USAGE,
    "TARGET_SIZE": EXIT_USAGE,
    "USAGE": EXIT_USAGE,
    # something named in the command is not there, or may not be read
    "AUDIO_NOT_FOUND": EXIT_NOT_FOUND,
    "CATALOGUE_NOT_FOUND": EXIT_NOT_FOUND,
    "FILE_NOT_ACCESSIBLE": EXIT_NOT_FOUND,
    "FILE_NOT_FOUND": EXIT_NOT_FOUND,
    "MODEL_NOT_FOUND": EXIT_NOT_FOUND,
    "SLUG_NOT_FOUND": EXIT_NOT_FOUND,
    # it is there, but cannot be used
    "CATALOGUE_INVALID": EXIT_BAD_INPUT,
    "MATTE": EXIT_BAD_INPUT,  # a person who cannot be cut out
    "GESTURE": EXIT_BAD_INPUT,  # in a file of --gestures
    "GESTURES_INVALID": EXIT_BAD_INPUT,
    "INVALID_IMX": EXIT_BAD_INPUT,
    "MISSING_MANIFEST": EXIT_BAD_INPUT,
    "NOT_IMX": EXIT_BAD_INPUT,
    "SHA256_MISMATCH": EXIT_BAD_INPUT,
    "UNSUPPORTED_IMX_VERSION": EXIT_BAD_INPUT,
    "UNSUPPORTED_MODEL_FAMILY": EXIT_BAD_INPUT,
    # a service or a resource outside of this program
    "ADDRESS_UNAVAILABLE": EXIT_UNAVAILABLE,
    "CATALOGUE_UNAVAILABLE": EXIT_UNAVAILABLE,
    "DISK_FULL": EXIT_UNAVAILABLE,
    "DOWNLOAD_FAILED": EXIT_UNAVAILABLE,
    "INSTALLATION_INCOMPLETE": EXIT_UNAVAILABLE,
    "OFFLINE": EXIT_UNAVAILABLE,
    "PORT_IN_USE": EXIT_UNAVAILABLE,
    "VOICE_UNAVAILABLE": EXIT_UNAVAILABLE,
    # the output
    "CACHE_NOT_WRITABLE": EXIT_GENERIC,
    "OUTPUT_EXISTS": EXIT_GENERIC,
    "WRITE_FAILED": EXIT_GENERIC,
    "INTERNAL": EXIT_INTERNAL,
    "INTERRUPTED": EXIT_INTERRUPTED,
}

_OPENINGS: Final = frozenset({"a", "an", "cannot", "more", "the", "there", "this", "two"})
_BY_TYPE: Final[tuple[tuple[type[AvatarError], int], ...]] = (
    (InvalidAvatar, EXIT_BAD_INPUT),
    (InvalidImage, EXIT_BAD_INPUT),
    (InvalidAudio, EXIT_BAD_INPUT),
    (NotSupported, EXIT_UNAVAILABLE),
    (AvatarError, EXIT_GENERIC),
)


class CliError(Exception):
    """Expected trouble outside of the engine.

    Attributes:
        code: a key of ``EXIT_CODES``.
        hint: what to do next, one sentence, or ``""``.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class UsageError(CliError):
    """The command line asks for something that cannot be; exit code 2."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="USAGE", hint=hint)


def no_file(path: str | Path, *, code: str = "FILE_NOT_FOUND", hint: str = "") -> CliError:
    """The error of a path that should name a file and does not."""
    if str(path).startswith(("http:/", "https:/")):  # a Path has lost the second slash
        return CliError(
            "Files are not fetched from the network.",
            code=code,
            hint="Download it first, with `curl -O` for example, and name the file.",
        )
    what = f"{path} is a folder" if Path(path).is_dir() else f"There is no file {path}"
    return CliError(f"{what}.", code=code, hint=hint)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is shown: see ``explain``."""

    code: str
    message: str
    hint: str
    exit_code: int


def explain(error: BaseException) -> Problem:
    """The user's view of any exception; what nobody foresaw becomes ``INTERNAL``."""
    if isinstance(error, CliError | AvatarError):
        return Problem(error.code, _sentence(str(error)), error.hint, _exit_code(error))
    if isinstance(error, OSError) and (error.filename is not None or error.errno in NO_ROOM):
        return _explain_os_error(error)
    return Problem(
        "INTERNAL",
        f"Something broke inside bithuman: {type(error).__name__}: {error}",
        "Run the command again with --debug for the details, and please report them.",
        EXIT_INTERNAL,
    )


def _sentence(message: str) -> str:
    """The engine's messages are the middle of a log line; people are told a sentence."""
    if message.partition(" ")[0] in _OPENINGS:  # and not the name of a file, which stays as it is
        message = message[0].upper() + message[1:]
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _exit_code(error: CliError | AvatarError) -> int:
    if error.code in EXIT_CODES:
        return EXIT_CODES[error.code]
    for kind, exit_code in _BY_TYPE:
        if isinstance(error, kind):
            return exit_code
    return EXIT_GENERIC


def _explain_os_error(error: OSError) -> Problem:
    """A file that cannot be read or written is the user's business, not a bug."""
    if isinstance(error, FileNotFoundError):
        code = "FILE_NOT_FOUND"
    elif error.errno in (*NO_ROOM, errno.EFBIG):
        code = "DISK_FULL"
    elif isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError):
        code = "FILE_NOT_ACCESSIBLE"
    else:
        code = "FILE_ERROR"
    exit_code = EXIT_CODES.get(code, EXIT_GENERIC)
    where = "The output" if error.filename is None else error.filename
    return Problem(code, f"{where}: {error.strerror}.", "", exit_code)
