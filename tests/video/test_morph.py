"""From one picture to another like it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.video.morph import EASE, ease, morph


def blob(x: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (160, 160)).astype(np.float32), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    shifted = cv2.warpAffine(
        texture, np.array([[1.0, 0, x], [0, 1, 0]]), (160, 160), borderMode=cv2.BORDER_REFLECT
    )
    return cv2.cvtColor(np.rint(shifted).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def test_at_its_ends_it_is_one_or_the_other() -> None:
    a, b = blob(0), blob(6)
    assert np.array_equal(morph(a, b, 0.0), a)
    assert np.array_equal(morph(a, b, 1.0), b)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_between_them_things_have_moved_part_of_the_way(share: float) -> None:
    between = morph(blob(0), blob(8), share)[20:140, 20:140].astype(float)
    wanted = blob(8 * share)[20:140, 20:140]
    dissolved = cv2.addWeighted(blob(0), 1 - share, blob(8), share, 0)[20:140, 20:140]
    assert np.abs(between - wanted).mean() < 0.35 * np.abs(dissolved - wanted.astype(float)).mean()


def test_easing_begins_and_ends_at_the_hub() -> None:
    shares = [ease(i, 60) for i in range(61)]
    assert shares[0] == shares[60] == 1.0
    assert shares[EASE] == shares[30] == 0.0
    assert np.abs(np.diff(shares)).max() < 2.2 / EASE
    assert [ease(i, 4) for i in range(5)] == [1.0, 0.5, 0.0, 0.5, 1.0]
