from pathlib import Path

import pytest

import engine
from engine.stream.avatar import Avatar

PORTRAITS = Path(__file__).parents[2] / "training/showcase/portraits"


@pytest.fixture(scope="session")
def portraits() -> Path:
    return PORTRAITS


@pytest.fixture(scope="session")
def live() -> Avatar:
    return engine.open(PORTRAITS / "modern-court-jester.webp", model="expression")
