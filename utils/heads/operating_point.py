"""Calibrate a head on held-out people, choose its threshold and measure it."""

from typing import TYPE_CHECKING

import numpy as np

from utils.heads.calibration import ScoredPairs, cross_fitted_error, expected_calibration_error, fit_platt
from utils.heads.head import MAX_VALUES, Head
from utils.heads.keras_similarity import similarity_of
from utils.heads.models import rescale_logit
from utils.heads.pairs import STRANGER_LABEL, Features, all_negative_pairs, all_positive_pairs, capped_rows
from utils.heads.threshold import (
    RECIPE_MIN_VOTES,
    RECIPE_THRESHOLD,
    Tail,
    bootstrap_operating_point,
    choose_threshold,
    thresholds_by_rate,
)
from utils.metrics import VerificationFigures, pairs_of_people, verification_figures

if TYPE_CHECKING:
    import keras

MIN_PEOPLE_TO_CALIBRATE = 20  # held out; fewer do not show how far the probabilities can be trusted
MAX_HELD_PAIRS = 500_000  # of each kind, to calibrate and measure on; more only take time
MAX_HELD_PHOTOS = 10  # of one held-out person
# With more pairs of different people than MANY_PAIRS, which is more than LFW has, the thresholds of the lowest rates
# come from all pairs of TAIL_ROWS random faces: a rate of 1e-6 is 50 of them, and half a pair of MAX_HELD_PAIRS.
MANY_PAIRS, TAIL_ROWS = 100_000_000, 10_000
TAIL_SHARE = 0.002  # of these pairs, whose scores are kept
TAIL_BLOCK = 256  # faces that are compared with all others at once; limits memory


def choose_operating_point(
    similarity: "keras.Model",
    matrix: Features,
    labels: np.ndarray,
    held: np.ndarray,
    target_far: float,
    rng: np.random.Generator,
) -> tuple[dict, VerificationFigures | None]:
    """Calibrate a head in place, choose its decision rule, and describe both for `similarity.json`.

    Without held-out people the rule is the original recipe's, with its vote, and there are no figures.

    Args:
        similarity: the head's Keras model.
        matrix, labels: features (n, D) and people (n,), STRANGER_LABEL for strangers.
        held, target_far: the held-out rows, int (h,), and the false accept rate to choose the threshold for.
    """
    if not len(held):
        rule = {"threshold": RECIPE_THRESHOLD, "min_votes": RECIPE_MIN_VOTES, "far": None}
        return {**rule, "held_out": None, "calibration": None}, None
    of_people, of_strangers = held[labels[held] != STRANGER_LABEL], held[labels[held] == STRANGER_LABEL]
    rows = np.r_[of_people[capped_rows(labels[of_people], MAX_HELD_PHOTOS, rng)], of_strangers]
    matrix, labels = matrix[rows], labels[rows]
    pairs = [draw(labels, MAX_HELD_PAIRS, rng) for draw in (all_positive_pairs, all_negative_pairs)]
    people = len(set(labels.tolist()) - {STRANGER_LABEL})
    scored, calibration = score_pairs(Head(similarity_of(similarity), {}), matrix, labels, *pairs), None
    if people >= MIN_PEOPLE_TO_CALIBRATE:
        calibration = _calibrate(similarity, scored, rng)
        scored = score_pairs(Head(similarity_of(similarity), {}), matrix, labels, *pairs)
    tail = impostor_tail(Head(similarity_of(similarity), {}), matrix, labels, rng)
    threshold, supported = choose_threshold(scored.different, target_far, pairs_of_people(people), tail)
    distances = _row_distances(matrix, pairs[0]), _row_distances(matrix, pairs[1])
    # If the data does not support the rate, the threshold rejects every impostor and has no interval.
    intervals = bootstrap_operating_point(scored, threshold, target_far, rng) if supported == target_far else {}
    number = tail.pairs if tail else len(pairs[1])
    figures = verification_figures(scored.same, scored.different, distances, threshold, people)
    return {
        "threshold": threshold,
        # Also where the data does not support the rate: a vote on top of a threshold that rejects every held-out
        # impostor would reject most faces of the people, too.
        "min_votes": None,
        "far": supported,
        "thresholds": thresholds_by_rate(scored.different, 1 / min(pairs_of_people(people), number), tail),
        **({"threshold_pairs": number} if tail else {}),
        **intervals,
        "held_out": figures.as_dict(),
        "calibration": calibration,
    }, figures


def _calibrate(similarity: "keras.Model", scored: ScoredPairs, rng: "np.random.Generator") -> dict:
    """Calibrate a head in place on its scores. Returns the errors for `similarity.json`."""
    errors = {
        "error_before": expected_calibration_error(scored.same, scored.different),
        "error_after": cross_fitted_error(scored, rng),
    }
    rescale_logit(similarity, *fit_platt(scored))
    return errors


def impostor_tail(head: Head, matrix: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Tail | None:
    """The highest scores of all pairs of different people among TAIL_ROWS random rows of features (n, D).

    None if all rows make at most MANY_PAIRS pairs. labels: the person of each row, int (n,).
    """
    if len(labels) ** 2 / 2 <= MANY_PAIRS:
        return None
    rows = rng.permutation(len(labels))[:TAIL_ROWS]
    labels, projected = labels[rows], head.project(matrix[rows])
    wanted, highest, pairs = int(TAIL_SHARE * len(rows) ** 2 / 2), np.empty(0, np.float32), 0
    for start in range(0, len(rows), TAIL_BLOCK):
        block = slice(start, start + TAIL_BLOCK)
        scores = head.score_projected(projected[block], projected[start:])
        different = np.triu(labels[block, None] != labels[start:], k=1)  # each pair once
        pairs += int(different.sum())
        highest = np.concatenate([highest, scores[different]])
        highest = np.partition(highest, -wanted)[-wanted:] if len(highest) > wanted else highest
    return Tail(np.sort(highest)[::-1], pairs)


def score_pairs(
    head: Head, matrix: np.ndarray, labels: np.ndarray, same: np.ndarray, different: np.ndarray
) -> ScoredPairs:
    """Score pairs of rows, int (p, 2) and (q, 2), of features (n, D) whose people are `labels` (n,)."""
    same_scores, different_scores = (head.score_rows(matrix, pairs) for pairs in (same, different))
    people = labels[different]
    # The bootstrap takes each stranger for a person of their own, though two of them may be the same one.
    people = np.where(people == STRANGER_LABEL, labels.max() + 1 + different, people)
    return ScoredPairs(same_scores, different_scores, labels[same[:, 0]], people)


def _row_distances(matrix: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    parts = np.array_split(pairs, max(1, pairs.size * matrix.shape[1] // MAX_VALUES))
    return np.concatenate([np.linalg.norm(matrix[p[:, 0]] - matrix[p[:, 1]], axis=1) for p in parts])
