"""From a photo to an Expression avatar: fit, and store the portrait with its landmarks."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Final

import numpy as np

from engine.background import BackgroundSource
from engine.expression import layout
from engine.face.align import Crop
from engine.face.renderer import Renderer
from engine.identity import Photo, before, fit_photo, provenance, thumbnail, webp
from engine.imx import Manifest, write
from engine.product import BuildResult, Progress, check_order

__all__ = ["build_expression", "describe"]

_RIG_VERSION: Final = 1
_PORTRAIT_QUALITY: Final = 95


def describe(renderer: Renderer, name: str, digest: str, licence: str = "") -> Manifest:
    """The manifest of an Expression avatar made of a fitted photo."""
    width, height = renderer.size
    return Manifest(
        kind="expression",
        name=name,
        width=width,
        height=height,
        rig_version=_RIG_VERSION,
        licence=licence,
        provenance=provenance(digest),
    )


def build_expression(
    source: Photo,
    *,
    out: str | os.PathLike[str],
    name: str,
    size: int = 512,
    crop: Crop = "auto",
    face: int | None = None,
    background: BackgroundSource | None = None,
    licence: str = "",
    progress: Progress | None = None,
) -> BuildResult:
    """Store a photo as an Expression avatar; takes about a second.

    Args:
        source: as for ``engine.build``, like everything below.
        out: target ``.imx``; replaced only when the new one is complete.
        name: shown to the viewer.
        size: side of the square frame in pixels; the longer side for crop ``none``.
        crop: ``auto`` around the face, ``none`` the whole photo.
        face: which face, 1 the largest; None insists that there is only one.
        background: what to show behind the person instead of what the photo shows, see
            ``engine.identity.before``.
        licence: of the picture, stored in the file.
        progress: told about every step, from the calling thread.

    Returns:
        Where it is, its manifest, size, and the time it took.

    Raises:
        InvalidImage: the photo or the face in it cannot be used.
        NotSupported: what ``before`` and ``check_order`` raise.
        Failed: ``WRITE_FAILED``.
    """
    started = time.perf_counter()
    target = Path(out)
    report = progress or (lambda stage, done, total: None)
    check_order(target, name, size, licence)
    report("fit", 0, 1)
    renderer, digest = fit_photo(source, size, crop, face)
    renderer = before(renderer, background)
    report("fit", 1, 1)
    points = io.BytesIO()
    np.save(points, renderer.landmarks, allow_pickle=False)
    members = {
        layout.PORTRAIT: webp(renderer.image, _PORTRAIT_QUALITY),
        layout.POINTS: points.getvalue(),
        layout.THUMB: thumbnail(renderer),
    }
    report("write", 0, 1)
    stored = write(target, describe(renderer, name, digest, licence), members)
    report("write", 1, 1)
    return BuildResult(target, stored, target.stat().st_size, time.perf_counter() - started)
