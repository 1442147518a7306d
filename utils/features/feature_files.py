"""Feature files: one pickled float32 (n, D) matrix per person, with a JSON manifest beside it.

  features/<person>/<person>_features.cPickle   the matrix, in the original recipe's format
  features/<person>/<person>_features.json      image names in row order, extractor, D

The reserved folder `_strangers` holds faces of people who are not enrolled. No face is ever named after it.

A pickle can run code when it is loaded, so these files are read by an unpickler that accepts numpy
arrays and nothing else. Files written by Python 2's cPickle load too.
"""

import contextlib
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.cli import InputError
from utils.features.safe_pickle import unpickle_matrix
from utils.files import read_json, sha256, write_bytes, write_json

STRANGERS = "_strangers"  # the folder, in faces and in features, for people who are not enrolled


class ImageEntry(NamedTuple):
    """An image's entry in a manifest. An image that has changed since has another entry."""

    name: str  # file name
    size: int  # bytes
    mtime_ns: int  # modification time


class FeatureRow(NamedTuple):
    """One row of a feature matrix and the image that it was computed from."""

    image: ImageEntry
    features: np.ndarray  # float32 (D,)


@dataclass(frozen=True)
class Manifest:
    """What a feature matrix was computed from, and how."""

    images: list[ImageEntry]  # in row order
    extractor: str  # fingerprint
    align: int  # 1 if the images were aligned before they were embedded, else 0
    data_sha256: str  # of the matrix's file


@dataclass(frozen=True)
class PersonFeatures:
    """One person's features."""

    name: str
    matrix: np.ndarray  # float32 (n, D)
    manifest: Manifest | None  # None if there is no valid one

    def rows(self) -> list[FeatureRow]:
        """The matrix's rows with their images; none if there is no valid manifest."""
        if self.manifest is None:
            return []
        return [FeatureRow(*pair) for pair in zip(self.manifest.images, self.matrix, strict=True)]


def feature_path(folder: Path, person: str) -> Path:
    """The path of a person's matrix. The manifest has the same name with `.json`."""
    return Path(folder) / person / f"{person}_features.cPickle"


def image_entry(path: Path) -> ImageEntry | None:
    """An image file's manifest entry. None if the file no longer exists."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return ImageEntry(path.name, status.st_size, status.st_mtime_ns)


def save_rows(folder: Path, person: str, rows: Iterable[FeatureRow], extractor: str, align: int) -> None:
    """Replace a person's feature files by these rows, sorted by image name. Without rows, delete the files.

    Of two rows with the same image name the later one counts. Raises OSError if a file cannot be
    written, and then restores the matrix that was there.
    """
    by_name = {row.image.name: row for row in rows}
    if not by_name:
        return delete_person(folder, person)
    ordered = [by_name[name] for name in sorted(by_name)]
    path = feature_path(folder, person)
    former = path.read_bytes() if path.is_file() else None
    try:
        matrix = np.stack([row.features for row in ordered])
        save_person(folder, person, matrix, [row.image for row in ordered], extractor, align)
    except OSError:
        # The new matrix may be written and its manifest not. The former matrix fits the former manifest.
        with contextlib.suppress(OSError):
            if former is None:
                delete_person(folder, person)
            else:
                write_bytes(path, former)
        raise


def save_person(
    folder: Path, person: str, matrix: np.ndarray, images: list[ImageEntry], extractor: str, align: int
) -> None:
    """Write a person's matrix (n, D), then its manifest. Each write is atomic.

    After a crash between the two, the old manifest's checksum does not match, and it is ignored.
    """
    path = feature_path(folder, person)
    # Protocol 2 is the newest that Python 2 reads, so the original recipe's scripts can read our files.
    data = pickle.dumps(np.ascontiguousarray(matrix, np.float32), protocol=2)
    write_bytes(path, data)
    manifest = {
        "extractor": extractor,
        "dimension": int(matrix.shape[1]),
        "align": align,
        "data_sha256": sha256(data),
        "images": images,
    }
    write_json(path.with_suffix(".json"), manifest)


def delete_person(folder: Path, person: str) -> None:
    """Delete a person's matrix and manifest, if they exist."""
    path = feature_path(folder, person)
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)


def load_person(folder: Path, person: str) -> PersonFeatures:
    """Load one person's features. Raises InputError, or FileNotFoundError if there are none."""
    path = feature_path(folder, person)
    data = path.read_bytes()
    try:
        matrix = unpickle_matrix(data)
    except ValueError as exc:
        raise InputError(f"{path}: {exc}") from None
    return PersonFeatures(person, matrix, _read_manifest(path.with_suffix(".json"), data, len(matrix)))


