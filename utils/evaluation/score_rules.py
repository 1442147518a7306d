"""How a person's score may come of those of the person's photos: the rules that an evaluation compares.

The one that test.py goes by is in utils/recognition/gallery.py; these figures are why.
"""

from collections.abc import Callable

import numpy as np

from utils.heads.threshold import RECIPE_MIN_VOTES
from utils.recognition.gallery import BEST_IMAGES


def _mean(ranked, counts):
    return np.nanmean(ranked, axis=2)


def _mean_log_odds(ranked, counts):
    # Where float32 ends, 1 − p is 0: without a limit one such photo would decide alone.
    clipped = np.clip(ranked, 1e-7, 1 - 1e-7)
    return 1 / (1 + np.exp(-np.nanmean(np.log(clipped) - np.log1p(-clipped), axis=2)))


def _best(ranked, counts):
    return ranked[:, :, 0]


def _top(ranked, counts):
    return _mean_log_odds(ranked[:, :, :BEST_IMAGES], counts)


def _vote(share: float):
    def score(ranked, counts):
        """What more than this share of a person's photos reach: it clears a threshold when the vote does."""
        rank = np.minimum((share * counts).astype(int), counts - 1)
        return np.take_along_axis(ranked, rank[None, :, None], axis=2)[:, :, 0]

    return score


# A person's score from those of the person's photos: (f, p, k), highest first and NaN where there are
# fewer than k, and their counts (p,), to (f, p).
RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "mean log odds": _mean_log_odds,
    "best": _best,
    f"best {BEST_IMAGES}, log odds": _top,
    "vote of half": _vote(0.5),
    "original vote": _vote(RECIPE_MIN_VOTES),
}


def rank_by_person(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Scores of photos (f, g), in the order of their people, as (f, p, k): highest first, NaN where there are fewer."""
    person = np.repeat(np.arange(len(counts)), counts)
    photo = np.arange(len(person)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranked = np.full((len(scores), len(counts), counts.max()), np.nan, np.float32)
    ranked[:, person, photo] = -scores
    ranked.sort(axis=2)  # NaN goes last
    return -ranked
