"""The people of a features folder, from its packed gallery as far as that is fresh, else from the person folders."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.cli import counted
from utils.features.feature_files import (
    STRANGERS,
    FeatureSet,
    PersonFeatures,
    empty_features,
    gather_features,
    load_features,
)
from utils.features.packed import GALLERY, PackedGallery, PackedPeople, Stamp, changed_people, open_packed, read_stamps
from utils.files import one_spelling


def load_feature_set(folder: Path) -> FeatureSet:
    """The features of all people and the strangers of a folder, from its packed gallery as far as that is fresh.

    The matrix is memory-mapped if nobody has changed since. Raises InputError.
    """
    return read_stored(folder).all_features()


@dataclass(frozen=True, eq=False)
class StoredPeople:
    """What a features folder holds: a packed gallery, unless there is none, and who has changed since."""

    folder: Path
    packed: PackedGallery | None  # None if there is none that can be used
    stamps: dict[str, Stamp]  # of now; empty without a packed gallery
    changed: set[str]  # names of the people who came, left or changed since the gallery was packed

    def all_features(self) -> FeatureSet:
        """Everybody and the strangers. Raises InputError."""
        if self.packed is None:
            return load_features(self.folder)
        if self.changed:
            return gather_features(PackedPeople(self.folder, self.packed, self.stamps, strangers=True))
        packed, strangers = self.packed, _strangers(self._others())
        return FeatureSet(packed.rows, packed.labels, packed.names, packed.extractor, packed.images, strangers)

    def changed_features(self) -> FeatureSet:
        """The people who came or changed since the gallery was packed, and the strangers. Raises InputError."""
        others = self._others()
        if any(person.name != STRANGERS for person in others):
            return gather_features(others)
        empty = empty_features(self.packed.rows.shape[1], self.packed.extractor)
        return replace(empty, strangers=_strangers(others))

    def recorded_faces(self) -> dict[str, str | None]:
        """The folder of faces of each unchanged person, relative to the features, None if unknown, by their folder."""
        faces = dict(zip(self.packed.names, self.packed.faces, strict=True)) if self.packed else {}
        names = {name: one_spelling(name) for name in self.stamps}
        return {name: faces[person] for name, person in names.items() if person not in self.changed}

    def _others(self) -> list[PersonFeatures]:
        """Who is not read from the packed gallery: people who came or changed, and the strangers."""
        unchanged = next((name for name in self.stamps if one_spelling(name) not in self.changed), None)
        # One unchanged person's file is read, too, so that the others' extractor is compared with the packed gallery's.
        read = {
            name: self.stamps[name] for name in self.stamps if one_spelling(name) in self.changed or name == unchanged
        }
        people = PackedPeople(self.folder, None, read, strangers=True)
        return [person for person in people if unchanged is None or person.name != one_spelling(unchanged)]


def _strangers(people: list[PersonFeatures]) -> np.ndarray | None:
    return next((person.matrix for person in people if person.name == STRANGERS), None)


def read_stored(folder: Path) -> StoredPeople:
    """Open the packed gallery of a features folder, and look who has changed since, which is told."""
    packed = open_packed(folder)
    stamps = read_stamps(folder) if packed else {}
    changed = changed_people(packed, stamps) if packed else set()
    if changed:
        people = counted(len(changed), "person has", "people have")
        print(f"note: {people} changed since {folder / GALLERY} was packed: pack.py brings it up to date")
    return StoredPeople(folder, packed, stamps, changed)
