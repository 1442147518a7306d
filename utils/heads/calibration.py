"""Making a score a probability, and choosing the threshold for a false accept rate, on people nobody trained on."""

from dataclasses import dataclass

import numpy as np

from utils.log_odds import calibrated, logits
from utils.metrics import calibration_error


@dataclass(frozen=True)
class ScoredPairs:
    """Held-out pairs and what a head makes of them.

    same, different: probabilities (p,), (q,). same_people: int (p,), the person of each same pair.
    different_people: int (q, 2), the two people of each different pair.
    """

    same: np.ndarray
    different: np.ndarray
    same_people: np.ndarray
    different_people: np.ndarray

    @property
    def people(self) -> np.ndarray:
        return np.unique(np.r_[self.same_people, self.different_people.ravel()])

    def of(self, people: np.ndarray) -> "ScoredPairs":
        """The pairs that are among these people only."""
        same = np.isin(self.same_people, people)
        different = np.isin(self.different_people, people).all(axis=1)
        return ScoredPairs(
            self.same[same], self.different[different], self.same_people[same], self.different_people[different]
        )


def fit_platt(pairs: ScoredPairs) -> tuple[float, float]:
    """Scale > 0 and offset for the logits of held-out pairs: see `fit_logistic`."""
    return fit_logistic(logits(pairs.same), logits(pairs.different))


def fit_logistic(same: np.ndarray, different: np.ndarray) -> tuple[float, float]:
    """Scale > 0 and offset by which scores become logits that are calibrated at even odds.

    same, different: scores (p,) and (q,), the higher the likelier the same person. Both kinds weigh the
    same in sum. Platt, "Probabilistic Outputs for Support Vector Machines" (1999), with his targets short
    of 0 and 1, so that scores without overlap give no infinite scale. Newton's method.
    """
    x = np.r_[same, different].astype(np.float64)
    p, q = len(same), len(different)
    target = np.r_[np.full(p, (p + 1) / (p + 2)), np.full(q, 1 / (q + 2))]
    weight = np.r_[np.full(p, 0.5 / p), np.full(q, 0.5 / q)]
    center, spread = weight @ x, max(float(np.sqrt(weight @ (x - weight @ x) ** 2)), 1e-9)
    design = np.stack([(x - center) / spread, np.ones_like(x)], axis=1)
    theta = np.array([1.0, 0.0])
    for _ in range(100):
        probability = 1 / (1 + np.exp(-design @ theta))
        gradient = design.T @ (weight * (probability - target))
        hessian = (design * (weight * probability * (1 - probability))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta -= step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-8:
            break
    # Scores worse than chance stay so: calibration never turns them round.
    scale = max(float(theta[0]), 1e-3) / spread
    return scale, float(theta[1]) - scale * center


def expected_calibration_error(same: np.ndarray, different: np.ndarray) -> float:
    """How far probabilities, (p,) of same and (q,) of different pairs, are from the share of same pairs, on average.

    Both kinds weigh the same, as in `fit_platt`: see utils.metrics.calibration_error.
    """
    scores = np.r_[same, different]
    return calibration_error(scores, np.arange(len(scores)) < len(same), np.ones(len(scores)))


def cross_fitted_error(pairs: ScoredPairs, rng: np.random.Generator) -> float | None:
    """The expected calibration error after calibration, of people whom the calibration has not seen.

    Calibrated on one half of the people and measured on the other, both ways; None where a half has
    not both kinds of pairs.
    """
    people = rng.permutation(pairs.people)
    halves = [pairs.of(part) for part in np.array_split(people, 2)]
    if not all(len(half.same) and len(half.different) for half in halves):
        return None
    errors = []
    for fitted, measured in (halves, halves[::-1]):
        scale, offset = fit_platt(fitted)
        errors.append(
            expected_calibration_error(
                calibrated(measured.same, scale, offset), calibrated(measured.different, scale, offset)
            )
        )
    return float(np.mean(errors))
