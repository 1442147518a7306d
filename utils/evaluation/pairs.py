"""Pairs of rows of a feature matrix: read from a file in the form of LFW's pairs.txt, or sampled."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.features.feature_files import STRANGERS, FeatureSet
from utils.heads.pairs import all_negative_pairs, positive_pairs

FOLDS = 10
MAX_SAME_PAIRS = 20  # of one person
MAX_DIFFERENT_PAIRS = 200_000


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows of a feature matrix.

    rows: int32 (n, 2). people: int32 (n, 2), the rows' labels. same: bool (n,).
    weights: float64 (n,), how much each counts among its kind. folds: int32 (n,), −1 for none.
    """

    rows: np.ndarray
    people: np.ndarray
    same: np.ndarray
    weights: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, chosen: np.ndarray) -> "Pairs":
        """The pairs of a bool mask or an index array."""
        return Pairs(
            self.rows[chosen], self.people[chosen], self.same[chosen], self.weights[chosen], self.folds[chosen]
        )

    def of_people(self, people: np.ndarray) -> np.ndarray:
        """bool (n,): which pairs show any of these people."""
        return np.isin(self.people, people).any(axis=1)


@dataclass(frozen=True)
class PairLine:
    """One line of a pairs file: its number, its fold and two images, each (person, number)."""

    number: int
    fold: int
    images: tuple[tuple[str, int], tuple[str, int]]


def read_pairs(path: Path) -> list[PairLine]:
    """Read a pairs file of LFW's form. Raises InputError that names the line.

    The first line holds the number of folds and of pairs of each kind in a fold, or the latter alone. Then
    each fold has its pairs of the same person (name, number, number) and of two (name, number, name, number).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a pairs file: it is not text") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{path} is not a pairs file: it is empty")
    header = _split(lines[0][1])
    if len(header) not in (1, 2) or not all(word.isdecimal() and 0 < int(word) < 1_000_000 for word in header):
        raise InputError(
            f"{path}, line {lines[0][0]}: expected the number of folds and of pairs of each kind in a fold. "
            f"Received: {lines[0][1][:80]!r}"
        )
    folds, per_kind = (int(word) for word in (["1", *header] if len(header) == 1 else header))
    if len(lines) - 1 != folds * 2 * per_kind:
        raise InputError(
            f"{path}, line {lines[0][0]}: {folds} folds of 2 × {per_kind} pairs make {folds * 2 * per_kind} lines, "
            f"the file has {len(lines) - 1}"
        )
    return [
        _parse_pair(path, number, line, fold=index // (2 * per_kind)) for index, (number, line) in enumerate(lines[1:])
    ]


def _split(line: str) -> list[str]:
    """Fields between tabs, where there are any: then names may hold blanks."""
    return [word.strip() for word in line.split("\t")] if "\t" in line.strip() else line.split()


def _parse_pair(path: Path, number: int, line: str, fold: int) -> PairLine:
    words = _split(line)
    if len(words) == 3:
        words.insert(2, words[0])
    if len(words) != 4 or not all(word.isdecimal() for word in words[1::2]) or not all(words):
        raise InputError(
            f"{path}, line {number}: expected NAME n m, or NAME n OTHER m. Received: {line.strip()[:80]!r}"
        )
    first, second = (words[0], int(words[1])), (words[2], int(words[3]))
    if first == second:
        raise InputError(f"{path}, line {number}: an image is paired with itself: {line.strip()[:80]!r}")
    return PairLine(number, fold, (first, second))


def image_rows(images: Iterable[tuple[str, str]]) -> dict[tuple[str, int], int]:
    """(person, number) → row, of images (person, file name) in row order: LFW's <person>_NNNN.jpg.

    So are faces found that selfies2face.py made of such photos, <person>_NNNN_jpg.png.
    """
    rows = {}
    for row, (person, name) in enumerate(images):
        number = name.removeprefix(f"{person}_").split(".")[0].split("_")[0]
        if name.startswith(f"{person}_") and number.isdecimal():
            rows.setdefault((person, int(number)), row)
    return rows


def match_pairs(lines: list[PairLine], rows: dict[tuple[str, int], int], labels: np.ndarray) -> tuple[Pairs, list[str]]:
    """The pairs of both of whose images there are features, and one text for each that is left out."""
    known, missing = [], []
    for line in lines:
        lost = [f"{person}_{number:04}" for person, number in line.images if (person, number) not in rows]
        if lost:
            missing.append(f"line {line.number}: no features of {' and '.join(lost)}")
        else:
            known.append(line)
    index = np.array([[rows[image] for image in line.images] for line in known], np.int32).reshape(-1, 2)
    people = np.asarray(labels, np.int32)[index]
    folds = np.array([line.fold for line in known], np.int32)
    return Pairs(index, people, people[:, 0] == people[:, 1], np.ones(len(index)), folds), missing


def load_pairs(path: Path, features: FeatureSet) -> tuple[Pairs, list[str]]:
    """The pairs of a file whose images have features, and a text for each that is left out. Raises InputError."""
    people = [features.names[label] for label in features.labels]
    rows = image_rows(zip(people, features.images, strict=True))
    return match_pairs(read_pairs(path), rows, features.labels)


def check_folds(pairs: Pairs, at_least: int = 1) -> None:
    """Raise InputError unless there are so many folds, each with pairs of both kinds."""
    folds = np.unique(pairs.folds)
    for fold in folds:
        for same, kind in ((True, "the same person"), (False, "different people")):
            if not (pairs.same[pairs.folds == fold] == same).any():
                raise InputError(f"fold {fold + 1} of the pairs has no pair of {kind} with features")
    if len(folds) < at_least:
        raise InputError(f"{at_least} folds of pairs are needed at least. Received: {len(folds)}")


def with_strangers(features: FeatureSet) -> FeatureSet:
    """The same people, and after them each stranger as one with a single photo; `stranger_label` tells them apart."""
    count = len(features.strangers)
    return FeatureSet(
        matrix=np.concatenate([features.matrix, features.strangers]),
        labels=np.r_[features.labels, len(features.names) + np.arange(count, dtype=np.int32)],
        names=features.names + [f"{STRANGERS}/{number}" for number in range(1, count + 1)],
        extractor=features.extractor,
        images=[*features.images, *[""] * count],
    )


def stranger_label(names: list[str]) -> int:
    """The label from which on `with_strangers` gives them to strangers."""
    return sum(not name.startswith(f"{STRANGERS}/") for name in names)


def sample_pairs(
    labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator, strangers_from: int | None = None
) -> Pairs:
    """Pairs of the people of some rows, in which everybody counts the same however many photos there are.

    labels: int (N,), of the whole matrix; rows: int (n,). strangers_from: the label from which on they are strangers',
    two of whom make no pair, since they may be one person. Same: all pairs of a person, MAX_SAME_PAIRS at most,
    share a weight of 1. Different: all, where those of the same two people share a weight of 1; or, where they
    are more than MAX_DIFFERENT_PAIRS, so many random ones: two people, then a photo of each. The people are
    spread over FOLDS; a pair of two folds belongs to none.
    """
    people, own = np.unique(np.asarray(labels)[rows], return_inverse=True)
    same = _sample_same(own, rng)
    different = _sample_different(own, rng)
    drawn = len(different) == MAX_DIFFERENT_PAIRS  # people first: drawn so, each counts the same already
    if strangers_from is not None:
        different = different[(people[own[different]] < strangers_from).any(axis=1)]
    index = np.concatenate([same, different])
    who = np.sort(own[index], axis=1)
    is_same = who[:, 0] == who[:, 1]
    _, which, counts = np.unique(who @ [len(people), 1], return_inverse=True, return_counts=True)
    fold_of = _spread(np.bincount(own, minlength=len(people)), rng)
    folds = fold_of[own[index]]
    return Pairs(
        rows=rows[index].astype(np.int32),
        people=people[own[index]].astype(np.int32),
        same=is_same,
        weights=np.where(is_same | (not drawn), 1 / counts[which], 1.0),
        folds=np.where(folds[:, 0] == folds[:, 1], folds[:, 0], -1),
    )


def _sample_same(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All pairs of one person, int (p, 2), or MAX_SAME_PAIRS random ones of whoever has more."""
    pairs = rng.permutation(positive_pairs(own))
    order = np.argsort(own[pairs[:, 0]], kind="stable")
    person = own[pairs[order, 0]]
    rank = np.arange(len(person)) - np.searchsorted(person, person)
    return pairs[order[rank < MAX_SAME_PAIRS]]