def _read_manifest(path: Path, data: bytes, count: int) -> Manifest | None:
    """The manifest of a matrix of `count` rows with this file content. None if missing or of another matrix."""
    if not path.is_file():
        return None
    content = read_json(path)
    kinds = {"images": list, "extractor": str, "align": int, "data_sha256": str}
    values = {key: content.get(key) for key in kinds}
    entries = values["images"] if isinstance(values["images"], list) else [None]
    if not all(isinstance(values[key], kind) for key, kind in kinds.items()) or not all(map(_is_entry, entries)):
        raise InputError(f"{path} was not written by extract_features.py: delete it or extract again")
    manifest = Manifest(**values | {"images": [ImageEntry(*entry) for entry in entries]})
    fits = manifest.data_sha256 == sha256(data) and len(manifest.images) == count
    return manifest if fits else None


def _is_entry(entry: object) -> bool:
    """Whether a value from JSON is [file name, size in bytes, modification time in ns]."""
    return isinstance(entry, list) and [type(part) for part in entry] == [str, int, int]


def _folders_with_features(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and feature_path(folder, p.name).is_file())


def has_people(folder: Path) -> bool:
    """Whether a folder exists and holds features of at least one person, not counting strangers."""
    return folder.is_dir() and bool(set(_folders_with_features(folder)) - {STRANGERS})


def iterate_people(folder: Path) -> Iterator[PersonFeatures]:
    """Load the people of a features folder one at a time, sorted by name, without strangers. Raises InputError."""
    return (person for person in _iterate_folders(folder) if person.name != STRANGERS)


def _iterate_folders(folder: Path) -> Iterator[PersonFeatures]:
    """The people of a features folder and, under the name STRANGERS, the strangers."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    names = _folders_with_features(folder)
    if not set(names) - {STRANGERS}:
        raise InputError(f"{folder} has no features of people: expected <person>/<person>_features.cPickle")
    first = first_known = None  # the first person, and the first with a known extractor
    for name in names:
        person = load_person(folder, name)
        first = first or person
        first_known = first_known or (person if person.manifest else None)
        _check_same_extractor(first, first_known, person)
        yield person


def _check_same_extractor(first: PersonFeatures, first_known: PersonFeatures | None, other: PersonFeatures) -> None:
    way_out = "run extract_features.py again, and delete the features folder of anyone who has no faces folder any more"
    dimension, other_dimension = first.matrix.shape[1], other.matrix.shape[1]
    if dimension != other_dimension:
        raise InputError(
            f"the features of {first.name} have {dimension} dimensions and those of {other.name} {other_dimension}: "
            f"they come from different extractors; {way_out}"
        )
    if other.manifest and other.manifest.extractor != first_known.manifest.extractor:
        raise InputError(
            f"the features of {first_known.name} come from extractor {first_known.manifest.extractor} and those of "
            f"{other.name} from {other.manifest.extractor}; {way_out}"
        )


@dataclass(frozen=True)
class FeatureSet:
    """The features of all people in a folder, in one matrix."""

    matrix: np.ndarray  # float32 (n, D)
    labels: np.ndarray  # int32 (n,), indices into names
    names: list[str]
    extractor: str | None  # fingerprint, None if unknown
    images: list[str] | None = None  # each row's file name, "" without a valid manifest; None if not loaded
    strangers: np.ndarray | None = None  # float32 (m, D), presumably m different people; None becomes (0, D)

    def __post_init__(self):
        if self.strangers is None:
            object.__setattr__(self, "strangers", np.empty((0, self.matrix.shape[1]), np.float32))


def load_features(folder: Path) -> FeatureSet:
    """Load every person and the strangers of a features folder. Raises InputError."""
    everyone = list(_iterate_folders(folder))
    people = [person for person in everyone if person.name != STRANGERS]
    counts = [len(person.matrix) for person in people]
    return FeatureSet(
        matrix=np.concatenate([person.matrix for person in people]),
        labels=np.repeat(np.arange(len(people), dtype=np.int32), counts),
        names=[person.name for person in people],
        extractor=next((person.manifest.extractor for person in everyone if person.manifest), None),
        images=[name for person in people for name in _image_names(person)],
        strangers=next((person.matrix for person in everyone if person.name == STRANGERS), None),
    )


def empty_features(dimension: int, extractor: str) -> FeatureSet:
    """The features (0, D) of an extractor when nobody is enrolled yet."""
    return FeatureSet(np.empty((0, dimension), np.float32), np.empty(0, np.int32), [], extractor, [])


def _image_names(person: PersonFeatures) -> list[str]:
    return [image.name for image in person.manifest.images] if person.manifest else [""] * len(person.matrix)
