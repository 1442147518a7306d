"""From folders of faces to feature files: what is to be done, and doing it in full batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from utils.cli import InputError
from utils.faces.alignment import align_crop
from utils.faces.dlib_hog import load_landmarks
from utils.features.extractor import Extractor
from utils.features.feature_files import PersonFeatures, delete_person, feature_path, load_person, save_person
from utils.files import is_disk_full
from utils.keras_models import power_of_two
from utils.media.images import decode_image, list_images, resize_chip
from utils.threads import BackgroundWriter, map_ahead

MAX_ASPECT_RATIO = 1.1  # times as long as wide: more is no face crop, which is a square


@dataclass
class PersonWork:
    """One person's images and what is to be done about them.

    entries: image file name → its entry in the manifest, in the order of the names. todo: the names of
    those that are to be embedded. changed: whether the stored rows are to be written anew. replaces:
    whether a file is there whose rows are all to be made anew. former: the other extractor that they are of,
    None where they are of none or of this one. rows: name → its features (D,) until they are saved. left:
    how many of todo are not done. skipped: "path: reason" of images that cannot be used; they are no longer
    in entries. unread: names of images that may be good but could not be read; a row that is stored of them
    stays. oblong: names of images that are no squares, as faces are. unwritten: why the file could not be
    written, None if it was not tried or was.
    """

    folder: Path
    entries: dict[str, list]
    todo: list[str]
    changed: bool
    replaces: bool
    former: str | None = None
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    oblong: list[str] = field(default_factory=list)
    unwritten: str | None = None

    def __post_init__(self):
        self.left = len(self.todo)

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True)
class FeatureStore:
    """Where features are kept and how they are made; rows that were made otherwise do not count.

    folder: of the features. extractor: a fingerprint. align: whether images are aligned on the way, 0 or 1.
    """

    folder: Path
    extractor: str
    align: int

    def known_rows(self, person: str) -> dict[str, tuple[list, np.ndarray]]:
        """Image file name → (its entry in the manifest, its features (D,)) of what is stored for a person."""
        return self._rows(self._stored(person))

    def _stored(self, person: str) -> PersonFeatures | None:
        try:
            return load_person(self.folder, person)
        except (ValueError, FileNotFoundError):
            return None  # missing or damaged: made anew

    def _rows(self, stored: PersonFeatures | None) -> dict[str, tuple[list, np.ndarray]]:
        manifest = stored.manifest if stored else None
        if manifest is None or manifest.extractor != self.extractor or manifest.align != self.align:
            return {}
        return {entry[0]: (entry, row) for entry, row in zip(manifest.images, stored.matrix, strict=True)}

    def _former(self, stored: PersonFeatures | None) -> str | None:
        """The extractor that stored rows are of, None where that is ours, or where there are none."""
        if stored is None:
            return None
        extractor = stored.manifest.extractor if stored.manifest else "an unknown extractor"
        return None if extractor == self.extractor else extractor

    def plan(self, folder: Path, overwrite: bool) -> PersonWork:
        """What of a person's images has to be embedded. Nothing of the features stays in memory."""
        stored = self._stored(folder.name)
        known = {} if overwrite else self._rows(stored)
        entries = {path.name: entry for path in list_images(folder) if (entry := image_entry(path))}
        todo = [name for name, entry in entries.items() if name not in known or known[name][0] != entry]
        replaces = not known and feature_path(self.folder, folder.name).is_file()
        gone = bool(known.keys() - entries.keys()) or (replaces and not entries)
        return PersonWork(folder, entries, todo, gone, replaces, self._former(stored) if todo else None)

    def save(self, person: PersonWork) -> None:
        """Write a person's new rows and the stored ones that are still right, by image name.

        What was not done again keeps the row and the entry that are stored. No rows, no file. Raises
        InputError where the stored rows that were to stay are gone, and OSError.
        """
        # Taken at once: after a second Ctrl-C another thread may still be at it.
        rows, person.rows, person.changed = person.rows, {}, False
        known = self.known_rows(person.name)
        kept = {name: stored for name, stored in known.items() if name in person.entries and name not in rows}
        lost = person.entries.keys() - rows.keys() - kept.keys() - set(person.todo)
        if lost and not person.replaces:
            raise InputError(f"the features of {person.name} were changed by another run meanwhile: run this again")
        merged = kept | {name: (person.entries[name], row) for name, row in rows.items()}
        if merged:
            names = sorted(merged)
            matrix = np.stack([merged[name][1] for name in names])
            entries = [merged[name][0] for name in names]
            save_person(self.folder, person.name, matrix, entries, self.extractor, self.align)
        elif not person.unread:
            delete_person(self.folder, person.name)

    def try_save(self, person: PersonWork) -> None:
        """Save; what is wrong with one person's file is kept in `unwritten` and stops nobody else's.

        Raises OSError where the disk takes no more.
        """
        try:
            self.save(person)
        except InputError as exc:
            person.unwritten = str(exc)
        except OSError as exc:
            if is_disk_full(exc):
                raise
            person.unwritten = str(exc)


