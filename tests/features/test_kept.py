"""Features whose faces were deleted: who is named, by which script, and who is not."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import compute_mean
from utils.features.feature_files import load_features, load_person, save_person
from utils.features.kept import report_kept
from utils.features.packed import GALLERY, pack
from utils.features.stored_people import read_stored
from utils.files import read_json, write_json


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Faces and features of three people."""
    faces, features = tmp_path / "faces", tmp_path / "features"
    for name in ("ada", "bob", "Zo\u00eb"):
        (faces / name).mkdir(parents=True)
        matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
        save_person(features, name, matrix, [["a.png", 1, 2], ["b.png", 3, 4]], "toy-3-abc", 0, faces / name)
    return faces, features


def kept_people(capsys, features: Path, faces: Path | None = None) -> list[str]:
    report_kept(features, faces)
    printed = capsys.readouterr().out
    if features.is_dir():
        pack(features)
    stored = read_stored(features)
    capsys.readouterr()
    report_kept(features, faces, stored)
    assert capsys.readouterr().out == printed, "a packed gallery knows it, too"
    shutil.rmtree(features / GALLERY, ignore_errors=True)
    first, *lines = printed.splitlines() or [""]
    assert not lines or first == (
        f"kept: {len(lines)} {'person' if len(lines) == 1 else 'people'} with features but without a folder of faces; "
        "delete these to forget them"
    )
    return [Path(line.strip()).name for line in lines]


def test_people_whose_faces_are_gone_are_named(folders, capsys):
    faces, features = folders
    assert kept_people(capsys, features) == kept_people(capsys, features, faces) == []
    shutil.rmtree(faces / "bob")
    assert kept_people(capsys, features) == kept_people(capsys, features, faces) == ["bob"]
    (faces / "bob").write_text("a file")
    (faces / "Zo\u00eb").rename(faces / "Zoe\u0308")  # the same name
    assert kept_people(capsys, features) == kept_people(capsys, features, faces) == ["bob"]
    shutil.rmtree(features / "bob")
    assert kept_people(capsys, features) == []


def test_only_what_is_known_is_said(folders, capsys, tmp_path):
    faces, features = folders
    shutil.rmtree(faces / "ada")
    manifest = features / "ada" / "ada_features.json"
    recorded = read_json(manifest)
    assert recorded["faces"] == os.path.join("..", "faces", "ada")
    for content in ({key: recorded[key] for key in recorded if key != "faces"}, recorded | {"faces": 7}):
        write_json(manifest, content)  # as earlier versions wrote it
        assert kept_people(capsys, features) == [] and load_person(features, "ada").manifest is not None
        assert kept_people(capsys, features, faces) == ["ada"]
    manifest.write_text("damaged")
    assert kept_people(capsys, features) == kept_people(capsys, tmp_path / "missing", faces) == []
    write_json(manifest, recorded)
    moved = tmp_path / "moved"
    moved.mkdir()
    for folder in (faces, features):
        folder.rename(moved / folder.name)  # together
    assert kept_people(capsys, moved / "features") == ["ada"]
    (moved / "faces").rename(tmp_path / "elsewhere")
    assert kept_people(capsys, moved / "features") == []
    assert len(load_features(moved / "features").names) == 3


def test_compute_mean_names_them(folders, capsys):
    faces, features = folders
    shutil.rmtree(faces / "ada")
    assert compute_mean.main(["--features_path", str(features)]) == 0
    assert "kept: 1 person with features but without a folder of faces" in (out := capsys.readouterr().out)
    assert f"  {features / 'ada'}\n" in out


@pytest.mark.slow
def test_the_scripts_name_them(suite, tmp_path, capsys):
    """extract_features.py writes down where the faces were; enrolling keeps that."""
    import importlib

    import extract_features
    import train

    faces, features = tmp_path / "faces", tmp_path / "features"
    shutil.copytree(suite["faces"], faces)
    models = ["-m", str(suite["extractor"])]
    assert extract_features.main(["-p", str(faces), *models, "-f", str(features)]) == 0
    shutil.rmtree(faces / "person 3")
    photo = next((faces / "person 2").iterdir())
    test = [*models, "-f", str(features), "-c", str(suite["head"]), "--image_path", str(photo), "--headless"]
    for script, words in (
        (extract_features, ["-p", str(faces), *models, "-f", str(features)]),
        (train, ["--features_path", str(features), "--output_model", str(tmp_path / "head"), "--head", "distance"]),
        (importlib.import_module("test"), test),
    ):
        capsys.readouterr()
        assert script.main(words) == 0
        out = capsys.readouterr().out
        assert "kept: 1 person with features" in out and f"  {features / 'person 3'}\n" in out
