"""The strangers at this door: how much more alike people look here than where the head's threshold was chosen.

A threshold that lets in one stranger in a thousand of one population lets in many more of another, whose faces look
more alike to the network: small children, or people that it saw little of in its training. Strangers of the same kind
show by how much. A face's *excess* is how near its nearest strangers are, in log odds, above how near those of the
head's own population would be among as many. The mean excess of two faces is subtracted from the log odds that they
are the same person's; nothing is ever added.

This is score normalization by a cohort, after Auckenthaler, Carey and Lloyd-Thomas, "Score Normalization for
Text-Independent Speaker Verification Systems" (2000), and the symmetric, adaptive form that speaker recognition uses.
Here it only ever raises the bar, and compares with the quantiles of the head's own impostors, so it needs no constants.
"""

import numpy as np

from utils.heads.head import Head
from utils.log_odds import logits, probabilities

MAX_NEAREST = 10  # strangers that are averaged; 50 make more errors
NEAREST_SHARE = 0.1  # of a small cohort's strangers, at most


class Cohort:
    """Strangers and enrolled people, with whom a head compares a face.

    size: how many faces there are to compare with.
    """

    def __init__(self, head: Head, strangers: np.ndarray, enrolled: np.ndarray | None = None):
        """strangers: features (s, D), one of each. enrolled: (p, D), one of each enrolled person, in their order."""
        self.head = head
        self.strangers = len(strangers)
        enrolled = np.empty((0, strangers.shape[1]), np.float32) if enrolled is None else enrolled
        rows = np.concatenate([strangers, enrolled]).astype(np.float32)
        self.projected = head.project(rows)  # once, so that a comparison costs little more than a product
        # A person's own face is not among the strangers, so one fewer of the rows counts.
        self.size = len(rows) - bool(len(enrolled))
        self.nearest = max(1, min(MAX_NEAREST, int(NEAREST_SHARE * self.size)))
        ranks = (np.arange(self.nearest) + 0.5) / max(1, self.size)
        self.expected = float(np.mean([head.impostor_log_odds(rate) for rate in ranks])) if self.size else 0.0

    def excess(self, features: np.ndarray) -> np.ndarray:
        """The excess of faces (f, D) by candidate, float64 (f, p), or (f, 1) without enrolled people."""
        people = len(self.projected) - self.strangers
        if not self.size:
            return np.zeros((len(features), max(1, people)))
        log_odds = logits(self.head.score_projected(self.head.project(features), self.projected))
        count = min(self.nearest + 1, log_odds.shape[1])
        descending = np.sort(np.partition(log_odds, -count, axis=1)[:, -count:], axis=1)[:, ::-1]
        total = descending[:, : self.nearest].sum(axis=1, keepdims=True)
        if not people:
            return total / self.nearest - self.expected
        # A candidate among the nearest makes room for the next one.
        own = log_odds[:, self.strangers :]
        within = own >= descending[:, self.nearest - 1 : self.nearest]
        without = np.where(within, total - own + descending[:, self.nearest : self.nearest + 1], total)
        return without / self.nearest - self.expected


def subtract_excess(scores: np.ndarray, excess_a: np.ndarray, excess_b: np.ndarray) -> np.ndarray:
    """Probabilities, float32, after the mean of two faces' excess is subtracted from their log odds, if it is positive.

    All shapes broadcast.
    """
    excess = np.maximum(0, (excess_a + excess_b) / 2)
    return np.where(excess > 0, probabilities(logits(scores) - excess), scores).astype(np.float32)


class NormalizedHead(Head):
    """A head whose scores are normalized by strangers, for pairs of faces without a gallery."""

    def __init__(self, head: Head, strangers: np.ndarray):
        """strangers: features (s, D), one of each."""
        vars(self).update(vars(head))  # the same networks
        self._cohort = Cohort(head, strangers)
        self._last_excess: tuple[np.ndarray | None, np.ndarray | None] = None, None  # of the gallery that came last

    def score_rows(self, matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See Head.score_rows."""
        scores = super().score_rows(matrix, rows)
        used, index = np.unique(rows, return_inverse=True)
        excess = self._cohort.excess(matrix[used])[:, 0][index.reshape(rows.shape)]
        return subtract_excess(scores, excess[:, 0], excess[:, 1])

    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """See Head.score_gallery."""
        scores = super().score_gallery(probes, gallery)
        if self._last_excess[0] is not gallery:
            self._last_excess = gallery, self._cohort.excess(gallery)[:, 0]
        return subtract_excess(scores, self._cohort.excess(probes), self._last_excess[1])
