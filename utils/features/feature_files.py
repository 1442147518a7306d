"""Feature files: one pickled float32 (n, D) matrix a person, with a JSON manifest beside it.

  features/<person>/<person>_features.cPickle   the matrix, as in the original recipe
  features/<person>/<person>_features.json      image names in row order, extractor, D

The reserved folder `_strangers` holds faces that are nobody's: they are never a name.

A pickle can run code when it is loaded, so these are read by an unpickler that knows numpy arrays
and nothing else. Files that Python 2's cPickle wrote load as well.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.features.safe_pickle import unpickle_matrix
from utils.files import read_json, sha256, write_bytes, write_json

STRANGERS = "_strangers"  # the folder, in faces and in features, of faces that are nobody's


@dataclass(frozen=True)
class Manifest:
    """What a feature matrix was made from.

    images: per row [file name, size in bytes, modification time in ns]. extractor: its fingerprint.
    align: whether the images were aligned on the way. data_sha256: of the matrix's file.
    """

    images: list[list]
    extractor: str
    align: int
    data_sha256: str


@dataclass(frozen=True)
class PersonFeatures:
    """A person's matrix, float32 (n, D), and its manifest, None where no valid one stands beside it."""

    name: str
    matrix: np.ndarray
    manifest: Manifest | None


def feature_path(folder: Path, person: str) -> Path:
    """Where a person's matrix is kept; the manifest has the same name with `.json`."""
    return Path(folder) / person / f"{person}_features.cPickle"


def save_person(folder: Path, person: str, matrix: np.ndarray, images: list[list], extractor: str, align: int):
    """Write a person's matrix (n, D) and manifest. Each is atomic; the data goes first.

    A crash between the two leaves a manifest whose checksum does not fit: it counts as none.
    """
    path = feature_path(folder, person)
    # Protocol 2 is the newest that Python 2 reads: the original recipe's scripts still can.
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
    """Remove a person's matrix and manifest."""
    path = feature_path(folder, person)
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)


def load_person(folder: Path, person: str) -> PersonFeatures:
    """Load one person's features. Raises InputError, or FileNotFoundError where there are none."""
    path = feature_path(folder, person)
    data = path.read_bytes()
    try:
        matrix = unpickle_matrix(data)
    except ValueError as exc:
        raise InputError(f"{path}: {exc}") from None
    return PersonFeatures(person, matrix, _read_manifest(path.with_suffix(".json"), data, len(matrix)))


def _read_manifest(path: Path, data: bytes, rows: int) -> Manifest | None:
    if not path.is_file():
        return None
    content = read_json(path)
    kinds = {"images": list, "extractor": str, "align": int, "data_sha256": str}
    values = {key: content.get(key) for key in kinds}
    entries = values["images"] if isinstance(values["images"], list) else [None]
    if not all(isinstance(values[key], kind) for key, kind in kinds.items()) or not all(map(_is_entry, entries)):
        raise InputError(f"{path} is not what extract_features.py writes: delete it or extract again")
    manifest = Manifest(**values)
    fits = manifest.data_sha256 == sha256(data) and len(manifest.images) == rows
    return manifest if fits else None


def _is_entry(entry) -> bool:
    """Whether a manifest's row is [file name, size, modification time]."""
    return isinstance(entry, list) and [type(part) for part in entry] == [str, int, int]


def _folders_with_features(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and feature_path(folder, p.name).is_file())


def has_people(folder: Path) -> bool:
    """Whether there are features of anybody who has a name in a folder, and the folder itself."""
    return folder.is_dir() and bool(set(_folders_with_features(folder)) - {STRANGERS})


def iterate_people(folder: Path) -> Iterator[PersonFeatures]:
    """The people of a features folder, sorted by name, one in memory at a time; no strangers. Raises InputError."""
    return (person for person in _iterate_folders(folder) if person.name != STRANGERS)


def _iterate_folders(folder: Path) -> Iterator[PersonFeatures]:
    """The people and, under the name STRANGERS, the strangers of a features folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    names = _folders_with_features(folder)
    if not set(names) - {STRANGERS}:
        raise InputError(f"{folder} has no features of people: expected <person>/<person>_features.cPickle")
    first = known = None  # the first person, and the first whose extractor is known
    for name in names:
        person = load_person(folder, name)
        first = first or person
        known = known or (person if person.manifest else None)
        _check_same_extractor(first, known, person)
        yield person


def _check_same_extractor(first: PersonFeatures, known: PersonFeatures | None, other: PersonFeatures) -> None:
    way_out = "run extract_features.py again, and delete the features folder of whoever has no faces there any more"
    widths = first.matrix.shape[1], other.matrix.shape[1]
    if widths[0] != widths[1]:
        raise InputError(
            f"the features of {first.name} have {widths[0]} dimensions and those of {other.name} {widths[1]}: "
            f"they are of different extractors; {way_out}"
        )
    if other.manifest and other.manifest.extractor != known.manifest.extractor:
        raise InputError(
            f"the features of {known.name} are of extractor {known.manifest.extractor} and those of {other.name} of "
            f"{other.manifest.extractor}; {way_out}"
        )


@dataclass(frozen=True)
class FeatureSet:
    """All people of a folder in one matrix.

    matrix: float32 (n, D). labels: int32 (n,), an index into names. extractor: a fingerprint or None.
    images: the rows' file names, empty where a person has no valid manifest; None where nobody asked.
    strangers: float32 (m, D), faces that are nobody's, and of m different people as far as anybody knows;
    of no rows where there are none.
    """

    matrix: np.ndarray
    labels: np.ndarray
    names: list[str]
    extractor: str | None
    images: list[str] | None = None
    strangers: np.ndarray | None = None

    def __post_init__(self):
        if self.strangers is None:
            object.__setattr__(self, "strangers", np.empty((0, self.matrix.shape[1]), np.float32))


def load_features(folder: Path) -> FeatureSet:
    """Load every person, and the strangers, of a features folder. Raises InputError."""
    everybody = list(_iterate_folders(folder))
    people = [person for person in everybody if person.name != STRANGERS]
    sizes = [len(person.matrix) for person in people]
    return FeatureSet(
        matrix=np.concatenate([person.matrix for person in people]),
        labels=np.repeat(np.arange(len(people), dtype=np.int32), sizes),
        names=[person.name for person in people],
        extractor=next((p.manifest.extractor for p in everybody if p.manifest), None),
        images=[name for person in people for name in _image_names(person)],
        strangers=next((p.matrix for p in everybody if p.name == STRANGERS), None),
    )


def no_features(dimension: int, extractor: str) -> FeatureSet:
    """Features of nobody, (0, D), of an extractor."""
    return FeatureSet(np.empty((0, dimension), np.float32), np.empty(0, np.int32), [], extractor, [])


def _image_names(person: PersonFeatures) -> list[str]:
    return [entry[0] for entry in person.manifest.images] if person.manifest else [""] * len(person.matrix)
