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
from numpy.typing import ArrayLike

from utils.cli import InputError
from utils.heads.head import Head
from utils.log_odds import logits, probabilities

MAX_NEAREST = 10  # strangers that are averaged; 50 make more errors
NEAREST_SHARE = 0.1  # of a small cohort's strangers, at most
# A face's nearest strangers are of another kind than the face if they are, on average, no nearer than this many times
# as many of the head's own population are. SFace, 50 to 2,000 strangers from LFW: says so of 3 to 15 % of LFW's faces,
# and of 6 to 83 % of mostly Asian ones by age; of hardly any child where 71 children are among 300 strangers.
OTHER_KIND = 2


class Cohort:
    """How much nearer a face's nearest strangers are than a head expects among as many.

    min_excess: a lower excess means that these strangers are of another kind than the face.
    """

    def __init__(self, head: Head, size: int):
        """size: how many strangers a face is compared with, 1 or more."""
        self.nearest = max(1, min(MAX_NEAREST, int(NEAREST_SHARE * size)))
        ranks = (np.arange(self.nearest) + 0.5) / size
        self.expected = float(np.mean([head.impostor_log_odds(rate) for rate in ranks]))
        self.min_excess = head.impostor_log_odds(min(0.5, OTHER_KIND * self.nearest / size)) - self.expected

    def excess(self, scores: np.ndarray) -> np.ndarray:
        """The excess of faces, float64 (f,), from their scores with all strangers, probabilities (f, size)."""
        return self._nearest_scores(scores, self.nearest).mean(axis=1) - self.expected

    def excess_by_candidate(self, strangers: np.ndarray, enrolled: np.ndarray) -> np.ndarray:
        """The excess of faces by candidate, float64 (f, p). Of the enrolled people, all others count as strangers.

        strangers, enrolled: the faces' scores with the strangers (f, s) and with one image of each person (f, p), where
        s + p − 1 is the cohort's size.
        """
        descending = self._nearest_scores(np.concatenate([strangers, enrolled], axis=1), self.nearest + 1)
        total = descending[:, : self.nearest].sum(axis=1, keepdims=True)
        # A candidate among the nearest makes room for the next one.
        own = logits(enrolled)
        within = own >= descending[:, self.nearest - 1 : self.nearest]
        return np.where(within, total - own + descending[:, self.nearest :], total) / self.nearest - self.expected

    @staticmethod
    def _nearest_scores(scores: np.ndarray, count: int) -> np.ndarray:
        """The highest scores of each face as log odds, descending, float64 (f, count)."""
        return logits(-np.sort(np.partition(-scores, count - 1, axis=1)[:, :count], axis=1))


def is_kind_known(familiarity: ArrayLike) -> bool | None:
    """Whether the strangers are of the same kind as a person's faces; None without strangers.

    familiarity: of each face, its excess minus the cohort's `min_excess`; NaN without strangers.
    """
    values = np.asarray(familiarity, float)
    values = values[~np.isnan(values)]
    return bool(values.mean() >= 0) if len(values) else None


def subtract_excess(scores: np.ndarray, excess_a: np.ndarray, excess_b: np.ndarray) -> np.ndarray:
    """Probabilities, float32, after the mean of two faces' excess is subtracted from their log odds, if it is positive.

    All shapes broadcast.
    """
    excess = np.maximum(0, (excess_a + excess_b) / 2)
    return np.where(excess > 0, probabilities(logits(scores) - excess), scores).astype(np.float32)


class NormalizedHead(Head):
    """A head whose scores are normalized by strangers, for pairs of faces without a gallery."""

    def __init__(self, head: Head, strangers: np.ndarray):
        """strangers: features (s, D), one of each. Raises InputError for a head of the original recipe."""
        if not head.knows_impostors:
            raise InputError(
                "--cohort needs a head that says how different people score, and --classification does not: "
                "train the head again with train.py"
            )
        vars(self).update(vars(head))  # the same networks
        self._strangers = head.project(strangers)
        self._cohort = Cohort(head, len(strangers))
        self._last_excess: tuple[np.ndarray | None, np.ndarray | None] = None, None  # of the gallery that came last

    def _excess(self, projected: np.ndarray) -> np.ndarray:
        return self._cohort.excess(super().score_projected(projected, self._strangers))

    def knows_kind(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Whether the strangers are of the same kind as the faces of two sides, features (n, D) and (m, D)."""
        sides = [self._excess(self.project(features)).mean() for features in (first, second)]
        return bool(np.mean(sides) >= self._cohort.min_excess)

    def score_rows(self, matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See Head.score_rows."""
        used, index = np.unique(rows, return_inverse=True)
        excess = self._excess(self.project(matrix[used]))[index.reshape(rows.shape)]
        return subtract_excess(super().score_rows(matrix, rows), excess[:, 0], excess[:, 1])

    def score_projected(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """See Head.score_projected. The excess of the last gallery is kept as long as the same array comes."""
        if self._last_excess[0] is not gallery:
            self._last_excess = gallery, self._excess(gallery)
        scores = super().score_projected(probes, gallery)
        return subtract_excess(scores, self._excess(probes)[:, None], self._last_excess[1])
