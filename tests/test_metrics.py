"""Metrics against scikit-learn, brute force and their definitions."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from utils.metrics import (
    best_threshold,
    calibration_bins,
    calibration_error,
    roc,
    threshold_for_far,
    verification_figures,
)


def test_roc_equals_scikit_learns_with_weights(scored):
    scores, same, weights = scored
    curve = roc(scores, same, weights)
    assert curve.auc == pytest.approx(roc_auc_score(same, scores, sample_weight=weights))
    often = np.repeat(np.arange(400), weights.astype(int))
    for target in (0.001, 0.01, 0.1, 0.5):
        tars = [
            (scores[often] >= t)[same[often]].mean()
            for t in np.r_[np.unique(scores), 99]
            if (scores[often] >= t)[~same[often]].mean() <= target
        ]
        assert curve.tar_at(target) == pytest.approx(max(tars))
    with pytest.raises(ValueError, match="one kind"):
        roc(scores, np.ones(400, bool))


def test_eer_of_two_normal_distributions():
    rng = np.random.default_rng(1)
    scores = np.r_[rng.normal(1, 1, 20_000), rng.normal(-1, 1, 20_000)]
    assert roc(scores, np.arange(40_000) < 20_000).eer == pytest.approx(0.15866, abs=0.005)  # Φ(−1)


def test_best_threshold_has_the_highest_accuracy(scored):
    scores, same, weights = scored
    found = best_threshold(scores, same, weights)

    def accuracy(threshold):
        right = (scores > threshold) == same
        return np.average(right[same], weights=weights[same]) + np.average(right[~same], weights=weights[~same])

    assert accuracy(found) == pytest.approx(max(accuracy(t) for t in np.unique(scores) - 0.05))
    assert best_threshold(np.array([0.0, 1.0]), np.array([False, True])) == 0.5


def test_calibration_error_follows_its_definition():
    rng = np.random.default_rng(4)
    probabilities = rng.random(40_000)
    same = rng.random(40_000) < probabilities
    ones = np.ones(40_000)
    assert calibration_error(probabilities, same, ones) < 0.015
    assert calibration_error(probabilities**3, same, ones) > 0.1
    # Twice as many different pairs say nothing else: the kinds count the same.
    often = np.repeat(np.arange(40_000), np.where(same, 1, 2))
    again = calibration_error(probabilities[often], same[often], np.ones(len(often)))
    assert again == pytest.approx(calibration_error(probabilities, same, ones))
    small, truth = np.array([0.0, 0.05, 1.0, 0.98, 0.5]), np.array([False, True, True, True, False])
    # Same pairs weigh 1/6 each, different ones 1/4: the bins hold 0 and 0.05, 0.5, and 0.98 and 1.
    expected = abs(0.05 / 6 - 1 / 6) + abs(0.5 / 4 - 0) + abs(1.98 / 6 - 2 / 6)
    assert calibration_error(small, truth, np.ones(5)) == pytest.approx(expected)
    assert calibration_bins(small, truth, np.ones(5))[2].sum() == pytest.approx(1)


def test_verification_figures_equal_scikit_learns():
    rng = np.random.default_rng(4)
    same, different = rng.normal(1, 1, 3000), rng.normal(-1, 1, 4000)
    figures = verification_figures(same, different, (-same, -different), 0.0, 9)
    truth = np.r_[np.ones(3000), np.zeros(4000)]
    assert figures.auc == figures.euclidean_auc == roc_auc_score(truth, np.r_[same, different])
    assert figures.eer == pytest.approx(0.1587, abs=0.01)  # Φ(−1)
    assert figures.far == pytest.approx(0.1587, abs=0.02) and figures.tar == pytest.approx(0.8413, abs=0.02)
    assert figures.accuracy == pytest.approx((figures.tar + 1 - figures.far) / 2)


def test_thresholds_keep_the_rate_and_no_lower_one_does(scored):
    scores, _, weights = scored
    for far in (0, 0.001, 0.01, 0.1, 0.37, 1):
        share = [np.average(scores > score, weights=weights) for score in np.unique(scores)]
        allowed = np.unique(scores)[np.array(share) <= far + 1e-9]
        assert threshold_for_far(scores, weights, far) == allowed.min()
    assert threshold_for_far(np.array([0.9, 0.8, 0.8, 0.1]), np.ones(4), 0.25) == 0.8
    assert threshold_for_far(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 1, 1, 9.0]), 0.25) == 0.1
