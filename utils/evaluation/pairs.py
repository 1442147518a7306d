"""A file of pairs in the form of LFW's pairs.txt, and the rows of the feature matrix that it speaks of."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.evaluation.protocols import Pairs
from utils.features.feature_files import FeatureSet


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
