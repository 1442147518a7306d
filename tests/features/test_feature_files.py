"""Feature files: format, crashes, mixed extractors, invalid manifests, strangers."""

import io
import json
import os
import pickle
import pickletools

import numpy as np
import pytest

from utils.cli import InputError, file_path
from utils.features import feature_files
from utils.features.extraction import FeatureStore
from utils.features.feature_files import (
    STRANGERS,
    FeatureRow,
    ImageEntry,
    delete_person,
    feature_path,
    iterate_people,
    load_features,
    load_person,
    relative_folder,
    reserved_name,
    save_person,
    save_rows,
)
from utils.files import read_json

MATRIX = np.array([[1.5, -2.25, 3.0], [0.5, 100.0, -7.0]], np.float32)


def test_the_original_recipe_can_read_saved_features(tmp_path):
    save_person(tmp_path, "ada", MATRIX, [["a.png", 1, 2], ["b.png", 3, 4]], "extractor-3-abc", 0)
    data = feature_path(tmp_path, "ada").read_bytes()
    assert feature_path(tmp_path, "ada") == tmp_path / "ada" / "ada_features.cPickle"
    np.testing.assert_array_equal(pickle.loads(data), MATRIX)  # our own file, just written
    opcodes = [opcode.name for opcode, _, _ in pickletools.genops(io.BytesIO(data))]
    assert opcodes[0] == "PROTO" and data[1] == 2
    person = load_person(tmp_path, "ada")
    np.testing.assert_array_equal(person.matrix, MATRIX)
    assert person.manifest.images[1] == ("b.png", 3, 4) and person.manifest.extractor == "extractor-3-abc"


@pytest.mark.kill
def test_a_crash_before_the_manifest_is_noticed(tmp_path):
    save_person(tmp_path, "ada", MATRIX, [["a.png", 1, 2], ["b.png", 3, 4]], "one-3-abc", 0)
    old_manifest = feature_path(tmp_path, "ada").with_suffix(".json").read_bytes()
    save_person(tmp_path, "ada", MATRIX + 1, [["a.png", 1, 2], ["c.png", 3, 4]], "one-3-abc", 0)
    feature_path(tmp_path, "ada").with_suffix(".json").write_bytes(old_manifest)
    person = load_person(tmp_path, "ada")
    assert person.manifest is None
    np.testing.assert_array_equal(person.matrix, MATRIX + 1)


def test_features_of_two_extractors_do_not_mix(tmp_path):
    save_person(tmp_path, "ada", MATRIX, [["a", 1, 2]] * 2, "one-3-abc", 0)
    save_person(tmp_path, "bea", MATRIX, [["a", 1, 2]] * 2, "two-3-def", 0)
    with pytest.raises(InputError, match=r"one-3-abc.*two-3-def"):
        load_features(tmp_path)
    save_person(tmp_path, "bea", MATRIX[:, :2], [["a", 1, 2]] * 2, "one-3-abc", 0)
    with pytest.raises(InputError, match=r"3 dimensions .* 2"):
        list(iterate_people(tmp_path))
    with pytest.raises(InputError, match="not a folder"):
        list(iterate_people(tmp_path / "nowhere"))


def test_an_unknown_extractor_does_not_hide_known_ones(tmp_path):
    for name, extractor in (("ada", "any"), ("bea", "one-3-abc"), ("cem", "two-3-def")):
        save_person(tmp_path, name, MATRIX, [["a", 1, 2]] * 2, extractor, 0)
    feature_path(tmp_path, "ada").with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"bea .*one-3-abc.* cem .*two-3-def"):
        load_features(tmp_path)


def row(name: str, value: float) -> FeatureRow:
    return FeatureRow(ImageEntry(name, 1, 2), np.full(3, value, np.float32))


def test_rows_are_saved_by_image_name(tmp_path):
    save_rows(tmp_path, "ada", [row("b.png", 1), row("a.png", 2), row("b.png", 3)], "one-3-abc", 0)
    person = load_person(tmp_path, "ada")
    assert person.manifest.images == [("a.png", 1, 2), ("b.png", 1, 2)]
    assert person.matrix.tolist() == [[2, 2, 2], [3, 3, 3]]
    assert [image.name for image, _ in person.rows()] == ["a.png", "b.png"]
    save_rows(tmp_path, "ada", [], "one-3-abc", 0)
    assert not list((tmp_path / "ada").iterdir())


@pytest.mark.fault
def test_a_failed_manifest_restores_the_matrix(tmp_path, monkeypatch):
    def fail(path, content, private):
        raise OSError(28, "No space left on device")

    save_rows(tmp_path, "ada", [row("a.png", 1)], "one-3-abc", 0)
    monkeypatch.setattr(feature_files, "write_json", fail)
    with pytest.raises(OSError, match="No space left"):
        save_rows(tmp_path, "ada", [row("a.png", 1), row("b.png", 2)], "one-3-abc", 0)
    assert load_person(tmp_path, "ada").manifest.images == [("a.png", 1, 2)]
    with pytest.raises(OSError, match="No space left"):
        save_rows(tmp_path, "bea", [row("a.png", 1)], "one-3-abc", 0)
    assert not (tmp_path / "bea").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 1e30])
