"""Parameters of ``bithuman run``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bithuman_cli import avatars
from bithuman_cli.environment import TOKEN

DEFAULT_PORT = 8088


class LogFormat(StrEnum):
    """How events are written."""

    TEXT = "text"
    JSON = "json"


Avatars = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="AVATAR",
        help="An .imx file or an avatar of the catalogue, or several, or with --model "
        "expression a photo; without it, the default avatar.",
        autocompletion=avatars.complete_slug,
    ),
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        min=0,
        max=65_535,
        help=f"0 takes any. [default: {DEFAULT_PORT}, or the next one that is free]",
    ),
]
OpenBrowser = Annotated[
    bool | None,
    typer.Option("--open/--no-open", help="Open the page in a browser. [default: if there is one]"),
]
MaxSessions = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Viewers at a time; more are turned away. "
        "[default: 100 per worker; with an Expression avatar, which is drawn anew for each, "
        "4 per worker, but no more than 4 per processor core]",
    ),
]
MaxPerAddress = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Of these, from one address of another machine; raise it for a proxy that is not "
        "on this one. [default: half of them]",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, max=64, help="Processes that share the viewers evenly; one per core."
    ),
]
AllowPublicBind = Annotated[
    bool,
    typer.Option("--allow-public-bind", help="Let --host be reached from other machines."),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="SECRET",
        envvar=TOKEN.name,
        help="Viewers must know it; needed where others can reach the server.",
    ),
]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN",
        help="Site that may embed the avatar, such as https://www.example.org; repeatable.",
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Host name under which it is reached, that of a proxy or of the certificate; "
        "repeatable.",
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        readable=False, metavar="FILE", help="Certificate chain (PEM), for https. Needs --tls-key."
    ),
]
TlsKey = Annotated[
    Path | None, typer.Option(readable=False, metavar="FILE", help="Its private key (PEM).")
]
EventFormat = Annotated[
    LogFormat | None,
    typer.Option(
        help="Of the events on stderr: who connects, leaves, what fails. "
        "[default: text, or json with --json; --quiet leaves warnings and errors]"
    ),
]
