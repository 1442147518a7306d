"""Which head a folder of people is enough for: from figures that docs/research.md has."""

import numpy as np

from utils.cli import InputError, counted
from utils.features.feature_files import FeatureSet
from utils.heads.distance import CONSTANTS
from utils.heads.pairs import capped_rows
from utils.metrics import pairs_of_people

# With several photos each: fewer dlib features than this train no head that beats their distance.
MIN_PEOPLE_TO_BEAT_DISTANCE = 50
# Where more pairs of so many people are nearer than the distance that is to accept one in a thousand, they are not
# faces of the kind that the constants are of: drawings for example.
MIN_PEOPLE_TO_DOUBT, CONFUSED_PHOTOS, MAX_CONFUSED_SHARE, CONFUSING_FAR = 5, 5, 0.2, 0.001


def suitable_head(features: FeatureSet, holdout: float, far: float) -> tuple[str, str | None]:
    """Which of HEAD_KINDS these people are enough for, and why it is not the best one, if it is not.

    PLDA where enough people have several photos. With dlib features enough must be held out, too, to know
    the false accept rate `far`, else it is the distance head, which knows it of other people; unless it fails
    on these. With features of other extractors few people get the original recipe's head.
    """
    counts = np.unique(features.labels, return_counts=True)[1]
    several = int((counts > 1).sum())
    enough = several >= MIN_PEOPLE_TO_BEAT_DISTANCE
    known = CONSTANTS.get(features.extractor)
    if enough and (not known or pairs_of_people(round(holdout * len(counts))) * far >= 1):
        return "plda", None
    purpose = f"to know a false accept rate of {far:g}" if enough else "to train the best head"
    few = f"{counted(len(counts), 'person is', 'people are')} too few {purpose}"
    if not known:
        return "dense", f"{few}: it is the original recipe's"
    confused = confused_share(features, known.distance_for_far(CONFUSING_FAR))
    if confused <= MAX_CONFUSED_SHARE or len(counts) < MIN_PEOPLE_TO_DOUBT or not several:
        return "distance", f"{few}: it is distance itself, with constants fitted on other people"
    reason = f"distance takes {confused:.0%} of pairs of these people for one person"
    kind, words = ("plda", "trained all the same") if enough else ("dense", "the original recipe's")
    return kind, f"{few}, and {reason}: it is {words}"


def confused_share(features: FeatureSet, distance: float) -> float:
    """The share of pairs of people whose nearest photos, of CONFUSED_PHOTOS each, are nearer than a distance."""
    rows = capped_rows(features.labels, CONFUSED_PHOTOS, np.random.default_rng(0))
    matrix, labels = features.matrix[rows].astype(np.float64), features.labels[rows]
    squares = (matrix**2).sum(axis=1)
    near = squares[:, None] + squares - 2 * matrix @ matrix.T < distance**2
    first, second = np.nonzero(near & (labels[:, None] < labels))
    pairs = np.unique(np.stack([labels[first], labels[second]]), axis=1).shape[1]
    return pairs / max(1, pairs_of_people(len(np.unique(labels))))


def check_trainable(labels: np.ndarray) -> None:
    """Raise InputError unless the labels int (n,) make both kinds of pairs."""
    counts = np.unique(labels, return_counts=True)[1]
    without = "; only dlib's extractor has a distance head, which needs no training (network.py --backbone dlib)"
    if len(counts) < 2:
        reason = "training needs at least two people: pairs of different people are half of what is learned"
        raise InputError(reason + without)
    if counts.max() < 2:
        reason = "training needs a person with at least two images: there is no pair of the same person"
        raise InputError(reason + without)