def test_numbers_that_are_not_usable_are_never_written(tmp_path, value):
    save_rows(tmp_path, "ada", [row("a.png", 1)], "one-3-abc", 0)
    with pytest.raises(InputError, match="must be finite"):
        save_rows(
            tmp_path, "ada", [row("a.png", 1), FeatureRow(ImageEntry("b.png", 1, 2), np.array([0, value, 0]))], "e", 0
        )
    assert load_person(tmp_path, "ada").matrix.tolist() == [[1, 1, 1]]
    with pytest.raises(InputError):
        save_person(tmp_path, "bea", np.array([[value]]), [["a", 1, 2]], "e", 0)
    assert not (tmp_path / "bea").exists()


def test_large_numbers_are_not_read(tmp_path):
    path = feature_path(tmp_path, "ada")
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(np.full((1, 3), 1e30, np.float32), 2))
    with pytest.raises(InputError, match="must be finite and at most 1e"):
        load_person(tmp_path, "ada")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_manifests_with_odd_numbers_are_refused(tmp_path, number):
    save_person(tmp_path, "ada", MATRIX, [["a", 1, 2]] * 2, "one-3-abc", 0)
    path = feature_path(tmp_path, "ada").with_suffix(".json")
    path.write_text(path.read_text().replace('"align": 0', f'"align": {number}'))
    with pytest.raises(InputError, match="is not a finite number"):
        load_person(tmp_path, "ada")


@pytest.mark.parametrize(
    "change",
    [
        {"images": 5},
        {"images": None},
        {"images": [1, 2]},
        {"images": [["a", "b", 2]] * 2},
        {"extractor": ["x"]},
        {"extractor": {}},
        {"align": "no"},
        {"data_sha256": 7},
    ],
)
def test_invalid_manifests_are_refused(tmp_path, change):
    save_person(tmp_path, "ada", MATRIX, [["a", 1, 2]] * 2, "one-3-abc", 0)
    path = feature_path(tmp_path, "ada").with_suffix(".json")
    path.write_text(json.dumps(read_json(path) | change))
    with pytest.raises(InputError, match=r"ada_features\.json was not written by extract_features"):
        load_person(tmp_path, "ada")


def test_strangers_are_not_people(tmp_path):
    entry = [["a.png", 1, 1], ["b.png", 1, 2]]
    save_person(tmp_path, STRANGERS, np.full((2, 3), 7.0), entry, "toy-3-abc", 0)
    with pytest.raises(InputError, match="no features of people"):
        load_features(tmp_path)
    save_person(tmp_path, "ada", np.zeros((1, 3)), entry[:1], "toy-3-abc", 0)
    assert [person.name for person in iterate_people(tmp_path)] == ["ada"]
    features = load_features(tmp_path)
    assert features.names == ["ada"] and features.matrix.tolist() == [[0, 0, 0]] and features.images == ["a.png"]
    assert features.strangers.tolist() == [[7, 7, 7]] * 2 and features.strangers.dtype == np.float32
    delete_person(tmp_path, STRANGERS)
    assert load_features(tmp_path).strangers.shape == (0, 3)
    save_person(tmp_path, STRANGERS, np.zeros((1, 4)), entry[:1], "toy-4-abc", 0)
    with pytest.raises(InputError, match="_strangers have 4 dimensions"):
        load_features(tmp_path)


def test_a_damaged_file_stops_nobody_else(tmp_path, capsys):
    for name in ("ada", "bea", "cem", "_strangers"):
        save_person(tmp_path, name, MATRIX, [["a", 1, 2]] * 2, "one-3-abc", 0)
    feature_path(tmp_path, "bea").write_bytes(b"damaged")
    feature_path(tmp_path, "cem").with_suffix(".json").write_text("damaged")
    assert load_features(tmp_path).names == ["ada"]
    err = capsys.readouterr().err
    assert err.count("warning: left out: ") == 2 and "bea_features.cPickle" in err and "cem_features.json" in err
    feature_path(tmp_path, "ada").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"ada_features\.cPickle: .* \(and 2 other files\)"):
        load_features(tmp_path)


def test_faces_are_recorded_relative_to_features(tmp_path):
    places = {"a": "memory://a", "b": "memory://b", "here": str(tmp_path)}
    a, b, here = (file_path(place) for place in places.values())
    assert relative_folder(here / "faces" / "ada", here / "features") == os.path.join("..", "faces", "ada")
    assert relative_folder(a / "faces" / "ada", a / "features") == "../faces/ada"
    for faces, features in ((a, b), (a, here), (here, a)):
        assert relative_folder(faces / "faces" / "ada", features / "features") is None


def test_names_like_reserved_ones_are_no_person():
    for name in ("_Strangers", "_STRANGERS", "_strangers ", "_strangers.", "_learned", "_Learned", "_gallery"):
        assert "reserved" in reserved_name(name)
    for name in ("_strangers", "strangers", "_stranger", "Ada", "_", "gallery", ""):
        assert reserved_name(name) is None


def test_a_folder_with_a_reserved_name_is_left_out(tmp_path):
    folder = tmp_path / "faces" / "_Strangers"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"picture")
    work = FeatureStore(tmp_path / "features", "x", 0).plan([folder], overwrite=False)
    assert not work.todo and "strangers go to _strangers" in work.left_out
