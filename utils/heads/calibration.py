"""Calibrate a head: turn its scores into probabilities, on people it was not trained on."""

from dataclasses import dataclass

import numpy as np

from utils.log_odds import calibrated, logits, sigmoid
from utils.metrics import calibration_error


@dataclass(frozen=True)
class ScoredPairs:
    """Held-out pairs and a head's probabilities of "same person" for them."""

    same: np.ndarray  # probabilities of same-person pairs, (p,)
    different: np.ndarray  # probabilities of different-person pairs, (q,)
    same_people: np.ndarray  # int (p,), the person of each same-person pair
    different_people: np.ndarray  # int (q, 2), the two people of each different-person pair

    @property
    def people(self) -> np.ndarray:
        return np.unique(np.r_[self.same_people, self.different_people.ravel()])

    def among(self, people: np.ndarray) -> "ScoredPairs":
        """The pairs that show only these people."""
        same = np.isin(self.same_people, people)
        different = np.isin(self.different_people, people).all(axis=1)
        return ScoredPairs(
            self.same[same], self.different[different], self.same_people[same], self.different_people[different]
        )


def fit_platt(pairs: ScoredPairs) -> tuple[float, float]:
    """Scale > 0 and offset for the logits of held-out pairs: see `fit_logistic`."""
    return fit_logistic(logits(pairs.same), logits(pairs.different))


def fit_logistic(same: np.ndarray, different: np.ndarray) -> tuple[float, float]:
    """Fit scale > 0 and offset, so that scale · score + offset is a logit calibrated at even odds.

    Platt, "Probabilistic Outputs for Support Vector Machines" (1999), by Newton's method. His targets, which stay
    short of 0 and 1, keep the scale finite when the scores do not overlap. Both kinds of pairs have the same total
    weight.

    same, different: scores (p,) and (q,); a higher score means more likely the same person.
    """
    x = np.r_[same, different].astype(np.float64)
    p, q = len(same), len(different)
    target = np.r_[np.full(p, (p + 1) / (p + 2)), np.full(q, 1 / (q + 2))]
    weight = np.r_[np.full(p, 0.5 / p), np.full(q, 0.5 / q)]
    center, spread = weight @ x, max(float(np.sqrt(weight @ (x - weight @ x) ** 2)), 1e-9)
    design = np.stack([(x - center) / spread, np.ones_like(x)], axis=1)
    theta = np.array([1.0, 0.0])
    for _ in range(100):
        probability = sigmoid(design @ theta)
        gradient = design.T @ (weight * (probability - target))
        hessian = (design * (weight * probability * (1 - probability))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta -= step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-8:
            break
    # The scale stays positive: calibration must not reverse the order of scores, even if they are worse than chance.
    scale = max(float(theta[0]), 1e-3) / spread
    return scale, float(theta[1]) - scale * center


def expected_calibration_error(same: np.ndarray, different: np.ndarray) -> float:
    """The calibration error of probabilities of same pairs (p,) and different pairs (q,).

    Both kinds of pairs have the same total weight, as in `fit_platt`; see utils.metrics.calibration_error.
    """
    scores = np.r_[same, different]
    return calibration_error(scores, np.arange(len(scores)) < len(same), np.ones(len(scores)))


def cross_fitted_error(pairs: ScoredPairs, rng: "np.random.Generator") -> float | None:
    """The expected calibration error after calibration, on people that the calibration was not fitted on.

    Fitted on one random half of the people and measured on the other, and the other way round. None if a half lacks
    pairs of either kind.
    """
    people = rng.permutation(pairs.people)
    halves = [pairs.among(half) for half in np.array_split(people, 2)]
    if not all(len(half.same) and len(half.different) for half in halves):
        return None
    errors = []
    for fitted, measured in (halves, halves[::-1]):
        scale, offset = fit_platt(fitted)
        after = (calibrated(scores, scale, offset) for scores in (measured.same, measured.different))
        errors.append(expected_calibration_error(*after))
    return float(np.mean(errors))
