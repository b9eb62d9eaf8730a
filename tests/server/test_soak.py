"""Sessions come and go for a while: nothing may pile up. ``-m soak`` takes two minutes."""

import os

import numpy as np
import pytest

from benchmarks.crowd import Crowd
from benchmarks.serve_load import soak
from benchmarks.server import running


@pytest.mark.parametrize("minutes", [0.3, pytest.param(2.0, marks=pytest.mark.soak)])
def test_memory_descriptors_and_tasks_stay(avatar_path, speech, minutes, request):
    if minutes >= 1 and request.config.getoption("markexpr") != "soak":
        pytest.skip("long; run with -m soak")
    sound = np.asarray(speech(3.0), np.int16).tobytes()
    with running(avatar_path, []) as server:
        crowd = Crowd(server.host, sound, set(range(os.cpu_count() or 1)))
        try:
            found = soak(server, crowd, minutes)
        finally:
            crowd.close()
    assert found["rounds"] >= 3
    assert found["closed"] == 0
    # Sessions whose line was cut wait for their clients for a minute: they hold no connection.
    assert abs(found["descriptors"]) <= 1
    assert abs(found["tasks"]) <= 1
    assert found["memory"] < 5
    if found["behind"] < 20:  # or other programs have kept even the clients waiting
        assert found["late"] <= 5
