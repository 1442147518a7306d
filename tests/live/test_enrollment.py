"""Enrollment in the window: names, gallery, threshold, rejection and undo."""

import importlib

import numpy as np
import pytest
from support import draw_selfies, enroll, file_contents, gray_pictures, recognize_all, write_clip

import extract_features
from utils.faces.alignment import CHIP_SIZE, face_chip
from utils.features.feature_files import load_person
from utils.heads.head import Head
from utils.live.enrollment import Enrollment
from utils.live.name_entry import check_name
from utils.live.session import load_models
from utils.media.images import read_image
from utils.recognition.recognizer import load_recognizer


@pytest.mark.parametrize(
    ("text", "name"),
    [("  Ada   B ", "Ada B"), ("Zoe\u0308", "Zoë"), ("ADA", "ada"), ("J. R. R. Tolkien", "J. R. R. Tolkien")],
)
def test_names_become_folder_names(text, name):
    assert check_name(text, ["ada"]) == (name, None)


@pytest.mark.parametrize(
    "text", ["", "  ", "a/b", "a\\b", "..", ".hidden", "_strangers", "a\x00b", "a:b", "x" * 81, "a."]
)
def test_names_that_cannot_be_folders_are_refused(text):
    assert check_name(text, ["ada"])[1]


def extract_again(suite, faces, features, capsys) -> str:
    """What extract_features.py prints over the folders of an enrollment."""
    line = ["--faces_path", str(faces), "--model_path", str(suite["extractor"]), "--features", str(features)]
    capsys.readouterr()
    assert extract_features.main(line) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_an_enrolled_person_is_recognized_and_stored(suite, home_setup, capsys):
    recognizer, enrollment, faces, features = home_setup
    pictures = draw_selfies(500, 6)
    assert {face.name for named in recognize_all(recognizer, pictures) for face in named} == {None}
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, "Zoë", pictures)
    assert enrollment.notice == "Zoë enrolled with 5 faces"
    assert sorted(path.name for path in (faces / "Zoë").iterdir()) == [f"Zoë_{n}.png" for n in range(5)]
    assert read_image(faces / "Zoë" / "Zoë_0.png").shape == (CHIP_SIZE, CHIP_SIZE, 3)
    recognizer.tracks.cut()
    again = recognize_all(recognizer, draw_selfies(500, 4), start=10)
    assert [[face.name for face in named] for named in again][1:] == [["Zoë"]] * 3

    out = extract_again(suite, faces, features, capsys)
    assert "8 people, 40 images: 0 embedded, 40 unchanged" in out
    matrix = load_person(features, "Zoë").matrix
    expected = recognizer.extractor.embed([read_image(faces / "Zoë" / "Zoë_2.png")])[0]
    np.testing.assert_allclose(matrix[2], expected, atol=1e-5)
    np.testing.assert_array_equal(matrix, recognizer.gallery.matrix[-5:])


@pytest.mark.slow
def test_the_first_person_is_enrolled_in_a_window(suite, tmp_path):
    """Neither the folder of features nor that of faces exists beforehand."""
    faces, features = tmp_path / "faces", tmp_path / "features"
    gallery, extractor, _ = load_models(features, suite["extractor"], suite["head"], can_enroll=True)
    assert gallery.names == []
    recognizer = load_recognizer(gallery, extractor, "retinaface", 20, True, 640)
    recognizer.warm_up()
    enrollment = Enrollment(recognizer, faces, features, lambda: recognizer.now, interval=0.0, judge=lambda *_: None)
    pictures = draw_selfies(500, 6)
    named = [(face.name, face.score) for faces in recognize_all(recognizer, pictures) for face in faces]
    assert set(named) == {(None, 0.0)}
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, "Zoë", pictures)
    recognizer.tracks.cut()
    again = recognize_all(recognizer, draw_selfies(500, 4), start=10)
    assert [[face.name for face in named] for named in again][1:] == [["Zoë"]] * 3
    assert load_person(features, "Zoë").matrix.shape == (5, 128)


def test_without_a_window_somebody_must_be_enrolled_already(suite, tmp_path, capsys):
    write_clip(tmp_path / "gray.mp4", gray_pictures(3))
    line = ["-f", tmp_path / "nobody", "-m", suite["extractor"], "-c", suite["head"], "--headless"]
    line += ["--faces_path", tmp_path / "faces", "--video_path", tmp_path / "gray.mp4"]
    assert importlib.import_module("test").main(list(map(str, line))) == 2
    err = capsys.readouterr().err
    assert "nobody is not a folder" in err and "warning: nobody can be enrolled without a window" in err
    (tmp_path / "nobody").mkdir()
    for source in (line[6:], ["--headless", "--image_path", str(suite["faces"] / "person 0")]):
        assert importlib.import_module("test").main([*map(str, line[:6]), *map(str, source)]) == 2
        assert "has no features of people: run extract_features.py first, or enroll" in capsys.readouterr().err


