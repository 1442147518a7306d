"""Choose a head's threshold for a false accept rate, and say how far the data supports it."""

import numpy as np

from utils.cli import InputError
from utils.heads.calibration import ScoredPairs
from utils.log_odds import MAX_THRESHOLD_LOG_ODDS, logits

THRESHOLD_FLOOR = 0.5  # below even odds a pair is not "the same person", however few impostors score so
# The original recipe's rule, used where the data cannot support a choice.
RECIPE_THRESHOLD = 0.8
RECIPE_MIN_VOTES = 0.85

BOOTSTRAPS = 200
RATES = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)  # whose thresholds a head carries

MAX_STRANGERS_NAMED = 0.01  # share of strangers' faces that get anybody's name, however many people are enrolled


def choose_threshold(different_scores: np.ndarray, target_far: float, person_pairs: int) -> tuple[float, float]:
    """The threshold for a target false accept rate, and the FAR that the data supports.

    different_scores: of impostor pairs (q,), from `person_pairs` pairs of people. A score above the
    threshold accepts. Many photos of the same two people are hardly more than one observation, so
    that n pairs of people support no FAR below 1 / n; with fewer than the target needs, the threshold
    clears every impostor and is no lower than the original recipe's. Raises ValueError for no scores.
    """
    if len(different_scores) == 0:
        raise ValueError("a threshold needs impostor scores. Received: none")
    ordered = np.sort(np.asarray(different_scores, float))[::-1]
    supported = max(target_far, 1 / person_pairs)
    if supported > target_far:
        return max(RECIPE_THRESHOLD, float(ordered[0])), supported
    accepted = min(int(target_far * len(ordered)), len(ordered) - 1)  # impostors that may pass
    return max(THRESHOLD_FLOOR, float(ordered[accepted])), supported


def thresholds_by_rate(different: np.ndarray, lowest: float) -> list[list[float]]:
    """[false accept rate, threshold] of impostor scores (q,), from the highest of RATES down to `lowest`."""
    rates = [rate for rate in RATES if rate > lowest] + [lowest]
    ordered = np.sort(different)[::-1]
    return [[rate, float(ordered[min(int(rate * len(ordered)), len(ordered) - 1)])] for rate in rates]


def bootstrap_operating_point(
    pairs: ScoredPairs, threshold: float, target_far: float, rng: np.random.Generator
) -> dict[str, list[float]]:
    """95 % confidence intervals over people: of the threshold for `target_far`, and of the FAR at `threshold`.

    People are drawn with replacement, a pair counts as often as both its people were drawn: pairs that
    share a person are not independent, and drawn one by one they would look surer than they are.
    """
    order = np.argsort(pairs.different)[::-1]
    scores = pairs.different[order]
    people, index = np.unique(pairs.different_people[order], return_inverse=True)
    first, second = index.reshape(-1, 2).T
    thresholds, rates = [], []
    for _ in range(BOOTSTRAPS):
        drawn = np.bincount(rng.integers(0, len(people), len(people)), minlength=len(people))
        weight = np.cumsum(drawn[first] * drawn[second])
        if not weight[-1]:  # all draws were one person
            continue
        # The highest score that may not pass, as in `choose_threshold`.
        place = min(int(np.searchsorted(weight, target_far * weight[-1], side="right")), len(scores) - 1)
        thresholds.append(max(THRESHOLD_FLOOR, scores[place]))
        accepted = int((scores > threshold).sum())
        rates.append(weight[accepted - 1] / weight[-1] if accepted else 0.0)
    if not thresholds:
        return {}
    interval = (2.5, 97.5)
    return {
        "threshold_interval": [float(value) for value in np.percentile(thresholds, interval)],
        "far_interval": [float(value) for value in np.percentile(rates, interval)],
    }


def _log_odds_for(far: float, table: list[tuple[float, float]]) -> float:
    """The log odds of the threshold for a false accept rate, from [rate, threshold] in the order of rising rates."""
    fars, thresholds = np.array(table).T
    lowest, decade_up, wanted = np.interp(np.log([fars[0], 10 * fars[0], far]), np.log(fars), logits(thresholds))
    if far >= fars[0]:
        return float(wanted)
    beyond = (lowest - decade_up) * np.log(fars[0] / far) / np.log(10)
    return float(max(lowest, min(lowest + beyond, MAX_THRESHOLD_LOG_ODDS)))


def _share(description: dict, key: str, default: float) -> float:
    value = description.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"the head's {key} must be a number between 0 and 1. Received: {value!r}")
    return float(value)


def _threshold_table(table) -> list[tuple[float, float]]:
    """[false accept rate, threshold] rows in the order of rising rates. Raises InputError for anything else."""
    rows = table if isinstance(table, list) else [table]
    if not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise InputError(f"the head's thresholds must be a list of [rate, threshold]. Received: {table!r}")
    rows = sorted((_share({"rate": far}, "rate", 0), _share({"threshold": t}, "threshold", 0)) for far, t in rows)
    return [(max(far, 1e-12), threshold) for far, threshold in rows]
