"""Probabilities and log odds: how one becomes the other, how they are averaged, and how far they can be trusted."""

import numpy as np
from numpy.typing import ArrayLike

# Three limits on log odds, which must stay in this order:
# 1. A threshold, however many people are enrolled. It needs 9 for 1,000 people. The other two must lie above it, or
#    no face could ever clear it.
MAX_THRESHOLD_LOG_ODDS = 11.0
# 2. One observation of a tracked face. Beyond these limits a probability carries no more information, and a single
#    observation must not outvote all the others.
MIN_OBSERVED_LOG_ODDS, MAX_OBSERVED_LOG_ODDS = -7.0, 12.0
# 3. Any probability: closer to 0 or 1 than this, a float32 rounds to 0 or 1.
MAX_LOG_ODDS = 16.0

MEAN_MARGIN = 1e-7  # probabilities are averaged as if none were closer to 0 or 1


def logits(scores: ArrayLike) -> np.ndarray:
    """Log odds, float64, of probabilities, clipped to ±MAX_LOG_ODDS."""
    p = np.asarray(scores, np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(p) - np.log1p(-p), -MAX_LOG_ODDS, MAX_LOG_ODDS)


def sigmoid(log_odds: np.ndarray | float) -> np.ndarray:
    """The inverse of `logits`, in the precision of its argument."""
    return 1 / (1 + np.exp(-log_odds))


def probabilities(log_odds: ArrayLike) -> np.ndarray:
    """The inverse of `logits`, float32."""
    return sigmoid(np.asarray(log_odds)).astype(np.float32)


def calibrated(scores: np.ndarray, scale: float, offset: float) -> np.ndarray:
    """Calibrate probabilities: scale · logit + offset, as probabilities, float32."""
    return probabilities(scale * logits(scores) + offset)


def bounded_logits(scores: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, clipped to what one observation may contribute."""
    return np.clip(logits(scores), MIN_OBSERVED_LOG_ODDS, MAX_OBSERVED_LOG_ODDS)


def mean_log_odds(scores: np.ndarray) -> float:
    """Average probabilities of any shape by their log odds; a single probability is returned unchanged.

    The mean, not the sum: pairs of the same two people are far from independent, and a sum would be overconfident.
    """
    if scores.size == 1:
        return float(scores.item())
    clipped = np.clip(scores.astype(float), MEAN_MARGIN, 1 - MEAN_MARGIN)
    return float(sigmoid(np.log(clipped / (1 - clipped)).mean()))
