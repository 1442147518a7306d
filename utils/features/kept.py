"""People whose features are kept after their faces were deleted: they are still recognized."""

import functools
from functools import partial
from pathlib import Path

from utils.cli import InputError, counted, summarize
from utils.features.feature_files import FACES, LEARNED, feature_path, folders_with_features
from utils.files import is_existing_folder, read_json, spellings
from utils.storage import listed
from utils.threads import map_stored


def report_kept(features_path: Path, faces_path: Path | None = None) -> None:
    """Print who has features but no folder of faces any more.

    faces_path: the folder that holds the folders of faces; None for the one that extract_features.py read, where a
    manifest names it.
    """
    names = _names(features_path)
    folders = map_stored(partial(_faces_folder, features_path, faces_path), names, features_path)
    see = functools.cache(listed)
    pairs = zip(names, folders, strict=True)
    kept = [name for name, folder in pairs if folder and _is_gone(see(folder.parent) / folder.name)]
    if kept:
        people = counted(len(kept), "person", "people")
        print(f"kept: {people} with features but without a folder of faces; delete these to forget them")
        print(summarize([str(features_path / name) for name in kept]))


def _names(features_path: Path) -> list[str]:
    if not features_path.is_dir():
        return []
    return [name for name in folders_with_features(features_path) if name != LEARNED]  # they never had pictures


def _faces_folder(features_path: Path, faces_path: Path | None, name: str) -> Path | None:
    if faces_path:
        return faces_path / name
    try:
        recorded = read_json(feature_path(features_path, name).with_suffix(".json")).get(FACES)
    except (InputError, OSError):  # the features are of unknown origin, which is reported where they are used
        return None
    return features_path / recorded if isinstance(recorded, str) else None


def _is_gone(folder: Path) -> bool:
    """Whether a person's folder is missing. Where the folder that held it is missing too, faces are kept elsewhere."""
    return is_existing_folder(folder.parent) and not spellings(folder.parent, folder.name)
