import itertools

import numpy as np
import pytest

from engine.coefficients import COEFFICIENTS, INDEX
from engine.essence.selector import ShapeBook, ShapeSelector, select_batch, visual_metric


def row(**values: float) -> np.ndarray:
    out = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        out[INDEX[name]] = value
    return out


BOOK = np.stack(
    [
        row(),
        row(jawOpen=0.2),
        row(jawOpen=0.4),
        row(jawOpen=0.6),
        row(mouthFunnel=0.7, jawOpen=0.15),
        row(mouthPucker=0.8),
        row(mouthStretch=0.6, jawOpen=0.1),
        row(lipClosure=1.0),
        row(lipClosure=1.0, mouthPress=0.5),
        row(lipClosure=1.0, mouthRollLower=0.5, mouthRollUpper=0.5),
    ]
)
SEALED = {7, 8, 9}


@pytest.fixture
def selector() -> ShapeSelector:
    return ShapeSelector(ShapeBook(BOOK))


def test_silence_is_exact_rest(selector: ShapeSelector) -> None:
    assert selector.select(row()) is None
    assert selector.select(row(jawOpen=0.5)) is not None
    assert selector.select(row()) is None  # at once, whatever was shown
    assert selector.select(row(jawOpen=0.005)) is None


@pytest.mark.parametrize("shape", range(1, len(BOOK)))
def test_every_shape_is_its_own_nearest(selector: ShapeSelector, shape: int) -> None:
    assert selector.select(BOOK[shape]) == shape


def test_every_shape_is_reached_from_every_other(selector: ShapeSelector) -> None:
    for before in range(1, len(BOOK)):
        for after in range(1, len(BOOK)):
            selector.select(BOOK[before])
            assert selector.select(BOOK[after]) == after


def test_lips_close_in_the_same_frame(selector: ShapeSelector) -> None:
    for jaw in (0.0, 0.2, 0.5, 1.0):
        selector.select(row(jawOpen=0.6))
        assert selector.select(row(jawOpen=jaw, lipClosure=0.6)) in SEALED | {None}
        # and part again in the same frame
        assert selector.select(row(jawOpen=0.4)) == 2


def test_lips_on_their_way_are_half_open(selector: ShapeSelector) -> None:
    assert selector.select(row(jawOpen=0.6, lipClosure=0.2)) == 3
    half = selector.select(row(jawOpen=0.6, lipClosure=0.44))
    assert half in {1, 2}
    assert selector.select(row(jawOpen=0.6, lipClosure=0.9)) in SEALED


def test_rounded_lips_that_do_not_part_need_not_jump_to_rest() -> None:
    pursed = row(mouthPucker=0.45, jawOpen=0.06, mouthClose=0.06, lipClosure=1.0)
    book = ShapeBook(np.concatenate([BOOK, pursed[None]]))
    selector = ShapeSelector(book)
    assert selector.select(row(mouthPucker=0.8)) == 5
    assert selector.select(row(mouthPucker=0.42)) == len(BOOK)
    assert selector.select(row(mouthPucker=0.05)) is None
    selector.reset()
    assert selector.select(row(mouthPucker=0.42, jawOpen=0.2)) not in (*SEALED, len(BOOK))


def test_a_book_without_sealed_shapes_closes_to_rest() -> None:
    selector = ShapeSelector(ShapeBook(BOOK[:5]))
    selector.select(row(jawOpen=0.6))
    assert selector.select(row(jawOpen=0.3, lipClosure=0.9)) is None


def test_noise_between_two_shapes_does_not_flicker(selector: ShapeSelector) -> None:
    rng = np.random.default_rng(0)
    shown = [
        selector.select(row(jawOpen=0.3 + rng.normal(0, 0.006), mouthStretch=0.02))
        for _ in range(200)
    ]
    assert len(set(shown[1:])) == 1


def test_noise_around_the_closing_threshold_does_not_flicker(selector: ShapeSelector) -> None:
    rng = np.random.default_rng(0)
    shown = [
        selector.select(row(jawOpen=0.3, lipClosure=float(0.5 + rng.normal(0, 0.02))))
        for _ in range(200)
    ]
    assert sum(a != b for a, b in itertools.pairwise(shown)) <= 20


def test_a_slow_sweep_visits_the_shapes_in_order(selector: ShapeSelector) -> None:
    shown = [selector.select(row(jawOpen=jaw)) or 0 for jaw in np.linspace(0, 0.6, 60)]
    assert shown == sorted(shown)
    assert set(shown) == {0, 1, 2, 3}


def test_reset(selector: ShapeSelector) -> None:
    fresh = ShapeSelector(ShapeBook(BOOK))
    selector.select(row(jawOpen=0.4))
    selector.reset()
    for jaw in (0.29, 0.31, 0.1):
        assert selector.select(row(jawOpen=jaw)) == fresh.select(row(jawOpen=jaw))


def test_the_metric_weighs_what_is_seen() -> None:
    metric = visual_metric()

    def seen(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm((a - b) @ metric))

    rest = row()
    assert seen(rest, row(jawOpen=0.3)) > 2 * seen(rest, row(jawForward=0.3))
    # A lowered jaw behind closed lips looks much more like rest than an open mouth does.
    hidden = row(jawOpen=0.3, mouthClose=0.3)
    assert seen(rest, hidden) < 0.6 * seen(rest, row(jawOpen=0.3))


def test_many_together_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(4)
    book = ShapeBook(BOOK)
    together = [ShapeSelector(book) for _ in range(9)]
    alone = [ShapeSelector(book) for _ in range(9)]
    for _ in range(300):
        mouths = BOOK[rng.integers(0, len(BOOK), 9)] * rng.uniform(0, 1, (9, 1)).astype(np.float32)
        mouths[:, INDEX["lipClosure"]] *= rng.uniform(0.3, 1, 9)
        mouths[rng.uniform(size=9) < 0.2] = 0
        shown = select_batch(together, list(mouths))
        assert shown == [one.select(mouth) for one, mouth in zip(alone, mouths, strict=True)]
