"""The packed gallery: the features of all people of a folder in one memory-mapped matrix, beside their feature files.

  features/_gallery/people.json              names, row counts and a stamp of each feature file; names the generation
  features/_gallery/rows-<generation>.npy    the matrix, float32 (n, D), sorted by person
  features/_gallery/images-<generation>.txt  each row's image name, a JSON string a line

The person folders stay the truth: a person whose feature file is gone, or has another stamp, is never read from here.
`people.json` is written last, in one step, so that a kill leaves the old gallery or the new one.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted, describe_error, warn
from utils.features.feature_files import (
    GALLERY,
    LEARNED,
    STRANGERS,
    ImageEntry,
    Manifest,
    PersonFeatures,
    are_usable,
    feature_path,
    iterate_folders,
    load_person,
)
from utils.files import atomic_path, is_existing_file, make_folder, one_spelling, read_json, write_bytes
from utils.storage import is_remote, listed, local_copy

FORMAT = 1  # raised when what is written changes, so that galleries of earlier versions are packed again
HEADER = 128  # bytes of the header of a matrix in NumPy's format, for any number of rows below 10²⁰

Stamp = tuple[int, int]  # of a feature file: its size in bytes and its modification time in ns


@dataclass(frozen=True, eq=False)
class PackedGallery:
    """The people of a features folder as they were when it was packed, without strangers."""

    folder: Path  # the features folder
    generation: str  # names the files; every packing has another one
    rows: np.ndarray  # float32 (n, D), memory-mapped, sorted by person
    names: list[str]  # of the people, sorted
    row_ends: np.ndarray  # int64 (p,), one past the last row of each person
    extractor: str | None  # fingerprint, None if unknown
    stamps: dict[str, Stamp]  # of each feature file, by the name of its folder
    faces: list[str | None]  # each person's folder of faces, relative to the features folder; None if unknown

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Each name's place in `names`."""
        return {name: index for index, name in enumerate(self.names)}

    def rows_of(self, index: int) -> slice:
        """Where the rows of the person at this place are."""
        return slice(int(self.row_ends[index - 1]) if index else 0, int(self.row_ends[index]))

    @property
    def labels(self) -> np.ndarray:
        """The person of each row, int32 (n,), an index into `names`."""
        counts = np.diff(self.row_ends, prepend=0)
        return np.repeat(np.arange(len(self.names), dtype=np.int32), counts)

    @cached_property
    def images(self) -> list[str]:
        """The image name of each row; "" where it is unknown."""
        path = self.file("images-", ".txt")
        try:
            images = json.loads(f"[{','.join(path.read_text('utf-8').splitlines())}]")
        except (ValueError, RecursionError):
            images = []
        if len(images) != len(self.rows) or not all(isinstance(image, str) for image in images):
            raise InputError(f"{path} is damaged: delete {path.parent} and run pack.py to make it again")
        return images

    def file(self, prefix: str, suffix: str) -> Path:
        """The path of a file that belongs to this generation, and is deleted with it."""
        return self.folder / GALLERY / f"{prefix}{self.generation}{suffix}"


def read_stamps(folder: Path) -> dict[str, Stamp]:
    """The stamp of every person's feature file in a features folder, by the name of its folder, sorted.

    Every file is looked at, which takes 5 µs: deleting one is enough to have a person forgotten.
    """
    stamps = {}
    if is_remote(folder):
        folder = listed(folder)
        names, stat = [path.name for path in folder.iterdir()], lambda path: (folder / path).stat()
    else:  # pathlib takes five times as long
        names, stat = os.listdir(folder), lambda path: os.stat(f"{folder}/{path}")
    for name in names:
        with suppress(OSError):
            status = stat(f"{name}/{name}_features.cPickle")
            stamps[name] = status.st_size, status.st_mtime_ns
    return {name: stamps[name] for name in sorted(stamps.keys() - {STRANGERS, LEARNED})}


def open_packed(folder: Path) -> PackedGallery | None:
    """The packed gallery of a features folder, fresh or not. None if there is none, or a damaged one, which is told."""
    path = folder / GALLERY / "people.json"
    if not is_packed(folder):
        return None
    try:
        try:
            return _read(folder, read_json(path))
        except FileNotFoundError:  # another run may have replaced the gallery at this moment
            return _read(folder, read_json(path))
    except (InputError, OSError, ValueError, KeyError, TypeError, EOFError, OverflowError, AttributeError) as exc:
        problem = describe_error(exc) if isinstance(exc, OSError) else str(exc)
    warn(f"{path.parent} is damaged, and the person folders are read ({problem}): run pack.py to make it again")
    return None


def _read(folder: Path, content: dict) -> PackedGallery:
    """Raises many kinds of error for a gallery that is damaged."""
    if content["format"] != FORMAT:
        raise ValueError("another version of this program made it")
    path = folder / GALLERY / f"rows-{content['generation']}.npy"
    rows = np.load(local_copy(path), mmap_mode="r", allow_pickle=False)
    counts = np.array(content["counts"], np.int64)
    stamps = {name: (int(size), int(modified)) for name, (size, modified) in content["stamps"].items()}
    names, faces = content["names"], content["faces"]
    row_ends = np.cumsum(counts)
    fits = rows.ndim == 2 and rows.dtype == np.float32 and len(set(names)) == len(counts) == len(faces) > 0
    texts = all(isinstance(text, str) for text in [*names, *faces, content["extractor"]] if text is not None)
    if not (fits and texts and counts.ndim == 1 and (counts > 0).all() and row_ends[-1] == len(rows)):
        raise ValueError("its parts do not fit together")
    return PackedGallery(folder, content["generation"], rows, names, row_ends, content["extractor"], stamps, faces)


