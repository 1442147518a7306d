"""Identification: watchlists without overlap, and rates counted by hand."""

import numpy as np
import pytest
from support import toy_features

from utils.cli import InputError
from utils.evaluation.identification import (
    NEAREST,
    Watchlist,
    WatchlistLimits,
    measure_identification,
    run_trials,
    sample_watchlist,
    score_people,
)


def test_no_person_is_both_enrolled_and_a_stranger():
    labels = np.r_[np.arange(60).repeat(3), 100 + np.arange(40)]
    rows = np.arange(len(labels))[5:]
    watchlist = sample_watchlist(labels, rows, WatchlistLimits(50, 45, 2), np.random.default_rng(11))
    used = np.concatenate([watchlist.gallery, watchlist.probes, watchlist.strangers])
    assert len(set(used)) == len(used) and set(used) <= set(rows)
    assert watchlist.people == 50 and len(watchlist.strangers) == 45 and watchlist.counts.max() == 2
    np.testing.assert_array_equal(labels[watchlist.gallery], labels[watchlist.probes].repeat(watchlist.counts))
    assert not set(labels[watchlist.strangers]) & set(labels[watchlist.probes])
    everybody = sample_watchlist(
        np.arange(7).repeat(5), np.arange(35), WatchlistLimits(1000, 1000, 5), np.random.default_rng(11)
    )
    assert (everybody.people, len(everybody.strangers)) == (3, 4)
    for alone in (np.zeros(5, int), np.arange(5)):
        with pytest.raises(InputError, match="at least two photos"):
            sample_watchlist(alone, np.arange(5), WatchlistLimits(10, 10, 5), np.random.default_rng(11))


class Closeness:
    """A head that is a function of the distance."""

    threshold, min_votes = 0.7, 0.5

    def score_gallery(self, probes, gallery):
        return np.exp(-np.linalg.norm(probes[:, None] - gallery[None], axis=2))


def test_identification_equals_a_count_by_hand():
    features = toy_features(300, 3, dimension=5, seed=3)
    watchlist = sample_watchlist(
        features.labels, np.arange(900), WatchlistLimits(100, 200, 5), np.random.default_rng(12)
    )
    head = Closeness()
    scores = score_people(head, features.matrix, watchlist)
    near = score_people(head, features.matrix, watchlist)[NEAREST]
    np.testing.assert_allclose(np.exp(near), scores["best"], rtol=1e-4)
    person = features.matrix[watchlist.gallery[: watchlist.counts[0]]].mean(0)
    by_mean = np.exp(-np.linalg.norm(features.matrix[watchlist.strangers] - person, axis=1))
    np.testing.assert_allclose(scores["mean features"][100:, 0], by_mean, rtol=1e-4)
    best = scores["best"].astype(float)
    for size in (10, 30, 100):
        found = measure_identification(scores, size, 0.7, 20, 0)["best"]
        galleries = [range(start, start + size) for start in range(0, 100 - size + 1, size)]
        strangers = np.array([[max(best[100 + s, g]) for g in galleries] for s in range(200)])
        allowed = sorted(strangers.ravel())[::-1][int(0.01 * strangers.size)]
        hits, named, firsts = [], [], []
        for gallery in galleries:
            for probe in gallery:
                likest = max(gallery, key=lambda person: best[probe, person])
                firsts.append(likest == probe)
                hits.append(likest == probe and best[probe, likest] > allowed)
                named.append((likest == probe, best[probe, likest] > 0.7))
        assert found.rank1.value == pytest.approx(np.mean(firsts))
        assert found.dir[0.01].value == pytest.approx(np.mean(hits))
        assert found.dir[0.01].low <= found.dir[0.01].value <= found.dir[0.01].high
        assert found.dir[0.001].value is None  # 200 strangers cannot show it
        assert found.named["strangers"].value == pytest.approx((strangers > 0.7).mean())
        assert found.named["right"].value == pytest.approx(np.mean([right and over for right, over in named]))
        assert found.named["wrong"].value == pytest.approx(np.mean([over and not right for right, over in named]))
    assert run_trials(best, 30).stranger_scores.shape == (200, 3)


def test_blocks_of_probes_make_no_difference():
    features = toy_features(30, 4)
    rows = np.arange(120).reshape(30, 4)
    watchlist = Watchlist(rows[:20, 1:].ravel(), np.full(20, 3), rows[:20, 0], rows[20:, 0])
    head = Closeness()
    whole = score_people(head, features.matrix, watchlist)
    for name, scores in score_people(head, features.matrix, watchlist, max_scores=1).items():
        np.testing.assert_allclose(scores, whole[name], rtol=1e-6)
