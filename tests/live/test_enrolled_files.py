"""The files of enrolled people: folders that cannot be written, full disks, foreign features."""

import pytest
from support import contents, enroll, show, view

from utils.features.feature_files import load_person


def state_of(recognizer, enrollment, faces, features):
    gallery = recognizer.gallery
    return contents(faces), contents(features), list(gallery.names), gallery.matrix.tolist(), list(enrollment.changes)


DENIED = "/a/folder"


def raise_denied(*_) -> None:
    raise PermissionError(13, "Permission denied", f"{DENIED}/.unfinished-1.png")


@pytest.mark.parametrize("name", ["Zoë", "person 3"])
@pytest.mark.parametrize(
    "broken",
    ["live.enrolled_files.make_folder", "features.feature_files.write_bytes", "features.feature_files.write_json"],
)
def test_a_folder_that_cannot_be_written_is_said_and_leaves_nothing_half_done(home_setup, monkeypatch, name, broken):
    recognizer, enrollment, *_ = home_setup
    before = state_of(*home_setup)
    with monkeypatch.context() as patch:
        patch.setattr(f"utils.{broken}", raise_denied)
        enroll(recognizer, enrollment, name, view(500, 6), monkeypatch)
        assert enrollment.notice == f"{name} is not enrolled: Permission denied: {DENIED}"
        assert state_of(*home_setup) == before and enrollment.progress is None
        recognizer.tracks.cut()
        (face,) = show(recognizer, view(101, 4), start=5)[-1]
        enrollment.ask(enrollment.reject, face.track_id)
        assert [face.name for face in show(recognizer, view(101, 4)[-1:], start=6.2)[0]] == ["person 1"]
        assert enrollment.notice == f"the name stays: Permission denied: {DENIED}" and state_of(*home_setup) == before
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, name, view(500, 6), monkeypatch)  # it can be written again
    assert enrollment.notice == f"{name} is enrolled with 5 faces"


def test_what_was_saved_before_a_disk_is_full_can_be_undone_when_it_is_not(home_setup, monkeypatch):
    import utils.features.feature_files as features_module

    recognizer, enrollment, faces, features = home_setup
    before = state_of(*home_setup)
    with monkeypatch.context() as patch:
        left = [features_module.write_bytes] * 2
        patch.setattr(features_module, "write_bytes", lambda *what: left.pop()(*what) if left else raise_denied())
        enroll(recognizer, enrollment, "person 3", view(500, 6), monkeypatch)
        assert enrollment.notice.startswith("person 3 is enrolled with only 2 faces: Permission denied")
        assert len(recognizer.gallery.matrix) == 37 and len(list((faces / "person 3").iterdir())) == 7
        assert len(load_person(features, "person 3").manifest.images) == 7
        enrollment.ask(enrollment.undo)
        show(recognizer, view(500, 1), start=3)
        assert enrollment.notice.startswith("not undone: Permission denied") and len(enrollment.changes) == 1
    enrollment.ask(enrollment.undo)
    show(recognizer, view(500, 1), start=4)
    assert enrollment.notice == "undone: person 3" and state_of(*home_setup) == before


def test_features_of_unknown_origin_are_left_alone(home_setup, monkeypatch):
    recognizer, enrollment, _, features = home_setup
    (features / "person 3" / "person 3_features.json").unlink()
    before = contents(features)
    enroll(recognizer, enrollment, "person 3", view(500, 6), monkeypatch)
    assert contents(features) == before and len(recognizer.gallery.matrix) == 40
