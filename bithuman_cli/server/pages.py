"""The small pages that are not the avatar's own: a choice of avatars, the token, nobody there."""

from __future__ import annotations

from html import escape

__all__ = ["not_found", "page"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>bithuman</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/style.css">
<body class="{kind}">
{content}
</body>
</html>
"""


def page(kind: str, content: str) -> str:
    """A whole page in the look of the others.

    Args:
        kind: class of the body, for ``style.css``.
        content: HTML of the body.
    """
    return _PAGE.format(kind=kind, content=content)


def not_found(message: str) -> str:
    """The page of an address where nothing is.

    Args:
        message: one sentence, which says so.
    """
    heading = escape(message.removesuffix("."))
    return page(
        "ask", f'<main>\n<h1>{heading}</h1>\n<p><a href="/">To the first page</a></p>\n</main>'
    )
