"""What every test gets: a home, a cache and an environment of its own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

# Shells have Ctrl-C ignored in what they start in the background, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test may see or touch the files and settings of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("BITHUMAN_CACHE_DIR", str(home / "cache"))
    for name in (
        "BITHUMAN_SHOWCASE_URL",
        "NO_COLOR",
        "CI",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    return home
