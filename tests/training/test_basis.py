"""The committed basis is what its script makes."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from engine import models

pytestmark = pytest.mark.models


def test_the_script_reproduces_the_committed_basis() -> None:
    from training.basis.__main__ import make

    try:
        made = make()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the packages with the originals cannot be downloaded: {error}")
    committed = np.load(models.path("face_basis.npz"), allow_pickle=False)
    assert list(made) == committed.files
    assert (made["names"] == committed["names"]).all()
    for name in committed.files[1:]:
        assert made[name].dtype == committed[name].dtype
        # centimetres; other versions of NumPy or OpenCV move a landmark by a hair
        np.testing.assert_allclose(made[name], committed[name], atol=0.02)
