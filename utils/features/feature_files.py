"""Feature files: one pickled float32 (n, D) matrix per person, with a JSON manifest beside it.

  features/<person>/<person>_features.cPickle   the matrix, in the original recipe's format
  features/<person>/<person>_features.json      image names in row order, extractor, D

Only the owner may read new files and folders. The two spellings of a name such as José, with an accented letter (NFC)
or with an accent after the letter (NFD, on macOS), are the same person: names are NFC, folders keep their spelling.

The reserved folder `_strangers` holds faces of people who are not enrolled, and `_learned` features of those who came
by (test.py --learn_strangers). No face is ever named after them.

A pickle can run code when it is loaded, so these files are read by an interpreter that knows matrices
and nothing else. Files written by Python 2's cPickle load too.
"""

import contextlib
import dataclasses
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.cli import InputError, counted, describe_error, warn
from utils.features.safe_pickle import unpickle_matrix
from utils.files import (
    group_spellings,
    is_existing_file,
    one_spelling,
    read_json,
    sha256,
    subfolder,
    write_bytes,
    write_json,
)
from utils.storage import as_path, is_remote, listed
from utils.threads import map_stored

FACES = "faces"  # a manifest's key: the person's folder of faces, relative to the folder of features
STRANGERS = "_strangers"  # the folder, in faces and in features, for people who are not enrolled
LEARNED = "_learned"  # the folder, in features, for strangers without pictures
GALLERY = "_gallery"  # the folder, in features, of utils.features.packed

# Features this large come from a broken network: in float32 the square of their length is infinite.
MAX_FEATURE = 1e15


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
    faces: str | None = None  # the person's folder of faces, relative to the folder of features; None if unknown


@dataclass(frozen=True)
class PersonFeatures:
    """One person's features."""

    name: str
    matrix: np.ndarray  # float32 (n, D)
    manifest: Manifest | None  # None if there is no valid one
    problem: str | None = None  # why a manifest that exists is not valid

    def rows(self) -> list[FeatureRow]:
        """The matrix's rows with their images; none if there is no valid manifest."""
        if self.manifest is None:
            return []
        return [FeatureRow(*pair) for pair in zip(self.manifest.images, self.matrix, strict=True)]

    def image_names(self) -> list[str]:
        """The file name of each row's image, "" without a valid manifest."""
        return [image.name for image in self.manifest.images] if self.manifest else [""] * len(self.matrix)


def reserved_name(name: str) -> str | None:
    """Why a folder of faces cannot be a person's, None if it can: its name, or one that looks the same, is reserved."""
    meant = name.strip(" .").casefold()
    if name == STRANGERS or meant not in (STRANGERS, LEARNED, GALLERY):
        return None
    return f"the name is reserved: strangers go to {STRANGERS}" if meant == STRANGERS else "the name is reserved"


def feature_path(folder: Path, person: str) -> Path:
    """The path of a person's matrix. The manifest has the same name with `.json`."""
    path = subfolder(folder, person)
    return path / f"{path.name}_features.cPickle"


