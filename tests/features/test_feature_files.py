"""Feature files: what may be in a pickle, what a crash leaves, what a second run does."""

import base64
import io
import json
import os
import pickle
import pickletools
import shutil

import numpy as np
import pytest

import extract_features
from utils.cli import InputError
from utils.features import feature_files
from utils.features.feature_files import (
    STRANGERS,
    delete_person,
    feature_path,
    iterate_people,
    load_features,
    load_person,
    save_person,
)
from utils.features.safe_pickle import unpickle_matrix
from utils.files import read_json
from utils.media.images import write_image

MATRIX = np.array([[1.5, -2.25, 3.0], [0.5, 100.0, -7.0]], np.float32)
# MATRIX as Python 2.7.18 with numpy 1.16.6 wrote it: cPickle.dumps(matrix, 2) and, as the original
# recipe calls it, cPickle.dumps(matrix), which is protocol 0.
PYTHON2_PROTOCOL2 = base64.b64decode(
    "gAJjbnVtcHkuY29yZS5tdWx0aWFycmF5Cl9yZWNvbnN0cnVjdApxAWNudW1weQpuZGFycmF5CnECSwCFVQFih1JxAyhLAUsCSwOGY251bXB5"
    "CmR0eXBlCnEEVQJmNEsASwGHUnEFKEsDVQE8Tk5OSv////9K/////0sAdGKJVRgAAMA/AAAQwAAAQEAAAAA/AADIQgAA4MB0Yi4="
)
PYTHON2_PROTOCOL0 = base64.b64decode(
    "Y251bXB5LmNvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcDEKKGNudW1weQpuZGFycmF5CnAyCihJMAp0UydiJwp0UnAzCihJMQooSTIK"
    "STMKdGNudW1weQpkdHlwZQpwNAooUydmNCcKSTAKSTEKdFJwNQooSTMKUyc8JwpOTk5JLTEKSS0xCkkwCnRiSTAwClMnXHgwMFx4MDBceGMw"
    "P1x4MDBceDAwXHgxMFx4YzBceDAwXHgwMEBAXHgwMFx4MDBceDAwP1x4MDBceDAwXHhjOEJceDAwXHgwMFx4ZTBceGMwJwp0Yi4="
)


