"""Extraction: what a second run does, what a crash or a bad image costs, what is reported."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import extract_features
from utils.faces import dlib_hog
from utils.faces.alignment import CHIP_SIZE, SQUARE_SIZE, align_crop
from utils.faces.crops import CROP_POINTS
from utils.features import embedding, extractor, feature_files
from utils.features.extraction import FeatureStore
from utils.features.extractor import Extractor, load_extractor
from utils.features.feature_files import feature_path, iterate_people, load_features, load_person, save_person
from utils.features.keras_extractor import save_extractor
from utils.files import read_json
from utils.media.images import read_image, write_image


@pytest.fixture
def library(suite, tmp_path):
    """A copy of two people's faces, an empty features folder, and a function that runs the script on them."""
    faces, features = tmp_path / "faces", tmp_path / "features"
    for number in (0, 1):
        shutil.copytree(suite["faces"] / f"person {number}", faces / f"person {number}")
    (faces / "stray.txt").write_text("not a person folder")

    def extract(*more: str) -> int:
        line = ["-p", str(faces), "-m", str(suite["extractor"]), "-f", str(features), *more]
        return extract_features.main(line)

    extract.extractor = suite["extractor"]
    return faces, features, extract


@pytest.mark.slow
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
    assert extract("--align", "1") == 0  # gives other features
    assert "10 embedded" in capsys.readouterr().out


@pytest.mark.slow
def test_whole_photos_cause_a_warning(library, capsys):
    faces, _, extract = library
    write_image(faces / "person 0" / "photo.png", np.full((300, 200, 3), 90, np.uint8))
    assert extract() == 0
    assert "warning: 1 image is not square" in capsys.readouterr().err
    assert extract() == 0
    assert capsys.readouterr().err == ""  # the warning comes only when an image is read
    assert extract("--align", "1") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_replacing_features_of_another_extractor_is_reported(library, capsys):
    faces, features, extract = library
    for number, other in ((2, "resnet50-2048-abc"), (3, "resnet50-2048-abc")):
        shutil.copytree(faces / "person 0", faces / f"person {number}")
        save_person(features, f"person {number}", np.ones((1, 4), np.float32), [["a.png", 1, 2]], other, 0)
    save_person(features, "person 1", np.ones((1, 4), np.float32), [["a.png", 1, 2]], "any", 0)
    feature_path(features, "person 1").with_suffix(".json").unlink()  # the original recipe wrote no manifest
    shutil.copytree(features / "person 2", features / "gone")
    assert extract() == 0
    first_line, *others = capsys.readouterr().out.splitlines()
    ours = load_person(features, "person 0").manifest.extractor
    assert first_line == (
        "replacing the features of resnet50-2048-abc (2 people), of an unknown extractor (1 person): "
        f"--model_path is {ours}"
    )
    assert "4 people, 20 images: 20 embedded" in others[0]
    assert {load_person(features, f"person {number}").manifest.extractor for number in range(4)} == {ours}
    for words in ([], ["--overwrite"], ["--align", "1"]):  # the same extractor
        assert extract(*words) == 0
        assert "replacing the features" not in capsys.readouterr().out


@pytest.mark.slow
def test_deleted_people_and_damaged_files(library, capsys):
    faces, features, extract = library
    assert extract() == 0
    for image in (faces / "person 1").iterdir():
        image.unlink()
    feature_path(features, "person 0").write_bytes(b"damaged")
    capsys.readouterr()
    assert extract() == 0
    out = capsys.readouterr().out
    assert "1 person, 5 images: 5 embedded" in out and "  person 1: the folder is empty" in out
    assert [person.name for person in iterate_people(features)] == ["person 0"]


