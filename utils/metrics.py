"""Verification metrics: ROC, equal error rate, calibration error, and the bootstrap over people.

A higher score means more alike. Pairs have weights, and same-person and different-person pairs each weigh the
same in total, however many there are of each.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

CALIBRATION_BINS = 15
MAX_DRAWS = 1 << 22  # of people in all resamplings that are computed at once; limits memory


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


def resampled_rocs(
    scores: np.ndarray, same: np.ndarray, weights: np.ndarray, multiplicities: Iterator[np.ndarray]
) -> Iterator[Roc]:
    """The curve of each resampling of the people: the same scores, sorted once, with other weights.

    multiplicities: for each resampling, how often each pair was drawn, (n,).
    """
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    thresholds = np.r_[np.inf, scores[order][last_of_score]]
    same, weights = same[order], weights[order]
    for drawn in multiplicities:
        drawn = drawn[order] * weights
        far, tar = (np.r_[0, np.cumsum(np.where(kind, drawn, 0))[last_of_score]] for kind in (~same, same))
        if far[-1] and tar[-1]:
            yield Roc(far / far[-1], tar / tar[-1], thresholds)


def people_multiplicities(people: np.ndarray, replicates: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Bootstrap over people: for each resampling, how often each pair is drawn, int (n,).

    People are nearly independent observations, pairs that share a person are not. So people are drawn, and a pair of
    two people counts as often as the product of their draws, a pair of the same person as often as that person.

    people: int (n, 2), the two people of each pair.
    """
    labels, index = np.unique(people, return_inverse=True)
    first, second = index.reshape(people.shape).T
    for _ in range(replicates):
        drawn = np.bincount(rng.integers(0, len(labels), len(labels)), minlength=len(labels))
        yield np.where(first == second, drawn[first], drawn[first] * drawn[second])


def resampled_shares(
    accepted: list[np.ndarray],
    kind: np.ndarray,
    people: np.ndarray,
    weights: np.ndarray,
    replicates: int,
    rng: np.random.Generator,
) -> list[list[float]]:
    """Bootstrap over people, as `people_multiplicities` defines it: the share of accepted pairs, by weight.

    Quadratic forms of the draws and a sparse table of people, so that a million pairs take a second or two.

    Args:
        accepted: bool (n,) each, for several thresholds.
        kind: bool (n,), the pairs to count; one kind of pairs, as a rule.
        people: int (n, 2), the two people of each pair, numbers from 0 on.
        weights: float (n,).
        replicates: resamplings.
        rng: random generator.

    Returns, for each of `accepted`, a share for each resampling that has pairs of this kind.
    """
    present = np.bincount(people.ravel()) > 0
    index, count = (np.cumsum(present) - 1)[people], int(present.sum())
    block = max(1, MAX_DRAWS // count)
    shares: list[list[float]] = [[] for _ in accepted]
    for start in range(0, replicates, block):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(block, replicates - start)).astype(float)
        total = _drawn_weight(index[kind], weights[kind], drawn)
        for values, mask in zip(shares, accepted, strict=True):
            part = _drawn_weight(index[mask & kind], weights[mask & kind], drawn)
            values += (part[total > 0] / total[total > 0]).tolist()
    return shares


def _drawn_weight(people: np.ndarray, weights: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The total weight of the pairs in each resampling, float64 (r,).

    people: int (n, 2), columns of `drawn`, float (r, p), which says how often each person was drawn.
    """
    from scipy.sparse import coo_array  # scipy comes with scikit-learn

    first, second = people.T
    same, count = first == second, drawn.shape[1]
    once = drawn @ np.bincount(first[same], weights[same], minlength=count)
    table = coo_array((weights[~same], (first[~same], second[~same])), shape=(count, count)).tocsr()
    return once + np.einsum("rp,pr->r", drawn, table @ drawn.T)


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrap replicates; (nan, nan) if there are none."""
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def pairs_of_people(people: int) -> int:
    """How many pairs of different people there are among `people`."""
    return people * (people - 1) // 2