class Hostile:
    """Pickles into a call of any function, which is how a pickle runs code."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("data", [PYTHON2_PROTOCOL0, PYTHON2_PROTOCOL2])
def test_files_of_python_2_load(data):
    np.testing.assert_array_equal(unpickle_matrix(data), MATRIX)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_protocol_loads(protocol, dtype, order):
    loaded = unpickle_matrix(pickle.dumps(MATRIX.astype(dtype, order=order), protocol))
    np.testing.assert_array_equal(loaded, MATRIX)
    assert loaded.dtype == np.float32 and loaded.flags.writeable


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {marker}"),
        (eval, "open('{marker}', 'w')"),
        (exec, "open('{marker}', 'w')"),
        (np.load, "{marker}"),
        (getattr, np.ndarray, "tofile"),
        (np.ndarray, (1 << 50,)),
        (np.ndarray, (2, 3), "f4"),
        (np.core.multiarray._reconstruct if hasattr(np, "core") else np.ndarray, np.ndarray, (1 << 40,), b"b"),
    ],
    ids=lambda call: call[0].__name__,
)
@pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning")
def test_hostile_pickles_are_refused(call, tmp_path):
    marker = tmp_path / "code ran"
    arguments = [argument.format(marker=marker) if isinstance(argument, str) else argument for argument in call[1:]]
    for protocol in (0, 2, 5):
        for content in (Hostile(call[0], *arguments), [MATRIX, Hostile(call[0], *arguments)]):
            with pytest.raises(ValueError):
                unpickle_matrix(pickle.dumps(content, protocol))
    assert not marker.exists()


def test_a_hostile_feature_file_is_one_line(tmp_path, capsys):
    import compute_mean

    path = feature_path(tmp_path, "ada")
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Hostile(os.system, f"touch {tmp_path}/ran")))
    assert compute_mean.main(["--features_path", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "system" in error and str(path) in error
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        MATRIX[0],
        MATRIX.astype(int),
        np.empty((0, 3), np.float32),
        np.array([[np.nan, 1.0]], np.float32),
        np.array([["a"]], object),
        [1.0],
        "text",
    ],
    ids=["row", "integers", "empty", "nan", "objects", "list", "text"],
)
def test_what_is_no_matrix_is_refused(content):
    with pytest.raises(ValueError):
        unpickle_matrix(pickle.dumps(content, 2))


def test_damaged_pickles_are_refused():
    data = pickle.dumps(MATRIX, 2)
    for size in range(len(data)):
        with pytest.raises(ValueError):
            unpickle_matrix(data[:size])
    rng = np.random.default_rng(0)
    for _ in range(500):  # any altered byte: a matrix or a ValueError, nothing else
        altered = bytearray(data)
        altered[rng.integers(len(data))] = rng.integers(256)
        try:
            unpickle_matrix(bytes(altered))
        except ValueError:
            continue


def test_saved_features_are_what_the_original_recipe_reads(tmp_path):
    save_person(tmp_path, "ada", MATRIX, [["a.png", 1, 2], ["b.png", 3, 4]], "extractor-3-abc", 0)
    data = feature_path(tmp_path, "ada").read_bytes()
    assert feature_path(tmp_path, "ada") == tmp_path / "ada" / "ada_features.cPickle"
    np.testing.assert_array_equal(pickle.loads(data), MATRIX)  # our own file, just written
    opcodes = [opcode.name for opcode, _, _ in pickletools.genops(io.BytesIO(data))]
    assert opcodes[0] == "PROTO" and data[1] == 2
    person = load_person(tmp_path, "ada")
    np.testing.assert_array_equal(person.matrix, MATRIX)
    assert person.manifest.images[1] == ("b.png", 3, 4) and person.manifest.extractor == "extractor-3-abc"


def test_a_crash_between_data_and_manifest_is_noticed(tmp_path):
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


def test_an_unknown_extractor_does_not_hide_two_known_ones(tmp_path):
    for name, extractor in (("ada", "any"), ("bea", "one-3-abc"), ("cem", "two-3-def")):
        save_person(tmp_path, name, MATRIX, [["a", 1, 2]] * 2, extractor, 0)
    feature_path(tmp_path, "ada").with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"bea .*one-3-abc.* cem .*two-3-def"):
        load_features(tmp_path)


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
def test_odd_manifests_are_refused(tmp_path, change):
    save_person(tmp_path, "ada", MATRIX, [["a", 1, 2]] * 2, "one-3-abc", 0)
    path = feature_path(tmp_path, "ada").with_suffix(".json")
    path.write_text(json.dumps(read_json(path) | change))
    with pytest.raises(InputError, match=r"ada_features\.json was not written by extract_features"):
        load_person(tmp_path, "ada")


@pytest.fixture
def library(suite, tmp_path):
    """A copy of two people's faces and an empty features folder; extract() runs the script on them."""
    faces, features = tmp_path / "faces", tmp_path / "features"
    for number in (0, 1):
        shutil.copytree(suite["faces"] / f"person {number}", faces / f"person {number}")
    (faces / "stray.txt").write_text("beside the person folders")

    def extract(*more: str) -> int:
        line = ["-p", str(faces), "-m", str(suite["extractor"]), "-f", str(features), *more]
        return extract_features.main(line)

    extract.extractor = suite["extractor"]
    return faces, features, extract


