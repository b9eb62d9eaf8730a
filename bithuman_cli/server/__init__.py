"""The server behind ``bithuman run``: a page, a WebSocket and the clock of every session."""

from bithuman_cli.server.serve import free_slug, network_url, serve

__all__ = ["free_slug", "network_url", "serve"]
