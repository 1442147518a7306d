"""A gallery of so many people that each face is compared only with those it resembles most.

`names` are the people in play: those whom the index finds for the faces in view, and those who are not packed. All
their rows are compared exactly, so that their scores are those of an ordinary gallery. An enrollment takes a packed
person out of the packed gallery and changes the copy.
"""

import sys
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from utils.features.feature_files import FeatureSet
from utils.features.packed import PackedGallery
from utils.features.stored_people import StoredPeople
from utils.heads.head import Head
from utils.recognition.gallery import Gallery, person_scores
from utils.recognition.nearest_people import NearestPeople, PeopleInPlay
from utils.recognition.row_index import load_index, product_head

# Rows that an ordinary gallery compares with every face: 5 ms a face. With strangers, memory grows with the square.
MAX_EXACT_ROWS = 50_000
ROWS_FOUND = 256  # by the index for a face: they hold 99.9 % of the true best 10 among a million
CANDIDATES = 8  # people in play for a face, the best by their exact scores
MAX_IN_PLAY = 256  # packed people; with more, those for the faces in view remain


def _is_large(stored: StoredPeople | None) -> bool:
    return stored is not None and stored.packed is not None and len(stored.packed.rows) > MAX_EXACT_ROWS


def gallery_features(stored: StoredPeople) -> FeatureSet:
    """What of a features folder `make_gallery` needs in memory: all, or of a large packed gallery what has changed."""
    return stored.changed_features() if _is_large(stored) else stored.all_features()


def make_gallery(
    stored: StoredPeople | None, features: FeatureSet, head: Head, threshold: float | None, min_votes: float | None
) -> Gallery:
    """The gallery of a features folder. features: of `gallery_features`. stored: None if nobody is enrolled yet."""
    if _is_large(stored):
        return LargeGallery(stored, features, head, threshold, min_votes)
    return Gallery(features, head, threshold, min_votes)


