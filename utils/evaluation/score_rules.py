"""Rules that turn the scores of a person's photos into one score, to be compared in an evaluation.

test.py uses the rule in utils/recognition/gallery.py, chosen because of these figures.
"""

from collections.abc import Callable

import numpy as np

from utils.heads.threshold import RECIPE_MIN_VOTES
from utils.log_odds import sigmoid
from utils.recognition.gallery import BEST_IMAGES

# From the scores of each person's photos (f, p, k), highest first and padded with NaN, and the photos per person
# (p,), to the scores of the people (f, p).
Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _mean(ranked: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.nanmean(ranked, axis=2)


def _mean_log_odds(ranked: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # In float32, 1 - p may be 0: without a limit a single photo would decide alone. `log_odds.logits` computes in
    # float64, which changes some figures in the third decimal.
    clipped = np.clip(ranked, 1e-7, 1 - 1e-7)
    return sigmoid(np.nanmean(np.log(clipped) - np.log1p(-clipped), axis=2))


def _best(ranked: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return ranked[:, :, 0]


def _mean_log_odds_of_best(ranked: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return _mean_log_odds(ranked[:, :, :BEST_IMAGES], counts)


def _vote(min_votes: float) -> Rule:
    def score(ranked: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The score that more than `min_votes` of a person's photos reach: it clears a threshold if the vote does."""
        rank = np.minimum((min_votes * counts).astype(int), counts - 1)
        return np.take_along_axis(ranked, rank[None, :, None], axis=2)[:, :, 0]

    return score


RULES: dict[str, Rule] = {
    "mean": _mean,
    "mean log odds": _mean_log_odds,
    "best": _best,
    f"best {BEST_IMAGES}, log odds": _mean_log_odds_of_best,
    "vote of half": _vote(0.5),
    "original vote": _vote(RECIPE_MIN_VOTES),
}


def rank_by_person(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Arrange scores of photos (f, g), ordered by person, as (f, p, k): highest first, padded with NaN."""
    person = np.repeat(np.arange(len(counts)), counts)
    photo = np.arange(len(person)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranked = np.full((len(scores), len(counts), counts.max()), np.nan, np.float32)
    ranked[:, person, photo] = -scores
    ranked.sort(axis=2)  # NaN goes last
    return -ranked