def image_entry(path: Path) -> ImageEntry | None:
    """An image file's manifest entry. None if the file no longer exists."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return ImageEntry(path.name, status.st_size, status.st_mtime_ns)


def save_rows(
    folder: Path, person: str, rows: Iterable[FeatureRow], extractor: str, align: int, faces: Path | None = None
) -> None:
    """Replace a person's feature files by these rows, sorted by image name. Without rows, delete the files.

    faces: the person's folder of faces, for `report_kept` of utils.features.kept.

    Of two rows with the same image name the later one counts. Raises OSError if a file cannot be
    written, and then restores the matrix that was there.
    """
    by_name = {row.image.name: row for row in rows}
    if not by_name:
        return delete_person(folder, person)
    ordered = [by_name[name] for name in sorted(by_name)]
    path = feature_path(folder, person)
    try:
        former = path.read_bytes()
    except FileNotFoundError:
        former = None
    is_new = not (is_remote(path) or path.parent.exists())
    try:
        matrix = np.stack([row.features for row in ordered])
        save_person(folder, person, matrix, [row.image for row in ordered], extractor, align, faces)
    except OSError:
        # The new matrix may be written and its manifest not. The former matrix fits the former manifest.
        with contextlib.suppress(OSError):
            if former is None:
                delete_person(folder, person)
            else:
                write_bytes(path, former, private=True)
            if is_new:
                path.parent.rmdir()
        raise


def save_person(
    folder: Path,
    person: str,
    matrix: np.ndarray,
    images: list[ImageEntry],
    extractor: str,
    align: int,
    faces: Path | None = None,
) -> None:
    """Write a person's matrix (n, D), then its manifest. Each write is atomic.

    After a crash between the two, the old manifest's checksum does not match, and it is ignored. Raises InputError,
    before anything is written, for numbers that are not finite or too large.
    """
    path = feature_path(folder, person)
    # Protocol 2 is the newest that Python 2 reads, so the original recipe's scripts can read our files.
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(matrix, np.float32)
    _check_numbers(matrix, path)
    data = pickle.dumps(matrix, protocol=2)
    write_bytes(path, data, private=True)
    manifest = {
        "extractor": extractor,
        "dimension": int(matrix.shape[1]),
        "align": align,
        "data_sha256": sha256(data),
        "images": images,
    }
    if faces and (relative := relative_folder(faces, folder)):
        manifest[FACES] = relative
    write_json(path.with_suffix(".json"), manifest, private=True)


def relative_folder(faces: Path, features: Path) -> str | None:
    """A folder of faces relative to one of features, so that both can be moved together.

    None between a machine and an address, or between two buckets.
    """
    roots = [str(path).split("/")[:3] if is_remote(path) else None for path in (faces, features)]
    if roots[0] != roots[1]:
        return None
    if roots[0]:
        return os.path.relpath(str(faces), str(features))
    return os.path.relpath(os.path.realpath(faces), os.path.realpath(features))


def are_usable(matrix: np.ndarray) -> np.ndarray:
    """Which rows of a feature matrix (n, D) are finite, and small enough to compute with: bool (n,)."""
    return (np.abs(matrix) <= MAX_FEATURE).all(axis=1)  # comparisons with NaN are false


def _check_numbers(matrix: np.ndarray, path: Path) -> None:
    if not are_usable(matrix).all():
        raise InputError(f"{path}: features must be finite and at most {MAX_FEATURE:g}: the extractor is broken")


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
    _check_numbers(matrix, path)
    manifest, problem = _read_manifest(path.with_suffix(".json"), data, len(matrix))
    return PersonFeatures(one_spelling(person), matrix, manifest, problem)


def _read_manifest(path: Path, data: bytes, count: int) -> tuple[Manifest | None, str | None]:
    """The manifest of a matrix of `count` rows with this file content, or None and what is wrong with it, if it exists.

    Raises InputError for a file that is not a manifest.
    """
    if not path.is_file():
        return None, None
    content = read_json(path)
    kinds = {"images": list, "extractor": str, "align": int, "data_sha256": str}
    values = {key: content.get(key) for key in kinds}
    entries = values["images"] if isinstance(values["images"], list) else [None]
    if not all(isinstance(values[key], kind) for key, kind in kinds.items()) or not all(map(_is_entry, entries)):
        raise InputError(f"{path} was not written by extract_features.py: delete it or extract again")
    faces = content.get(FACES) if isinstance(content.get(FACES), str) else None
    manifest = Manifest(**values | {"images": [ImageEntry(*entry) for entry in entries], "faces": faces})
    if manifest.data_sha256 == sha256(data) and len(manifest.images) == count:
        return manifest, None
    # After a crash between two writes, or if one of the files was copied or damaged.
    return None, f"{path} does not fit its matrix (the checksum differs)"


def _is_entry(entry: object) -> bool:
    """Whether a value from JSON is [file name, size in bytes, modification time in ns]."""
    return isinstance(entry, list) and [type(part) for part in entry] == [str, int, int]


def folders_with_features(folder: Path) -> list[str]:
    """The names of the subfolders with a feature matrix, as they are on disk, sorted. Others are leftovers."""
    return sorted(_folders_with_features(folder))


def _folders_with_features(folder: Path) -> Iterator[str]:
    return (p.name for p in listed(folder).iterdir() if is_existing_file(p / f"{p.name}_features.cPickle"))


def has_people(folder: Path) -> bool:
    """Whether a folder exists and holds features of at least one person, not counting strangers."""
    return folder.is_dir() and any(name not in (STRANGERS, LEARNED) for name in _folders_with_features(folder))


def iterate_people(folder: Path) -> Iterator[PersonFeatures]:
    """Load the people of a features folder one at a time, sorted by name, without strangers. Raises InputError."""
    return (person for person in iterate_folders(folder) if person.name != STRANGERS)


LoadPerson = Callable[[Path, str], PersonFeatures]  # of a features folder, by the name of the person's folder


def iterate_folders(
    folder: Path, names: list[str] | None = None, load: LoadPerson | None = None
) -> Iterator[PersonFeatures]:
    """The people of a features folder and, under the name STRANGERS, the strangers.

    Files that cannot be read are left out with a warning, so that they stop nobody else.

    names: the folders to read; None for all. load: reads one; None for `load_person`.
    """
    folder = listed(as_path(folder))
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if names is None:
        names = [name for name in folders_with_features(folder) if name != LEARNED]
    if not set(names) - {STRANGERS}:
        raise InputError(f"{folder} has no features of people: expected <person>/<person>_features.cPickle")
    first = first_known = None  # the first person, and the first with a known extractor
    problems: list[str] = []
    anybody = False
    read = partial(_try_load, folder, load or load_person)
    for loaded in map_stored(read, group_spellings(names).values(), folder):
        person = _join_spellings(folder, loaded, problems)
        if person is None:
            continue
        first = first or person
        first_known = first_known or (person if person.manifest else None)
        _check_same_extractor(first, first_known, person)
        anybody |= person.name != STRANGERS
        yield person
    if not anybody:
        others = f" (and {counted(len(problems) - 1, 'other file')})" if problems[1:] else ""
        raise InputError(f"{problems[0]}{others}")
    for problem in problems:
        warn(f"left out: {problem}")


def _try_load(folder: Path, load: LoadPerson, names: list[str]) -> list[PersonFeatures | str]:
    """The features in folders whose names are spellings of the same name, or why they cannot be read."""
    loaded: list[PersonFeatures | str] = []
    for name in names:
        try:
            loaded.append(load(folder, name))
        except (InputError, OSError) as exc:
            loaded.append(describe_error(exc))
    return loaded


def _join_spellings(folder: Path, loaded: list[PersonFeatures | str], problems: list[str]) -> PersonFeatures | None:
    """One person's features from what `_try_load` found. None if nothing can be read. problems: gets the reasons."""
    problems += [item for item in loaded if isinstance(item, str)]
    found = [item for item in loaded if isinstance(item, PersonFeatures)]
    for person in found:
        if person.problem:
            warn(f"{person.name}: {person.problem}: the extractor of these features is unknown; extract them again")
    if len(found) < 2:
        return found[0] if found else None
    for person in found[1:]:
        _check_same_extractor(found[0], found[0] if found[0].manifest else person, person)
    print(f"note: {folder} has {found[0].name} in {len(found)} spellings (NFC and NFD), which are one person")
    manifests = [person.manifest for person in found]
    merged = None
    if all(manifests):
        merged = dataclasses.replace(
            manifests[0], images=[image for manifest in manifests for image in manifest.images]
        )
    return PersonFeatures(found[0].name, np.concatenate([person.matrix for person in found]), merged)


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
    return gather_features(iterate_folders(folder))


