import numpy as np
import pytest

from engine.essence import bank
from engine.motion import idle


def test_clusters_follow_the_poses() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([[-3, 0, 0], [3, 1, 0], [0, -2, 1]], float)
    poses = (truth[:, None] + rng.normal(0, 0.2, (3, 40, 3))).reshape(-1, 3)
    centres, labels = bank.cluster_poses(poses, 3)
    assert len(np.unique(labels)) == 3
    for start in range(0, 120, 40):
        assert len(set(labels[start : start + 40])) == 1
        assert np.allclose(centres[labels[start]], truth[start // 40], atol=0.15)


def test_clusters_of_an_idle_loop_are_tight_and_reproducible() -> None:
    pose = idle(12, 3).pose
    centres, labels = bank.cluster_poses(pose, 6)
    again = bank.cluster_poses(pose, 6)
    assert np.array_equal(centres, again[0])
    assert np.array_equal(labels, again[1])
    distance = np.linalg.norm((pose - centres[labels])[:, :2], axis=1)
    assert distance.max() < 1.8  # degrees of parallax an affine map has to hide
    assert set(labels) == set(range(len(centres)))


def test_fewer_poses_than_clusters() -> None:
    centres, labels = bank.cluster_poses(np.zeros((5, 3)), 4)
    assert centres.shape == (1, 3)
    assert not labels.any()
    centres, labels = bank.cluster_poses(np.array([[0.0, 0, 0], [2, 0, 0]]), 4)
    assert len(centres) == 2


def test_poses_that_are_there_already_are_not_found_again() -> None:
    rng = np.random.default_rng(2)
    near, far = rng.normal(0, 0.4, (400, 3)), rng.normal((6, 0, 0), 0.4, (40, 3))
    given = np.array([[0.0, 0, 0], [-5, 0, 0]])
    centres, labels = bank.cluster_poses(np.concatenate([near, far]), 1, given)
    assert centres.shape == (1, 3)
    np.testing.assert_allclose(centres[0], far.mean(0), atol=0.2)
    assert (labels == np.repeat([0, 2], [400, 40])).all()  # none is like the second that is given


def test_fit_affine_recovers_a_map() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([[1.02, -0.03, 4.5], [0.01, 0.98, -2.25]])
    source = rng.uniform(0, 100, (40, 2))
    target = source @ truth[:, :2].T + truth[:, 2]
    even = np.ones(40)
    assert bank.fit_affine(source, target, even) == pytest.approx(truth, abs=1e-9)
    noisy = target + rng.normal(0, 0.3, target.shape)
    assert bank.fit_affine(source, noisy, even) == pytest.approx(truth, abs=0.5)


def test_fit_affine_is_best_where_the_weight_is() -> None:
    rng = np.random.default_rng(2)
    source = rng.uniform(0, 100, (40, 2))
    target = source + 0.002 * (source - 50) ** 2  # no affine map fits this
    heavy = np.where(np.arange(40) < 8, 50.0, 1.0)

    def miss(weights: np.ndarray) -> float:
        found = bank.fit_affine(source, target, weights)
        placed = source @ found[:, :2].T + found[:, 2]
        return float(np.linalg.norm(placed - target, axis=1)[:8].mean())

    assert miss(heavy) < 0.7 * miss(np.ones(40))
