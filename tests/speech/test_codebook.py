from __future__ import annotations

import numpy as np

from engine import models
from engine.coefficients import COEFFICIENTS, INDEX


def test_the_codebook_has_rest_first_and_sealed_lips() -> None:
    rows = np.load(models.path("codebook.npy"), allow_pickle=False)
    assert rows.dtype == np.float32
    assert rows.ndim == 2
    assert rows.shape[1] == len(COEFFICIENTS)
    assert 64 <= len(rows) <= 256
    assert not rows[0].any()
    assert rows.min() >= 0
    assert rows.max() <= 1
    sealed = rows[rows[:, INDEX["lipClosure"]] >= 0.5]
    assert len(sealed) >= 4
    # Nothing parts sealed lips: they follow the jaw.
    assert (sealed[:, INDEX["mouthClose"]] >= sealed[:, INDEX["jawOpen"]] - 1e-6).all()
    assert not sealed[:, [INDEX["mouthLowerDown"], INDEX["mouthUpperUp"]]].any()
    assert len(np.unique(rows.round(3), axis=0)) == len(rows)
