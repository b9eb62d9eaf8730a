"""The ``.imx`` container: one file per avatar, readable by any zip tool, trusted by none."""

from engine.imx.container import (
    MAX_MANIFEST,
    MAX_MEMBER,
    MAX_MEMBERS,
    MAX_TOTAL,
    Reader,
    looks_like_imx,
    naming,
    write,
)
from engine.imx.manifest import KINDS, VERSION, Clip, Manifest, Member, Mouth, Provenance
from engine.imx.npy import load_npy

__all__ = [
    "KINDS",
    "MAX_MANIFEST",
    "MAX_MEMBER",
    "MAX_MEMBERS",
    "MAX_TOTAL",
    "VERSION",
    "Clip",
    "Manifest",
    "Member",
    "Mouth",
    "Provenance",
    "Reader",
    "load_npy",
    "looks_like_imx",
    "naming",
    "write",
]