def test_a_second_run_does_only_what_changed(library, capsys):
    faces, features, extract = library
    assert extract() == 0
    assert "2 people, 10 images: 10 embedded (" in capsys.readouterr().out
    before = load_features(features)
    written = {path: path.stat().st_mtime_ns for path in features.rglob("*") if path.is_file()}

    assert extract() == 0
    assert "0 embedded, 10 unchanged" in capsys.readouterr().out
    assert written == {path: path.stat().st_mtime_ns for path in features.rglob("*") if path.is_file()}

    images = sorted((faces / "person 0").iterdir())
    images[0].unlink()
    shutil.copy(images[1], images[2])  # a changed image; copy() sets a new time
    shutil.copy(images[1], faces / "person 0" / "zz new.png")
    assert extract() == 0
    out = capsys.readouterr().out
    assert "2 people, 10 images: 2 embedded (" in out and ", 8 unchanged" in out
    after = load_person(features, "person 0")
    assert [image.name for image in after.manifest.images] == [p.name for p in sorted((faces / "person 0").iterdir())]
    np.testing.assert_array_equal(after.matrix[0], before.matrix[1])
    np.testing.assert_array_equal(after.matrix[2:4], before.matrix[3:5])
    np.testing.assert_allclose(after.matrix[[1, 4]], before.matrix[[1, 1]], atol=1e-5)

    assert extract("--overwrite") == 0
    assert "10 embedded" in capsys.readouterr().out
    assert extract("--align", "1") == 0  # another way of looking at the images: other features
    assert "10 embedded" in capsys.readouterr().out


def test_whole_photos_are_warned_of(library, capsys):
    faces, _, extract = library
    write_image(faces / "person 0" / "photo.png", np.full((300, 200, 3), 90, np.uint8))
    assert extract() == 0
    assert "warning: 1 image is no square" in capsys.readouterr().err
    assert extract() == 0
    assert capsys.readouterr().err == ""  # it was told when it was read
    assert extract("--align", "1") == 0
    assert capsys.readouterr().err == ""


def test_another_extractors_features_are_replaced_and_it_is_said(library, capsys):
    faces, features, extract = library
    for number, extractor in ((2, "resnet50-2048-abc"), (3, "resnet50-2048-abc")):
        shutil.copytree(faces / "person 0", faces / f"person {number}")
        save_person(features, f"person {number}", np.ones((1, 4), np.float32), [["a.png", 1, 2]], extractor, 0)
    save_person(features, "person 1", np.ones((1, 4), np.float32), [["a.png", 1, 2]], "any", 0)
    feature_path(features, "person 1").with_suffix(".json").unlink()  # as the original recipe left it
    shutil.copytree(features / "person 2", features / "gone")
    assert extract() == 0
    said, *others = capsys.readouterr().out.splitlines()
    ours = load_person(features, "person 0").manifest.extractor
    assert said == (
        "features of resnet50-2048-abc (2 people), of an unknown extractor (1 person) are replaced: "
        f"--model_path is {ours}"
    )
    assert "4 people, 20 images: 20 embedded" in others[0]
    assert {load_person(features, f"person {number}").manifest.extractor for number in range(4)} == {ours}
    for words in ([], ["--overwrite"], ["--align", "1"]):  # these are our own
        assert extract(*words) == 0
        assert "replaced" not in capsys.readouterr().out


def test_deleted_people_and_damaged_files(library, capsys):
    faces, features, extract = library
    assert extract() == 0
    for image in (faces / "person 1").iterdir():
        image.unlink()
    feature_path(features, "person 0").write_bytes(b"damaged")
    capsys.readouterr()
    assert extract() == 0
    out = capsys.readouterr().out
    assert "1 person, 5 images: 5 embedded" in out and "person 1: no usable image" in out
    assert [person.name for person in iterate_people(features)] == ["person 0"]


def test_unreadable_images_are_named_and_skipped(library, capsys):
    faces, features, extract = library
    (faces / "person 0" / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    (faces / "person 1" / "empty.png").touch()
    assert extract() == 0
    out = capsys.readouterr().out
    assert "10 embedded" in out and "skipped: 2 images" in out
    assert "broken.jpg: " in out and "empty.png: the file is empty" in out
    assert len(load_person(features, "person 0").matrix) == 5


def test_ctrl_c_keeps_what_is_finished(library, monkeypatch, capsys):
    from utils.features.extractor import Extractor

    _, features, extract = library
    calls = []
    original = Extractor.embed

    def embed(self, images, padded):
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, images, padded)

    monkeypatch.setattr(Extractor, "embed", embed)
    assert extract("--batch_size", "4") == 130
    assert len(load_person(features, "person 0").matrix) == 4
    assert extract() == 0
    out = capsys.readouterr().out
    assert "6 embedded (" in out and ", 4 unchanged" in out


