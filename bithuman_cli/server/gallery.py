"""The first page of a server with several avatars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from bithuman_cli.server import pages

if TYPE_CHECKING:
    from engine.stream.avatar import Avatar

__all__ = ["page"]

_CONTENT = """<h1>Who would you like to talk to?</h1>
<ul>
{items}
</ul>
<p>These faces are AI-generated.</p>"""
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
    return pages.page("gallery", _CONTENT.format(items="\n".join(items)))
