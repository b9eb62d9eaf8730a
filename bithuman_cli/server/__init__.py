"""The server behind ``bithuman run``: a page, a WebSocket and the clock of every session."""

from bithuman_cli.server.serve import serve

__all__ = ["serve"]