class LargeGallery(Gallery):
    """See above. `admit` brings the candidates for faces into play."""

    def __init__(
        self, stored: StoredPeople, features: FeatureSet, head: Head, threshold: float | None, min_votes: float | None
    ):
        """stored: has a packed gallery. features: of the people who changed since, and the strangers."""
        packed: PackedGallery = stored.packed
        self._packed = packed
        self._packed_rows = packed.rows.view(np.ndarray)  # a tenth of the time for each slice of a memory-mapped one
        # The people who are read from the packed gallery, in play or not.
        self._places = {name: place for name, place in packed.index_of.items() if name not in stored.changed}
        self._is_packed = np.zeros(len(packed.names), bool)
        self._is_packed[list(self._places.values())] = True
        self._counts = np.diff(packed.row_ends, prepend=0)
        super().__init__(features, head, threshold, min_votes)
        if not product_head(head):
            print("note: candidates are found by cosine, because this head has no inner product", file=sys.stderr)
        self._index = load_index(packed, head, "rows", np.arange(len(packed.rows)))
        self._nearest: NearestPeople | None = None  # with strangers; built when it is needed
        self._excess: dict[str, np.ndarray] = {}  # of the images of people in play, float64 (n,)

    @property
    def enrolled(self) -> Collection[str]:
        """See Gallery."""
        return self._places.keys() | self.index_of.keys()

    @property
    def images(self) -> int:
        """See Gallery."""
        own = np.diff(self.row_ends, prepend=0)[[name not in self._places for name in self.names]]
        return int(self._counts[self._is_packed].sum() + own.sum())

    def admit(self, probes: np.ndarray, observed: Sequence[np.ndarray] = (), count: int = CANDIDATES) -> bool:
        """Bring the best people for faces (f, D) into play, `count` for each.

        observed: the features (D,) of the faces in view, whose candidates stay in play. Returns whether `names` has
        changed, so that the scores of the faces in view have to be computed again.
        """
        new = [place for place in self._find(probes, count) if self._packed.names[place] not in self.index_of]
        if not new:
            return False
        if len(new) + sum(name in self._places for name in self.names) > MAX_IN_PLAY:
            self._keep([name not in self._places for name in self.names])
            new = self._find(np.concatenate([probes, *np.array(observed)[:, None]]), count)
        self._bring(new)
        return True

    def _find(self, probes: np.ndarray, count: int) -> list[int]:
        """The places of the best packed people for faces (f, D), all faces' together, sorted."""
        if not len(probes):
            return []
        rows = self._index.search(probes, ROWS_FOUND)
        places = np.unique(np.searchsorted(self._packed.row_ends, rows[rows >= 0], side="right"))
        places = places[self._is_packed[places]]
        if not len(places):
            return []
        projected = self.head.project(self._rows(places))
        scores = self.head.score_projected(self.head.project(probes), projected)
        scores = person_scores(scores, np.cumsum(self._counts[places]), self.min_votes)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return places[np.unique(best)].tolist()

    def _rows(self, places: Iterable[int]) -> np.ndarray:
        """The rows of packed people, float32 (n, D)."""
        return np.concatenate([self._packed_rows[self._packed.rows_of(place)] for place in places])

    def _bring(self, places: list[int]) -> None:
        """Bring packed people into play."""
        if not places:
            return
        self.row_ends = np.r_[self.row_ends, len(self.matrix) + np.cumsum(self._counts[places])].astype(int)
        self.matrix = np.concatenate([self.matrix, self._rows(places)])
        self.names += [self._packed.names[place] for place in places]
        self._renew()

    def _keep(self, kept: list[bool]) -> None:
        """Take all people out of play but these, bool (p,)."""
        counts = np.diff(self.row_ends, prepend=0)
        self.matrix = self.matrix[np.repeat(kept, counts)]
        self.row_ends = np.cumsum(counts[kept])
        self.names = [name for name, keep in zip(self.names, kept, strict=True) if keep]
        self._renew()

    def _renew(self) -> None:
        self.index_of = {name: index for index, name in enumerate(self.names)}
        self._excess = {name: excess for name, excess in self._excess.items() if name in self.index_of}
        self._known = None

    def _copy(self, name: str) -> None:
        """Take a person out of the packed gallery, and keep a copy in play, which can be changed."""
        if name in self._places:
            if name not in self.index_of:
                self._bring([self._places[name]])
            self._is_packed[self._places.pop(name)] = False
        self._excess.pop(name, None)

    def add(self, name: str, rows: np.ndarray) -> None:
        """See Gallery."""
        self._copy(name)
        super().add(name, rows)

    def remove(self, name: str, count: int) -> np.ndarray:
        """See Gallery."""
        self._copy(name)
        return super().remove(name, count)

    def rename(self, old: str, new: str) -> None:
        """See Gallery."""
        self._copy(old)
        self._copy(new)
        super().rename(old, new)

    def count(self, name: str) -> int:
        """See Gallery."""
        return int(self._counts[self._places[name]]) if name in self._places else super().count(name)

    def add_strangers(self, rows: np.ndarray) -> None:
        """See Gallery."""
        super().add_strangers(rows)
        self._excess = {}

    def _compare_strangers(self) -> PeopleInPlay:
        if self._nearest is None:
            first_rows = np.r_[0, self._packed.row_ends[:-1]]
            index = load_index(self._packed, self.head, "people", first_rows)
            self._nearest = NearestPeople(self.head, self._packed, index)
        firsts = np.r_[0, self.row_ends[:-1]].astype(int)
        others = np.array([name not in self._places for name in self.names], bool)
        self._nearest.set_others(self.strangers, self.matrix[firsts[others]], self._is_packed)
        numbers = np.array([self._places.get(name, 0) for name in self.names])
        numbers[others] = -2 - np.arange(others.sum())
        counts = np.diff(self.row_ends, prepend=0)
        missing = np.array([name not in self._excess for name in self.names], bool)
        if missing.any():  # in one call: a search of 40 rows takes as long as ten searches of one
            rows = self.matrix[np.repeat(missing, counts)]
            found = self._nearest.excess(rows, np.repeat(numbers[missing], counts[missing])[:, None])[:, 0]
            parts = np.split(found, np.cumsum(counts[missing])[:-1])
            self._excess |= dict(zip(np.array(self.names)[missing].tolist(), parts, strict=True))
        excess = np.concatenate([self._excess[name] for name in self.names])
        return PeopleInPlay(self._nearest, self.matrix, self.row_ends, numbers, excess)
