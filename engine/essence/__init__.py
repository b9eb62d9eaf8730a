"""Essence avatars: a photo becomes idle motion and a bank of mouths, played back for speech."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from engine.essence.player import EssencePlayer
from engine.essence.selector import ShapeSelector

if TYPE_CHECKING:
    from engine.essence.builder import build

__all__ = ["EssencePlayer", "ShapeSelector", "build"]


def __getattr__(name: str) -> Any:
    # Building needs the face networks, playing does not.
    if name == "build":
        return getattr(importlib.import_module("engine.essence.builder"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
