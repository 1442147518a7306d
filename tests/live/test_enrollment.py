"""Enrollment in the window: names, gallery, threshold, rejection and undo."""

import importlib

import numpy as np
import pytest
from support import contents, enroll, show, view

from utils.cli import InputError
from utils.faces.alignment import face_chip
from utils.features.feature_files import load_person
from utils.live.enrollment import Enrollment, check_name
from utils.media.images import read_image
from utils.recognition.recognizer import load_recognizer


@pytest.mark.parametrize(
    ("text", "name"),
    [("  Ada   B ", "Ada B"), ("Zoe\u0308", "Zoë"), ("ADA", "ada"), ("J. R. R. Tolkien", "J. R. R. Tolkien")],
)
def test_names_are_folder_names(text, name):
    assert check_name(text, ["ada"]) == (name, None)


@pytest.mark.parametrize(
    "text", ["", "  ", "a/b", "a\\b", "..", ".hidden", "_strangers", "a\x00b", "a:b", "x" * 81, "a."]
)
def test_names_that_are_no_folder_are_refused(text):
    assert check_name(text, ["ada"])[1]


def extract_again(suite, faces, features, capsys) -> str:
    import extract_features

    line = ["--faces_path", str(faces), "--model_path", str(suite["extractor"]), "--features", str(features)]
    capsys.readouterr()
    assert extract_features.main(line) == 0
    return capsys.readouterr().out


def load_models(suite, features, *words):
    """The gallery and the extractor, as test.py loads them with these words on its command line."""
    test = importlib.import_module("test")
    words = ["-f", features, "-m", suite["extractor"], "-c", suite["head"], *words]
    return test.load_models(test.build_parser().parse_args(list(map(str, words))))


def test_enrolled_is_recognized_at_once_and_stored_as_the_scripts_would(suite, home_setup, monkeypatch, capsys):
    recognizer, enrollment, faces, features = home_setup
    pictures = view(500, 6)
    assert {face.name for seen in show(recognizer, pictures) for face in seen} == {None}
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, "Zoë", pictures, monkeypatch)
    assert enrollment.notice == "Zoë is enrolled with 5 faces"
    assert sorted(path.name for path in (faces / "Zoë").iterdir()) == [f"Zoë_{n}.png" for n in range(5)]
    assert read_image(faces / "Zoë" / "Zoë_0.png").shape == (224, 224, 3)
    recognizer.tracks.cut()
    again = show(recognizer, view(500, 4), start=10)
    assert [[face.name for face in seen] for seen in again][1:] == [["Zoë"]] * 3

    out = extract_again(suite, faces, features, capsys)
    assert "8 people, 40 images: 0 embedded, 40 unchanged" in out
    matrix = load_person(features, "Zoë").matrix
    np.testing.assert_allclose(
        matrix[2], recognizer.extractor.embed([read_image(faces / "Zoë" / "Zoë_2.png")])[0], atol=1e-5
    )
    np.testing.assert_array_equal(matrix, recognizer.gallery.matrix[-5:])


def test_the_first_person_is_enrolled_in_a_window(suite, tmp_path, monkeypatch):
    """Nobody has to be enrolled beforehand: neither features nor faces have a folder."""
    faces, features = tmp_path / "faces", tmp_path / "features"
    gallery, extractor = load_models(suite, features, "--faces_path", faces)
    assert gallery.names == []
    recognizer = load_recognizer(gallery, extractor, "retinaface", 20, True, 640)
    recognizer.warm_up()
    enrollment, pictures = Enrollment(recognizer, faces, features), view(500, 6)
    assert {(face.name, face.score) for seen in show(recognizer, pictures) for face in seen} == {(None, 0.0)}
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, "Zoë", pictures, monkeypatch)
    recognizer.tracks.cut()
    again = show(recognizer, view(500, 4), start=10)
    assert [[face.name for face in seen] for seen in again][1:] == [["Zoë"]] * 3
    assert load_person(features, "Zoë").matrix.shape == (5, 128)
    # Without a window nobody can be enrolled, and somebody has to be there.
    with pytest.raises(InputError, match="nobody is not a folder"):
        load_models(suite, tmp_path / "nobody", "--faces_path", faces, "--headless")


