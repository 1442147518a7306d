"""PLDA against Gaussian densities and known covariances."""

import numpy as np
import pytest
from support import log_likelihood_ratio

from utils.heads import plda
from utils.heads.plda import estimate_covariances, fit_plda, make_plda


def test_plda_is_the_ratio_of_two_gaussian_densities():
    rng = np.random.default_rng(1)
    center, dimension = rng.normal(size=4), 4
    within, between = (f @ f.T + 0.1 * np.eye(dimension) for f in rng.normal(size=(2, dimension, dimension)))
    a, b = rng.normal(size=(2, 50, dimension))

    def log_density(x, covariance):
        return -(np.einsum("ni,ij,nj->n", x, np.linalg.inv(covariance), x) + np.linalg.slogdet(covariance)[1]) / 2

    total = within + between
    together = np.block([[total, between], [between, total]])
    expected = log_density(np.hstack([a - center, b - center]), together)
    expected -= log_density(a - center, total) + log_density(b - center, total)
    np.testing.assert_allclose(log_likelihood_ratio(make_plda(center, within, between), a, b), expected, rtol=1e-6)


def test_covariances_are_those_the_faces_were_drawn_from():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(3000), rng.integers(1, 5, 3000))
    scatter = np.diag([1.0, 2.0, 1.5])
    matrix = 5 + rng.normal(size=(3000, 3))[labels] * 2 + rng.normal(size=(len(labels), 3)) @ np.sqrt(scatter)
    center, within, between = estimate_covariances(matrix, labels)
    np.testing.assert_allclose(center, 5, atol=0.15)
    np.testing.assert_allclose(between, 4 * np.eye(3), atol=0.4)
    np.testing.assert_allclose(within, 0.6 * scatter + 0.4 * 1.5 * np.eye(3), atol=0.1)  # WITHIN_SHRINKAGE
    with pytest.raises(ValueError, match="two people"):
        fit_plda(matrix[:1], labels[:1])


def test_blocks_of_the_matrix_give_the_same_sums(monkeypatch):
    rng = np.random.default_rng(3)
    labels, matrix = rng.integers(0, 60, 500), rng.normal(size=(500, 5)).astype(np.float32)
    rows = rng.permutation(500)[:300]
    expected = estimate_covariances(matrix[rows], labels[rows])
    monkeypatch.setattr(plda, "MAX_VALUES", 5 * 7)
    for found, reference in zip(estimate_covariances(matrix, labels, rows), expected, strict=True):
        np.testing.assert_allclose(found, reference, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("rows", "spread"), [(3, 1), (40, 1), (40, 5), (4000, 5)])
def test_shrinkage_is_that_of_ledoit_and_wolf(rows, spread):
    from sklearn.covariance import ledoit_wolf_shrinkage

    matrix = np.random.default_rng(4).normal(size=(rows, 6)) * np.linspace(1, spread, 6)
    found = plda._shrinkage(matrix.T @ matrix, np.square(matrix).sum(axis=1))
    assert found == pytest.approx(ledoit_wolf_shrinkage(matrix, assume_centered=True), rel=1e-9)
    assert plda._shrinkage(np.zeros((6, 6)), np.zeros(3)) == 0
