"""Probabilities and log odds: one to the other, their mean, and the bounds within which they are believed."""

import numpy as np

MAX_LOG_ODDS = 16.0  # beyond it a float32 probability is 0 or 1

# Beyond these a probability says no more: one look must not outvote all others. The upper one has to leave room
# above the thresholds for many enrolled people, which are near 1 (9 for 1,000).
MIN_OBSERVED_LOG_ODDS, MAX_OBSERVED_LOG_ODDS = -7.0, 12.0

MIN_ODDS = 1e-7  # a probability this close to 0 or 1 is as sure as float32 can say

MAX_THRESHOLD_LOG_ODDS = 11.0  # logits: utils/recognition/naming.py takes none beyond 12 for more than it is


def logits(scores: np.ndarray) -> np.ndarray:
    """Log odds, float64, of probabilities, within ±MAX_LOG_ODDS."""
    p = np.asarray(scores, np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(p) - np.log1p(-p), -MAX_LOG_ODDS, MAX_LOG_ODDS)


def probabilities(log_odds: np.ndarray) -> np.ndarray:
    """The inverse of `logits`, float32."""
    return (1 / (1 + np.exp(-np.asarray(log_odds, np.float64)))).astype(np.float32)


def calibrated(scores: np.ndarray, scale: float, offset: float) -> np.ndarray:
    """Scores, probabilities themselves, after scale · logit + offset."""
    return probabilities(scale * logits(scores) + offset)


def bounded_logits(scores: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, within MIN_OBSERVED_LOG_ODDS and MAX_OBSERVED_LOG_ODDS."""
    return np.clip(logits(scores), MIN_OBSERVED_LOG_ODDS, MAX_OBSERVED_LOG_ODDS)


def mean_log_odds(probabilities: np.ndarray) -> float:
    """The probability whose log odds are the mean of those of some probabilities, of any shape; one stays as it is.

    Pairs of the same two people are far from independent: the sum, which would suppose it, is surer than it may be.
    """
    if probabilities.size == 1:
        return float(probabilities.item())
    clipped = np.clip(probabilities.astype(float), MIN_ODDS, 1 - MIN_ODDS)
    return float(1 / (1 + np.exp(-np.log(clipped / (1 - clipped)).mean())))
