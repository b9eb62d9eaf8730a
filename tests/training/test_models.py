"""The committed model files are the ones that MODELS.md describes, and their arrays are sane."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engine import models
from training import digests
from training.packages import sha256

FILES = [f for f in sorted(digests.MODELS.iterdir()) if f.suffix in (".onnx", ".npz", ".npy")]
DOCUMENT = (digests.MODELS / "MODELS.md").read_text()
BASIS = np.load(models.path("face_basis.npz"), allow_pickle=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_digest_is_the_documented_one(file: Path) -> None:
    row = re.search(rf"\| `{re.escape(file.name)}` \| (\d+) \| `([0-9a-f]{{64}})` \|", DOCUMENT)
    described = row and (int(row[1]), row[2])
    assert described == (file.stat().st_size, sha256(file)), "run python -m training.digests"


def test_nothing_documented_is_missing() -> None:
    documented = re.findall(r"\| `([\w.]+)` \| \d+ \| `[0-9a-f]{64}` \|", DOCUMENT)
    assert documented == [file.name for file in FILES]


def test_a_missing_model_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
        models.path("nothing.onnx")


def test_a_session_is_opened_once() -> None:
    assert models.session("face_blendshapes.onnx") is models.session("face_blendshapes.onnx")


@pytest.mark.parametrize("name", [n for n in BASIS.files if n != "names"])
def test_basis_arrays_are_finite_and_documented(name: str) -> None:
    assert np.isfinite(BASIS[name]).all()
    assert f"`{name}`" in DOCUMENT


def test_basis_shapes() -> None:
    assert len(set(BASIS["names"])) == 52
    assert BASIS["B"].shape == (52, 478, 3)
    assert BASIS["neutral"].shape == BASIS["neutral_makehuman"].shape == (478, 3)
    assert BASIS["triangles"].max() == 467


def test_basis_is_its_own_mirror_image() -> None:
    from training.basis.transfer import mirror_name

    names, mirror = list(BASIS["names"]), BASIS["mirror"]
    assert (mirror[mirror] == np.arange(478)).all()
    other = BASIS["B"][[names.index(mirror_name(name)) for name in names]][:, mirror]
    np.testing.assert_allclose(BASIS["B"], other * [-1, 1, 1], atol=0.01)
    neutral = BASIS["neutral"]
    np.testing.assert_allclose(neutral, neutral[mirror] * [-1, 1, 1], atol=0.01)


def unit(name: str) -> np.ndarray:
    return BASIS["B"][list(BASIS["names"]).index(name)].astype(np.float32)


def test_units_move_what_they_should() -> None:
    from engine.face import topology

    jaw = unit("jawOpen")
    assert jaw[topology.LOWER_LIP_CENTRE, 1] < -3
    assert abs(jaw[topology.UPPER_LIP_CENTRE, 1]) < 0.3
    assert jaw[topology.CHIN, 1] < -2
    assert abs(jaw[topology.FOREHEAD_TOP]).max() < 0.05
    assert unit("mouthSmileLeft")[topology.LEFT_MOUTH_CORNER, 1] > 1
    assert abs(unit("mouthSmileLeft")[topology.RIGHT_MOUTH_CORNER, 1]) < 0.1
    assert unit("browInnerUp")[topology.LEFT_BROW[0][0], 1] > 0.2
    assert unit("eyeLookUpLeft")[topology.LEFT_IRIS[0], 1] > 0.1
    pucker = unit("mouthPucker")
    corners = [topology.RIGHT_MOUTH_CORNER, topology.LEFT_MOUTH_CORNER]
    assert pucker[corners[0], 0] > 0.3 > -0.3 > pucker[corners[1], 0]


def test_lips_meet_when_the_open_jaw_is_closed_by_the_lips() -> None:
    from engine.face import topology

    sealed = unit("jawOpen") + unit("mouthClose")
    upper, lower = sealed[list(topology.UPPER_INNER)], sealed[list(topology.LOWER_INNER)]
    assert np.abs(upper[:, 1] - lower[:, 1]).max() < 0.05


def test_irises_lie_between_the_lids() -> None:
    from engine.face import topology

    neutral = BASIS["neutral"]
    for iris, upper, lower in (
        (topology.RIGHT_IRIS, topology.RIGHT_EYE_UPPER, topology.RIGHT_EYE_LOWER),
        (topology.LEFT_IRIS, topology.LEFT_EYE_UPPER, topology.LEFT_EYE_LOWER),
    ):
        x, y = neutral[iris[0], :2]
        assert neutral[upper[0], 0] < x < neutral[upper[-1], 0]
        assert neutral[lower[4], 1] < y < neutral[upper[4], 1]


def test_networks_are_let_go_when_nobody_uses_them() -> None:
    network = models.session("face_detector.onnx")
    assert models.session("face_detector.onnx") is network
    models.release()
    assert models.session("face_detector.onnx") is not network
