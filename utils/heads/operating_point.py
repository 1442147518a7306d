"""What is done with the people whom a head did not see: they calibrate it, choose its threshold, and measure it."""

import numpy as np

from utils.heads.calibration import ScoredPairs, cross_fitted_error, expected_calibration_error, fit_platt
from utils.heads.head import MAX_VALUES, Head
from utils.heads.models import rescale_logit
from utils.heads.pairs import STRANGER_LABEL, all_negative_pairs, capped_rows, positive_pairs
from utils.heads.threshold import (
    RECIPE_MIN_VOTES,
    RECIPE_THRESHOLD,
    bootstrap_operating_point,
    choose_threshold,
    thresholds_by_rate,
)
from utils.metrics import VerificationFigures, pairs_of_people, verification_figures

MIN_PEOPLE_TO_CALIBRATE = 20  # held out; fewer say too little about how sure the head is
MAX_HELD_PAIRS = 500_000  # of different people, that choose the threshold; more would only take time
MAX_HELD_PHOTOS = 10  # of a held-out person


def choose_operating_point(
    similarity, matrix: np.ndarray, labels: np.ndarray, held: np.ndarray, target_far: float, rng: np.random.Generator
) -> tuple[dict, VerificationFigures | None]:
    """Calibrate a head in place, choose its rule, and describe both for `similarity.json`.

    held: rows, int (h,), of features (n, D) and labels (n,), STRANGER_LABEL for strangers. The figures are None, and
    the rule is the original recipe's, where nobody is held out.
    """
    if not len(held):
        rule = {"threshold": RECIPE_THRESHOLD, "min_votes": RECIPE_MIN_VOTES, "far": None}
        return {**rule, "held_out": None, "calibration": None}, None
    kept = held[labels[held] != STRANGER_LABEL]
    kept = np.r_[kept[capped_rows(labels[kept], MAX_HELD_PHOTOS, rng)], held[labels[held] == STRANGER_LABEL]]
    matrix, labels = matrix[kept], labels[kept]
    pairs = positive_pairs(labels), all_negative_pairs(labels, MAX_HELD_PAIRS, rng)
    scored = score_pairs(Head(similarity, {}), matrix, labels, *pairs)
    people = len(set(labels.tolist()) - {STRANGER_LABEL})
    calibration = None
    if people >= MIN_PEOPLE_TO_CALIBRATE:
        calibration = {
            "error_before": expected_calibration_error(scored.same, scored.different),
            "error_after": cross_fitted_error(scored, rng),
        }
        rescale_logit(similarity, *fit_platt(scored))
        scored = score_pairs(Head(similarity, {}), matrix, labels, *pairs)
    threshold, supported = choose_threshold(scored.different, target_far, pairs_of_people(people))
    distances = tuple(_row_distances(matrix, part) for part in pairs)
    # Where the data does not show the rate, the threshold clears everybody and has no interval.
    intervals = bootstrap_operating_point(scored, threshold, target_far, rng) if supported == target_far else {}
    figures = verification_figures(scored.same, scored.different, distances, threshold, people)
    return {
        "threshold": threshold,
        # What the data cannot show needs the stricter vote.
        "min_votes": None if supported == target_far else RECIPE_MIN_VOTES,
        "far": supported,
        "thresholds": thresholds_by_rate(scored.different, max(1 / pairs_of_people(people), 1 / len(pairs[1]))),
        **intervals,
        "held_out": figures.as_dict(),
        "calibration": calibration,
    }, figures


def score_pairs(head: Head, matrix, labels, same: np.ndarray, different: np.ndarray) -> ScoredPairs:
    """A head's probabilities of pairs of rows of a feature matrix, (p, 2) and (q, 2), and whose they are."""
    first, second = (head.score_rows(matrix, pairs) for pairs in (same, different))
    people = labels[different]
    # Strangers are told apart, though nobody knows it: each is a person of its own to the bootstrap.
    people = np.where(people == STRANGER_LABEL, labels.max() + 1 + different, people)
    return ScoredPairs(first, second, labels[same[:, 0]], people)


def _row_distances(matrix: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    parts = np.array_split(pairs, max(1, pairs.size * matrix.shape[1] // MAX_VALUES))
    return np.concatenate([np.linalg.norm(matrix[p[:, 0]] - matrix[p[:, 1]], axis=1) for p in parts])
