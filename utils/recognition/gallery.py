"""The people a face is compared with, and the decision: one name or unknown."""

from dataclasses import dataclass

import numpy as np

from utils.cli import InputError
from utils.features.extractor import Extractor
from utils.features.feature_files import FeatureSet
from utils.heads.head import Head
from utils.log_odds import logits, probabilities

BEST_IMAGES = 2  # images of a person whose scores count, where no vote is asked for


@dataclass(frozen=True)
class Decision:
    """Who a face is. name: None for unknown. score: of the best candidate, a probability, 0-1."""

    name: str | None
    score: float


def check_same_extractor(features: FeatureSet, head: Head, extractor: Extractor) -> None:
    """Raise InputError unless stored features, head and extractor belong together; the error names both."""
    dimension = features.matrix.shape[1]
    stored = features.extractor or f"an unknown extractor with {dimension} features"
    if extractor.dimension != dimension or (features.extractor or extractor.fingerprint) != extractor.fingerprint:
        raise InputError(
            f"the stored features are of {stored}, --model is {extractor.fingerprint}: give the model that made "
            "them, or run extract_features.py again"
        )
    check_head(head, dimension, features.extractor or extractor.fingerprint, "the stored features are")


def check_head(head: Head, dimension: int, extractor: str | None, whose: str) -> None:
    """Raise InputError unless a head was trained on features of this extractor, if both are known, and dimension.

    whose: the features in words, as the error begins, "the stored features are".
    """
    if head.dimension != dimension or (head.extractor or extractor) != (extractor or head.extractor):
        trained = f"{head.extractor or 'an unknown extractor'} with {head.dimension} features"
        of = f"{extractor or 'an unknown extractor'} with {dimension} features"
        raise InputError(
            f"--classification was trained on features of {trained}; {whose} of {of}: "
            "train a head on them with train.py"
        )


class Gallery:
    """People's features, compared with probes by a head.

    A person's score is that of the person's BEST_IMAGES images together (docs/research.md compares other rules).
    With `min_votes` it is the one that more than this share of the images reach; so it clears the
    threshold exactly when the vote does. Threshold 0.8 and 0.85 votes are the original recipe's rule.
    A `threshold` of None follows the people: it is the head's for as many as there are.
    names: of the persons, in the order of their scores; index_of: each name's place in it.
    """

    def __init__(self, features: FeatureSet, head: Head, threshold: float | None, min_votes: float | None):
        self.head = head
        self.follows = threshold is None
        self.min_votes = min_votes
        self.names = list(features.names)
        self.index_of = {name: person for person, name in enumerate(self.names)}
        # Rows by person, so that each person's scores are one slice.
        order = np.argsort(features.labels, kind="stable")
        self.matrix = features.matrix[order]
        self.row_ends = np.cumsum(np.bincount(features.labels, minlength=len(features.names)))
        self.threshold = head.threshold_for(len(self.names)) if self.follows else threshold

    def scores(self, probes: np.ndarray) -> np.ndarray:
        """The persons' scores, probabilities float32 (f, p) in the order of `names`, of faces (f, D)."""
        if not len(probes) or not self.names:
            return np.zeros((len(probes), len(self.names)), np.float32)
        return person_scores(self.head.score_gallery(probes, self.matrix), self.row_ends, self.min_votes)

    def decide(self, scores: np.ndarray) -> list[Decision]:
        """One name or none for each face of one image, from the persons' scores (f, p)."""
        return decide(scores, self.names, self.threshold)

    def identify(self, probes: np.ndarray) -> list[Decision]:
        """Decide on the faces of one image, features float32 (f, D). No name is given to two of them."""
        return self.decide(self.scores(probes))

    def add(self, name: str, rows: np.ndarray) -> None:
        """Append rows, float32 (n, D), to a person's; a name that is not there yet becomes the last of `names`."""
        rows = np.asarray(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.matrix.shape[1]:
            raise ValueError(f"rows must be (n, {self.matrix.shape[1]}). Received: {rows.shape}")
        if not len(rows):
            return
        if name not in self.index_of:
            self.index_of[name] = len(self.names)
            self.names.append(name)
            self.row_ends = np.append(self.row_ends, len(self.matrix))
            self._follow()
        person = self.index_of[name]
        self.matrix = np.insert(self.matrix, self.row_ends[person], rows, axis=0)
        self.row_ends[person:] += len(rows)

    def remove(self, name: str, count: int) -> None:
        """Take back the last `count` rows that a person has; a person without rows leaves `names`.

        Raises ValueError where the person has not so many.
        """
        person = self.index_of.get(name)
        end = self.row_ends[person] if person is not None else 0
        start = self.row_ends[person - 1] if person else 0
        if not 0 <= count <= end - start:
            raise ValueError(f"{name} has {end - start} rows. Received: {count} to take back")
        if not count:
            return
        self.matrix = np.delete(self.matrix, np.s_[end - count : end], axis=0)
        self.row_ends[person:] -= count
        if count == end - start:
            del self.names[person]
            self.index_of = {name: person for person, name in enumerate(self.names)}
            self.row_ends = np.delete(self.row_ends, person)
            self._follow()

    def _follow(self) -> None:
        """After somebody came or went."""
        if self.follows:
            self.threshold = self.head.threshold_for(len(self.names))


def person_scores(scores: np.ndarray, ends: np.ndarray, min_votes: float | None) -> np.ndarray:
    """People's scores, float32 (f, p), from the scores of their images, (f, g).

    ends: int (p,), where each person's rows end. Without min_votes a person's log odds are the mean of those
    of the BEST_IMAGES highest images, or of a single one. With it, the score of n images is the
    (⌊min_votes·n⌋ + 1)-th highest, the lowest at most: 0 is the best image, 1 the worst.
    """
    starts = np.r_[0, ends[:-1]].astype(int)
    counts = ends - starts
    person = np.repeat(np.arange(len(ends)), counts)
    # Scores are within 0 and 1, so that this sorts the images of each person and leaves the people where they are.
    order = np.argsort(person - np.asarray(scores, np.float64), axis=1, kind="stable")
    falling = np.take_along_axis(np.asarray(scores, np.float32), order, axis=1)
    if min_votes is None:
        places = [starts + np.minimum(place, counts - 1) for place in range(BEST_IMAGES)]
        return probabilities(np.mean([logits(falling[:, place]) for place in places], axis=0))
    rank = np.minimum((min_votes * counts).astype(int), counts - 1)
    return falling[:, starts + rank]


def decide(scores: np.ndarray, names: list[str], threshold: float) -> list[Decision]:
    """One name or none for each face of one image, from people's scores (f, p).

    A face's only candidate is its best person. Nobody is in an image twice: of several faces with the
    same best person the best one gets the name and the others stay unknown.
    """
    if not scores.size:
        return [Decision(None, 0.0)] * len(scores)
    best = scores.argmax(axis=1)
    decisions = []
    for face, person in enumerate(best):
        score = scores[face, person]
        likeliest = np.where(best == person, scores[:, person], -np.inf).argmax()
        named = score > threshold and face == likeliest
        decisions.append(Decision(names[person] if named else None, float(score)))
    return decisions
