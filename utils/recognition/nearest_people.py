"""The cohort of a large gallery: which strangers and other enrolled people are nearest to a face, by an index.

The excess is the one of utils/recognition/cohort.py. Of the enrolled people only the nearest are looked at, since no
others count.
"""

import numpy as np

from utils.features.packed import PackedGallery
from utils.heads.head import Head
from utils.log_odds import logits
from utils.recognition.cohort import Cohort, subtract_excess
from utils.recognition.row_index import RowIndex

SEARCHED = 32  # rows that the index finds for a face, of which the head's nearest count: 11 at most
STRANGER = -1  # the owner of a stranger's face; packed people have their places, and others the numbers below


class NearestPeople:
    """The cohort: the strangers, and one image of each enrolled person.

    Owners are numbers: of packed people their places, of strangers STRANGER, of other people −2, −3 and so on.
    """

    def __init__(self, head: Head, packed: PackedGallery, index: RowIndex):
        """index: of the first row of each packed person."""
        self.head, self.packed, self.index = head, packed, index
        self.first_rows = np.r_[0, packed.row_ends[:-1]]

    def set_others(self, strangers: np.ndarray, people: np.ndarray, is_packed: np.ndarray) -> None:
        """Set who is not packed: features of strangers (s, D), and one image each of people (p, D).

        is_packed: bool, by place, whether a packed person's rows still count.
        """
        self._others = self.head.project(np.concatenate([strangers, people]))
        self._owners = np.r_[np.full(len(strangers), STRANGER), -2 - np.arange(len(people))]
        self._is_packed = is_packed
        self.cohort = Cohort(self.head, int(is_packed.sum()) + len(self._others) - 1)

    def excess(self, rows: np.ndarray, people: np.ndarray) -> np.ndarray:
        """The excess of faces (n, D) by candidate, float64 (n, p). See Cohort.excess_by_candidate.

        people: the candidates' numbers, int (1, p), or of each face its own candidate's, (n, 1).
        """
        values, owners = self._nearest(rows, self.cohort.nearest + 1)
        total, following = values[:, :-1].sum(axis=1, keepdims=True), values[:, -1:]
        # A candidate among the nearest makes room for the next one.
        own = np.where(owners[:, :-1, None] == people[:, None], (values[:, :-1] - following)[:, :, None], 0).sum(axis=1)
        return (total - own) / self.cohort.nearest - self.cohort.expected

    def _nearest(self, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The highest log odds of faces (n, D) with others, descending, and their owners: (n, count) each."""
        projected = self.head.project(rows)
        places = self.index.search(rows, SEARCHED)
        found = self.head.project(self.packed.rows[self.first_rows[places].ravel()])
        packed = logits(self.head.similarity.score_rows(np.repeat(projected, SEARCHED, axis=0), found))
        packed = np.where((places >= 0) & self._is_packed[places], packed.reshape(places.shape), -np.inf)
        others = logits(self.head.score_projected(projected, self._others))
        values = np.concatenate([packed, others], axis=1)
        owners = np.concatenate([places, np.broadcast_to(self._owners, others.shape)], axis=1)
        best = np.argpartition(-values, count - 1, axis=1)[:, :count]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(values, best, axis=1), axis=1), axis=1)
        return np.take_along_axis(values, best, axis=1), np.take_along_axis(owners, best, axis=1)


class PeopleInPlay:
    """The people in play of a large gallery beside strangers: see KnownPeople."""

    def __init__(
        self, nearest: NearestPeople, matrix: np.ndarray, row_ends: np.ndarray, numbers: np.ndarray, excess: np.ndarray
    ):
        """matrix, row_ends: of the people in play. numbers: int (p,), as of owners. excess: of each image, (g,)."""
        self.nearest, self.matrix, self.numbers, self.image_excess = nearest, matrix, numbers, excess
        self.cohort = nearest.cohort
        self.owners = np.repeat(np.arange(len(row_ends)), np.diff(row_ends, prepend=0))  # the person of each image

    def compare(self, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See KnownPeople."""
        scores = self.nearest.head.score_gallery(probes, self.matrix)
        excess = self.nearest.excess(probes, self.numbers[None])
        return subtract_excess(scores, excess[:, self.owners], self.image_excess), excess
