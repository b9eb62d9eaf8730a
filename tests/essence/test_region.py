import numpy as np

from engine.essence.region import mouth_region
from engine.face import topology
from engine.face.renderer import Renderer

REST = (0.0, 0.0, 0.0)


def test_the_region_holds_the_lips_and_not_the_eyes(
    renderer: Renderer, codebook: np.ndarray
) -> None:
    region = mouth_region(renderer, codebook)
    x0, y0, x1, y1 = region.box
    assert region.mask.shape == (y1 - y0, x1 - x0)
    assert x0 % 16 == y0 % 16 == x1 % 16 == y1 % 16 == 0
    full = np.zeros(renderer.size[::-1], np.uint8)
    full[y0:y1, x0:x1] = region.mask
    for row in codebook:
        x, y = np.rint(renderer.posed_points(REST, row)).astype(int).T
        lips = list(topology.UPPER_OUTER + topology.LOWER_OUTER)
        assert (full[y[lips], x[lips]] == 255).all()
        eyes = list(topology.LEFT_EYE_LOWER + topology.RIGHT_EYE_LOWER)
        assert (full[y[eyes], x[eyes]] == 0).all()


def test_the_mask_is_soft_and_ends_inside_the_box(renderer: Renderer, codebook: np.ndarray) -> None:
    mask = mouth_region(renderer, codebook).mask.astype(int)
    for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert edge.max() <= 8
    assert np.abs(np.diff(mask, axis=0)).max() < 60
    assert np.abs(np.diff(mask, axis=1)).max() < 60


def test_what_moves_visibly_is_in_the_region(renderer: Renderer, codebook: np.ndarray) -> None:
    """A patch looks like the frame rendered whole: nothing is cut off at its edge."""
    region = mouth_region(renderer, codebook)
    x0, y0, x1, y1 = region.box
    rest = renderer.render(codebook[0]).astype(float)
    weight = region.mask[..., None] / 255
    for shape in range(1, len(codebook), 12):
        whole = renderer.render(codebook[shape]).astype(float)
        patched = rest.copy()
        patch = region.flatten(renderer.render_patch(codebook[shape], region.box))
        patched[y0:y1, x0:x1] += (patch - patched[y0:y1, x0:x1]) * weight
        wrong = np.abs(patched - whole).max(axis=2)
        assert wrong.mean() < 0.6
        assert np.percentile(wrong, 99) < 12


def test_flatten_keeps_what_is_seen(renderer: Renderer, codebook: np.ndarray) -> None:
    region = mouth_region(renderer, codebook)
    patch = renderer.render_patch(codebook[9], region.box)
    flat = region.flatten(patch)
    seen = region.mask >= 16
    assert np.array_equal(flat[seen], patch[seen])
    hidden = region.mask == 0
    rough = [np.abs(np.diff(p.astype(int), axis=1))[hidden[:, 1:]].mean() for p in (flat, patch)]
    assert rough[0] < rough[1]