def changed_people(packed: PackedGallery, stamps: dict[str, Stamp]) -> set[str]:
    """The names of the people who came, left or changed since a gallery was packed. stamps: of now."""
    return {one_spelling(name) for name, _ in packed.stamps.items() ^ stamps.items()}


def pack(folder: Path) -> tuple[PackedGallery, int]:
    """Bring the packed gallery of a features folder up to date. Returns it, and how many people have changed.

    Unchanged people come from the former gallery. Holds one person's rows in memory. Raises InputError or OSError, and
    then leaves the former gallery.
    """
    former, stamps = open_packed(folder), read_stamps(folder)
    if former and former.stamps == stamps:
        return former, 0
    make_folder(folder / GALLERY, private=True)
    people, generation = PackedPeople(folder, former, stamps), f"{time.time_ns():x}"
    names: list[str] = []
    counts: list[int] = []
    faces: list[str | None] = []
    extractor = None
    with _new_files(folder / GALLERY, generation) as (rows, images):
        rows.write(bytes(HEADER))
        for person in people:
            rows.write(np.ascontiguousarray(person.matrix, np.float32))
            images.writelines(json.dumps(name) + "\n" for name in person.image_names())
            names.append(person.name)
            counts.append(len(person.matrix))
            faces.append(person.manifest.faces if person.manifest else None)
            extractor = extractor or (person.manifest.extractor if person.manifest else None)
        rows.seek(0)
        header = {"descr": "<f4", "fortran_order": False, "shape": (sum(counts), person.matrix.shape[1])}
        np.lib.format.write_array_header_1_0(rows, header)
    kept = {name: stamp for name, stamp in stamps.items() if one_spelling(name) in people.read}
    content = {"format": FORMAT, "generation": generation, "extractor": extractor}
    content |= {"names": names, "counts": counts, "faces": faces, "stamps": kept}
    write_bytes(folder / GALLERY / "people.json", json.dumps(content).encode(), private=True)
    _delete_others(folder / GALLERY, generation)
    return _read(folder, content), len(changed_people(former, stamps)) if former else len(names)


def pack_and_report(folder: Path) -> None:
    """Pack a features folder, and print what is in it."""
    packed, changed = pack(folder)
    people, rows = counted(len(packed.names), "person", "people"), counted(len(packed.rows), "image")
    print(f"{folder / GALLERY}: {people}, {rows}; {changed or 'nobody'} changed")


def is_packed(folder: Path) -> bool:
    """Whether a features folder has a packed gallery, fresh or not."""
    return is_existing_file(folder / GALLERY / "people.json")


@contextmanager
def _new_files(folder: Path, generation: str) -> Iterator[tuple]:
    """Open the two files of a new generation, which take their names at the end."""
    paths = folder / f"rows-{generation}.npy", folder / f"images-{generation}.txt"
    with ExitStack() as stack:
        first, second = (stack.enter_context(atomic_path(path, private=True)) for path in paths)
        rows = stack.enter_context(open(first, "wb", buffering=1 << 20))
        yield rows, stack.enter_context(open(second, "w", encoding="utf-8"))


def _delete_others(folder: Path, generation: str) -> None:
    """Delete the files of other generations."""
    for path in folder.iterdir():
        if not path.name.startswith(".") and path.name != "people.json" and generation not in path.name:
            with suppress(OSError):  # Windows keeps a matrix that another run has open
                path.unlink()


class PackedPeople:
    """The people of a features folder, one after another: unchanged ones from a packed gallery, others from files."""

    def __init__(self, folder: Path, former: PackedGallery | None, stamps: dict[str, Stamp], strangers: bool = False):
        """stamps: of now. strangers: whether these are among them."""
        self.folder, self.former, self.stamps, self.strangers = folder, former, stamps, strangers
        self.read: set[str] = set()  # the names that were
        spellings = Counter(map(one_spelling, stamps))
        # A person in two folders has both folders' rows in the packed gallery.
        self._changed = {name for name, folders in spellings.items() if folders > 1}
        self._changed |= changed_people(former, stamps) if former else set()

    def __iter__(self) -> Iterator[PersonFeatures]:
        names = list(self.stamps)
        if self.strangers and feature_path(self.folder, STRANGERS).is_file():
            names.append(STRANGERS)
        for person in iterate_folders(self.folder, names, self._load):
            self.read.add(person.name)
            yield person

    def _load(self, folder: Path, name: str) -> PersonFeatures:
        person = one_spelling(name)
        index = self.former.index_of.get(person) if self.former and person not in self._changed else None
        if index is None:
            return load_person(folder, name)
        place = self.former.rows_of(index)
        if not are_usable(self.former.rows[place]).all():  # a damaged disk
            return load_person(folder, name)
        manifest = None
        if self.former.extractor:
            images = [ImageEntry(image, 0, 0) for image in self.former.images[place]]
            manifest = Manifest(images, self.former.extractor, 0, "", self.former.faces[index])
        return PersonFeatures(person, self.former.rows[place], manifest)
