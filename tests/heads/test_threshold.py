"""Thresholds for a false accept rate, and their intervals."""

import numpy as np
import pytest

from utils.heads.calibration import ScoredPairs
from utils.heads.threshold import Tail, bootstrap_operating_point, choose_threshold, thresholds_by_rate
from utils.log_odds import sigmoid


def test_the_threshold_keeps_the_false_accept_rate():
    rng = np.random.default_rng(3)
    impostors = 0.5 + 0.5 * rng.random(20_000)
    for far in (0.1, 0.01, 0.001):
        threshold, supported = choose_threshold(impostors, far, 20_000)
        assert (impostors > threshold).mean() <= far < (impostors > threshold - 0.001).mean() + 1e-4 + far / 10
        assert supported == far
    assert choose_threshold(np.full(10_000, 0.1), 0.01, 10_000) == (0.5, 0.01)
    assert choose_threshold(np.full(3, 0.9), 1.0, 3) == (0.9, 1.0)
    # Too few pairs for the rate: all are rejected, and the rate that they support is returned.
    assert choose_threshold(np.array([0.1, 0.95, 0.3, 0.2]), 0.001, 4) == (0.95, 0.25)
    assert choose_threshold(np.array([0.1, 0.2]), 0.001, 2) == (0.8, 0.5)
    # Many photos of two people are still one pair of people.
    assert choose_threshold(np.full(1600, 0.1), 0.001, 1) == (0.8, 1.0)
    with pytest.raises(ValueError, match="none"):
        choose_threshold(np.empty(0), 0.1, 1)


def test_intervals_are_wider_with_fewer_people():
    rng = np.random.default_rng(7)
    widths = []
    for people in (30, 300):
        bias = 0.5 * rng.normal(size=people)  # some people are easily confused
        first, second = np.triu_indices(people, k=1)
        scores = sigmoid(bias[first] + bias[second] + rng.normal(size=len(first)))
        pairs = ScoredPairs(np.ones(1), scores, np.zeros(1, int), np.stack([first, second], axis=1))
        threshold = np.quantile(scores, 0.95)
        found = bootstrap_operating_point(pairs, threshold, 0.05, rng)
        low, high = found["threshold_interval"]
        assert low <= threshold <= high and found["far_interval"][0] <= 0.05 <= found["far_interval"][1]
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_a_tail_shows_low_rates_and_the_sample_the_others():
    every = np.sort(np.random.default_rng(6).random(100_000))[::-1]
    sample, tail = every[::100], Tail(every[:500], len(every))
    assert choose_threshold(sample, 0.001, 10**6, tail) == (every[100], 0.001)
    assert choose_threshold(sample, 0.01, 10**6, tail) == (sample[10], 0.01)
    assert choose_threshold(sample, 0.001, 10, tail) == (every[0], 0.1)  # all are rejected
    table = dict(map(tuple, thresholds_by_rate(sample, 1e-5, tail)))
    assert [table[rate] for rate in (1e-5, 1e-3, 0.1)] == [every[1], every[100], sample[100]]
