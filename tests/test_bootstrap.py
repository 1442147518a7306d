"""The bootstrap over people against pairs that are counted as often as they were drawn."""

from types import SimpleNamespace

import numpy as np
import pytest

from utils.bootstrap import (
    multiplicities,
    people_multiplicities,
    resampled_rocs,
    resampled_shares,
    resampled_tars,
    resampled_tops,
    sample_people,
)
from utils.metrics import roc


def test_resampled_rocs_equal_those_of_repeated_pairs(scored):
    scores, same, weights = scored
    rng = np.random.default_rng(2)
    times = [rng.integers(0, 3, 400) for _ in range(5)]
    curves = list(resampled_rocs(scores, same, weights, iter([np.ones(400, int), *times])))
    for curve, drawn in zip(curves, [np.ones(400, int), *times], strict=True):
        often = np.repeat(np.arange(400), drawn)
        expected = roc(scores[often], same[often], weights[often])
        assert (curve.auc, curve.eer) == pytest.approx((expected.auc, expected.eer))
        assert curve.tar_at(0.05) == pytest.approx(expected.tar_at(0.05))
    assert not list(resampled_rocs(scores, same, weights, iter([np.zeros(400, int)])))  # nobody was drawn


def test_bootstrap_draws_people_and_not_pairs():
    people = np.array([[3, 3], [3, 3], [5, 5], [3, 5], [5, 9], [3, 9]])
    for times in people_multiplicities(people, 50, np.random.default_rng(3)):
        three, five = times[0], times[2]
        assert times[1] == three and times[3] == three * five
        nine = 3 - three - five
        assert times[4] == five * nine and times[5] == three * nine


def test_the_highest_scores_are_enough(scored):
    """Figures at a rate come from the top of the ranking alone, however often the first guess falls short."""
    scores, same, weights = scored
    people = np.random.default_rng(5).integers(0, 12, (400, 2)) + 30
    people[same, 1] = people[same, 0]
    for far in (0.0, 0.01, 0.05, 0.3, 1.0):
        drawn = people_multiplicities(people, 40, np.random.default_rng(6))
        expected = [curve.tar_at(far) for curve in resampled_rocs(scores, same, weights, drawn)]
        tars = resampled_tars(scores, same, weights, people, far, 40, np.random.default_rng(6))
        assert tars == pytest.approx(expected)
    columns, draws = sample_people(people, 40, np.random.default_rng(6))
    for share in (0.01, 0.4, 2.0):
        for drawn, (running, total) in zip(draws, resampled_tops(columns, weights, draws, share, 9), strict=True):
            full = np.cumsum(multiplicities(columns, drawn) * weights)
            assert total == pytest.approx(full[-1]) and len(running) >= 9
            assert running == pytest.approx(full[: len(running)])
            assert running[-1] > share * total or len(running) == 400


def test_resampled_shares_equal_those_of_repeated_pairs(scored, monkeypatch):
    """The table of people gives what counting each pair as often as it is drawn gives."""
    _, _, weights = scored
    rng = np.random.default_rng(4)
    people = rng.integers(0, 12, (400, 2)) + 30  # labels need not start at 0
    is_same = people[:, 0] == people[:, 1]
    accepted = [rng.random(400) < share for share in (0.2, 0.6)]
    drawn = rng.multinomial(12, np.full(12, 1 / 12), size=7)
    for kind in (is_same, ~is_same):
        times = [np.where(is_same, *(d[people[:, 0] - 30], d[people - 30].prod(axis=1))) * kind for d in drawn]
        expected = [[np.average(mask, weights=weights * t) for t in times if t.any()] for mask in accepted]
        fixed = SimpleNamespace(multinomial=lambda count, shares, size: drawn)
        assert np.allclose(resampled_shares(accepted, kind, people, weights, 7, fixed), expected)
    counts = []
    monkeypatch.setattr("utils.bootstrap.MAX_DRAWS", 24)  # two resamplings of the twelve people at a time
    fixed = SimpleNamespace(multinomial=lambda count, shares, size: counts.append(size) or drawn[:size])
    resampled_shares(accepted, is_same, people, weights, 7, fixed)
    assert counts == [2, 2, 2, 1]
