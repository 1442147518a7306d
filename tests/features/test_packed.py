"""The packed gallery: equal to the person folders, fresh or told, and never half."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import extract_features
import pack as pack_script
from utils.cli import InputError
from utils.features import packed as packed_module
from utils.features.feature_files import STRANGERS, ImageEntry, delete_person, load_features, save_person
from utils.features.packed import GALLERY, PackedPeople, changed_people, open_packed, pack, read_stamps
from utils.features.stored_people import load_feature_set, read_stored


def save(folder: Path, name: str, rows: int, seed: int = 0, extractor: str = "one-4-a") -> None:
    matrix = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    save_person(folder, name, matrix, [ImageEntry(f"{row}\n.png", 1, 1) for row in range(rows)], extractor, 0)


@pytest.fixture
def features(tmp_path):
    for seed, (name, rows) in enumerate({"Ada": 2, "José": 3, "Zoe": 1, STRANGERS: 2}.items()):
        save(tmp_path / "features", name, rows, seed)
    return tmp_path / "features"


def assert_equal_features(folder: Path) -> None:
    ours, theirs = load_feature_set(folder), load_features(folder)
    for name in ("matrix", "labels", "strangers"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert (ours.names, ours.images, ours.extractor) == (theirs.names, theirs.images, theirs.extractor)


def test_a_packed_gallery_equals_the_person_folders(features, capsys):
    packed, changed = pack(features)
    assert (packed.names, packed.row_ends.tolist(), changed) == (["Ada", "José", "Zoe"], [2, 5, 6], 3)
    assert isinstance(packed.rows, np.memmap) and packed.extractor == "one-4-a"
    assert_equal_features(features)
    assert isinstance(load_feature_set(features).matrix, np.memmap)
    assert capsys.readouterr().out == ""


def test_only_people_who_changed_are_read_again(features, monkeypatch):
    generation, read = pack(features)[0].generation, []
    assert pack(features)[1] == 0 and open_packed(features).generation == generation
    save(features, "Ada", 4, seed=9)
    save(features, "Bea", 1, seed=8)
    shutil.rmtree(features / "Zoe")
    load = packed_module.load_person
    monkeypatch.setattr(packed_module, "load_person", lambda folder, name: read.append(name) or load(folder, name))
    packed, changed = pack(features)
    assert (read, changed, packed.names) == (["Ada", "Bea"], 3, ["Ada", "Bea", "José"])
    assert_equal_features(features)
    assert len(list((features / GALLERY).iterdir())) == 3, "the former generation is deleted"


def test_people_who_were_deleted_are_gone_at_once(features, capsys):
    pack(features)
    delete_person(features, "José")  # the folder stays
    assert load_feature_set(features).names == ["Ada", "Zoe"]
    assert "1 person has changed" in capsys.readouterr().out
    assert_equal_features(features)


def test_two_spellings_are_one_person(features, capsys):
    (features / "Jose\u0301").mkdir()
    save(features, "Jose\u0301", 2, seed=7)
    for _ in range(2):
        packed, _ = pack(features)
        assert (packed.names, packed.row_ends.tolist()) == (["Ada", "José", "Zoe"], [2, 7, 8])
        assert_equal_features(features)
        save(features, "Ada", 2, seed=9)


def test_people_who_cannot_be_read_are_left_out_and_told(features, capsys):
    path = features / "Zoe" / "Zoe_features.cPickle"
    data = path.read_bytes()
    path.write_bytes(b"damaged")
    assert pack(features)[0].names == ["Ada", "José"]
    assert "left out" in capsys.readouterr().err
    assert changed_people(open_packed(features), read_stamps(features)) == {"Zoe"}
    path.write_bytes(data)
    assert pack(features)[0].names == ["Ada", "José", "Zoe"]


@pytest.mark.parametrize("moment", ["rows-", "images-", "people.json", None])
def test_a_full_disk_or_a_kill_leaves_the_old_gallery_or_the_new(features, monkeypatch, moment):
    pack(features)
    save(features, "Ada", 4, seed=9)
    replace = os.replace

    def fail(source, target):
        if Path(target).name.startswith(moment):
            raise OSError(28, "No space left on device")
        replace(source, target)

    if moment:
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            pack(features)
        assert open_packed(features).row_ends.tolist() == [2, 5, 6]
        assert not list((features / GALLERY).glob(".unfinished*"))
        monkeypatch.undo()
    pack(features)
    assert open_packed(features).row_ends.tolist() == [4, 7, 8]
    assert_equal_features(features)


def test_a_damaged_gallery_is_told_and_not_used(features, capsys):
    for damage in ("cut rows", "no rows", "no JSON", "other version", "other counts", "odd names"):
        pack(features)
        path = features / GALLERY / "people.json"
        content = json.loads(path.read_bytes())
        rows = features / GALLERY / f"rows-{content['generation']}.npy"
        if damage == "cut rows":
            rows.write_bytes(rows.read_bytes()[:-8])
        elif damage == "no rows":
            rows.unlink()
        else:
            odd = {
                "other version": {"format": 99},
                "other counts": {"counts": [1, 2, 4]},
                "odd names": {"names": [1, 2, 3]},
            }
            path.write_text(json.dumps(content | odd.get(damage, {}))[damage == "no JSON" :])
        assert open_packed(features) is None, damage
        assert "pack.py" in capsys.readouterr().err, damage
        assert_equal_features(features)
        capsys.readouterr()


ODD_CONTENTS = (
    {"counts": [-2, 6, 2]},
    {"counts": [2**63, 1, 1]},
    {"counts": [[2], [3], [1]]},
    {"names": [1, 2, 3]},
    {"names": ["a", "a", "b"]},
    {"faces": [1, 2, 3]},
    {"extractor": ["x"]},
    {"stamps": [1]},
    {"stamps": {"a": [[1], [2]]}},
)


def test_a_gallery_with_odd_contents_is_not_used(features, capsys):
    pack(features)
    path = features / GALLERY / "people.json"
    content = json.loads(path.read_bytes())
    for odd in ODD_CONTENTS:
        path.write_text(json.dumps(content | odd))
        assert open_packed(features) is None and "pack.py" in capsys.readouterr().err, odd


@pytest.mark.parametrize("names", [b"", b'"a.png"\n', b"1\n" * 6, b'"\xff"\n' * 6, b"x\n" * 6])
def test_damaged_image_names_of_a_gallery_are_one_line(features, names):
    packed, _ = pack(features)
    packed.file("images-", ".txt").write_bytes(names)
    with pytest.raises(InputError, match=r"is damaged: delete .* and run pack\.py"):
        _ = open_packed(features).images


def test_rows_of_a_gallery_that_are_no_numbers_are_read_from_the_files(features):
    packed, _ = pack(features)
    path = packed.file("rows-", ".npy")
    damaged = np.load(path)
    damaged[0] = np.nan
    np.save(path, damaged)
    people = PackedPeople(features, open_packed(features), read_stamps(features))
    assert all(np.isfinite(person.matrix).all() for person in people)


def test_features_of_another_extractor_are_an_error(features):
    pack(features)
    save(features, "Ada", 2, extractor="two-4-b")
    for read in (pack, load_feature_set):
        with pytest.raises(InputError, match="two-4-b"):
            read(features)


def test_without_people_there_is_nothing_to_pack(tmp_path):
    with pytest.raises(InputError, match="no features of people"):
        pack(tmp_path)
    assert open_packed(tmp_path) is None


def test_only_changed_people_and_strangers_are_read_beside_the_matrix(features, capsys):
    pack(features)
    stored = read_stored(features)
    assert stored.changed == set() and stored.changed_features().matrix.shape == (0, 4)
    assert len(stored.changed_features().strangers) == 2
    save(features, "Ada", 4, seed=9)
    shutil.rmtree(features / "Zoe")
    stored = read_stored(features)
    changed = stored.changed_features()
    assert (stored.changed, changed.names, len(changed.matrix), len(changed.strangers)) == (
        {"Ada", "Zoe"},
        ["Ada"],
        4,
        2,
    )
    save(features, STRANGERS, 2, extractor="two-4-b")
    with pytest.raises(InputError, match="two-4-b"):
        read_stored(features).changed_features()


@pytest.mark.slow
def test_extract_features_packs_on_request_and_then_always(suite, tmp_path, capsys):
    faces = tmp_path / "faces"
    shutil.copytree(suite["faces"], faces)
    words = ["-p", faces, "-m", suite["extractor"], "-f", tmp_path / "features"]
    assert extract_features.main(list(map(str, words))) == 0 and open_packed(tmp_path / "features") is None
    assert extract_features.main([*map(str, words), "--pack"]) == 0
    packed = open_packed(tmp_path / "features")
    shutil.rmtree(faces / packed.names[0])
    next((faces / packed.names[1]).iterdir()).unlink()
    assert extract_features.main(list(map(str, words))) == 0
    assert "1 changed" in capsys.readouterr().out
    assert len(open_packed(tmp_path / "features").rows) == len(packed.rows) - 1
    shutil.rmtree(tmp_path / "features" / packed.names[0])
    assert pack_script.main(["-f", str(tmp_path / "features")]) == 0
    assert open_packed(tmp_path / "features").names == packed.names[1:]