def test_an_interrupted_overwrite_loses_nothing(library, monkeypatch):
    from utils.features.extractor import Extractor

    _, features, extract = library
    assert extract() == 0
    before = load_features(features)
    calls = []
    original = Extractor.embed

    def embed(self, images, padded):
        calls.append(len(images))
        if len(calls) == 4:  # in the middle of the second person
            raise KeyboardInterrupt
        return original(self, images, padded)

    monkeypatch.setattr(Extractor, "embed", embed)
    for words in (["--overwrite"], ["--align", "1"]):
        calls.clear()
        assert extract("--batch_size", "2", *words) == 130
        assert [len(person.matrix) for person in iterate_people(features)] == [5, 5]
    np.testing.assert_array_equal(load_person(features, "person 1").matrix, before.matrix[5:])


def test_people_without_faces_are_named(library, capsys):
    faces, features, extract = library
    assert extract() == 0
    shutil.rmtree(faces / "person 1")
    capsys.readouterr()
    assert extract() == 0
    assert "kept: 1 person" in (out := capsys.readouterr().out) and str(features / "person 1") in out


def test_names_that_are_not_utf8(library, capsys):
    faces, _, extract = library
    (faces / "person 0").rename(faces / os.fsdecode(b"caf\xe9"))
    for image in list((faces / os.fsdecode(b"caf\xe9")).iterdir())[:2]:
        image.rename(image.with_name(os.fsdecode(b"\xe9" + os.fsencode(image.name))))
    assert extract() == 0
    capsys.readouterr()
    assert extract() == 0
    assert "0 embedded, 10 unchanged" in capsys.readouterr().out


def test_align_places_landmarks_on_the_crops_own_rectangle(library):
    from utils.faces.alignment import align_crop
    from utils.features.extractor import load_extractor
    from utils.media.images import read_image

    faces, features, extract = library
    assert extract("--align", "1") == 0
    person = load_person(features, "person 0")
    crops = [align_crop(read_image(faces / "person 0" / image.name)) for image in person.manifest.images]
    manifest = read_json(feature_path(features, "person 0").with_suffix(".json"))
    expected = load_extractor(library[2].extractor).embed(crops)
    np.testing.assert_allclose(person.matrix, expected, atol=1e-5)
    assert manifest["align"] == 1 and manifest["dimension"] == 128


