"""Figures of verification: how well scores tell same from different people."""

from dataclasses import asdict, dataclass

import numpy as np

THRESHOLD_FLOOR = 0.5  # below even odds a pair is not "the same person", however few impostors score so
# The original recipe's rule, used where the data cannot support a choice.
RECIPE_THRESHOLD = 0.8
RECIPE_MIN_VOTES = 0.85


@dataclass(frozen=True)
class VerificationFigures:
    """Figures on held-out pairs. Rates are shares, 0-1; a FAR or TAR belongs to `threshold`."""

    people: int
    person_pairs: int
    same_pairs: int
    different_pairs: int
    auc: float
    eer: float
    accuracy: float
    far: float
    tar: float
    euclidean_auc: float

    def as_dict(self) -> dict:
        return asdict(self)


def pairs_of_people(people: int) -> int:
    """How many pairs of different people there are among so many."""
    return people * (people - 1) // 2


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


def verification_figures(
    same: np.ndarray,
    different: np.ndarray,
    distances: tuple[np.ndarray, np.ndarray],
    threshold: float,
    people: int,
) -> VerificationFigures:
    """Figures of scores (p,) of same-person pairs and (q,) of different-person pairs.

    distances: Euclidean distances of the same two sets, for comparison. EER: where false accept and
    false reject rate are equal, interpolated on the ROC.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    truth = np.r_[np.ones(len(same)), np.zeros(len(different))]
    scores = np.r_[same, different]
    far, tar, _ = roc_curve(truth, scores)
    far_at_threshold, tar_at_threshold = (float((part > threshold).mean()) for part in (different, same))
    return VerificationFigures(
        people=people,
        person_pairs=pairs_of_people(people),
        same_pairs=len(same),
        different_pairs=len(different),
        auc=float(roc_auc_score(truth, scores)),
        eer=float(np.interp(0, (1 - tar - far)[::-1], far[::-1])),
        accuracy=(tar_at_threshold + 1 - far_at_threshold) / 2,  # balanced: both kinds count the same
        far=far_at_threshold,
        tar=tar_at_threshold,
        euclidean_auc=float(roc_auc_score(truth, -np.r_[distances])),
    )
