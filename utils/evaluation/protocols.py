"""Which head scores which pairs, so that no head is tested on people it was trained on.

View 2 of LFW (Huang et al., "Labeled Faces in the Wild", 2007) is ten folds of pairs. Everything that decides the
pairs of a fold, its threshold included, is learned without the people of that fold.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from utils.evaluation.pairs import Pairs, has_both_kinds, sample_pairs
from utils.features.feature_files import FeatureSet
from utils.heads.head import Head
from utils.metrics import balanced_accuracy, best_threshold

HEAD, EUCLIDEAN, COSINE = "head", "Euclidean", "cosine"  # names of scorers
BLOCK = 1 << 14  # pairs whose features are gathered at once

# From the rows to train on, int (n,), to a head, and those of the rows that it held out.
Fit = Callable[[np.ndarray], tuple[Head, np.ndarray]]


@dataclass(frozen=True)
class PairScores:
    """Scores of n pairs by a head and by plain distances."""

    scores: dict[str, np.ndarray]  # scorer → float32 (n,), higher is more alike; those of HEAD are probabilities
    fold_thresholds: dict[str, dict[int, float]]  # scorer → fold → the threshold for the accuracy of that fold
    head_thresholds: np.ndarray  # float64 (n,), the threshold stored with the head that scored the pair


def score_with_head(features: FeatureSet, pairs: Pairs, head: Head) -> PairScores:
    """Score all pairs with one head. The threshold for the accuracy of a fold still comes from the other folds."""
    scores = all_scores(head, features.matrix, pairs.rows)
    thresholds = {name: cross_fitted_thresholds(values, pairs) for name, values in scores.items()}
    return PairScores(scores, thresholds, np.full(len(pairs), head.threshold))


def cross_validate(
    features: FeatureSet, pairs: Pairs, fit: Fit, rng: np.random.Generator, spread: Callable = map
) -> PairScores:
    """Score the pairs of each fold with a head that was trained without the people of that fold.

    The threshold for the accuracy of a fold is chosen on pairs of the rows that its head held out: the pairs of the
    other folds, if its head held out all of these. spread: works as `map`, perhaps on several folds at once.
    """
    scores, head_thresholds, thresholds = np.empty(len(pairs), np.float32), np.empty(len(pairs)), {}
    folds = np.unique(pairs.folds).tolist()
    fitted = spread(fit, [rows_without(features.labels, pairs.people[pairs.folds == fold]) for fold in folds])
    for fold, (head, held_out) in zip(folds, tqdm(fitted, total=len(folds), unit="fold", disable=None), strict=True):
        tested = pairs.folds == fold
        scores[tested] = head_scores(head, features.matrix, pairs.rows[tested])
        head_thresholds[tested] = head.threshold
        unseen = unseen_pairs(pairs, fold, held_out)
        thresholds[fold] = accuracy_threshold(head, features, unseen, held_out, rng)
    plain = plain_scores(features.matrix, pairs.rows)
    plain_thresholds = {name: cross_fitted_thresholds(values, pairs) for name, values in plain.items()}
    return PairScores({HEAD: scores, **plain}, {HEAD: thresholds, **plain_thresholds}, head_thresholds)


def rows_without(labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The rows, int (n,), of everyone except these people."""
    return np.flatnonzero(~np.isin(labels, people))


def disjoint_pairs(pairs: Pairs, fold: int) -> np.ndarray:
    """bool (n,): the pairs that share no person with a fold."""
    return np.logical_not(np.isin(pairs.people, pairs.people[pairs.folds == fold]).any(axis=1))


def cross_fitted_thresholds(scores: np.ndarray, pairs: Pairs) -> dict[int, float]:
    """Fold → the best threshold on pairs that share no person with it. Folds with too few pairs are left out."""
    thresholds = {}
    for fold in np.unique(pairs.folds[pairs.folds >= 0]).tolist():
        others = disjoint_pairs(pairs, fold)
        if has_both_kinds(pairs.same[others]) and has_both_kinds(pairs.same[pairs.folds == fold]):
            thresholds[fold] = best_threshold(scores[others], pairs.same[others], pairs.weights[others])
    return thresholds


def unseen_pairs(pairs: Pairs, fold: int, held_out: np.ndarray) -> Pairs | None:
    """The pairs that share no person with a fold, if a head held out the rows of all of them, int (h,), else None."""
    others = disjoint_pairs(pairs, fold)
    if not np.isin(pairs.rows[others], held_out).all():
        return None
    return Pairs(**{field.name: getattr(pairs, field.name)[others] for field in dataclasses.fields(pairs)})


def accuracy_threshold(
    head: Head, features: FeatureSet, unseen: Pairs | None, held_out: np.ndarray, rng: np.random.Generator
) -> float:
    """The threshold with the best accuracy on unseen pairs, or, without them, on pairs of held-out rows.

    It is the head's own if these make no pairs.
    """
    pairs = unseen
    if pairs is None and len(held_out):
        pairs = sample_pairs(features.labels, held_out, rng)
    if pairs is None or not has_both_kinds(pairs.same):
        return head.threshold
    return best_threshold(head_scores(head, features.matrix, pairs.rows), pairs.same, pairs.weights)


def fold_accuracies(scores: np.ndarray, pairs: Pairs, thresholds: dict[int, float]) -> np.ndarray:
    """The accuracy of each fold, float64 (f,). Both kinds of pairs count the same."""
    folds = [(pairs.folds == fold, threshold) for fold, threshold in thresholds.items()]
    return np.array(
        [balanced_accuracy(scores[part], pairs.same[part], value, pairs.weights[part]) for part, value in folds]
    )


def all_scores(head: Head, matrix: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Scorer → scores, float32 (n,), of pairs of rows, int (n, 2), of a feature matrix (m, D)."""
    return {HEAD: head_scores(head, matrix, rows), **plain_scores(matrix, rows)}


def head_scores(head: Head, matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The head's probabilities, float32 (n,). Every pair that is verified in an evaluation is scored here."""
    return head.score_rows(matrix, rows)


def plain_scores(matrix: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Scores that need no head: negative Euclidean distance and cosine of pairs of rows, float32 (n,) each."""
    norms = np.maximum(np.linalg.norm(matrix, axis=1), np.finfo(np.float32).tiny)
    distances, products = [], []
    for part in np.split(rows, range(BLOCK, len(rows), BLOCK)):  # the features of all pairs may not fit into memory
        a, b = matrix[part[:, 0]], matrix[part[:, 1]]
        distances.append(np.linalg.norm(a - b, axis=1))
        products.append(np.einsum("nd,nd->n", a, b))
    cosine = np.concatenate(products) / (norms[rows[:, 0]] * norms[rows[:, 1]])
    return {EUCLIDEAN: -np.concatenate(distances), COSINE: cosine}
