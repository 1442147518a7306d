"""The gallery of enrolled people, and the decision: one person's name for a face, or unknown."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from utils.cli import InputError
from utils.features.extractor import Extractor
from utils.features.feature_files import FeatureSet
from utils.heads.head import Head
from utils.log_odds import logits, probabilities
from utils.recognition.cohort import Cohort, subtract_excess

BEST_IMAGES = 2  # a person's highest-scoring images, averaged unless there is a vote


@dataclass(frozen=True)
class Decision:
    """Who one face is."""

    name: str | None  # None for unknown
    score: float  # of the best candidate, a probability, 0-1


def check_same_extractor(features: FeatureSet, head: Head, extractor: Extractor) -> None:
    """Raise InputError unless stored features, head and extractor belong together. The error names both sides."""
    dimension = features.matrix.shape[1]
    stored = features.extractor or f"an unknown extractor with {dimension} features"
    if extractor.dimension != dimension or (features.extractor or extractor.fingerprint) != extractor.fingerprint:
        raise InputError(
            f"the stored features come from {stored}, but --model is {extractor.fingerprint}: pass the model that made "
            "them, or run extract_features.py again"
        )
    check_head(head, dimension, features.extractor or extractor.fingerprint, "the stored features come")


def check_head(head: Head, dimension: int, extractor: str | None, description: str) -> None:
    """Raise InputError unless a head was trained on features of this dimension and, if both are known, extractor.

    description: the features and a verb, for the error message: "the stored features come".
    """
    if head.dimension != dimension or (head.extractor or extractor) != (extractor or head.extractor):
        trained = f"{head.extractor or 'an unknown extractor'} with {head.dimension} features"
        actual = f"{extractor or 'an unknown extractor'} with {dimension} features"
        raise InputError(
            f"--classification was trained on features from {trained}, but {description} from {actual}: "
            "train a head on them with train.py"
        )


class Gallery:
    """The features of enrolled people, compared with probes by a head.

    A person's score combines the scores of their images: see `person_scores`. With a vote, a person clears the
    threshold exactly when more than `min_votes` of their images do. The original recipe's rule is a threshold of
    0.8 and a vote of 0.85; docs/research.md compares other rules.

    If strangers are known, they and the other enrolled people are a cohort: a face that looks too much like them has to
    look the more like its person, see utils/recognition/cohort.py.

    A `threshold` of None means the head's threshold for the current number of people.
    names: in the order of the score columns. index_of: each name's column. strangers: features (s, D).
    """

    def __init__(self, features: FeatureSet, head: Head, threshold: float | None, min_votes: float | None):
        self.head = head
        self.follows_head = threshold is None
        self.min_votes = min_votes
        self.names = list(features.names)
        self.index_of = {name: index for index, name in enumerate(self.names)}
        # Sorted by person, so that each person's scores are one slice.
        order = np.argsort(features.labels, kind="stable")
        self.matrix = features.matrix[order]
        self.row_ends = np.cumsum(np.bincount(features.labels, minlength=len(features.names)))
        self.threshold = threshold
        self._update_threshold()
        self.strangers = features.strangers
        self._known: KnownPeople | None = None  # with strangers; built when it is needed

    @property
    def enrolled(self) -> Collection[str]:
        """The names of all enrolled people. Those in `names` are compared with faces: here, all of them."""
        return self.names

    @property
    def images(self) -> int:
        """How many images all enrolled people have."""
        return len(self.matrix)

    def admit(self, probes: np.ndarray, observed: Sequence[np.ndarray] = (), count: int = 1) -> bool:
        """Make sure that faces (f, D) are compared with the people they resemble: see LargeGallery.

        Call it before `compare`. Returns whether `names` has changed, so that earlier scores fit it no more.
        """
        return False

    def scores(self, probes: np.ndarray) -> np.ndarray:
        """Score every person, float32 probabilities (f, p) in the order of `names`, for faces (f, D)."""
        return self.compare(probes)[0]

    def compare(self, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score every person, and tell how familiar the strangers are with faces (f, D).

        Returns scores as `scores` does, and each face's familiarity for `is_kind_known`, float64 (f,).
        """
        unknown = np.full(len(probes), np.nan)
        if not len(probes) or not self.names:
            return np.zeros((len(probes), len(self.names)), np.float32), unknown
        if not (len(self.strangers) and self.head.knows_impostors):
            scores = self.head.score_gallery(probes, self.matrix)
            return person_scores(scores, self.row_ends, self.min_votes), unknown
        self._known = self._known or self._compare_strangers()
        scores, excess = self._known.compare(probes)
        scores = person_scores(scores, self.row_ends, self.min_votes)
        candidates = np.arange(len(probes)), scores.argmax(axis=1)
        return scores, excess[candidates] - self._known.cohort.min_excess

    def _compare_strangers(self) -> "KnownPeople":
        return _AllPeople(self.head, self.matrix, self.row_ends, self.strangers)

    def add_strangers(self, rows: np.ndarray) -> None:
        """Add faces, float32 (n, D), of as many people to the strangers."""
        self.strangers = np.concatenate([self.strangers, rows])
        self._known = None

    def decide(self, scores: np.ndarray) -> list[Decision]:
        """Name each face of one image, or leave it unknown, given its scores (f, p)."""
        return decide(scores, self.names, self.threshold)

    def identify(self, probes: np.ndarray) -> list[Decision]:
        """Decide on the faces of one image, features float32 (f, D). No two faces get the same name."""
        self.admit(probes)
        return self.decide(self.scores(probes))

    def add(self, name: str, rows: np.ndarray) -> None:
        """Append rows, float32 (n, D), to a person. A new name goes to the end of `names`."""
        rows = np.asarray(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.matrix.shape[1]:
            raise ValueError(f"rows must be (n, {self.matrix.shape[1]}). Received: {rows.shape}")
        if not len(rows):
            return
        if name not in self.index_of:
            self.index_of[name] = len(self.names)
            self.names.append(name)
            self.row_ends = np.append(self.row_ends, len(self.matrix))
            self._update_threshold()
        index = self.index_of[name]
        self.matrix = np.insert(self.matrix, self.row_ends[index], rows, axis=0)
        self._known = None
        self.row_ends[index:] += len(rows)

    def remove(self, name: str, count: int) -> np.ndarray:
        """Remove a person's last `count` rows, and return them. A person without rows is removed from `names`.

        Raises ValueError if the person has fewer rows.
        """
        index = self.index_of.get(name)
        end = self.row_ends[index] if index is not None else 0
        start = self.row_ends[index - 1] if index else 0
        if not 0 <= count <= end - start:
            raise ValueError(f"cannot remove rows: {name} has {end - start}. Received: {count}")
        removed = self.matrix[end - count : end].copy()
        if not count:
            return removed
        self.matrix = np.delete(self.matrix, np.s_[end - count : end], axis=0)
        self._known = None
        self.row_ends[index:] -= count
        if count == end - start:
            del self.names[index]
            self.index_of = {name: index for index, name in enumerate(self.names)}
            self.row_ends = np.delete(self.row_ends, index)
            self._update_threshold()
        return removed

    def rename(self, old: str, new: str) -> None:
        """Give a person another name. If somebody has it already, the two become one person."""
        if new in self.index_of:
            self.add(new, self.remove(old, self.count(old)))
        else:
            self.names[self.index_of[old]] = new
            self.index_of = {name: index for index, name in enumerate(self.names)}

    def count(self, name: str) -> int:
        """How many rows a person has."""
        return int(np.diff(self.row_ends, prepend=0)[self.index_of[name]])

    def _update_threshold(self) -> None:
        if self.follows_head:
            self.threshold = self.head.threshold_for(len(self.enrolled))


class KnownPeople(Protocol):
    """The people of a gallery beside strangers."""

    cohort: Cohort

    def compare(self, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score every image of the gallery, normalized by the strangers: float32 (f, g), for faces (f, D).

        Returns the faces' excess by candidate, float64 (f, p), too.
        """


class _AllPeople:
    """The images of a gallery and the strangers in one matrix, so that one product compares a face with all of them."""

    def __init__(self, head: Head, matrix: np.ndarray, row_ends: np.ndarray, strangers: np.ndarray):
        """matrix, row_ends: the gallery's."""
        self.head, self.images = head, len(matrix)
        self.projected = head.project(np.concatenate([matrix, strangers]))
        self.first_images = np.r_[0, row_ends[:-1]].astype(int)  # one of each person
        self.owners = np.repeat(np.arange(len(row_ends)), np.diff(row_ends, prepend=0))  # the person of each image
        self.cohort = Cohort(head, len(strangers) + len(row_ends) - 1)
        columns = np.r_[self.first_images, self.images : len(self.projected)]
        scores = head.score_projected(self.projected[: self.images], self.projected[columns])
        strangers, people = scores[:, len(row_ends) :], scores[:, : len(row_ends)]
        own = np.arange(self.images), self.owners
        self.image_excess = self.cohort.excess_by_candidate(strangers, people)[own]  # float64 (g,)

    def compare(self, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See KnownPeople."""
        scores = self.head.score_projected(self.head.project(probes), self.projected)
        excess = self.cohort.excess_by_candidate(scores[:, self.images :], scores[:, self.first_images])
        return subtract_excess(scores[:, : self.images], excess[:, self.owners], self.image_excess), excess


def person_scores(scores: np.ndarray, row_ends: np.ndarray, min_votes: float | None) -> np.ndarray:
    """Combine the scores of images, (f, g), into scores of people, float32 (f, p).

    Without a vote, a person's log odds are the mean over their BEST_IMAGES highest images, or over the only one.
    With a vote, the score is the one that more than `min_votes` of the person's n images reach: the
    (⌊min_votes·n⌋ + 1)-th highest, at worst the lowest. So 0 selects the best image and 1 the worst.

    Args:
      scores: images sorted by person.
      row_ends: int (p,), one past the last image of each person.
      min_votes: 0-1, or None for no vote.
    """
    starts = np.r_[0, row_ends[:-1]].astype(int)
    counts = row_ends - starts
    person = np.repeat(np.arange(len(row_ends)), counts)
    # Scores lie within 0 and 1, so this sorts each person's images and leaves the people in order.
    order = np.argsort(person - np.asarray(scores, np.float64), axis=1, kind="stable")
    descending = np.take_along_axis(np.asarray(scores, np.float32), order, axis=1)
    if min_votes is None:
        best = [starts + np.minimum(rank, counts - 1) for rank in range(BEST_IMAGES)]
        return probabilities(np.mean([logits(descending[:, columns]) for columns in best], axis=0))
    rank = np.minimum((min_votes * counts).astype(int), counts - 1)
    return descending[:, starts + rank]


def decide(scores: np.ndarray, names: list[str], threshold: float) -> list[Decision]:
    """Name each face of one image, or leave it unknown, given the scores of people (f, p).

    A face's only candidate is the person with the highest score. Nobody appears twice in one image: if
    several faces have the same candidate, the best face gets the name and the others stay unknown.
    """
    if not scores.size:
        return [Decision(None, 0.0)] * len(scores)
    candidates = scores.argmax(axis=1)
    decisions = []
    for face, person in enumerate(candidates):
        score = scores[face, person]
        best_face = np.where(candidates == person, scores[:, person], -np.inf).argmax()
        named = score > threshold and face == best_face
        decisions.append(Decision(names[person] if named else None, float(score)))
    return decisions