@pytest.mark.slow
def test_unreadable_images_are_named_and_skipped(library, capsys):
    faces, features, extract = library
    (faces / "person 0" / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    (faces / "person 1" / "empty.png").touch()
    assert extract() == 0
    out = capsys.readouterr().out
    assert "10 embedded" in out and "skipped: 2 images" in out
    assert "broken.jpg: " in out and "empty.png: the file is empty" in out
    assert len(load_person(features, "person 0").matrix) == 5


def interrupt_batch(monkeypatch, number: int) -> list[int]:
    """Raise KeyboardInterrupt, as Ctrl-C does, at batch `number` from 1. Returns the sizes of the batches so far."""
    sizes, embed = [], Extractor.embed_inputs

    def embed_or_interrupt(self, images, padded):
        sizes.append(len(images))
        if len(sizes) == number:
            raise KeyboardInterrupt
        return embed(self, images, padded)

    monkeypatch.setattr(Extractor, "embed_inputs", embed_or_interrupt)
    return sizes


@pytest.mark.kill
@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(library, monkeypatch, capsys):
    _, features, extract = library
    interrupt_batch(monkeypatch, 2)
    assert extract("--batch_size", "4") == 130
    assert len(load_person(features, "person 0").matrix) == 4
    assert extract() == 0
    out = capsys.readouterr().out
    assert "6 embedded (" in out and ", 4 unchanged" in out


@pytest.mark.kill
@pytest.mark.slow
def test_an_interrupted_overwrite_loses_nothing(library, monkeypatch):
    _, features, extract = library
    assert extract() == 0
    before = load_features(features)
    batches = interrupt_batch(monkeypatch, 4)  # in the middle of the second person
    for words in (["--overwrite"], ["--align", "1"]):
        batches.clear()
        assert extract("--batch_size", "2", *words) == 130
        assert [len(person.matrix) for person in iterate_people(features)] == [5, 5]
    np.testing.assert_array_equal(load_person(features, "person 1").matrix, before.matrix[5:])


@pytest.mark.slow
def test_people_without_faces_are_named(library, capsys):
    faces, features, extract = library
    assert extract() == 0
    shutil.rmtree(faces / "person 1")
    capsys.readouterr()
    assert extract() == 0
    assert "kept: 1 person" in (out := capsys.readouterr().out) and str(features / "person 1") in out


@pytest.mark.slow
def test_file_names_that_are_not_utf8(library, capsys):
    faces, _, extract = library
    (faces / "person 0").rename(faces / os.fsdecode(b"caf\xe9"))
    for image in list((faces / os.fsdecode(b"caf\xe9")).iterdir())[:2]:
        image.rename(image.with_name(os.fsdecode(b"\xe9" + os.fsencode(image.name))))
    assert extract() == 0
    capsys.readouterr()
    assert extract() == 0
    assert "0 embedded, 10 unchanged" in capsys.readouterr().out


@pytest.mark.slow
def test_align_fits_landmarks_to_the_whole_crop(library):
    faces, features, extract = library
    for image in (faces / "person 0").iterdir():
        write_image(image, read_image(image)[90:250, 80:210])  # as another program would crop
    assert extract("--align", "1") == 0
    person = load_person(features, "person 0")
    crops = [align_crop(read_image(faces / "person 0" / image.name)) for image in person.manifest.images]
    manifest = read_json(feature_path(features, "person 0").with_suffix(".json"))
    expected = load_extractor(library[2].extractor).embed(crops)
    np.testing.assert_allclose(person.matrix, expected, atol=1e-5)
    assert manifest["align"] == 1 and manifest["dimension"] == 128


def summary_of(out: str) -> dict[str, int]:
    """The counts in "18 files in all: 10 embedded, 0 unchanged, …"."""
    line = next(line for line in out.splitlines() if " in all: " in line)
    return {words.split(" ", 1)[1]: int(words.split()[0]) for words in re.split(": |, ", line)}


def test_every_file_is_accounted_for(library, capsys):
    faces, _, extract = library
    nested = faces / "person 0" / "holiday"
    nested.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(next((faces / "person 1").glob("*.png")), nested / name)
    (faces / "person 0" / "film.mp4").write_bytes(b"film")
    (faces / "person 1" / ".DS_Store").write_bytes(b"x")
    (faces / "person 1" / "broken.jpg").write_bytes(b"\xff\xd8")
    (faces / "__MACOSX").mkdir()
    (faces / "__MACOSX" / "a.png").write_bytes(b"x")
    (faces / "nobody").mkdir()
    for embedded, unchanged in ((10, 0), (0, 10)):
        assert extract() == 0
        out = capsys.readouterr().out
        counts = summary_of(out)
        files = sum(path.is_file() for path in faces.rglob("*"))
        assert counts["files in all"] == files == sum(counts.values()) - files
        assert (counts["embedded"], counts["unchanged"], counts["skipped"]) == (embedded, unchanged, 1)
        assert counts["not read"] == 6
        assert f"not read: 6 of {files} files: 2 in nested folders: " in out
        for part in ("1 video: ", "1 hidden file", "1 .txt file", "1 in folders whose names begin with ."):
            assert part in out
        for part in ("holiday: 2 files", "film.mp4", ".DS_Store", "stray.txt", "__MACOSX: 1 file"):
            assert f"{part}\n" in out
        assert "no photo read of 1 person\n  nobody: the folder is empty" in out


def test_an_image_under_two_names_is_reported(library, capsys):
    faces, _, extract = library
    image = next((faces / "person 0").glob("*.png"))
    shutil.copy(image, faces / "person 0" / "again.png")  # twice under one name is nothing to warn of
    assert extract() == 0
    assert "under two names" not in capsys.readouterr().err
    shutil.copy(image, faces / "person 1" / "mixed up.png")
    other = bytearray(image.read_bytes())
    other[len(other) // 2] ^= 1
    (faces / "person 1" / "same size.png").write_bytes(other)
    for _ in range(2):  # in runs that embed nothing, too
        assert extract() == 0
        err = capsys.readouterr().err
        assert "1 image stands under two names" in err and "mixed up.png" in err and "same size" not in err


def test_a_name_that_is_too_long_stops_nobody(library, capsys):
    faces, features, extract = library
    long_name = "x" * 250
    shutil.copytree(faces / "person 0", faces / long_name)
    image = next((faces / "person 1").glob("*.png"))
    shutil.copy(image, image.with_name("y" * 251 + ".png"))
    assert extract() == 0
    out = capsys.readouterr().out
    assert "11 embedded" in out and f"{long_name}: File name too long" in out
    assert summary_of(out)["skipped"] == 5 and summary_of(out)["files in all"] == 17
    assert [path.name for path in sorted(features.iterdir())] == ["person 0", "person 1"]
    (features / long_name).mkdir()  # what an earlier version left behind
    (features / "leftover").mkdir()
    assert [person.name for person in iterate_people(features)] == ["person 0", "person 1"]
    assert extract() == 0


def test_two_spellings_of_a_name_are_one_person(library, capsys):
    faces, features, extract = library
    composed, decomposed = "Jos\u00e9", "Jose\u0301"
    (faces / "person 0").rename(faces / decomposed)
    assert extract() == 0
    assert [path.name for path in sorted(features.iterdir())] == [composed, "person 1"]
    assert [person.name for person in iterate_people(features)] == [composed, "person 1"]
    (faces / composed).mkdir()
    for image in sorted((faces / decomposed).iterdir())[:2]:  # the same file names in both folders
        image.rename(faces / composed / image.name)
        shutil.copy(next((faces / "person 1").iterdir()), image)
    capsys.readouterr()
    for expected in ("5 embedded", "0 embedded"):  # the two that moved within the name are known
        assert extract() == 0
        out = capsys.readouterr().out
        assert "note: " in out and "2 folders" in out and expected in out and "2 people, 12 images" in out
        assert "kept: " not in out
    person = load_features(features)
    assert person.names == [composed, "person 1"] and len(person.matrix) == 12
    assert all((faces / composed / name).is_file() for name in person.images[:7])


def test_two_spellings_in_the_features_are_one_person(library, capsys):
    _, features, extract = library
    assert extract() == 0
    for number, spelling in enumerate(("Jos\u00e9", "Jose\u0301")):
        for suffix in ("cPickle", "json"):
            old = features / f"person {number}" / f"person {number}_features.{suffix}"
            old.rename(old.with_name(f"{spelling}_features.{suffix}"))
        (features / f"person {number}").rename(features / spelling)
    capsys.readouterr()
    merged = load_features(features)
    assert merged.names == ["Jos\u00e9"] and len(merged.matrix) == len(merged.images) == 10
    assert capsys.readouterr().out.startswith("note: ")


@pytest.mark.fault
def test_features_that_are_not_finite_replace_nothing(library, monkeypatch, capsys):
    _, features, extract = library
    assert extract() == 0
    before = load_features(features).matrix
    embed = Extractor.embed_inputs

    def embed_badly(self, images, padded):
        rows = embed(self, images, padded)
        rows[3, 7] = np.nan  # of person 0
        return rows

    monkeypatch.setattr(Extractor, "embed_inputs", embed_badly)
    capsys.readouterr()
    assert extract("--overwrite") == 2
    captured = capsys.readouterr()
    assert "person 0 keeps the features stored so far" in captured.err.splitlines()[-1]
    assert "1 failed" in captured.out
    np.testing.assert_array_equal(load_features(features).matrix[:5], before[:5])
    assert len(load_features(features).matrix) == 10


def test_a_checksum_that_does_not_fit_is_reported(library, capsys):
    _, features, extract = library
    assert extract() == 0
    path = feature_path(features, "person 1")
    save_person(features, "person 1", load_person(features, "person 1").matrix * 2, [["a.png", 1, 1]] * 5, "any", 0)
    shutil.copy(path.with_suffix(".json"), path.with_suffix(".old"))
    save_person(features, "person 1", load_person(features, "person 1").matrix / 2, [["a.png", 1, 1]] * 5, "any", 0)
    shutil.move(path.with_suffix(".old"), path.with_suffix(".json"))
    capsys.readouterr()
    assert len(load_features(features).names) == 2
    assert "warning: person 1: " in (err := capsys.readouterr().err) and "checksum differs" in err
    assert extract() == 0
    assert "warning: person 1: " in capsys.readouterr().err
    assert extract() == 0
    assert capsys.readouterr().err == ""


def test_features_are_for_the_owner_alone(library):
    _, features, extract = library
    assert extract() == 0
    modes = {path: path.stat().st_mode & 0o777 for path in (features, *features.rglob("*"))}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items() if path != features.parent)
    path = feature_path(features, "person 0")
    path.chmod(0o644)  # on purpose
    assert extract("--overwrite") == 0
    assert path.stat().st_mode & 0o777 == 0o644


def test_wrong_folders_are_one_line(library, tmp_path, capsys):
    _, features, _ = library
    write_image(tmp_path / "flat" / "a.png", np.zeros((8, 8, 3), np.uint8))
    for faces in (tmp_path / "flat", tmp_path / "nowhere"):
        assert extract_features.main(["-p", str(faces), "-m", "nothing", "-f", str(features)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_batches_jobs_and_precision_change_no_row(library, monkeypatch, capsys):
    _, features, extract = library
    assert extract() == 0
    plain = load_features(features).matrix
    seen = []
    embed, ahead = Extractor.embed_inputs, embedding.map_ahead
    monkeypatch.setattr(
        Extractor, "embed_inputs", lambda self, images, padded: seen.append(padded) or embed(self, images, padded)
    )
    monkeypatch.setattr(embedding, "map_ahead", lambda *words: seen.append(words[2:]) or ahead(*words))
    assert extract("--overwrite", "--batch_size", "3", "--jobs", "1") == 0
    assert seen == [(1, 3), 3, 3, 3, 3]  # jobs and read ahead, then four batches, the last of one image
    assert np.abs(load_features(features).matrix - plain).max() < 1e-5
    assert extract("--overwrite", "--precision", "bfloat16") == 0
    assert 1e-4 < np.linalg.norm(load_features(features).matrix - plain, axis=1).max() < 0.02
    # Both precisions have the same fingerprint, so nothing is extracted again.
    assert extract() == 0
    assert "0 embedded, 10 unchanged" in capsys.readouterr().out


@pytest.mark.slow
def test_slow_bfloat16_causes_a_warning(library, monkeypatch, capsys):
    _, _, extract = library
    monkeypatch.setattr(extractor, "bfloat16_slow_reason", lambda _: "this processor has no bfloat16 instructions")
    assert extract("--precision", "bfloat16") == 0
    assert "warning: this processor has no bfloat16 instructions" in capsys.readouterr().err


@pytest.mark.slow
def test_a_failed_write_does_not_stop_other_people(library, capsys):
    _, features, extract = library
    (features / "person 0" / "person 0_features.json").mkdir(parents=True)
    assert extract("--batch_size", "4") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: not all features could be written: ") and "person 0_features.json" in error
    assert len(load_person(features, "person 1").matrix) == 5


@pytest.mark.fault
@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_keeps_what_is_written(library, monkeypatch, capsys):
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


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--overwrite"], ["--align", "1"], []], ids=["overwrite", "align", "touched"])
def test_images_that_cannot_be_read_cost_no_row(library, monkeypatch, capsys, words):
    """A disk error says nothing about an image, so its stored row is kept."""
    faces, features, extract = library
    assert extract() == 0
    before = load_features(features)
    for image in faces.rglob("*.png"):
        os.utime(image)
    read = Path.read_bytes

    def fail_for_some(path):
        if path.suffix == ".png" and ("person 1" in str(path) or path.name.startswith("photo 0")):
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail_for_some)
    assert extract(*words) == 0
    assert "skipped: 6 images" in capsys.readouterr().out
    after = load_features(features)
    np.testing.assert_array_equal(after.matrix[after.labels == 1], before.matrix[before.labels == 1])
    # Rows computed with another alignment cannot stay beside new ones.
    assert (after.labels == 0).sum() == (4 if words == ["--align", "1"] else 5)
    monkeypatch.undo()
    assert extract(*(word for word in words if word != "--overwrite")) == 0
    assert "6 embedded" in capsys.readouterr().out


@pytest.mark.kill
@pytest.mark.slow
def test_ctrl_c_keeps_rows_of_touched_images(library, monkeypatch):
    faces, features, extract = library
    assert extract() == 0
    for image in faces.rglob("*.png"):
        os.utime(image)
    sorted((faces / "person 0").iterdir())[0].unlink()
    interrupt_batch(monkeypatch, 1)
    assert extract() == 130
    assert [len(person.matrix) for person in iterate_people(features)] == [4, 5]


@pytest.mark.slow
def test_a_broken_installation_deletes_nothing(library, monkeypatch, capsys):
    _, features, extract = library
    assert extract() == 0
    dlib_hog.load_landmarks.cache_clear()
    monkeypatch.setattr(dlib_hog, "LANDMARKS_SHA256", "of another file")
    assert extract("--align", "1") == 2
    assert "reinstall it" in capsys.readouterr().err
    assert len(load_features(features).matrix) == 10


@pytest.mark.slow
def test_changes_by_another_run_are_noticed(library, monkeypatch, capsys):
    faces, features, extract = library
    assert extract() == 0
    shutil.copy(next((faces / "person 0").iterdir()), faces / "person 0" / "zz new.png")
    save = FeatureStore.save

    def save_after_another_run(self, person):
        save_person(features, person.name, np.ones((1, 128), np.float32), [["x.png", 1, 2]], self.extractor, 1)
        save(self, person)

    monkeypatch.setattr(FeatureStore, "save", save_after_another_run)
    assert extract() == 2
    assert "another run changed the features of person 0" in capsys.readouterr().err


def test_chips_too_narrow_for_the_extractor_are_counted(tmp_path, capsys):
    """An extractor that sees more than an earlier version's chips show says so, once, at the end."""
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    network = Model(image, layers.Flatten()(image), name="corners")
    chips = {"old": (SQUARE_SIZE,) * 2, "new": (CHIP_SIZE,) * 2, "other": (90, 90)}
    for number, (name, shape) in enumerate(chips.items()):
        pictures = np.random.default_rng(number).integers(0, 256, (2, *shape, 3), np.uint8)
        for index, picture in enumerate(pictures):
            write_image(tmp_path / "faces" / "Zoë" / f"{name} {index}.png", picture)
    note = "note: 2 of 6 images are chips of an earlier version"
    for kind, words, expected in (("dlib", [], 0), ("arcface", ["--align", "1"], 0), ("arcface", [], 1)):
        save_extractor(network, tmp_path / "net.keras", CROP_POINTS[kind])
        line = ["-p", tmp_path / "faces", "-m", tmp_path / "net", "-f", tmp_path / "features", *words]
        assert extract_features.main([str(word) for word in line]) == 0
        assert capsys.readouterr().out.count(note) == expected
    person = load_person(tmp_path / "features", "Zoë")
    extractor = load_extractor(tmp_path / "net")
    chips = [read_image(tmp_path / "faces" / "Zoë" / image.name) for image in person.manifest.images]
    np.testing.assert_allclose(person.matrix, extractor.embed(chips), atol=1e-4)