def gather_features(everyone: Iterable[PersonFeatures]) -> FeatureSet:
    """People and, under the name STRANGERS, strangers in one matrix."""
    everyone = list(everyone)
    people = [person for person in everyone if person.name != STRANGERS]
    counts = [len(person.matrix) for person in people]
    return FeatureSet(
        matrix=np.concatenate([person.matrix for person in people]),
        labels=np.repeat(np.arange(len(people), dtype=np.int32), counts),
        names=[person.name for person in people],
        extractor=next((person.manifest.extractor for person in everyone if person.manifest), None),
        images=[name for person in people for name in person.image_names()],
        strangers=next((person.matrix for person in everyone if person.name == STRANGERS), None),
    )


def load_strangers(folder: Path, extractor: str | None, dimension: int) -> np.ndarray:
    """The features, float32 (n, D), of the strangers in a features folder, with and without pictures.

    Raises InputError if there are none, or if they come from another extractor.
    """
    names = [name for name in (STRANGERS, LEARNED) if is_existing_file(feature_path(folder, name))]
    found = [load_person(folder, name) for name in names]
    if not found:
        raise InputError(f"{folder} has no features of strangers: expected {feature_path(folder, STRANGERS)}")
    for person in found:
        origin = person.manifest.extractor if person.manifest else "an unknown extractor"
        if person.matrix.shape[1] != dimension or (person.manifest and extractor and origin != extractor):
            raise InputError(f"{folder / person.name} comes from {origin}, not from {extractor}: extract it again")
    return np.concatenate([person.matrix for person in found])


def empty_features(dimension: int, extractor: str) -> FeatureSet:
    """The features (0, D) of an extractor when nobody is enrolled yet."""
    return FeatureSet(np.empty((0, dimension), np.float32), np.empty(0, np.int32), [], extractor, [])
