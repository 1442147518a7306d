"""The files behind a new name: a person's folders of faces and features, renamed or joined with another person's.

Whatever fails, everybody's faces and features are complete under one name or the other.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from utils.cli import InputError
from utils.features.feature_files import (
    FACES,
    FeatureRow,
    PersonFeatures,
    delete_person,
    feature_path,
    image_entry,
    load_person,
    save_rows,
)
from utils.files import make_folder, read_json, spellings, subfolder, take_free_name, write_bytes, write_json
from utils.live.enrolled_files import EnrolledFiles
from utils.storage import is_remote


@dataclass(frozen=True)
class Merger:
    """Two people who became one, with what is needed to undo it."""

    old: str  # the name that is gone
    new: str  # whose folders have everything
    moved: list[tuple[Path, Path]]  # the old person's files of faces: from where, to where
    before: list[PersonFeatures]  # of the old person and the new one


def rename_folders(files: EnrolledFiles, old: str, new: str) -> None:
    """Rename a person's folders: both or neither. Raises InputError if there is a folder of the new name, or OSError.

    The person's feature files get their new names before the folder does, and lose the old ones after it.
    """
    _check_local(files)
    for folder in (files.faces_path, files.features_path):
        _check_only_spelling(folder, old)
        source, target = subfolder(folder, old), subfolder(folder, new)
        # A file system that takes Ada and ada for the same name has the folder already, as it should.
        if target.exists() and not (source.exists() and target.samefile(source)):
            raise InputError(f"{target} exists already: choose another name, or run extract_features.py first")
    faces, features = (subfolder(folder, old) for folder in (files.faces_path, files.features_path))
    with ExitStack() as undo:
        copies = list(_copy_features(files, old, new, undo))
        for folder in (faces, features):
            if folder.is_dir():
                os.rename(folder, folder.with_name(new))
                undo.callback(os.rename, folder.with_name(new), folder)
        undo.pop_all()
    with contextlib.suppress(OSError):  # nobody reads them any more
        for copy in copies:
            (features.with_name(new) / copy).unlink()


def _copy_features(files: EnrolledFiles, old: str, new: str, undo: ExitStack) -> Iterator[str]:
    """Copy a person's feature files to the names that they need in a folder of the new name. Yields the old names."""
    matrix = feature_path(files.features_path, old)
    for path in (matrix, matrix.with_suffix(".json")):
        copy = path.with_name(f"{new}_features{path.suffix}")
        if not path.is_file() or (copy.exists() and copy.samefile(path)):
            continue
        undo.callback(copy.unlink, missing_ok=True)
        if path.suffix == ".json":
            content, faces = read_json(path), subfolder(files.faces_path, old)
            if FACES in content and faces.is_dir():
                content[FACES] = os.path.relpath(os.path.realpath(faces.with_name(new)), matrix.parents[1].resolve())
            write_json(copy, content, private=True)
        else:
            write_bytes(copy, path.read_bytes(), private=True)
        yield path.name


def merge_folders(files: EnrolledFiles, old: str, new: str) -> Merger:
    """Move a person's faces and features to another's: all or nothing. Raises InputError or OSError."""
    _check_local(files)
    before = [_load_known(files, name) for name in (old, new)]
    source, target = (subfolder(files.faces_path, name) for name in (old, new))
    paths = sorted(source.iterdir()) if source.is_dir() else []
    merger = Merger(old, new, [], before)
    try:
        if paths:
            make_folder(target, private=True)
        taken = {row.image.name for row in before[1].rows()}
        for path in paths:
            merger.moved.append((path, _move(path, target, taken)))
        names = {path.name: moved for path, moved in merger.moved}
        added = [_moved_row(row, names, taken) for row in before[0].rows()]
        _save(files, new, [*before[1].rows(), *added])
        delete_person(files.features_path, old)
    except (InputError, OSError):
        with contextlib.suppress(InputError, OSError):
            undo_merger(files, merger)
        raise
    files.remove_if_empty(old)
    return merger


def undo_merger(files: EnrolledFiles, merger: Merger) -> None:
    """Give the two people back what each had. After an OSError it can be called again."""
    for path, moved in merger.moved:
        if moved.exists():
            make_folder(path.parent, private=True)
            os.rename(moved, path)
    for name, person in zip((merger.old, merger.new), merger.before, strict=True):
        _save(files, name, person.rows())


def _load_known(files: EnrolledFiles, name: str) -> PersonFeatures:
    """A person's features, if they can be joined with others. Raises InputError."""
    _check_only_spelling(files.features_path, name)
    person = load_person(files.features_path, name)
    if person.manifest is None or person.manifest.extractor != files.fingerprint or person.manifest.align:
        raise InputError(f"the features of {name} have another origin: run extract_features.py first")
    return person


def _check_local(files: EnrolledFiles) -> None:
    for folder in (files.faces_path, files.features_path):
        if is_remote(folder):
            raise InputError(f"{folder} is an address, where nothing can be renamed in one step")


def _check_only_spelling(folder: Path, name: str) -> None:
    found = spellings(folder, name)
    if len(found) > 1 and not found[0].samefile(found[1]):
        raise InputError(
            f"{folder} has {name} in two spellings (NFC and NFD): move the files of one to the other first"
        )


def _move(path: Path, folder: Path, taken: set[str]) -> Path:
    """Move a file into a folder, under its own name or the next that is neither there nor taken."""
    moved = take_free_name(path, (name for name in _free_names(folder, path) if name.name not in taken))
    path.unlink()
    return moved


def _free_names(folder: Path, path: Path) -> Iterator[Path]:
    """The names to try for a file: its own, then its own with a number."""
    yield folder / path.name
    number = 2
    while True:
        yield folder / f"{path.stem} ({number}){path.suffix}"
        number += 1


def _moved_row(row: FeatureRow, moved: dict[str, Path], taken: set[str]) -> FeatureRow:
    """A row with the name that its image has now. An image that is gone needs a name too that nobody has."""
    if row.image.name in moved:
        return FeatureRow(image_entry(moved[row.image.name]) or row.image, row.features)
    name = next(path.name for path in _free_names(Path(), Path(row.image.name)) if path.name not in taken)
    return FeatureRow(row.image._replace(name=name), row.features)


def _save(files: EnrolledFiles, name: str, rows: list[FeatureRow]) -> None:
    save_rows(files.features_path, name, rows, files.fingerprint, 0, subfolder(files.faces_path, name))
