"""From folders of faces to feature files: what is to be done, and doing it in full batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from utils.extractor import Extractor, power_of_two
from utils.faces import align_crop
from utils.features import delete_person, feature_path, load_person, save_person
from utils.images import decode_image, list_images, resize_chip
from utils.pipeline import BackgroundWriter, map_ahead


@dataclass
class PersonWork:
    """One person's images and what is to be done about them.

    entries: image file name → its entry in the manifest, in the order of the names. todo: the names of
    those that are to be embedded. changed: whether the stored rows are to be written anew. replaces:
    whether a file is there whose rows are all to be made anew. rows: name → its features (D,) until they
    are saved. skipped: "path: reason" of images that cannot be used; they are no longer in entries.
    """

    folder: Path
    entries: dict[str, list]
    todo: list[str]
    changed: bool
    replaces: bool
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def complete(self) -> bool:
        return len(self.rows) + len(self.skipped) == len(self.todo)


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
        try:
            stored = load_person(self.folder, person)
        except (ValueError, FileNotFoundError):
            return {}  # missing or damaged: made anew
        manifest = stored.manifest
        if manifest is None or manifest.extractor != self.extractor or manifest.align != self.align:
            return {}
        return {entry[0]: (entry, row) for entry, row in zip(manifest.images, stored.matrix, strict=True)}

    def plan(self, folder: Path, overwrite: bool) -> PersonWork:
        """What of a person's images has to be embedded. Nothing of the features stays in memory."""
        known = {} if overwrite else self.known_rows(folder.name)
        entries = {path.name: image_entry(path) for path in list_images(folder)}
        todo = [name for name, entry in entries.items() if name not in known or known[name][0] != entry]
        replaces = not known and feature_path(self.folder, folder.name).is_file()
        gone = bool(known.keys() - entries.keys()) or (replaces and not entries)
        return PersonWork(folder, entries, todo, gone, replaces)

    def save(self, person: PersonWork) -> None:
        """Write a person's stored rows that are still right and the new ones, by image name; no rows, no file."""
        rows = {} if person.replaces else {name: row for name, (_, row) in self.known_rows(person.name).items()}
        stale = set(person.todo) - person.rows.keys()
        rows = {name: row for name, row in (rows | person.rows).items() if name in person.entries and name not in stale}
        if rows:
            names = sorted(rows)
            matrix = np.stack([rows[name] for name in names])
            entries = [person.entries[name] for name in names]
            save_person(self.folder, person.name, matrix, entries, self.extractor, self.align)
        else:
            delete_person(self.folder, person.name)
        person.rows, person.changed = {}, False


def image_entry(path: Path) -> list:
    """[file name, size in bytes, modification time in ns]: what tells a changed image from the same."""
    status = path.stat()
    return [path.name, status.st_size, status.st_mtime_ns]


def embed_people(people: list[PersonWork], extractor: Extractor, store: FeatureStore, jobs: int | None) -> None:
    """Embed all that is to do, in batches across people, and save each person when complete.

    Three things overlap: threads read, decode and crop; the network computes; one thread writes. What is
    in memory is two batches of chips and the rows of people not yet complete. Ctrl-C saves what is done.
    """
    total = sum(len(person.todo) for person in people)
    # Every batch has one size, so that the network is compiled once.
    size = min(extractor.batch_size, power_of_two(max(total, 1)))
    batch: list[tuple[PersonWork, str, np.ndarray]] = []
    try:
        with BackgroundWriter() as writer, tqdm(total=total, unit="img", desc="extracting", disable=None) as progress:
            for person, name, chip in _load_chips(people, store.align, extractor.size, jobs, 2 * size):
                progress.update()
                if isinstance(chip, str):
                    del person.entries[name]
                    person.skipped.append(f"{person.folder / name}: {chip}")
                    _save_if_complete(person, store, writer)
                    continue
                batch.append((person, name, chip))
                if len(batch) == size:
                    _embed_batch(batch, extractor, size, store, writer)
            if batch:
                _embed_batch(batch, extractor, size, store, writer)
    finally:  # after Ctrl-C too: what is embedded is not embedded again
        for person in people:
            # A whole file made otherwise is worth more than the first rows of its successor.
            if (person.changed or person.rows) and (person.complete or not person.replaces):
                store.save(person)


def _embed_batch(batch: list, extractor: Extractor, size: int, store: FeatureStore, writer: BackgroundWriter) -> None:
    features = extractor.embed([chip for _, _, chip in batch], padded=size)
    for (person, name, _), row in zip(batch, features, strict=True):
        person.rows[name] = row
        _save_if_complete(person, store, writer)
    batch.clear()


def _save_if_complete(person: PersonWork, store: FeatureStore, writer: BackgroundWriter) -> None:
    if person.complete:
        writer.submit(store.save, person)


def _load_chips(people: list[PersonWork], align: int, size: int, jobs: int | None, ahead: int) -> Iterator[tuple]:
    """(person, image name, RGB uint8 (size, size, 3) or as text why there is none), read ahead by threads."""

    def load(item):
        person, name = item
        try:
            image = decode_image((person.folder / name).read_bytes())
            return person, name, resize_chip(align_crop(image) if align else image, size)
        except (ValueError, OSError, MemoryError, cv2.error) as exc:
            return person, name, str(exc)

    return map_ahead(load, ((person, name) for person in people for name in person.todo), jobs, ahead)