def _sample_different(own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All pairs of two people, int (q, 2), or MAX_DIFFERENT_PAIRS random ones, people first, where there are more."""
    counts = np.bincount(own)
    if len(counts) < 2:
        return np.empty((0, 2), np.int32)
    if (len(own) ** 2 - int((counts.astype(np.int64) ** 2).sum())) // 2 < MAX_DIFFERENT_PAIRS:
        return all_negative_pairs(own, MAX_DIFFERENT_PAIRS, rng)
    first = rng.integers(0, len(counts), MAX_DIFFERENT_PAIRS)
    second = (first + rng.integers(1, len(counts), MAX_DIFFERENT_PAIRS)) % len(counts)
    people = np.stack([first, second], axis=1)
    by_person = np.argsort(own, kind="stable")
    starts = np.cumsum(counts) - counts
    return by_person[starts[people] + (rng.random(people.shape) * counts[people]).astype(int)]


def _spread(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold for each person, int32 (p,), with those of several photos in equal parts; −1 with too few for two folds.

    counts: int (p,), their photos.
    """
    several = int((counts > 1).sum())
    number = min(FOLDS, several, len(counts) // 2)
    folds = np.full(len(counts), -1, np.int32)
    if number >= 2:
        order = np.lexsort([rng.random(len(counts)), counts < 2])
        folds[order] = np.arange(len(counts)) % number
    return folds


def has_both_kinds(same: np.ndarray) -> bool:
    """Whether pairs, bool (n,), are of the same person and of different people."""
    return bool(same.any() and not same.all())
