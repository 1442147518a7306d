"""Verification metrics: ROC, equal error rate, calibration error.

A higher score means more alike. Pairs have weights, and same-person and different-person pairs each weigh the
same in total, however many there are of each.
"""

from dataclasses import asdict, dataclass

import numpy as np

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class VerificationFigures:
    """Figures on held-out pairs; all rates are 0-1."""

    people: int
    person_pairs: int  # pairs of different people
    same_pairs: int
    different_pairs: int
    auc: float
    eer: float
    accuracy: float  # at the threshold; both kinds of pairs count the same
    far: float  # false accept rate at the threshold
    tar: float  # true accept rate at the threshold
    euclidean_auc: float  # of the plain Euclidean distance, for comparison

    def as_dict(self) -> dict:
        return asdict(self)


def verification_figures(
    same: np.ndarray,
    different: np.ndarray,
    distances: tuple[np.ndarray, np.ndarray],
    threshold: float,
    people: int,
) -> VerificationFigures:
    """Measure scores on pairs.

    Args:
        same, different: scores of same-person pairs (p,) and of different-person pairs (q,).
        distances: Euclidean distances of the same pairs, (p,) and (q,).
        threshold: a score above it accepts.
        people: how many people the pairs are of.
    """
    truth = np.arange(len(same) + len(different)) < len(same)
    curve = roc(np.r_[same, different], truth, corners_only=True)
    far, tar = (float((scores > threshold).mean()) for scores in (different, same))
    return VerificationFigures(
        people=people,
        person_pairs=pairs_of_people(people),
        same_pairs=len(same),
        different_pairs=len(different),
        auc=curve.auc,
        eer=curve.eer,
        accuracy=(tar + 1 - far) / 2,
        far=far,
        tar=tar,
        euclidean_auc=roc(-np.r_[distances], truth, corners_only=True).auc,
    )


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic. A score that reaches the threshold is accepted."""

    far: np.ndarray  # false accept rates, float64 (k,), rising
    tar: np.ndarray  # true accept rates, float64 (k,), rising
    thresholds: np.ndarray  # float64 (k,), falling

    @property
    def auc(self) -> float:
        """The area under the curve, 0-1."""
        return float(np.trapezoid(self.tar, self.far))

    @property
    def eer(self) -> float:
        """The equal error rate, 0-1: where false accept and false reject rate meet, interpolated."""
        return float(np.interp(0, (1 - self.tar - self.far)[::-1], self.far[::-1]))

    def tar_at(self, far: float) -> float:
        """The true accept rate of the lowest threshold with at most this false accept rate, 0-1."""
        # Sums of many weights differ by a rounding error.
        return float(self.tar[np.searchsorted(self.far, far + 1e-9, side="right") - 1])


def roc(scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None, corners_only: bool = False) -> Roc:
    """The curve of scores (n,) and truth, bool (n,). Raises ValueError unless there are both kinds of pairs.

    corners_only: leave out points on a straight line between two others.
    """
    from sklearn.metrics import roc_curve

    if same.all() or not same.any():
        raise ValueError("a ROC needs pairs of the same person and of different people. Received: one kind")
    return Roc(*roc_curve(same, scores, sample_weight=weights, drop_intermediate=corners_only))


def balanced_accuracy(scores: np.ndarray, same: np.ndarray, threshold: float, weights: np.ndarray) -> float:
    """The mean of two shares: same pairs above a threshold, and different pairs not above it."""
    correct = (scores > threshold) == same
    return float(np.mean([np.average(correct[kind], weights=weights[kind]) for kind in (same, ~same)]))


def best_threshold(scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold with the highest balanced accuracy: halfway between the two scores it separates."""
    curve = roc(scores, same, weights)
    best = int(np.argmax(curve.tar - curve.far))
    below = curve.thresholds[min(best + 1, len(curve.thresholds) - 1)]
    above = curve.thresholds[best] if np.isfinite(curve.thresholds[best]) else below
    return float((above + below) / 2)


def threshold_for_far(scores: np.ndarray, weights: np.ndarray, far: float) -> float:
    """The lowest threshold above which at most a share `far` of different-person pairs scores, by weight.

    scores, weights: float (q,), of the pairs; a score above the threshold accepts.
    """
    order = np.argsort(-scores, kind="stable")
    falling, total = scores[order], np.cumsum(weights[order], dtype=np.float64)
    last_of_score = np.r_[np.flatnonzero(np.diff(falling)), len(falling) - 1]
    above = np.r_[0.0, total[last_of_score[:-1]]]  # the weight above each distinct score
    # Sums of many weights differ by a rounding error.
    chosen = np.searchsorted(above, (far + 1e-9) * total[-1], side="right") - 1
    return float(falling[last_of_score[chosen]])


def calibration_bins(
    probabilities: np.ndarray, same: np.ndarray, weights: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability, share of same pairs and share of the total weight in bins of equal width, float64 (bins,) each.

    Same and different pairs each have half of the weight, since the probabilities assume even odds.
    An empty bin has NaN, NaN and 0.
    """
    balanced = np.where(same, weights / weights[same].sum(), weights / weights[~same].sum()) / 2
    bin_of = np.clip((probabilities * bins).astype(int), 0, bins - 1)
    mass, predicted, true = (
        np.bincount(bin_of, balanced * part, minlength=bins) for part in (1.0, probabilities, same)
    )
    with np.errstate(invalid="ignore"):
        return predicted / mass, true / mass, mass


def calibration_error(probabilities: np.ndarray, same: np.ndarray, weights: np.ndarray) -> float:
    """The expected calibration error, 0-1: the mean distance of the probabilities from the share of same pairs.

    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).
    """
    predicted, true, mass = calibration_bins(probabilities, same, weights)
    return float(np.nansum(np.abs(predicted - true) * mass))


def pairs_of_people(people: int) -> int:
    """How many pairs of different people there are among `people`."""
    return people * (people - 1) // 2