def test_undo_leaves_nothing_of_an_enrollment(home_setup, monkeypatch):
    recognizer, enrollment, faces, features = home_setup
    before, people = (contents(faces), contents(features)), list(recognizer.gallery.names)
    matrix = recognizer.gallery.matrix.copy()
    for name in ("Zoë", "person 3"):  # somebody new, and more pictures of somebody known
        enroll(recognizer, enrollment, name, view(500, 6), monkeypatch)
        assert len(recognizer.gallery.matrix) == len(matrix) + 5 and contents(faces) != before[0]
        enrollment.ask(enrollment.undo)
        show(recognizer, view(500, 1), start=3)
        assert (contents(faces), contents(features)) == before
        assert recognizer.gallery.names == people and not (features / "Zoë").exists()
        np.testing.assert_array_equal(recognizer.gallery.matrix, matrix)
        recognizer.tracks.cut()
    enrollment.undo()
    assert enrollment.notice == "nothing to undo"


def test_the_threshold_rises_with_an_enrollment_and_undo_takes_it_back(suite, home_setup, monkeypatch, capsys):
    """As test.py loads the gallery, without and with --threshold."""
    recognizer, enrollment, *_ = home_setup
    monkeypatch.setattr("utils.heads.head.Head.threshold_for", lambda _, people: 0.5 + people / 100)
    for given in (None, 0.5):
        gallery, _ = load_models(suite, suite["features"], *([] if given is None else ["--threshold", given]))
        recognizer.gallery = enrollment.gallery = gallery
        before = gallery.threshold
        assert before == pytest.approx(0.57 if given is None else given)
        enroll(recognizer, enrollment, "Zoë", view(500, 6), monkeypatch)
        assert gallery.threshold == pytest.approx(0.58 if given is None else given)
        enrollment.ask(enrollment.undo)
        show(recognizer, view(500, 1), start=3)
        assert gallery.threshold == before
        recognizer.tracks.cut()


def test_a_wrong_name_goes_to_the_strangers_and_comes_back_with_undo(home_setup):
    recognizer, enrollment, faces, features = home_setup
    pictures = view(101, 4)
    (face,) = show(recognizer, pictures)[-1]
    assert face.name == "person 1"
    enrollment.ask(enrollment.reject, face.track_id)
    assert [each.name for each in show(recognizer, pictures[-1:], start=2)[0]] == [None]
    (kept,) = (faces / "_strangers").iterdir()
    assert kept.name == "_strangers_0.png" and len(load_person(features, "_strangers").matrix) == 1
    chip = face_chip(recognizer.image, recognizer.visible[0].face)
    np.testing.assert_array_equal(read_image(kept), chip)
    enrollment.ask(enrollment.undo)
    show(recognizer, pictures[-1:], start=2.1)
    assert [each.name for each in show(recognizer, pictures[-1:], start=2.2)[0]] == ["person 1"]
    assert not (faces / "_strangers").exists() and not (features / "_strangers").exists()


def test_a_bad_picture_is_not_enrolled_and_the_reason_is_told(home_setup, monkeypatch):
    recognizer, enrollment, faces, _ = home_setup
    monkeypatch.setattr("utils.live.enrollment.MAX_SECONDS", 0.0)
    (face,) = show(recognizer, view(500, 1))[0]
    dark = [(picture * 0.25).astype(np.uint8) for picture in view(500, 1)]
    enrollment.ask(enrollment.begin, "Zoë", face.track_id)
    show(recognizer, dark, start=0.1)
    assert enrollment.notice == "Zoë is not enrolled: too dark" and not (faces / "Zoë").exists()
