"""The ``bithuman`` command line: the commands, the global options, and how errors end.

Each command is a module of its own that is imported when it is called, so that
``bithuman --help`` and shell completion answer at once.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from bithuman_cli.environment import OFFLINE, VARIABLES
from bithuman_cli.errors import EXIT_INTERRUPTED, explain
from bithuman_cli.output import out

__all__ = ["COMMANDS", "Command", "app", "main"]


class Command(NamedTuple):
    """Where a command is: ``bithuman_cli.<module>:<function>``, and its line in the overview.

    A ``function`` may be a mapping of names to functions: commands of its own.
    """

    module: str
    function: str
    summary: str


COMMANDS: Final[Mapping[str, Command]] = {
    "run": Command("run", "run", "Show an avatar in the browser, where it speaks."),
    "build": Command("build", "build", "Turn a photo, or a clip of a person, into an avatar."),
    "render": Command(
        "render", "render", "Make a video of an avatar that says a recording or a text."
    ),
    "list": Command("list_", "list_avatars", "Show the avatars there are, and which are here."),
    "pull": Command("pull", "pull", "Fetch an avatar, verify it and print where it is."),
    "cache": Command(
        "cache_", "COMMANDS", "Show, verify and remove the avatars that were fetched."
    ),
    "info": Command("info", "info", "Show what an avatar is and what its file contains."),
    "doctor": Command("doctor", "doctor", "Check that everything works on this machine."),
    "version": Command("version", "version", "Show the versions of bithuman and of Python."),
    "completion": Command("completion", "completion", "Print the completion script of a shell."),
}
_ALIASES: Final = {
    "ls": "list",
    "browse": "list",
    "avatars": "list",
    "download": "pull",
    "get": "pull",
    "inspect": "info",
}
_GLOBAL_FLAGS: Final = {
    "--json": "json",
    "--quiet": "quiet",
    "-q": "quiet",
    "--no-color": "no_color",
    "--debug": "debug",
}
_OFFLINE_FLAG: Final = "--offline"
_EPILOG: Final = (
    "--json, --quiet, --no-color, --debug and --offline may stand anywhere in the command."
)
_ENVIRONMENT: Final = "\n".join(
    ("\b", "Environment:", *(f"  {v.name:<22} {v.help}" for v in VARIABLES))
)
_SETTINGS: Final[dict[str, Any]] = {
    # Plain help: Rich would double the time to the first line.
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Commands(TyperGroup):
    """Commands that are imported when called; help and completion need only their names."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in COMMANDS.items():
            self.add_command(TyperCommand(name, help=command.summary))
        for alias, name in _ALIASES.items():
            self.add_command(TyperCommand(name, hidden=True), alias)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace what help shows by the command itself."""
        name, shown, rest = super().resolve_command(ctx, args)
        return name, _load(shown.name) if shown and shown.name else None, rest


class _Plain(TyperCommand):
    """A command whose help says what an argument is, and not of which Python type."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                parameter.display_type_rich = lambda ctx: None  # type: ignore[method-assign]


def _load(name: str) -> Any:
    command = COMMANDS[name]
    target = getattr(importlib.import_module(f"bithuman_cli.{command.module}"), command.function)
    alone = typer.Typer(add_completion=False, help=command.summary, epilog=_EPILOG, **_SETTINGS)
    if isinstance(target, Mapping):
        for subcommand, function in target.items():
            alone.command(subcommand, cls=_Plain, epilog=_EPILOG)(function)
        alone.callback(invoke_without_command=True)(_show_help)
        return typer.main.get_command(alone)
    alone.command(name, cls=_Plain, epilog=_EPILOG)(target)
    return typer.main.get_command(alone)


app = typer.Typer(
    name="bithuman",
    cls=_Commands,
    help="Turn a photo into an avatar that talks, live, on an ordinary CPU.",
    epilog=f"{_EPILOG}\n\n{_ENVIRONMENT}",
    **_SETTINGS,
)


@app.callback(invoke_without_command=True)
def _global_options(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log, and show tracebacks.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", "-V", help="Show the version.", is_eager=True)
    ] = False,
) -> None:
    # The flags are declared here for --help and completion; _take_global_flags has read them, so
    # that they may stand anywhere and usage errors obey them too.
    del json, quiet, no_color, debug, offline
    if show_version:
        from bithuman_cli.version import version

        version()
        raise typer.Exit
    _show_help(context)


def _show_help(context: typer.Context) -> None:
    """A group that is called without a command shows what there is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program name; those of the process if not given.

    Returns:
        The exit code, see ``bithuman_cli.errors``.
    """
    _print_any_name()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["help"]:  # as other tools have it
        arguments = [*arguments[1:], "--help"]
    arguments = _take_global_flags(arguments)
    if out.debug:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("PIL").setLevel(logging.INFO)  # lists every chunk of every picture
    elif out.json or out.quiet:
        import logging

        logging.getLogger("engine").setLevel(logging.ERROR)  # warnings are for people
    try:
        code = app(arguments, prog_name="bithuman", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        return _fail(error, arguments)
    return code if isinstance(code, int) else 0


def _print_any_name() -> None:
    """File names that the encoding of stdout has no characters for are no reason to fail."""
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper) and stdout.errors == "strict":
        unicode = stdout.encoding.lower() in ("utf-8", "utf8")
        stdout.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")


def _take_global_flags(arguments: list[str]) -> list[str]:
    """Apply the flags that may stand anywhere; return the other arguments."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    given = {_GLOBAL_FLAGS[argument] for argument in arguments[:end] if argument in _GLOBAL_FLAGS}
    for attribute in _GLOBAL_FLAGS.values():
        setattr(out, attribute, attribute in given)
    if _OFFLINE_FLAG in arguments[:end]:
        os.environ[OFFLINE.name] = "1"  # processes that this one starts stay offline as well
    flags = {*_GLOBAL_FLAGS, _OFFLINE_FLAG}
    rest = [argument for argument in arguments[:end] if argument not in flags]
    out.command = next((argument for argument in rest if not argument.startswith("-")), "")
    return rest + arguments[end:]


def _fail(error: Exception, arguments: Sequence[str] = ()) -> int:
    told = error
    if isinstance(error, typer.TyperException):
        from bithuman_cli.wording import in_words

        told = in_words(error, arguments)
    problem = explain(told)
    if out.debug:
        traceback.print_exception(error)
    elif problem.code == "INTERNAL":
        from bithuman_cli.crash import write_report

        if (report := write_report(error)) is not None:
            problem = replace(problem, hint=f"Please report it with the details in {report}")
    out.error(problem)
    return problem.exit_code
