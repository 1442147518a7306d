"""Pairs of rows of a feature matrix: read from a file in the form of LFW's pairs.txt, or sampled."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError, cut
from utils.features.feature_files import STRANGERS, FeatureSet
from utils.heads.pairs import all_negative_pairs, positive_pairs
from utils.storage import as_path

FOLDS = 10
MAX_DIGITS = 9  # of a number in a pairs file; Python refuses to convert thousands
MAX_SAME_PAIRS = 20  # per person
MAX_DIFFERENT_PAIRS = 200_000

ImageId = tuple[str, int]  # a person's name and the number of one of their images


@dataclass(frozen=True)
class Pairs:
    """n pairs of rows of a feature matrix."""

    rows: np.ndarray  # int32 (n, 2)
    people: np.ndarray  # int32 (n, 2), the rows' labels
    same: np.ndarray  # bool (n,)
    weights: np.ndarray  # float64 (n,), how much each counts among the pairs of its kind
    folds: np.ndarray  # int32 (n,), -1 for none

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, mask: np.ndarray) -> "Pairs":
        """The pairs that a mask, bool (n,), selects."""
        return Pairs(self.rows[mask], self.people[mask], self.same[mask], self.weights[mask], self.folds[mask])


@dataclass(frozen=True)
class PairLine:
    """One line of a pairs file."""

    line_number: int  # from 1
    fold: int  # from 0
    images: tuple[ImageId, ImageId]


def read_pairs(path: Path) -> list[PairLine]:
    """Read a pairs file in LFW's form. Raises InputError, which names the line.

    The first line holds the number of folds and the number of pairs of each kind in a fold, or only the latter.
    Each fold then lists its same-person pairs (name, number, number), followed by its different-person pairs
    (name, number, name, number).
    """
    try:
        text = as_path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a pairs file: it is not text") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise InputError(f"{path} is not a pairs file: it is empty")
    header = _split_fields(lines[0][1])
    if len(header) not in (1, 2) or not all(_is_number(word) and 0 < int(word) < 1_000_000 for word in header):
        raise InputError(
            f"{path}, line {lines[0][0]}: expected the number of folds and of pairs of each kind in a fold. "
            f"Received: {lines[0][1][:80]!r}"
        )
    folds, per_kind = (int(word) for word in (["1", *header] if len(header) == 1 else header))
    if len(lines) - 1 != folds * 2 * per_kind:
        raise InputError(
            f"{path}, line {lines[0][0]}: {folds} folds of 2 × {per_kind} pairs make {folds * 2 * per_kind} lines, "
            f"but the file has {len(lines) - 1}"
        )
    return [
        _parse_pair(path, number, line, fold=index // (2 * per_kind)) for index, (number, line) in enumerate(lines[1:])
    ]


def _split_fields(line: str) -> list[str]:
    """Split a line at its tabs if it has any, so that names may contain spaces; otherwise at whitespace."""
    return [word.strip() for word in line.split("\t")] if "\t" in line.strip() else line.split()


def _is_number(word: str) -> bool:
    return word.isdecimal() and len(word) <= MAX_DIGITS


def _parse_pair(path: Path, line_number: int, line: str, fold: int) -> PairLine:
    words = _split_fields(line)
    if len(words) == 3:
        words.insert(2, words[0])
    if len(words) != 4 or not all(map(_is_number, words[1::2])) or not all(words):
        raise InputError(
            f"{path}, line {line_number}: expected NAME n m, or NAME n OTHER m. Received: {line.strip()[:80]!r}"
        )
    first, second = (words[0], int(words[1])), (words[2], int(words[3]))
    if first == second:
        raise InputError(f"{path}, line {line_number}: an image is paired with itself: {line.strip()[:80]!r}")
    return PairLine(line_number, fold, (first, second))


def image_rows(images: Iterable[tuple[str, str]]) -> dict[ImageId, int]:
    """Map (person, number) to the row of that image.

    images: (person, file name) in row order. Names of LFW's form <person>_NNNN.jpg count, and so do faces that
    selfies2face.py cut out of such photos, <person>_NNNN_jpg.png. Others are ignored.
    """
    rows: dict[ImageId, int] = {}
    for row, (person, name) in enumerate(images):
        number = name.removeprefix(f"{person}_").split(".")[0].split("_")[0]
        if name.startswith(f"{person}_") and _is_number(number):
            rows.setdefault((person, int(number)), row)
    return rows


def match_pairs(lines: list[PairLine], rows: dict[ImageId, int], labels: np.ndarray) -> tuple[Pairs, list[str]]:
    """The pairs with features of both images, and a message for each pair that is left out."""
    known, missing = [], []
    for line in lines:
        unknown = [f"{cut(person)}_{number:04}" for person, number in line.images if (person, number) not in rows]
        if unknown:
            missing.append(f"line {line.line_number}: no features of {' and '.join(unknown)}")
        else:
            known.append(line)
    index = np.array([[rows[image] for image in line.images] for line in known], np.int32).reshape(-1, 2)
    people = np.asarray(labels, np.int32)[index]
    folds = np.array([line.fold for line in known], np.int32)
    return Pairs(index, people, people[:, 0] == people[:, 1], np.ones(len(index)), folds), missing


def load_pairs(path: Path, features: FeatureSet) -> tuple[Pairs, list[str]]:
    """The pairs of a file that have features, and a message for each that is left out. Raises InputError."""
    people = [features.names[label] for label in features.labels]
    rows = image_rows(zip(people, features.images, strict=True))
    return match_pairs(read_pairs(path), rows, features.labels)


def check_folds(pairs: Pairs, at_least: int = 1) -> None:
    """Raise InputError unless there are enough folds, each with pairs of both kinds."""
    folds = np.unique(pairs.folds)
    for fold in folds:
        for same, kind in ((True, "the same person"), (False, "different people")):
            if not (pairs.same[pairs.folds == fold] == same).any():
                raise InputError(f"fold {fold + 1} of the pairs has no pair of {kind} with features")
    if len(folds) < at_least:
        raise InputError(f"at least {at_least} folds of pairs are needed. Received: {len(folds)}")


def with_strangers(features: FeatureSet) -> FeatureSet:
    """Append each stranger as a person with a single photo. `stranger_label` tells them from the people."""
    count = len(features.strangers)
    return FeatureSet(
        matrix=np.concatenate([features.matrix, features.strangers]),
        labels=np.r_[features.labels, len(features.names) + np.arange(count, dtype=np.int32)],
        names=features.names + [f"{STRANGERS}/{number}" for number in range(1, count + 1)],
        extractor=features.extractor,
        images=[*features.images, *[""] * count],
    )


def stranger_label(names: list[str]) -> int:
    """The first label that `with_strangers` gives to a stranger."""
    return sum(not name.startswith(f"{STRANGERS}/") for name in names)


def sample_pairs(
    labels: np.ndarray,
    rows: np.ndarray,
    rng: np.random.Generator,
    strangers_from: int | None = None,
    max_same: int = MAX_SAME_PAIRS,
    max_different: int = MAX_DIFFERENT_PAIRS,
) -> Pairs:
    """Pairs of some rows, weighted so that every person counts the same however many photos they have.

    Same-person pairs: all pairs of a person, at most `max_same`, which share a weight of 1. Different-person pairs:
    all of them, where the pairs of the same two people share a weight of 1. If there are more than `max_different`,
    that many random ones instead: first two people, then a photo of each. The people are spread over FOLDS; a pair
    across two folds belongs to none.

    Args:
        labels: int (N,), of the whole matrix.
        rows: int (n,), the rows to pair.
        rng: random generator.
        strangers_from: the first label of a stranger. Two strangers make no pair, since they may be the same person.
        max_same: same-person pairs of one person, at most.
        max_different: different-person pairs, at most.
    """
    present, person = np.unique(np.asarray(labels)[rows], return_inverse=True)
    same = _sample_same(person, max_same, rng)
    different = _sample_different(person, max_different, rng)
    people_first = len(different) == max_different  # then all pairs of people count the same already
    if strangers_from is not None:
        different = different[(present[person[different]] < strangers_from).any(axis=1)]
    index = np.concatenate([same, different])
    two_people = np.sort(person[index], axis=1)
    is_same = two_people[:, 0] == two_people[:, 1]
    _, group, counts = np.unique(two_people @ [len(present), 1], return_inverse=True, return_counts=True)
    folds = _assign_folds(np.bincount(person, minlength=len(present)), rng)[person[index]]
    return Pairs(
        rows=rows[index].astype(np.int32),
        people=present[person[index]].astype(np.int32),
        same=is_same,
        weights=np.where(is_same | (not people_first), 1 / counts[group], 1.0),
        folds=np.where(folds[:, 0] == folds[:, 1], folds[:, 0], -1),
    )


def _sample_same(person: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """All same-person pairs, int (p, 2), but at most `most` random ones per person.

    person: int (n,), the person of each row, from 0.
    """
    pairs = rng.permutation(positive_pairs(person))
    order = np.argsort(person[pairs[:, 0]], kind="stable")
    pair_person = person[pairs[order, 0]]
    rank = np.arange(len(pair_person)) - np.searchsorted(pair_person, pair_person)
    return pairs[order[rank < most]]


def _sample_different(person: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """All different-person pairs, int (q, 2), or if there are more, `most` random ones, people first.

    person: int (n,), the person of each row, from 0.
    """
    counts = np.bincount(person)
    if len(counts) < 2:
        return np.empty((0, 2), np.int32)
    if (len(person) ** 2 - int((counts.astype(np.int64) ** 2).sum())) // 2 < most:
        return all_negative_pairs(person, most, rng)
    first = rng.integers(0, len(counts), most)
    second = (first + rng.integers(1, len(counts), most)) % len(counts)
    people = np.stack([first, second], axis=1)
    by_person = np.argsort(person, kind="stable")
    starts = np.cumsum(counts) - counts
    return by_person[starts[people] + (rng.random(people.shape) * counts[people]).astype(int)]


def _assign_folds(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold for each person, int32 (p,); -1 for all if there are too few people for two folds.

    People with several photos are spread evenly. counts: int (p,), photos per person.
    """
    several = int((counts > 1).sum())
    count = min(FOLDS, several, len(counts) // 2)
    folds = np.full(len(counts), -1, np.int32)
    if count >= 2:
        order = np.lexsort([rng.random(len(counts)), counts < 2])
        folds[order] = np.arange(len(counts)) % count
    return folds


def has_both_kinds(same: np.ndarray) -> bool:
    """Whether there are same-person and different-person pairs. same: bool (n,)."""
    return bool(same.any() and not same.all())
