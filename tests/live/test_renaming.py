"""The folders of a person who is renamed, or who becomes one with another: everything moves, or nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
from support import file_contents

from utils.cli import InputError, file_path
from utils.features.feature_files import FACES, feature_path, image_entry, load_features, load_person, save_person
from utils.features.kept import report_kept
from utils.files import read_json
from utils.live import renaming
from utils.live.enrolled_files import EnrolledFiles
from utils.live.renaming import merge_folders, rename_folders, undo_merger

PEOPLE = {"Jonh": 3, "John": 2, "Zoë": 1}  # and their faces
EXTRACTOR = "an extractor"


@pytest.fixture
def files(tmp_path) -> EnrolledFiles:
    """People with faces and features; Jonh and John have a picture of the same name."""
    files = EnrolledFiles(tmp_path / "faces", tmp_path / "features", EXTRACTOR)
    for row, (name, count) in enumerate(PEOPLE.items(), start=1):
        folder = files.faces_path / name
        folder.mkdir(parents=True)
        paths = [folder / f"photo_{number}.png" for number in range(count)]
        for path in paths:
            path.write_bytes(f"{name} {path.name}".encode())
        matrix = row * 10 + np.arange(2 * count, dtype=np.float32).reshape(count, 2)
        save_person(files.features_path, name, matrix, list(map(image_entry, paths)), EXTRACTOR, 0, folder)
    return files


def everything(files: EnrolledFiles) -> dict[Path, bytes]:
    return file_contents(files.faces_path.parent)


def people(files: EnrolledFiles) -> list[str]:
    return load_features(files.features_path).names


@pytest.mark.parametrize("old", ["Jonh", "Zoë"])
def test_a_renamed_person_has_the_same_faces_and_features(files, old, capsys):
    before, stored = everything(files), load_person(files.features_path, old)
    rename_folders(files, old, "Jörg Ü.")
    assert people(files) == sorted({*PEOPLE, "Jörg Ü."} - {old})
    now = load_person(files.features_path, "Jörg Ü.")
    np.testing.assert_array_equal(now.matrix, stored.matrix)
    assert now.manifest.images == stored.manifest.images
    assert len(list((files.faces_path / "Jörg Ü.").iterdir())) == PEOPLE[old]
    assert all(image_entry(files.faces_path / now.name / image.name) == image for image in now.manifest.images)
    manifest = feature_path(files.features_path, "Jörg Ü.").with_suffix(".json")
    assert read_json(manifest)[FACES] == os.path.join("..", "faces", "Jörg Ü.")
    report_kept(files.features_path)
    assert capsys.readouterr().out == ""
    rename_folders(files, "Jörg Ü.", old)
    assert everything(files) == before


@pytest.mark.parametrize("folder", ["faces_path", "features_path"])
def test_a_folder_of_the_new_name_is_not_touched(files, folder):
    (getattr(files, folder) / "John B").mkdir()
    (getattr(files, folder) / "John B" / "a.png").touch()
    before = everything(files)
    with pytest.raises(InputError, match="John B exists already: choose another name"):
        rename_folders(files, "Jonh", "John B")
    assert everything(files) == before


def test_without_a_folder_of_faces_the_features_are_renamed(files):
    for path in (files.faces_path / "Zoë").iterdir():
        path.unlink()
    (files.faces_path / "Zoë").rmdir()
    rename_folders(files, "Zoë", "Zoe")
    assert people(files) == ["John", "Jonh", "Zoe"] and not (files.faces_path / "Zoe").exists()


def test_features_without_a_manifest_are_renamed(files):
    feature_path(files.features_path, "Jonh").with_suffix(".json").unlink()
    rename_folders(files, "Jonh", "Joan")
    assert people(files) == ["Joan", "John", "Zoë"]


def test_two_spellings_of_a_name_are_not_taken_apart(files):
    (files.features_path / "Zoe\u0308").mkdir()
    with pytest.raises(InputError, match="Zoë in two spellings"):
        rename_folders(files, "Zoë", "Zoe")


@pytest.mark.fault
@pytest.mark.parametrize("failing", range(4))
def test_a_failed_renaming_changes_nothing(files, monkeypatch, failing):
    """The writes of two feature files and the renaming of two folders, one of which fails."""
    before, calls = everything(files), []

    def fail_once(function):
        def wrapped(*arguments, **options):
            calls.append(function)
            if len(calls) == failing + 1:
                raise PermissionError(13, "Permission denied", str(arguments[0]))
            return function(*arguments, **options)

        return wrapped

    for name in ("write_bytes", "write_json"):
        monkeypatch.setattr(renaming, name, fail_once(getattr(renaming, name)))
    monkeypatch.setattr(renaming.os, "rename", fail_once(os.rename))
    with pytest.raises(PermissionError):
        rename_folders(files, "Jonh", "Joan")
    assert everything(files) == before and len(calls) > failing


def test_two_people_become_one_and_two_again(files):
    before, matrix = everything(files), load_person(files.features_path, "Jonh").matrix
    merger = merge_folders(files, "Jonh", "John")
    assert people(files) == ["John", "Zoë"] and not (files.faces_path / "Jonh").exists()
    contents = {path.read_bytes() for path in (files.faces_path / "John").iterdir()}
    assert len(contents) == 5 and b"Jonh photo_0.png" in contents and b"John photo_0.png" in contents
    now = load_person(files.features_path, "John")
    assert len(now.matrix) == 5 and {tuple(row) for row in matrix} < {tuple(row) for row in now.matrix}
    assert all(image_entry(files.faces_path / "John" / image.name) == image for image in now.manifest.images)
    undo_merger(files, merger)
    assert everything(files) == before


def test_rows_of_deleted_pictures_are_not_lost(files):
    for path in (files.faces_path / "Jonh").iterdir():
        path.unlink()
    merge_folders(files, "Jonh", "John")
    assert len(load_person(files.features_path, "John").matrix) == 5


def test_features_of_unknown_origin_are_not_joined(files):
    feature_path(files.features_path, "John").with_suffix(".json").unlink()
    before = everything(files)
    for pair in (("Jonh", "John"), ("John", "Zoë")):
        with pytest.raises(InputError, match="the features of John have another origin: run extract_features"):
            merge_folders(files, *pair)
    assert everything(files) == before


@pytest.mark.fault
@pytest.mark.parametrize(("function", "after"), [("take_free_name", 0), ("take_free_name", 2), ("save_rows", 0)])
def test_a_failed_merger_changes_nothing(files, monkeypatch, function, after):
    before, real, calls = everything(files), getattr(renaming, function), []

    def fail_once(*arguments, **options):
        calls.append(1)
        if len(calls) == after + 1:
            raise PermissionError(13, "Permission denied", "a file")
        return real(*arguments, **options)

    monkeypatch.setattr(renaming, function, fail_once)
    with pytest.raises(PermissionError):
        merge_folders(files, "Jonh", "John")
    assert everything(files) == before


def test_people_at_an_address_are_enrolled_but_not_renamed():
    root = file_path("memory://live")
    files = EnrolledFiles(root / "faces", root / "features", EXTRACTOR)
    faces = [(np.full((9, 9, 3), shade, np.uint8), np.full((1, 2), shade, np.float32)) for shade in (1, 2)]
    paths = [files.add("Zoë", *face) for face in faces]
    assert load_features(files.features_path).images == [path.name for path in paths] == ["Zoë_0.png", "Zoë_1.png"]
    for change in (rename_folders, merge_folders):
        with pytest.raises(InputError, match="is an address"):
            change(files, "Zoë", "Zoe")
    files.remove("Zoë", paths)
    assert not [*files.faces_path.iterdir(), *files.features_path.iterdir()]
