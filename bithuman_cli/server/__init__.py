"""The server behind ``bithuman run``: a page, a WebSocket and the clock of every session."""

from bithuman_cli.server.security import is_good_token, is_host_name, parse_origin
from bithuman_cli.server.serve import free_slug, network_url, serve

__all__ = ["free_slug", "is_good_token", "is_host_name", "network_url", "parse_origin", "serve"]
