"""People whose features are kept after their faces were deleted: they are still recognized."""

import functools
import itertools
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from utils.cli import InputError, counted, summarize
from utils.features.feature_files import FACES, LEARNED, STRANGERS, feature_path, folders_with_features
from utils.features.stored_people import StoredPeople
from utils.files import is_existing_file, read_json, spellings
from utils.storage import listed
from utils.threads import map_stored


def report_kept(features_path: Path, faces_path: Path | None = None, stored: StoredPeople | None = None) -> None:
    """Print who has features but no folder of faces any more.

    faces_path: the folder that holds the folders of faces; None for the one that extract_features.py read, where a
    manifest names it. stored: what `read_stored` found in the features folder, which saves reading all manifests.
    """

    @functools.cache
    def look_into(parent: str) -> tuple[Path, set[str] | None]:
        folder = listed(faces_path or features_path / parent)
        try:
            return folder, {path.name for path in folder.iterdir() if path.is_dir()}
        except OSError:
            return folder, None

    kept = []
    for name, place in _places(features_path, faces_path, stored):
        if place:
            folder, subfolders = look_into(place[0])
            # Where the folder that held a person's cannot be listed, either, the faces are kept elsewhere.
            if subfolders is not None and place[1] not in subfolders and not spellings(folder, place[1]):
                kept.append(name)
    if kept:
        people = counted(len(kept), "person", "people")
        print(f"kept: {people} with features but without a folder of faces; delete these to forget them")
        print(summarize([str(features_path / name) for name in sorted(kept)]))


def _places(
    features_path: Path, faces_path: Path | None, stored: StoredPeople | None
) -> Iterable[tuple[str, tuple[str, str] | None]]:
    """The people, as their folders are called, with the folder that holds their folder of faces, and its name."""
    recorded = stored.recorded_faces() if stored else {}
    names = [*stored.stamps] if recorded else _names(features_path)
    if recorded and is_existing_file(feature_path(features_path, STRANGERS)):
        names.append(STRANGERS)
    if faces_path:
        return ((name, ("", name)) for name in names)
    unread = [name for name in names if name not in recorded]
    read = zip(unread, map_stored(partial(_recorded_faces, features_path), unread, features_path), strict=True)
    both = itertools.chain(recorded.items(), read)
    return ((name, os.path.split(faces) if faces else None) for name, faces in both)


def _names(features_path: Path) -> list[str]:
    if not features_path.is_dir():
        return []
    return [name for name in folders_with_features(features_path) if name != LEARNED]  # they never had pictures


def _recorded_faces(features_path: Path, name: str) -> str | None:
    """A person's folder of faces, relative to the features, as far as the manifest names it."""
    try:
        recorded = read_json(feature_path(features_path, name).with_suffix(".json")).get(FACES)
    except (InputError, OSError):  # the features are of unknown origin, which is reported where they are used
        return None
    return recorded if isinstance(recorded, str) else None
