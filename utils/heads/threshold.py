"""Choose a head's threshold for a false accept rate, and say which rate the data supports."""

from dataclasses import dataclass

import numpy as np

from utils.cli import InputError, shown
from utils.heads.calibration import ScoredPairs
from utils.log_odds import MAX_THRESHOLD_LOG_ODDS, logits

MIN_THRESHOLD = 0.5  # below even odds two faces are not "the same person", however low the impostors score
# The original recipe's rule, used where the data does not support a choice.
RECIPE_THRESHOLD = 0.8
RECIPE_MIN_VOTES = 0.85

BOOTSTRAPS = 200
# False accept rates for which a head's file lists thresholds.
RATES = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)


@dataclass(frozen=True)
class Tail:
    """The highest scores of more impostor pairs than there is memory for."""

    scores: np.ndarray  # (k,), falling
    pairs: int  # of all these pairs


def choose_threshold(
    different_scores: np.ndarray, target_far: float, person_pairs: int, tail: Tail | None = None
) -> tuple[float, float]:
    """Choose the threshold for a target false accept rate, and say which FAR the data supports.

    Many photos of the same two people are hardly more than one observation, so n pairs of people support no FAR
    below 1 / n. If that is above the target, the threshold rejects every impostor and is at least the original
    recipe's.

    Args:
        different_scores: scores of impostor pairs (q,); a score above the threshold accepts.
        target_far: the false accept rate to reach, 0-1.
        person_pairs: how many pairs of people the scores are from.
        tail: shows low rates better, if there is one.

    Raises ValueError if there are no scores.
    """
    if len(different_scores) == 0:
        raise ValueError("a threshold needs impostor scores. Received: none")
    descending = np.sort(np.asarray(different_scores, float))[::-1]
    supported = max(target_far, 1 / person_pairs)
    if supported > target_far:
        return max(RECIPE_THRESHOLD, _score_at_rate(descending, 0, tail)), supported
    return max(MIN_THRESHOLD, _score_at_rate(descending, target_far, tail)), supported


def thresholds_by_rate(different: np.ndarray, lowest: float, tail: Tail | None = None) -> list[list[float]]:
    """[false accept rate, threshold] of impostor scores (q,), from the highest of RATES down to `lowest`."""
    rates = [rate for rate in RATES if rate > lowest] + [lowest]
    descending = np.sort(different)[::-1]
    return [[rate, _score_at_rate(descending, rate, tail)] for rate in rates]


def _score_at_rate(descending: np.ndarray, far: float, tail: Tail | None) -> float:
    """The highest impostor score that has to be rejected when a share `far` of them may be accepted."""
    if tail is not None and far * tail.pairs < len(tail.scores):
        return float(tail.scores[int(far * tail.pairs)])
    return float(descending[min(int(far * len(descending)), len(descending) - 1)])


def bootstrap_operating_point(
    pairs: ScoredPairs, threshold: float, target_far: float, rng: "np.random.Generator"
) -> dict[str, list[float]]:
    """95 % confidence intervals over people, of the threshold for `target_far` and of the FAR at `threshold`.

    Empty if no resampling has a pair of different people.
    """
    from utils.bootstrap import resampled_tops, sample_people  # not needed where a head is only used

    order = np.argsort(pairs.different)[::-1]
    scores = pairs.different[order]
    accepted = int((scores > threshold).sum())
    thresholds, rates = [], []
    people, draws = sample_people(pairs.different_people[order], BOOTSTRAPS, rng)
    for weight, total in resampled_tops(people, np.ones(len(scores)), draws, target_far, accepted):
        if not total:  # one person was drawn every time
            continue
        # The highest score that has to be rejected, as in `choose_threshold`.
        rejected = min(int(np.searchsorted(weight, target_far * total, side="right")), len(scores) - 1)
        thresholds.append(max(MIN_THRESHOLD, scores[rejected]))
        rates.append(weight[accepted - 1] / total if accepted else 0.0)
    if not thresholds:
        return {}
    interval = (2.5, 97.5)
    return {
        "threshold_interval": [float(value) for value in np.percentile(thresholds, interval)],
        "far_interval": [float(value) for value in np.percentile(rates, interval)],
    }


def log_odds_for_far(far: float, table: list[tuple[float, float]]) -> float:
    """The log odds of the threshold for a false accept rate.

    Below the lowest rate of the table they go on rising with log(rate) as in the table's last decade.

    table: (rate, threshold) rows with rising rates.
    """
    fars, thresholds = np.array(table).T
    lowest, decade_up, wanted = np.interp(np.log([fars[0], 10 * fars[0], far]), np.log(fars), logits(thresholds))
    if far >= fars[0]:
        return float(wanted)
    beyond = (lowest - decade_up) * np.log(fars[0] / far) / np.log(10)
    return float(max(lowest, min(lowest + beyond, MAX_THRESHOLD_LOG_ODDS)))


def read_share(description: dict, key: str, default: float) -> float:
    """A number between 0 and 1 from a head's description. Raises InputError if it is anything else."""
    value = description.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"the head's {key} must be a number between 0 and 1. Received: {shown(value)}")
    return float(value)


def read_threshold_table(table: object) -> list[tuple[float, float]]:
    """(false accept rate, threshold) rows with rising rates, from a head's description. Raises InputError."""
    rows: list = table if isinstance(table, list) else [table]
    if not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise InputError(f"the head's thresholds must be a list of [rate, threshold]. Received: {shown(table)}")
    rows = sorted(
        (read_share({"rate": far}, "rate", 0), read_share({"threshold": t}, "threshold", 0)) for far, t in rows
    )
    return [(max(far, 1e-12), threshold) for far, threshold in rows]