def image_entry(path: Path) -> list | None:
    """[file name, size in bytes, modification time in ns]: what tells a changed image from the same.

    None where the file has gone since it was listed.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return [path.name, status.st_size, status.st_mtime_ns]


def embed_people(people: list[PersonWork], extractor: Extractor, store: FeatureStore, jobs: int | None) -> None:
    """Embed all that is to do, in batches across people, and save each person when complete.

    Three things overlap: threads read, decode and crop; the network computes; one thread writes. What is
    in memory is two batches of chips and the rows of people not yet complete. Ctrl-C saves what is done.
    Raises OSError where the disk is full.
    """
    total = sum(len(person.todo) for person in people)
    # Every batch has one size, so that the network is compiled once.
    size = min(extractor.batch_size, power_of_two(max(total, 1)))
    batch: list[tuple[PersonWork, str, np.ndarray]] = []
    try:
        with BackgroundWriter() as writer, tqdm(total=total, unit="img", desc="extracting", disable=None) as progress:
            for person, name, chip in _load_chips(people, store.align, extractor.size, jobs, size):
                progress.update()
                if isinstance(chip, Exception):
                    _leave_out(person, name, chip)
                    if not person.left:
                        writer.submit(store.try_save, person)
                    continue
                batch.append((person, name, chip))
                if len(batch) == size:
                    _embed_batch(batch, extractor, size, store, writer)
            if batch:
                _embed_batch(batch, extractor, size, store, writer)
    finally:  # after Ctrl-C too: what is embedded is not embedded again
        for person in people:
            # A whole file made otherwise is worth more than the first rows of its successor.
            if (person.changed or person.rows) and not (person.left and person.replaces):
                store.try_save(person)


def _leave_out(person: PersonWork, name: str, reason: Exception) -> None:
    person.skipped.append(f"{person.folder / name}: {reason}")
    person.left -= 1
    if isinstance(reason, OSError | MemoryError):  # which says nothing of the image
        person.unread.add(name)
    else:
        del person.entries[name]


def _embed_batch(batch: list, extractor: Extractor, size: int, store: FeatureStore, writer: BackgroundWriter) -> None:
    features = extractor.embed([chip for _, _, chip in batch], padded=size)
    for (person, name, _), row in zip(batch, features, strict=True):
        person.rows[name] = row
        person.left -= 1
    for person in {id(person): person for person, _, _ in batch}.values():
        if not person.left:
            writer.submit(store.try_save, person)
    batch.clear()


def _load_chips(people: list[PersonWork], align: int, size: int, jobs: int | None, ahead: int) -> Iterator[tuple]:
    """(person, image name, RGB uint8 (size, size, 3) or the exception why there is none), read ahead by threads."""

    if align:
        load_landmarks()  # here, where a broken installation is one error and not one for every image

    def load(item):
        person, name = item
        try:
            image = decode_image((person.folder / name).read_bytes())
            if not align and max(image.shape[:2]) > MAX_ASPECT_RATIO * min(image.shape[:2]):
                person.oblong.append(name)
            return person, name, resize_chip(align_crop(image) if align else image, size)
        except (ValueError, OSError, MemoryError, cv2.error) as exc:
            return person, name, exc

    return map_ahead(load, ((person, name) for person in people for name in person.todo), jobs, ahead)
