"""Probabilities and log odds: round trips and the limits, which must stay in order."""

import numpy as np
import pytest

from utils.log_odds import (
    MAX_LOG_ODDS,
    MAX_OBSERVED_LOG_ODDS,
    MAX_THRESHOLD_LOG_ODDS,
    MIN_OBSERVED_LOG_ODDS,
    bounded_logits,
    logits,
    mean_log_odds,
    probabilities,
)


def test_probabilities_and_log_odds_are_inverse():
    log_odds = np.linspace(-15, 15, 31)
    np.testing.assert_allclose(logits(probabilities(log_odds)), log_odds, rtol=0.01)
    assert probabilities(log_odds).dtype == np.float32
    assert logits(np.array([0.0, 1.0])).tolist() == [-MAX_LOG_ODDS, MAX_LOG_ODDS]
    assert bounded_logits(np.array([0.0, 1.0])).tolist() == [MIN_OBSERVED_LOG_ODDS, MAX_OBSERVED_LOG_ODDS]


def test_limits_leave_room_above_every_threshold():
    assert MAX_THRESHOLD_LOG_ODDS < MAX_OBSERVED_LOG_ODDS < MAX_LOG_ODDS
    assert (
        probabilities(MAX_THRESHOLD_LOG_ODDS) < probabilities(MAX_OBSERVED_LOG_ODDS) < probabilities(MAX_LOG_ODDS) < 1
    )


def test_mean_log_odds():
    assert mean_log_odds(np.array([0.7], np.float32)) == np.float32(0.7)
    assert mean_log_odds(np.array([[0.2, 0.8]])) == pytest.approx(0.5)
    assert mean_log_odds(np.array([1.0, 1.0, 0.5])) > 0.99
    # Two folders of strangers in verify.py: every pair is as unlikely as it can be.
    assert mean_log_odds(np.zeros(4)) == pytest.approx(1e-7, rel=1e-9)
