"""Which pairs are judged and what may be learned for them: held-out people, folds.

LFW's view 2 (Huang et al., "Labeled Faces in the Wild", 2007) is ten folds of pairs. Whatever decides
a fold's pairs, threshold included, is learned without the people of that fold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from utils.cli import InputError
from utils.features.feature_files import STRANGERS, FeatureSet
from utils.heads.head import Head
from utils.heads.pairs import all_negative_pairs, positive_pairs
from utils.metrics import balanced_accuracy, best_threshold

HEAD, EUCLIDEAN = "head", "Euclidean"  # names of scorers
FOLDS = 10
MOST_SAME_PAIRS = 20  # of one person
MOST_DIFFERENT_PAIRS = 200_000
BLOCK = 1 << 14  # pairs whose features are gathered at once


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows of a feature matrix.

    rows: int32 (n, 2). people: int32 (n, 2), the rows' labels. same: bool (n,).
    weights: float64 (n,), how much each counts among its kind. folds: int32 (n,), −1 for none.
    """

    rows: np.ndarray
    people: np.ndarray
    same: np.ndarray
    weights: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, chosen: np.ndarray) -> "Pairs":
        """The pairs of a bool mask or an index array."""
        return Pairs(
            self.rows[chosen], self.people[chosen], self.same[chosen], self.weights[chosen], self.folds[chosen]
        )

    def of_people(self, people: np.ndarray) -> np.ndarray:
        """bool (n,): which pairs show any of these people."""
        return np.isin(self.people, people).any(axis=1)


def check_folds(pairs: Pairs, at_least: int = 1) -> None:
    """Raise InputError unless there are so many folds, each with pairs of both kinds."""
    folds = np.unique(pairs.folds)
    for fold in folds:
        for same, kind in ((True, "the same person"), (False, "different people")):
            if not (pairs.same[pairs.folds == fold] == same).any():
                raise InputError(f"fold {fold + 1} of the pairs has no pair of {kind} with features")
    if len(folds) < at_least:
        raise InputError(f"{at_least} folds of pairs are needed at least. Received: {len(folds)}")


def with_strangers(features: FeatureSet) -> FeatureSet:
    """The same people, and after them each stranger as one with a single photo; `stranger_label` tells them apart."""
    count = len(features.strangers)
    return FeatureSet(
        matrix=np.concatenate([features.matrix, features.strangers]),
        labels=np.r_[features.labels, len(features.names) + np.arange(count, dtype=np.int32)],
        names=features.names + [f"{STRANGERS}/{number}" for number in range(1, count + 1)],
        extractor=features.extractor,
        images=[*features.images, *[""] * count],
    )


def stranger_label(names: list[str]) -> int:
    """The label from which on `with_strangers` gives them to strangers."""
    return sum(not name.startswith(f"{STRANGERS}/") for name in names)


def draw_pairs(
    labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator, strangers_from: int | None = None
) -> Pairs:
    """Pairs of the people of some rows, in which everybody counts the same however many photos there are.

    labels: int (N,), of the whole matrix; rows: int (n,). strangers_from: the label from which on they are strangers',
    two of whom make no pair, since they may be one person. Same: all pairs of a person, MOST_SAME_PAIRS at most,
    share a weight of 1. Different: all, where those of the same two people share a weight of 1; or, where they
    are more than MOST_DIFFERENT_PAIRS, so many random ones: two people, then a photo of each. The people are
    spread over FOLDS; a pair of two folds belongs to none.
    """
    people, own = np.unique(np.asarray(labels)[rows], return_inverse=True)
    same = _draw_same(own, rng)
    different = _draw_different(own, rng)
    drawn = len(different) == MOST_DIFFERENT_PAIRS  # people first: drawn so, each counts the same already
    if strangers_from is not None:
        different = different[(people[own[different]] < strangers_from).any(axis=1)]
    index = np.concatenate([same, different])
    who = np.sort(own[index], axis=1)
    is_same = who[:, 0] == who[:, 1]
    _, which, counts = np.unique(who @ [len(people), 1], return_inverse=True, return_counts=True)
    fold_of = _spread(np.bincount(own, minlength=len(people)), rng)
    folds = fold_of[own[index]]
    return Pairs(
        rows=rows[index].astype(np.int32),
        people=people[own[index]].astype(np.int32),
        same=is_same,
        weights=np.where(is_same | (not drawn), 1 / counts[which], 1.0),
        folds=np.where(folds[:, 0] == folds[:, 1], folds[:, 0], -1),
    )


