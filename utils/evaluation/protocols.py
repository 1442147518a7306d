"""Which pairs are judged and what may be learned for them: held-out people, folds.

LFW's view 2 (Huang et al., "Labeled Faces in the Wild", 2007) is ten folds of pairs. Whatever decides
a fold's pairs, threshold included, is learned without the people of that fold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from utils.evaluation.pairs import Pairs, has_both_kinds, sample_pairs
from utils.features.feature_files import FeatureSet
from utils.heads.head import Head
from utils.metrics import balanced_accuracy, best_threshold

HEAD, EUCLIDEAN = "head", "Euclidean"  # names of scorers
BLOCK = 1 << 14  # pairs whose features are gathered at once


def other_folds(pairs: Pairs, fold: int) -> np.ndarray:
    """bool (n,): the pairs that show nobody of a fold."""
    return ~pairs.of_people(pairs.people[pairs.folds == fold])


def thresholds_of_other_folds(scores: np.ndarray, pairs: Pairs) -> dict[int, float]:
    """Fold → the threshold that is best for the pairs (n,) that show nobody of it; none where there are too few."""
    thresholds = {}
    for fold in np.unique(pairs.folds[pairs.folds >= 0]).tolist():
        learned_on = other_folds(pairs, fold)
        if all(has_both_kinds(pairs.same[part]) for part in (learned_on, pairs.folds == fold)):
            thresholds[fold] = best_threshold(scores[learned_on], pairs.same[learned_on], pairs.weights[learned_on])
    return thresholds


def fold_accuracies(scores: np.ndarray, pairs: Pairs, thresholds: dict[int, float]) -> np.ndarray:
    """The accuracy of each fold, float64 (f,), with both kinds of pairs counting the same."""
    return np.array(
        [
            balanced_accuracy(scores[part], pairs.same[part], threshold, pairs.weights[part])
            for fold, threshold in thresholds.items()
            for part in [pairs.folds == fold]
        ]
    )


@dataclass(frozen=True)
class PairScores:
    """What a head and plain distances make of n pairs.

    scores: scorer → float32 (n,), higher for more alike; the HEAD's are probabilities. thresholds: scorer → fold →
    the threshold of the fold's accuracy. own_thresholds: float64 (n,), that the head carries.
    """

    scores: dict[str, np.ndarray]
    thresholds: dict[str, dict[int, float]]
    own_thresholds: np.ndarray


def judge_pairs(features: FeatureSet, pairs: Pairs, head: Head) -> PairScores:
    """Let one head judge the pairs. The threshold of a fold's accuracy comes from the other folds, for it too."""
    scores = {HEAD: score_rows(head, features.matrix, pairs.rows), **plain_scores(features.matrix, pairs.rows)}
    thresholds = {name: thresholds_of_other_folds(score, pairs) for name, score in scores.items()}
    return PairScores(scores, thresholds, np.full(len(pairs), head.threshold))


def cross_validate(
    features: FeatureSet, pairs: Pairs, fit: Callable[[np.ndarray], tuple[Head, np.ndarray]], rng: np.random.Generator
) -> PairScores:
    """Let each fold's pairs be judged by a head that learned without the fold's people.

    fit: from rows, int (n,), of the matrix to a head that learned from them alone, and those of the rows that it did
    not learn its weights from: pairs of their people choose the threshold of the fold's accuracy.
    """
    scores, own, thresholds = np.empty(len(pairs), np.float32), np.empty(len(pairs)), {}
    for fold in tqdm(np.unique(pairs.folds).tolist(), unit="fold", disable=None):
        tested = pairs.folds == fold
        head, held = fit(rows_without(features.labels, pairs.people[tested]))
        scores[tested] = score_rows(head, features.matrix, pairs.rows[tested])
        own[tested] = head.threshold
        thresholds[fold] = accuracy_threshold(head, features, held, rng)
    plain = plain_scores(features.matrix, pairs.rows)
    return PairScores(
        {HEAD: scores, **plain},
        {HEAD: thresholds, **{name: thresholds_of_other_folds(score, pairs) for name, score in plain.items()}},
        own,
    )


def rows_without(labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The rows, int (n,), of everybody but these people."""
    return np.flatnonzero(~np.isin(labels, people))


def accuracy_threshold(head: Head, features: FeatureSet, held: np.ndarray, rng: np.random.Generator) -> float:
    """The threshold of the best accuracy on pairs of held-out rows; the head's own where these make no pairs."""
    pairs = sample_pairs(features.labels, held, rng) if len(held) else None
    if pairs is None or not has_both_kinds(pairs.same):
        return head.threshold
    return best_threshold(score_rows(head, features.matrix, pairs.rows), pairs.same, pairs.weights)


def score_rows(head: Head, matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A head's probabilities, float32 (n,), of pairs of rows, int (n, 2), of a matrix (N, D)."""
    return np.concatenate([head.score_pairs(matrix[part[:, 0]], matrix[part[:, 1]]) for part in _blocks(rows)])


def plain_scores(matrix: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What needs no head: the negative Euclidean distance and the cosine of pairs of rows, float32 (n,) each."""
    norms = np.maximum(np.linalg.norm(matrix, axis=1), np.finfo(np.float32).tiny)
    distances, products = [], []
    for part in _blocks(rows):
        a, b = matrix[part[:, 0]], matrix[part[:, 1]]
        distances.append(np.linalg.norm(a - b, axis=1))
        products.append(np.einsum("nd,nd->n", a, b))
    cosine = np.concatenate(products) / (norms[rows[:, 0]] * norms[rows[:, 1]])
    return {EUCLIDEAN: -np.concatenate(distances), "cosine": cosine}


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    """Parts of pairs, since the features of all of them together may not fit into memory."""
    return np.split(rows, range(BLOCK, len(rows), BLOCK))
