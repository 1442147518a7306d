"""Calibration against scikit-learn and by hand."""

import numpy as np
import pytest

from utils.heads.calibration import expected_calibration_error, fit_logistic
from utils.log_odds import sigmoid


def test_calibration_is_balanced_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)
    same, different = rng.normal(3, 2, 4000), rng.normal(-4, 3, 20_000)
    scale, offset = fit_logistic(same, different)
    reference = LogisticRegression(C=1e6, class_weight="balanced", tol=1e-8).fit(
        np.r_[same, different][:, None], np.r_[np.ones(4000), np.zeros(20_000)]
    )
    assert scale == pytest.approx(reference.coef_[0, 0], rel=0.01)
    assert offset == pytest.approx(reference.intercept_[0], abs=0.01)
    probabilities = [sigmoid(scale * x + offset) for x in (same, different)]
    assert expected_calibration_error(*probabilities) < 0.02 < expected_calibration_error(np.ones(9), np.ones(9))
    # Perfectly separated, or in the wrong order: still finite and rising.
    for pair in ((np.ones(5), -np.ones(5)), (-np.ones(5), np.ones(5)), (np.zeros(3), np.zeros(3))):
        scale, offset = fit_logistic(*pair)
        assert np.isfinite([scale, offset]).all() and scale > 0


def test_expected_calibration_error_by_hand():
    # In the bin around 0.9, 0.25 of the weight is of same and 0.125 of different pairs; around 0.1, 0.25 and 0.375.
    same, different = np.array([0.9, 0.1]), np.array([0.9, 0.1, 0.1, 0.1])
    expected = abs(0.25 * 0.1 - 0.125 * 0.9) + abs(0.25 * 0.9 - 0.375 * 0.1)
    assert expected_calibration_error(same, different) == pytest.approx(expected)