def _draw_same(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All pairs of one person, int (p, 2), or MOST_SAME_PAIRS random ones of whoever has more."""
    pairs = rng.permutation(positive_pairs(own))
    order = np.argsort(own[pairs[:, 0]], kind="stable")
    person = own[pairs[order, 0]]
    rank = np.arange(len(person)) - np.searchsorted(person, person)
    return pairs[order[rank < MOST_SAME_PAIRS]]


def _draw_different(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All pairs of two people, int (q, 2), or MOST_DIFFERENT_PAIRS random ones, people first, where there are more."""
    counts = np.bincount(own)
    if len(counts) < 2:
        return np.empty((0, 2), np.int32)
    if (len(own) ** 2 - int((counts.astype(np.int64) ** 2).sum())) // 2 < MOST_DIFFERENT_PAIRS:
        return all_negative_pairs(own, MOST_DIFFERENT_PAIRS, rng)
    first = rng.integers(0, len(counts), MOST_DIFFERENT_PAIRS)
    second = (first + rng.integers(1, len(counts), MOST_DIFFERENT_PAIRS)) % len(counts)
    people = np.stack([first, second], axis=1)
    by_person = np.argsort(own, kind="stable")
    starts = np.cumsum(counts) - counts
    return by_person[starts[people] + (rng.random(people.shape) * counts[people]).astype(int)]


def _spread(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold for each person, int32 (p,), with those of several photos in equal parts; −1 with too few for two folds.

    counts: int (p,), their photos.
    """
    several = int((counts > 1).sum())
    number = min(FOLDS, several, len(counts) // 2)
    folds = np.full(len(counts), -1, np.int32)
    if number >= 2:
        order = np.lexsort([rng.random(len(counts)), counts < 2])
        folds[order] = np.arange(len(counts)) % number
    return folds


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


def has_both_kinds(same: np.ndarray) -> bool:
    """Whether pairs, bool (n,), are of the same person and of different people."""
    return bool(same.any() and not same.all())


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
class Judged:
    """What a head and plain distances make of n pairs.

    scores: scorer → float32 (n,), higher for more alike; the HEAD's are probabilities. thresholds: scorer → fold →
    the threshold of the fold's accuracy. own_thresholds: float64 (n,), that the head carries.
    """

    scores: dict[str, np.ndarray]
    thresholds: dict[str, dict[int, float]]
    own_thresholds: np.ndarray


def judge_pairs(features: FeatureSet, pairs: Pairs, head: Head) -> Judged:
    """Let one head judge the pairs. The threshold of a fold's accuracy comes from the other folds, for it too."""
    scores = {HEAD: score_rows(head, features.matrix, pairs.rows), **plain_scores(features.matrix, pairs.rows)}
    thresholds = {name: thresholds_of_other_folds(score, pairs) for name, score in scores.items()}
    return Judged(scores, thresholds, np.full(len(pairs), head.threshold))


def cross_validate(
    features: FeatureSet, pairs: Pairs, fit: Callable[[np.ndarray], tuple[Head, np.ndarray]], rng: np.random.Generator
) -> Judged:
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
    return Judged(
        {HEAD: scores, **plain},
        {HEAD: thresholds, **{name: thresholds_of_other_folds(score, pairs) for name, score in plain.items()}},
        own,
    )


def rows_without(labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The rows, int (n,), of everybody but these people."""
    return np.flatnonzero(~np.isin(labels, people))


def accuracy_threshold(head: Head, features: FeatureSet, held: np.ndarray, rng: np.random.Generator) -> float:
    """The threshold of the best accuracy on pairs of held-out rows; the head's own where these make no pairs."""
    pairs = draw_pairs(features.labels, held, rng) if len(held) else None
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