def test_wrong_folders_are_one_line(library, tmp_path, capsys):
    _, features, _ = library
    write_image(tmp_path / "flat" / "a.png", np.zeros((8, 8, 3), np.uint8))
    for faces in (tmp_path / "flat", tmp_path / "nowhere"):
        assert extract_features.main(["-p", str(faces), "-m", "nothing", "-f", str(features)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_strangers_are_nobody(tmp_path):
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


def test_batches_jobs_and_precision_change_no_row(library, monkeypatch, capsys):
    from utils.features import extraction
    from utils.features.extractor import Extractor

    _, features, extract = library
    assert extract() == 0
    plain = load_features(features).matrix
    seen = []
    embed, ahead = Extractor.embed, extraction.map_ahead
    monkeypatch.setattr(
        Extractor, "embed", lambda self, images, padded: seen.append(padded) or embed(self, images, padded)
    )
    monkeypatch.setattr(extraction, "map_ahead", lambda *words: seen.append(words[2:]) or ahead(*words))
    assert extract("--overwrite", "--batch_size", "3", "--jobs", "1") == 0
    assert seen == [(1, 3), 3, 3, 3, 3]  # jobs and read ahead, then four batches, the last of one image
    assert np.abs(load_features(features).matrix - plain).max() < 1e-5
    assert extract("--overwrite", "--precision", "bfloat16") == 0
    assert 1e-4 < np.linalg.norm(load_features(features).matrix - plain, axis=1).max() < 0.02
    # Features of both precisions are one extractor's: nothing is made anew.
    assert extract() == 0
    assert "0 embedded, 10 unchanged" in capsys.readouterr().out


def test_bfloat16_without_instructions_for_it_is_said(library, monkeypatch, capsys):
    _, _, extract = library
    monkeypatch.setattr(
        "utils.features.inference.bfloat16_doubt", lambda: "this processor has no bfloat16 instructions"
    )
    assert extract("--precision", "bfloat16") == 0
    assert "warning: this processor has no bfloat16 instructions" in capsys.readouterr().err


def test_a_person_who_cannot_be_written_stops_nobody_else(library, capsys):
    _, features, extract = library
    (features / "person 0" / "person 0_features.json").mkdir(parents=True)
    assert extract("--batch_size", "4") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: not all features could be written: ") and "person 0_features.json" in error
    assert len(load_person(features, "person 1").matrix) == 5


def test_a_full_disk_ends_the_run_with_what_is_written(library, monkeypatch, capsys):
    _, features, extract = library

    def fail(folder, person, *words):
        if person == "person 1":
            raise OSError(28, "No space left on device")
        save_person(folder, person, *words)

    monkeypatch.setattr(feature_files, "save_person", fail)
    assert extract("--batch_size", "4") == 2
    error = capsys.readouterr().err
    assert error.strip().splitlines()[-1].startswith("error: ") and "No space left" in error
    assert [person.name for person in iterate_people(features)] == ["person 0"]
    monkeypatch.undo()
    assert extract() == 0
    assert len(load_features(features).matrix) == 10


@pytest.mark.parametrize("words", [["--overwrite"], ["--align", "1"], []], ids=["overwrite", "align", "touched"])
def test_images_that_cannot_be_read_cost_no_row(library, monkeypatch, capsys, words):
    """A disk that stumbles says nothing of the images: what is stored of them stays."""
    from pathlib import Path

    faces, features, extract = library
    assert extract() == 0
    before = load_features(features)
    for image in faces.rglob("*.png"):
        os.utime(image)
    read = Path.read_bytes

    def stumble(path):
        if path.suffix == ".png" and ("person 1" in str(path) or path.name.startswith("photo 0")):
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", stumble)
    assert extract(*words) == 0
    assert "skipped: 6 images" in capsys.readouterr().out
    after = load_features(features)
    np.testing.assert_array_equal(after.matrix[after.labels == 1], before.matrix[before.labels == 1])
    # Rows of another way of looking at the images cannot stay beside new ones.
    assert (after.labels == 0).sum() == (4 if words == ["--align", "1"] else 5)
    monkeypatch.undo()
    assert extract(*(word for word in words if word != "--overwrite")) == 0
    assert "6 embedded" in capsys.readouterr().out


def test_ctrl_c_keeps_rows_of_images_that_were_only_touched(library, monkeypatch):
    from utils.features.extractor import Extractor

    faces, features, extract = library
    assert extract() == 0
    for image in faces.rglob("*.png"):
        os.utime(image)
    sorted((faces / "person 0").iterdir())[0].unlink()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Extractor, "embed", interrupt)
    assert extract() == 130
    assert [len(person.matrix) for person in iterate_people(features)] == [4, 5]


def test_a_broken_installation_is_one_line_and_deletes_nothing(library, monkeypatch, capsys):
    from utils.faces import dlib_hog as dlib_faces

    _, features, extract = library
    assert extract() == 0
    dlib_faces.load_landmarks.cache_clear()
    monkeypatch.setattr(dlib_faces, "LANDMARKS_SHA256", "of another file")
    assert extract("--align", "1") == 2
    assert "reinstall it" in capsys.readouterr().err
    assert len(load_features(features).matrix) == 10


def test_another_runs_changes_are_noticed(library, monkeypatch, capsys):
    from utils.features.extraction import FeatureStore

    faces, features, extract = library
    assert extract() == 0
    shutil.copy(next((faces / "person 0").iterdir()), faces / "person 0" / "zz new.png")
    save = FeatureStore.save

    def meanwhile(self, person):
        save_person(features, person.name, np.ones((1, 128), np.float32), [["x.png", 1, 2]], self.extractor, 1)
        save(self, person)

    monkeypatch.setattr(FeatureStore, "save", meanwhile)
    assert extract() == 2
    assert "another run changed the features of person 0" in capsys.readouterr().err
