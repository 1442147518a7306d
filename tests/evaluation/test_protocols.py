"""Protocols: nothing that decides a fold was learned from the people of that fold."""

import numpy as np
from support import toy_features

from utils.evaluation.pairs import Pairs, sample_pairs
from utils.evaluation.protocols import (
    HEAD,
    cross_fitted_thresholds,
    cross_validate,
    disjoint_pairs,
    fold_accuracies,
    plain_scores,
)
from utils.features.feature_files import FeatureSet


def test_fold_thresholds_ignore_the_people_of_the_fold():
    features = toy_features(40, 3)
    pairs = sample_pairs(features.labels, np.arange(120), np.random.default_rng(7))
    scores = plain_scores(features.matrix, pairs.rows)["Euclidean"]
    honest = cross_fitted_thresholds(scores, pairs)
    assert sorted(honest) == list(range(10))
    for fold in range(10):
        people = np.unique(pairs.people[pairs.folds == fold])
        used = pairs.people[disjoint_pairs(pairs, fold)]
        assert len(used) and not np.isin(used, people).any()
        # Whatever the fold's people score, in pairs with others too, does not move its threshold.
        spoilt = np.where(np.isin(pairs.people, people).any(axis=1), 1e3 * ~pairs.same, scores)
        assert cross_fitted_thresholds(spoilt, pairs)[fold] == honest[fold]
    assert fold_accuracies(scores, pairs, honest).mean() > 0.8


class KnowsItsPeople:
    """A head that knows whom it was trained on by heart, and nothing else."""

    threshold = 0.5

    def __init__(self, features: FeatureSet, rows: np.ndarray):
        self.person = {features.matrix[row].tobytes(): int(features.labels[row]) for row in rows}

    def score_rows(self, matrix, rows):
        known = [
            (self.person.get(matrix[a].tobytes(), "?"), self.person.get(matrix[b].tobytes(), "!")) for a, b in rows
        ]
        return np.array([0.9 if x == y else 0.1 for x, y in known], np.float32)


def folds_of_people(features: FeatureSet, people_a_fold: int) -> Pairs:
    pairs = sample_pairs(features.labels, np.arange(len(features.labels)), np.random.default_rng(8))
    folds = pairs.people // people_a_fold
    chosen = folds[:, 0] == folds[:, 1]
    return Pairs(*(getattr(pairs, name)[chosen] for name in ("rows", "people", "same", "weights")), folds[chosen, 0])


def test_folds_are_never_tested_on_training_people():
    features = toy_features(40, 3)
    pairs = folds_of_people(features, 4)
    given = []

    def fit(rows):
        given.append(rows)
        return KnowsItsPeople(features, rows), rows[:0]

    judged = cross_validate(features, pairs, fit, np.random.default_rng(9))
    for fold, rows in enumerate(given):
        tested = np.unique(pairs.people[pairs.folds == fold])
        assert not np.isin(features.labels[rows], tested).any()
        assert sorted(rows) == np.flatnonzero(~np.isin(features.labels, tested)).tolist()  # and on everybody else
    # Memory is worth nothing on unknown people, and everything if one of them leaks.
    assert (judged.scores[HEAD] == np.float32(0.1)).all()
    assert fold_accuracies(judged.scores[HEAD], pairs, judged.fold_thresholds[HEAD]).mean() == 0.5
    leaky = cross_validate(features, pairs, lambda _: fit(np.arange(120)), np.random.default_rng(9))
    assert fold_accuracies(leaky.scores[HEAD], pairs, leaky.fold_thresholds[HEAD]).mean() == 1.0


def test_fold_thresholds_come_from_held_out_rows():
    features = toy_features(40, 3)
    pairs = folds_of_people(features, 4)
    seen = []

    class Distance:
        threshold = 0.5

        def score_rows(self, matrix, rows):
            seen.append({row.tobytes() for row in matrix[rows.ravel()]})
            return np.exp(-np.linalg.norm(matrix[rows[:, 0]] - matrix[rows[:, 1]], axis=1))

    judged = cross_validate(features, pairs, lambda rows: (Distance(), rows[:30]), np.random.default_rng(9))
    assert len(seen) == 20  # a fold: its pairs, and the held-out people's
    for fold in range(10):
        tested = np.flatnonzero(np.isin(features.labels, pairs.people[pairs.folds == fold]))
        assert seen[2 * fold] == {features.matrix[row].tobytes() for row in tested}
        assert not seen[2 * fold] & seen[2 * fold + 1] and len(seen[2 * fold + 1]) == 30
    assert fold_accuracies(judged.scores[HEAD], pairs, judged.fold_thresholds[HEAD]).mean() > 0.8


def test_heads_that_learn_nothing_get_the_thresholds_of_plain_scores():
    features = toy_features(40, 3)
    pairs = folds_of_people(features, 4)

    class Euclidean:
        threshold = 0.5

        def score_rows(self, matrix, rows):
            return plain_scores(matrix, rows)["Euclidean"]

    judged = cross_validate(features, pairs, lambda rows: (Euclidean(), rows), np.random.default_rng(9))
    assert judged.fold_thresholds[HEAD] == judged.fold_thresholds["Euclidean"]
