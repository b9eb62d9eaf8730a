"""One face for the tests that need a real one."""

from pathlib import Path

import numpy as np
import pytest

from engine.essence.builder import load_codebook
from engine.face.image import load_image
from engine.face.landmarks import find_face
from engine.face.renderer import Renderer

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def photo() -> Path:
    return DATA / "face_front.webp"


@pytest.fixture(scope="session")
def renderer(photo: Path) -> Renderer:
    image = load_image(photo)
    return Renderer.from_image(image, find_face(image), size=320)


@pytest.fixture(scope="session")
def tiny_renderer(photo: Path) -> Renderer:
    image = load_image(photo)
    return Renderer.from_image(image, find_face(image), size=128)


@pytest.fixture(scope="session")
def codebook() -> np.ndarray:
    return load_codebook()
