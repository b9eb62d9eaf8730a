"""The server behind ``bithuman run``: a page, a WebSocket and the clock of every session."""

from bithuman_cli.server.listening import network_url
from bithuman_cli.server.security import is_good_token, is_host_name, parse_origin
from bithuman_cli.server.serve import free_slug, serve
from bithuman_cli.server.settings import Settings

__all__ = [
    "Settings",
    "free_slug",
    "is_good_token",
    "is_host_name",
    "network_url",
    "parse_origin",
    "serve",
]
