"""From folders of faces to feature files: plan the work, embed what is new, save each person."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils import interrupts
from utils.cli import InputError, describe_error
from utils.features.embedding import EmbeddedImage
from utils.features.feature_files import (
    FeatureRow,
    ImageEntry,
    PersonFeatures,
    are_usable,
    delete_person,
    feature_path,
    image_entry,
    load_person,
    reserved_name,
    save_rows,
)
from utils.files import is_disk_full, one_spelling, sha256, spellings
from utils.media.images import list_images
from utils.storage import READERS, is_remote
from utils.threads import BackgroundWriter, map_stored

END = 256  # bytes at the end of an image file, which differ as good as always


@dataclass(eq=False)  # so that it can be a key
class PersonWork:
    """One person's images, what has to be done about them, and what came of it."""

    folder: Path  # the person's images
    entries: dict[str, ImageEntry]  # by file name, sorted; unusable images are removed
    todo: list[str]  # file names to embed
    must_rewrite: bool  # the stored file changes even if no row is added
    replaces_all: bool  # a file exists, and none of its rows can be kept
    previous_extractor: str | None = None  # of the rows that are replaced; None if it is the current one
    new_rows: dict[str, np.ndarray] = field(default_factory=dict)  # file name → features (D,), not saved yet
    skipped: list[str] = field(default_factory=list)  # "path: reason" of images that could not be embedded
    unreadable: set[str] = field(default_factory=set)  # file names; they may be good, so stored rows are kept
    non_square: list[str] = field(default_factory=list)  # file names
    narrow: list[str] = field(default_factory=list)  # file names of chips that do not show all of the extractor's crop
    unusable: list[str] = field(default_factory=list)  # file names that got features which are not finite
    write_error: str | None = None  # why the feature file could not be written
    left_out: str | None = None  # why none of the person's images are read
    problem: str | None = None  # what is wrong with the stored features

    def __post_init__(self):
        self.remaining = len(self.todo)  # images of todo that are neither embedded nor skipped

    @property
    def name(self) -> str:
        return one_spelling(self.folder.name)

    def add(self, name: str, image: EmbeddedImage) -> None:
        """Keep the features of an image until they are saved, or leave it out if it could not be loaded."""
        self.remaining -= 1
        self.non_square += [] if image.is_square else [name]
        self.narrow += [name] if image.is_narrow else []
        if image.error is not None:
            self._skip(name, image.error)
        elif are_usable(image.features[None])[0]:
            self.new_rows[name] = image.features
        else:
            self.unusable.append(name)

    def _skip(self, image: str, reason: Exception) -> None:
        text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        self.skipped.append(f"{self.folder / image}: {text}")
        if isinstance(reason, OSError | MemoryError):  # not the image's fault
            self.unreadable.add(image)
        else:
            del self.entries[image]


@dataclass(frozen=True)
class FeatureStore:
    """A folder of feature files and the settings its rows are computed with. Rows of other settings are replaced."""

    folder: Path
    extractor: str  # fingerprint
    align: int  # 1 to align images before they are embedded, else 0

    def _load(self, person: str) -> tuple[PersonFeatures | None, str | None]:
        """A person's stored features, if they can be used, and what is wrong with them, if anything is."""
        try:
            stored = load_person(self.folder, person)
        except FileNotFoundError:
            return None, None
        except ValueError as exc:  # damaged: extract again
            return None, str(exc)
        return stored, stored.problem

    def _valid_rows(self, stored: PersonFeatures | None) -> dict[str, FeatureRow]:
        """The stored rows computed with this extractor and alignment, by image file name."""
        manifest = stored.manifest if stored else None
        if manifest is None or manifest.extractor != self.extractor or manifest.align != self.align:
            return {}
        return {row.image.name: row for row in stored.rows()}

    def _previous_extractor(self, stored: PersonFeatures | None) -> str | None:
        """The extractor of the stored rows. None if it is the current one, or if there are no rows."""
        if stored is None:
            return None
        extractor = stored.manifest.extractor if stored.manifest else "an unknown extractor"
        return None if extractor == self.extractor else extractor

    def plan(self, folders: Sequence[Path], overwrite: bool) -> PersonWork:
        """Find out which images of a person have to be embedded. Keeps no features in memory.

        folders: the person's; several if they are spellings of the same name.
        """
        folder = folders[0]
        if reason := reserved_name(folder.name):
            return PersonWork(folder, {}, [], False, False, left_out=reason)
        try:
            # In the features folder itself, because a folder that is missing would hide that the name is too long.
            (self.folder / feature_path(self.folder, folder.name).name).is_file()
            entries = _image_entries(folders)
        except OSError as exc:
            return PersonWork(folder, {}, [], False, False, left_out=exc.strerror)
        is_stored = feature_path(self.folder, one_spelling(folder.name)).is_file()
        stored, problem = self._load(one_spelling(folder.name)) if is_stored else (None, None)
        valid = {} if overwrite else self._valid_rows(stored)
        todo = [name for name, entry in entries.items() if name not in valid or valid[name].image != entry]
        replaces_all = not valid and feature_path(self.folder, folder.name).is_file()
        must_rewrite = bool(valid.keys() - entries.keys()) or (replaces_all and not entries)
        must_rewrite |= bool(self._other_spellings(folder.name))
        previous_extractor = self._previous_extractor(stored) if todo else None
        return PersonWork(folder, entries, todo, must_rewrite, replaces_all, previous_extractor, problem=problem)

    def _other_spellings(self, name: str) -> list[str]:
        """Other spellings of a name, for which an earlier run made features."""
        if name.isascii():
            return []
        used = feature_path(self.folder, one_spelling(name)).parent.name
        return [path.name for path in spellings(self.folder, name) if path.name != used]

    def save(self, person: PersonWork) -> None:
        """Write a person's new rows together with the stored rows that are still valid.

        An image that was not embedded again keeps its stored row and entry. If no row remains, the
        person's files are deleted. Raises OSError, and InputError if stored rows that should have
        been kept are gone.
        """
        # Taken in one step: after a second Ctrl-C another thread may still be saving this person.
        new_rows, person.new_rows, person.must_rewrite = person.new_rows, {}, False
        valid = self._valid_rows(self._load(person.name)[0])
        kept = {name: row for name, row in valid.items() if name in person.entries and name not in new_rows}
        lost = person.entries.keys() - new_rows.keys() - kept.keys() - set(person.todo)
        if lost and not person.replaces_all:
            raise InputError(f"another run changed the features of {person.name} in the meantime: run this again")
        rows = [*kept.values(), *(FeatureRow(person.entries[name], row) for name, row in new_rows.items())]
        if rows or not person.unreadable:
            save_rows(self.folder, person.name, rows, self.extractor, self.align, person.folder)
            for other in self._other_spellings(person.folder.name):
                delete_person(self.folder, other)

    def try_save(self, person: PersonWork) -> None:
        """Save a person. A failure is kept in `write_error`, so that the other people are still saved.

        Raises OSError if the disk is full.
        """
        if person.unusable:  # the stored features are good, and the new ones would be incomplete
            person.new_rows, person.must_rewrite = {}, False
            image = person.folder / person.unusable[0]
            person.write_error = f"{person.name} keeps the features stored so far, if any: those of {image} " + (
                "are not finite, or too large"
            )
            return
        try:
            self.save(person)
        except InputError as exc:
            person.write_error = str(exc)
        except OSError as exc:
            if is_disk_full(exc):
                raise
            person.write_error = describe_error(exc)


