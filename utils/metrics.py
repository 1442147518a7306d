"""Figures of verification: how well scores tell same from different people.

A score is higher the more alike two faces are. A pair has a weight, which says how much it counts among its
kind, same or different; the two kinds count the same, whatever their numbers.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

CALIBRATION_BINS = 15


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


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic: far, tar, float64 (k,), both rising, and thresholds, float64 (k,), falling.

    Accepted is what reaches the threshold.
    """

    far: np.ndarray
    tar: np.ndarray
    thresholds: np.ndarray

    @property
    def auc(self) -> float:
        """The area under the curve, 0-1."""
        return float(np.trapezoid(self.tar, self.far))

    @property
    def eer(self) -> float:
        """Where false accept and false reject rate are equal, interpolated, 0-1."""
        return float(np.interp(0, (1 - self.tar - self.far)[::-1], self.far[::-1]))

    def tar_at(self, far: float) -> float:
        """The true accept rate of the lowest threshold with at most this false accept rate, 0-1."""
        # The sums of many weights end a rounding error apart.
        return float(self.tar[np.searchsorted(self.far, far + 1e-9, side="right") - 1])


def roc(scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> Roc:
    """The curve of scores (n,) and truth, bool (n,). Raises ValueError unless there are both kinds."""
    from sklearn.metrics import roc_curve

    if same.all() or not same.any():
        raise ValueError("a ROC needs pairs of the same and of different people. Received: one kind")
    return Roc(*roc_curve(same, scores, sample_weight=weights, drop_intermediate=False))


def balanced_accuracy(scores: np.ndarray, same: np.ndarray, threshold: float, weights: np.ndarray) -> float:
    """The mean of the shares of same pairs above, and of different pairs not above, a threshold."""
    right = (scores > threshold) == same
    return float(np.mean([np.average(right[kind], weights=weights[kind]) for kind in (same, ~same)]))


def best_threshold(scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The threshold of the highest balanced accuracy: half way between the two scores that it parts."""
    curve = roc(scores, same, weights)
    best = int(np.argmax(curve.tar - curve.far))
    below = curve.thresholds[min(best + 1, len(curve.thresholds) - 1)]
    above = curve.thresholds[best] if np.isfinite(curve.thresholds[best]) else below
    return float((above + below) / 2)


def calibration_bins(
    probabilities: np.ndarray, same: np.ndarray, weights: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For bins of equal width: mean probability, share of same pairs, and share of all weight, float64 (bins,) each.

    Same and different pairs weigh the same together, which is the prior of ½ that such a probability supposes.
    An empty bin has NaN, NaN and 0.
    """
    balanced = np.where(same, weights / weights[same].sum(), weights / weights[~same].sum()) / 2
    which = np.clip((probabilities * bins).astype(int), 0, bins - 1)
    mass, predicted, true = (np.bincount(which, balanced * part, minlength=bins) for part in (1.0, probabilities, same))
    with np.errstate(invalid="ignore"):
        return predicted / mass, true / mass, mass


def calibration_error(probabilities: np.ndarray, same: np.ndarray, weights: np.ndarray) -> float:
    """The expected calibration error, 0-1: how far, on average, a probability is from the share of same pairs.

    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).
    """
    predicted, true, mass = calibration_bins(probabilities, same, weights)
    return float(np.nansum(np.abs(predicted - true) * mass))


def resampled_rocs(
    scores: np.ndarray, same: np.ndarray, weights: np.ndarray, multiplicities: Iterator[np.ndarray]
) -> Iterator[Roc]:
    """The curve of each resampling of the people: the same scores with other weights, sorted only once.

    multiplicities: for each resampling, how many times it drew each pair, (n,).
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]  # of pairs with one score
    thresholds = np.r_[np.inf, scores[order][ends]]
    same, weights = same[order], weights[order]
    for drawn in multiplicities:
        drawn = drawn[order] * weights
        far, tar = (np.r_[0, np.cumsum(np.where(kind, drawn, 0))[ends]] for kind in (~same, same))
        if far[-1] and tar[-1]:
            yield Roc(far / far[-1], tar / tar[-1], thresholds)


def people_multiplicities(people: np.ndarray, replicates: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each pair is drawn when people are, with replacement: the bootstrap over people.

    people: int (n, 2), who is in each pair. Pairs of one person are not independent observations, people nearly
    are; a pair of two people is drawn as often as the product says, one of the same person as often as the person.
    """
    names, index = np.unique(people, return_inverse=True)
    index = index.reshape(people.shape)
    same = index[:, 0] == index[:, 1]
    for _ in range(replicates):
        drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        yield np.where(same, drawn[index[:, 0]], drawn[index[:, 0]] * drawn[index[:, 1]])


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrap replicates; (nan, nan) of none."""
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def pairs_of_people(people: int) -> int:
    """How many pairs of different people there are among so many."""
    return people * (people - 1) // 2
