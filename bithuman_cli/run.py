"""``bithuman run``: a live avatar in the browser."""

from __future__ import annotations

import ipaddress
import logging
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from bithuman_cli import avatars
from bithuman_cli.environment import TOKEN, is_ci
from bithuman_cli.errors import UsageError, no_file
from bithuman_cli.inputs import Pipes
from bithuman_cli.options import (
    BackgroundOption,
    GesturesOption,
    ModelOption,
    Registry,
    read_words,
)
from bithuman_cli.output import out

if TYPE_CHECKING:
    import ssl

    from engine.stream.avatar import Avatar

DEFAULT_PORT = 8088


class LogFormat(StrEnum):
    """How events are written."""

    TEXT = "text"
    JSON = "json"


def run(
    context: typer.Context,
    avatar: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="AVATAR",
            help="An .imx file or an avatar of the catalogue, or several, or with --model "
            "expression a photo; without it, the default avatar.",
            autocompletion=avatars.complete_slug,
        ),
    ] = None,
    background: BackgroundOption = None,
    gestures: GesturesOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help=f"Port; 0 takes any. [default: {DEFAULT_PORT}, or the next one that is free]",
        ),
    ] = None,
    open_browser: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open", help="Open the page in a browser. [default: if there is one]"
        ),
    ] = None,
    max_sessions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Viewers at a time; more are turned away. "
            "[default: 100 per worker; with an Expression avatar, which is drawn anew for each, "
            "4 per worker, but no more than 4 per processor core]",
        ),
    ] = None,
    max_per_address: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of these, from one address of another machine; raise it for a proxy that is not "
            "on this one. [default: half of them]",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, max=64, help="Processes that share the viewers evenly; one per core."),
    ] = 1,
    allow_public_bind: Annotated[
        bool,
        typer.Option("--allow-public-bind", help="Let --host be reached from other machines."),
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN.name,
            help="Secret that viewers must know; needed where others can reach it.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Site that may embed the avatar, such as https://www.example.org; repeatable.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name under which it is reached, that of a proxy or of the certificate; "
            "repeatable.",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate chain (PEM), for https. Needs --tls-key.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Of the events on stderr: who connects, leaves, what fails. "
            "[default: text, or json with --json; --quiet leaves warnings and errors]"
        ),
    ] = None,
    model: ModelOption = None,
    registry: Registry = None,
) -> None:
    """Show an avatar in the browser, where it speaks.

    Several are shown each under its own name. Ctrl-C ends it.
    """
    if not _is_loopback(host) and not (allow_public_bind and token):
        raise UsageError(
            f"--host {host} can be reached from other machines.",
            hint="If that is what you want, add --allow-public-bind and a secret that viewers must "
            'know: --token "$(openssl rand -hex 16)".',
        )

    from bithuman_cli import server

    if token is not None and not server.is_good_token(token):
        raise UsageError(
            "--token takes 16 to 256 letters, digits, dots, dashes, underscores and tildes.",
            hint='--token "$(openssl rand -hex 16)" makes one.',
        )
    parents = [_origin(text) for text in allow_origin or ()]
    for name in allow_host or ():
        if not server.is_host_name(name):
            raise UsageError(
                f"--allow-host {name} is not a host name.",
                hint="It is a name without scheme and port: avatars.example.org",
            )
    tls = _tls(tls_cert, tls_key)
    words = read_words(gestures)
    # What has to be pulled or comes through a pipe is read here, once, before there are several
    # processes.
    pipes = Pipes.of(context)
    named = [pipes.kept(name) for name in avatar] if avatar else [None]
    files = [avatars.locate(name, model, registry) for name in named]
    behind = None if background is None else pipes.kept(background)

    def open_all() -> dict[str, Avatar]:
        opened: dict[str, Avatar] = {}
        for file in files:
            one = avatars.open_avatar(str(file), model, registry, behind)
            if words and gestures is not None:
                one = one.with_words(words, gestures.name)
            opened[server.free_slug(one.path.stem, opened)] = one
        return opened

    def announce(url: str, slugs: Sequence[str]) -> None:
        shown_port = urlsplit(url).port or 80
        out.result(
            {
                "event": "session_started",
                "url": url,
                "code": slugs[0],
                "avatars": list(slugs),
                "host": host,
                "port": shown_port,
            },
            url,
        )
        if port is None and shown_port != DEFAULT_PORT:
            out.note(f"Port {DEFAULT_PORT} is taken, so this is port {shown_port}.")
        if not _is_loopback(host):
            elsewhere: str | None = url
            if _is_wildcard(host):
                elsewhere = server.network_url(host, shown_port, secure=tls is not None)
                if elsewhere is not None and token is not None:
                    elsewhere += f"?token={token}"
            if elsewhere is not None:
                out.note(f"Other machines reach it at {elsewhere}")
                _show_code(elsewhere)
            if tls is None:
                out.note("Browsers allow the microphone there over https only.")
        if parents:
            root = url.partition("?")[0]
            out.note(
                f'To embed it: <script src="{root}embed.js" data-avatar="{slugs[0]}"></script>'
            )
        out.note("Ctrl-C ends it.")

    server.serve(
        open_all,
        host=host,
        port=DEFAULT_PORT if port is None else port,
        port_is_explicit=port is not None,
        open_browser=_has_browser() if open_browser is None else open_browser,
        max_sessions=max_sessions,
        max_per_address=max_per_address,
        workers=workers,
        token=token,
        parents=parents,
        names=allow_host or (),
        tls=tls,
        log_format=(log_format or (LogFormat.JSON if out.json else LogFormat.TEXT)).value,
        log_level=logging.WARNING if out.quiet else logging.INFO,
        on_ready=announce,
    )


def _origin(text: str) -> str:
    from bithuman_cli import server

    origin = server.parse_origin(text)
    if origin is None:
        raise UsageError(
            f"--allow-origin {text} is not an origin.",
            hint="It is a scheme, a host and perhaps a port: https://www.example.org",
        )
    return origin


def _show_code(url: str) -> None:
    """A QR code for phones, where somebody could point one at the screen."""
    if out.json or out.quiet or not out.animates(sys.stderr):
        return
    import segno

    segno.make(url, error="l").terminal(sys.stderr, compact=True)


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--tls-cert and --tls-key need each other.")
    for file in (certificate, key):
        if not file.is_file():
            raise no_file(file)
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise UsageError(
            f"--tls-cert {certificate} and --tls-key {key} cannot be used: {error}.",
            hint="Both are PEM files, and the key is the one the certificate was made for.",
        ) from error
    return context


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _has_browser() -> bool:
    """Whether a person sits in front of this machine and no script reads the output."""
    if out.json or is_ci() or not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
