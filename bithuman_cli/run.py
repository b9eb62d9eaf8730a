"""``bithuman run``: a live avatar in the browser."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from bithuman_cli import avatars
from bithuman_cli import run_options as options
from bithuman_cli.addresses import is_loopback, is_wildcard
from bithuman_cli.environment import is_ci
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
from bithuman_cli.run_options import DEFAULT_PORT, LogFormat

if TYPE_CHECKING:
    import ssl

    from bithuman_cli.server import Settings
    from engine.stream.avatar import Avatar


def run(
    context: typer.Context,
    avatar: options.Avatars = None,
    background: BackgroundOption = None,
    gestures: GesturesOption = None,
    host: options.Host = "127.0.0.1",
    port: options.Port = None,
    open_browser: options.OpenBrowser = None,
    max_sessions: options.MaxSessions = None,
    max_per_address: options.MaxPerAddress = None,
    workers: options.Workers = 1,
    allow_public_bind: options.AllowPublicBind = False,
    token: options.Token = None,
    allow_origin: options.AllowOrigin = None,
    allow_host: options.AllowHost = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    log_format: options.EventFormat = None,
    model: ModelOption = None,
    registry: Registry = None,
) -> None:
    """Show an avatar in the browser, where it speaks.

    Several are shown each under its own name. Ctrl-C ends it.
    """
    if not is_loopback(host) and not (allow_public_bind and token):
        raise UsageError(
            f"--host {host} can be reached from other machines.",
            hint="If that is what you want, add --allow-public-bind and a secret that viewers must "
            'know: --token "$(openssl rand -hex 16)".',
        )

    from bithuman_cli import server

    settings = server.Settings(
        host=host,
        port=DEFAULT_PORT if port is None else port,
        port_is_explicit=port is not None,
        open_browser=_has_browser() if open_browser is None else open_browser,
        max_sessions=max_sessions,
        max_per_address=max_per_address,
        workers=workers,
        token=_token(token),
        parents=[_origin(text) for text in allow_origin or ()],
        names=[_host_name(text) for text in allow_host or ()],
        tls=_tls(tls_cert, tls_key),
        log_format=(log_format or (LogFormat.JSON if out.json else LogFormat.TEXT)).value,
        log_level=logging.WARNING if out.quiet else logging.INFO,
    )
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

    server.serve(open_all, settings, lambda url, slugs: _announce(settings, url, slugs))


def _announce(settings: Settings, url: str, slugs: Sequence[str]) -> None:
    """Say where it is, once it is there."""
    port = urlsplit(url).port or 80
    out.result(
        {
            "event": "session_started",
            "url": url,
            "code": slugs[0],
            "avatars": list(slugs),
            "host": settings.host,
            "port": port,
        },
        url,
    )
    if not settings.port_is_explicit and port != DEFAULT_PORT:
        out.note(f"Port {DEFAULT_PORT} is taken, so this is port {port}.")
    if not is_loopback(settings.host):
        elsewhere = _url_elsewhere(settings, url, port)
        if elsewhere is not None:
            out.note(f"Other machines reach it at {elsewhere}")
            _show_code(elsewhere)
        if settings.tls is None:
            out.note("Browsers allow the microphone there over https only.")
    if settings.parents:
        root = url.partition("?")[0]
        out.note(f'To embed it: <script src="{root}embed.js" data-avatar="{slugs[0]}"></script>')
    out.note("Ctrl-C ends it.")


def _url_elsewhere(settings: Settings, url: str, port: int) -> str | None:
    """The page for other machines; None where the network cannot be found out."""
    if not is_wildcard(settings.host):
        return url
    from bithuman_cli import server

    found = server.network_url(settings.host, port, secure=settings.tls is not None)
    if found is None or settings.token is None:
        return found
    return f"{found}?token={settings.token}"


def _token(text: str | None) -> str | None:
    from bithuman_cli import server

    if text is not None and not server.is_good_token(text):
        raise UsageError(
            "--token takes 16 to 256 letters, digits, dots, dashes, underscores and tildes.",
            hint='--token "$(openssl rand -hex 16)" makes one.',
        )
    return text


def _host_name(text: str) -> str:
    from bithuman_cli import server

    if not server.is_host_name(text):
        raise UsageError(
            f"--allow-host {text} is not a host name.",
            hint="It is a name without scheme and port: avatars.example.org",
        )
    return text


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
        file.open("rb").close()  # OpenSSL would not say which of them may not be read
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


def _has_browser() -> bool:
    """Whether a person sits in front of this machine and no script reads the output."""
    if out.json or is_ci() or not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