def _image_entries(folders: Sequence[Path]) -> dict[str, ImageEntry]:
    """The images of a person by name, sorted. A name in another folder than the first is relative to the first."""
    entries = {path.name: entry for path in list_images(folders[0]) if (entry := image_entry(path))}
    for folder in folders[1:]:
        for path in list_images(folder):
            name, entry = f"../{folder.name}/{path.name}", image_entry(path)
            if entry:
                entries[name] = entry._replace(name=name)
    return entries


def shared_images(people: list[PersonWork]) -> list[tuple[Path, Path]]:
    """Images that stand byte for byte under two people's names."""
    by_size: dict[int, list[tuple[PersonWork, Path]]] = {}
    for person in people:
        for name, entry in person.entries.items():
            by_size.setdefault(entry.size, []).append((person, person.folder / name))
    groups = [group for group in by_size.values() if len({person.name for person, _ in group}) > 1]
    found = []
    # The ends are read first, because reading all files takes long.
    for same in _split(_split(groups, _read_end), lambda path: path.read_bytes()):
        first, path = same[0]
        found += [(path, other) for person, other in same[1:] if person is not first]
    return found


Images = list[tuple[PersonWork, Path]]


def _split(groups: list[Images], read: Callable[[Path], bytes]) -> list[Images]:
    """Split groups into those of equal content, or equal parts of it as `read` returns them, of at least two people."""
    images = [(number, *image) for number, group in enumerate(groups) for image in group]
    if not images:
        return []
    paths = [path for _, _, path in images]
    equal: dict[tuple[int, str], Images] = {}
    digests = map_stored(partial(_digest, read), paths, paths[0])
    for (number, person, path), digest in zip(images, digests, strict=True):
        if digest:
            equal.setdefault((number, digest), []).append((person, path))
    return [group for group in equal.values() if len({person.name for person, _ in group}) > 1]


def _digest(read: Callable[[Path], bytes], path: Path) -> str | None:
    """The checksum of what is read; None for an image that cannot be read, which is reported where it is embedded."""
    try:
        return sha256(read(path))
    except OSError:
        return None


def _read_end(path: Path) -> bytes:
    if is_remote(path):
        return path.read_end(END)  # type: ignore[attr-defined]
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - END))
        return file.read()


def embed_people(
    people: list[PersonWork], store: FeatureStore, embed: Callable[[list[Path]], Iterator[EmbeddedImage]]
) -> None:
    """Embed everything in `todo`, and save each person once complete, in a thread.

    Ctrl-C saves what is embedded. embed: yields what comes of each of these files, in order. Raises OSError if the
    disk is full.
    """
    todo = [(person, name) for person in people for name in person.todo]
    try:
        writers = READERS if is_remote(store.folder) else 1
        progress = tqdm(total=len(todo), unit="img", desc="extracting", disable=None)
        with BackgroundWriter(threads=writers) as writer, progress:
            images = embed([person.folder / name for person, name in todo])
            for (person, name), image in zip(todo, images, strict=True):
                progress.update()
                interrupts.check()
                person.add(name, image)
                if not person.remaining:
                    writer.submit(store.try_save, person)
    finally:  # after Ctrl-C too, so that no image is embedded twice
        for person in people:
            # A complete file of other features is worth more than the first few rows that would replace it.
            if (person.must_rewrite or person.new_rows) and not (person.remaining and person.replaces_all):
                store.try_save(person)