@pytest.mark.slow
def test_undo_leaves_nothing_of_an_enrollment(home_setup):
    recognizer, enrollment, faces, features = home_setup
    before, people = (file_contents(faces), file_contents(features)), list(recognizer.gallery.names)
    matrix = recognizer.gallery.matrix.copy()
    for name in ("Zoë", "person 3"):  # a new person, and one who is enrolled already
        enroll(recognizer, enrollment, name, draw_selfies(500, 6))
        assert len(recognizer.gallery.matrix) == len(matrix) + 5 and file_contents(faces) != before[0]
        enrollment.submit(enrollment.undo)
        recognize_all(recognizer, draw_selfies(500, 1), start=3)
        assert (file_contents(faces), file_contents(features)) == before
        assert recognizer.gallery.names == people and not (features / "Zoë").exists()
        np.testing.assert_array_equal(recognizer.gallery.matrix, matrix)
        recognizer.tracks.cut()
    enrollment.undo()
    assert enrollment.notice == "nothing to undo"


@pytest.mark.slow
@pytest.mark.parametrize(("given", "alone", "with_one_more"), [(None, 0.57, 0.58), (0.5, 0.5, 0.5)])
def test_the_heads_threshold_follows_enrollment_and_undo(suite, home_setup, monkeypatch, given, alone, with_one_more):
    """The user's threshold, if one is given, does not."""
    recognizer, enrollment, *_ = home_setup
    monkeypatch.setattr(Head, "threshold_for", lambda _, people: 0.5 + people / 100)
    gallery, *_ = load_models(suite["features"], suite["extractor"], suite["head"], threshold=given)
    recognizer.gallery = enrollment.gallery = gallery
    before = gallery.threshold
    assert before == pytest.approx(alone)
    enroll(recognizer, enrollment, "Zoë", draw_selfies(500, 6))
    assert gallery.threshold == pytest.approx(with_one_more)
    enrollment.submit(enrollment.undo)
    recognize_all(recognizer, draw_selfies(500, 1), start=3)
    assert gallery.threshold == before


@pytest.mark.slow
def test_a_rejected_face_goes_to_the_strangers_until_undone(home_setup):
    recognizer, enrollment, faces, features = home_setup
    pictures = draw_selfies(101, 4)
    (face,) = recognize_all(recognizer, pictures)[-1]
    assert face.name == "person 1"
    enrollment.submit(enrollment.reject, face.track_id)
    assert [face.name for face in recognize_all(recognizer, pictures[-1:], start=2)[0]] == [None]
    (path,) = (faces / "_strangers").iterdir()
    assert path.name == "_strangers_0.png" and len(load_person(features, "_strangers").matrix) == 1
    chip = face_chip(recognizer.image, recognizer.visible[0].face)
    np.testing.assert_array_equal(read_image(path), chip)
    enrollment.submit(enrollment.undo)
    recognize_all(recognizer, pictures[-1:], start=2.1)
    assert [face.name for face in recognize_all(recognizer, pictures[-1:], start=2.2)[0]] == ["person 1"]
    assert not (faces / "_strangers").exists() and not (features / "_strangers").exists()


@pytest.mark.slow
def test_a_bad_view_is_not_enrolled_and_the_reason_is_shown(home_setup):
    recognizer, _, faces, features = home_setup
    enrollment = Enrollment(recognizer, faces, features, lambda: recognizer.now, duration=0.2)
    (face,) = recognize_all(recognizer, draw_selfies(500, 1))[0]
    dark = [(picture * 0.25).astype(np.uint8) for picture in draw_selfies(500, 1)]
    enrollment.submit(enrollment.begin, "Zoë", face.track_id)
    recognize_all(recognizer, dark * 2, start=0.1)
    assert enrollment.notice == "Zoë not enrolled: too dark" and not (faces / "Zoë").exists()


@pytest.mark.slow
def test_faces_are_saved_no_closer_than_the_interval(home_setup):
    recognizer, _, faces, features = home_setup
    enrollment = Enrollment(recognizer, faces, features, lambda: recognizer.now, interval=0.5, judge=lambda *_: None)
    enroll(recognizer, enrollment, "Zoë", draw_selfies(500, 6))  # one frame in 0.3 s
    assert enrollment.notice.startswith("Zoë: 3 of 5 saved")
