"""Choose the kind of head for a folder of people. The figures behind these rules are in docs/research.md."""

import numpy as np

from utils.cli import InputError, counted
from utils.features.feature_files import FeatureSet
from utils.heads.distance import CONSTANTS
from utils.heads.pairs import capped_rows
from utils.metrics import pairs_of_people

# People with several photos. A head trained on dlib features of fewer people is no better than plain distance.
MIN_PEOPLE_TO_BEAT_DISTANCE = 50
# The constants of the distance head do not fit these faces, which may be drawings, if more than this share of the
# pairs of people is nearer than the distance that should accept one pair in a thousand.
MAX_CONFUSED_SHARE, CONFUSING_FAR = 0.2, 0.001
MIN_PEOPLE_TO_DOUBT = 5  # fewer people do not show it
CONFUSED_PHOTOS = 5  # of each person that are compared


def suitable_head(features: FeatureSet, holdout: float, far: float) -> tuple[str, str | None]:
    """Choose one of HEAD_KINDS for these people; returns it, and the reason if it is not the best kind.

    PLDA if enough people have several photos and, with dlib features, enough people are held out to measure the false
    accept rate `far`. Otherwise dlib features get the distance head, whose rates were measured on other people, unless
    it confuses these people. Features of other extractors get the original recipe's dense head.
    """
    counts = np.unique(features.labels, return_counts=True)[1]
    several = int((counts > 1).sum())
    enough = several >= MIN_PEOPLE_TO_BEAT_DISTANCE
    constants = CONSTANTS.get(features.extractor)
    if enough and (not constants or pairs_of_people(round(holdout * len(counts))) * far >= 1):
        return "plda", None
    purpose = f"to measure a false accept rate of {far:g}" if enough else "to train the best head"
    too_few = f"{counted(len(counts), 'person is', 'people are')} too few {purpose}"
    if not constants:
        return "dense", f"{too_few}: this head is the original recipe's"
    confused = confused_share(features, constants.distance_for_far(CONFUSING_FAR))
    if confused <= MAX_CONFUSED_SHARE or len(counts) < MIN_PEOPLE_TO_DOUBT or not several:
        return "distance", f"{too_few}: this head is plain distance, with constants fitted on other people"
    too_near = f"{confused:.0%} of pairs of these people are too near to tell apart by distance"
    kind, consequence = ("plda", "trained nevertheless") if enough else ("dense", "the original recipe's")
    return kind, f"{too_few}, and {too_near}: this head is {consequence}"


def confused_share(features: FeatureSet, distance: float) -> float:
    """The share of pairs of people with two photos nearer than a distance, of CONFUSED_PHOTOS photos each."""
    rows = capped_rows(features.labels, CONFUSED_PHOTOS, np.random.default_rng(0))
    matrix, labels = features.matrix[rows].astype(np.float64), features.labels[rows]
    squares = (matrix**2).sum(axis=1)
    near = squares[:, None] + squares - 2 * matrix @ matrix.T < distance**2
    first, second = np.nonzero(near & (labels[:, None] < labels))
    pairs = np.unique(np.stack([labels[first], labels[second]]), axis=1).shape[1]
    return pairs / max(1, pairs_of_people(len(np.unique(labels))))


def check_trainable(labels: np.ndarray) -> None:
    """Raise InputError unless the labels, int (n,), make pairs of both kinds."""
    counts = np.unique(labels, return_counts=True)[1]
    alternative = "the distance head of dlib's extractor needs no training (network.py --backbone dlib)"
    if len(counts) < 2:
        raise InputError(f"training needs at least two people, to make pairs of different people; {alternative}")
    if counts.max() < 2:
        raise InputError(
            f"training needs a person with at least two images, to make pairs of the same person; {alternative}"
        )
