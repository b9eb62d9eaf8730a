"""The first page of a server with several avatars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["page"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>bithuman</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/style.css">
<body class="gallery">
<h1>Who would you like to talk to?</h1>
<ul>
{items}
</ul>
<p>These faces are AI-generated.</p>
</body>
</html>
"""
_ITEM = (
    '<li><a href="/{slug}/"><img src="/{slug}/poster.jpg" alt="" width="{width}" '
    'height="{height}"><span>{name}</span></a></li>'
)


def page(avatars: Mapping[str, Avatar]) -> str:
    """HTML with a picture of and a link to each avatar."""
    items = (
        _ITEM.format(slug=slug, name=escape(avatar.name), width=avatar.width, height=avatar.height)
        for slug, avatar in avatars.items()
    )
    return _PAGE.format(items="\n".join(items))
