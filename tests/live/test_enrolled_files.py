"""The files of an enrollment when a folder cannot be written, a disk is full, or features have an unknown origin."""

import pytest
from support import draw_selfies, enroll, file_contents, recognize_all

from utils.features import feature_files
from utils.features.feature_files import load_person
from utils.live import enrolled_files

DENIED = "/a/folder"


def state_of(recognizer, enrollment, faces, features):
    """Everything that an enrollment changes."""
    gallery, files = recognizer.gallery, (file_contents(faces), file_contents(features))
    return files, list(gallery.names), gallery.matrix.tolist(), list(enrollment.changes)


def raise_denied(*_, **__) -> None:
    raise PermissionError(13, "Permission denied", f"{DENIED}/.unfinished-1.png")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Zoë", "person 3"])
@pytest.mark.parametrize(
    ("module", "function"),
    [(enrolled_files, "make_folder"), (feature_files, "write_bytes"), (feature_files, "write_json")],
)
def test_a_failed_write_leaves_nothing_behind(home_setup, monkeypatch, name, module, function):
    recognizer, enrollment, *_ = home_setup
    before = state_of(*home_setup)
    with monkeypatch.context() as patch:
        patch.setattr(module, function, raise_denied)
        enroll(recognizer, enrollment, name, draw_selfies(500, 6))
        assert enrollment.notice == f"{name} not enrolled: Permission denied: {DENIED}"
        assert state_of(*home_setup) == before and enrollment.progress is None
        recognizer.tracks.cut()
        (face,) = recognize_all(recognizer, draw_selfies(101, 4), start=5)[-1]
        enrollment.submit(enrollment.reject, face.track_id)
        (face,) = recognize_all(recognizer, draw_selfies(101, 4)[-1:], start=6.2)[0]
        assert face.name == "person 1"
        assert enrollment.notice == f"name not rejected: Permission denied: {DENIED}"
        assert state_of(*home_setup) == before
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, name, draw_selfies(500, 6))  # now it can be written
    assert enrollment.notice == f"{name} enrolled with 5 faces"


@pytest.mark.fault
def test_a_full_disk_keeps_what_was_saved_until_undone(home_setup, monkeypatch):
    recognizer, enrollment, faces, features = home_setup
    before = state_of(*home_setup)
    with monkeypatch.context() as patch:
        writers = [feature_files.write_bytes] * 2
        patch.setattr(
            feature_files,
            "write_bytes",
            lambda *what, **how: writers.pop()(*what, **how) if writers else raise_denied(),
        )
        enroll(recognizer, enrollment, "person 3", draw_selfies(500, 6))
        assert enrollment.notice.startswith("person 3 enrolled with only 2 faces: Permission denied")
        assert len(recognizer.gallery.matrix) == 37 and len(list((faces / "person 3").iterdir())) == 7
        assert len(load_person(features, "person 3").manifest.images) == 7
        enrollment.submit(enrollment.undo)
        recognize_all(recognizer, draw_selfies(500, 1), start=3)
        assert enrollment.notice.startswith("not undone: Permission denied") and len(enrollment.changes) == 1
    enrollment.submit(enrollment.undo)
    recognize_all(recognizer, draw_selfies(500, 1), start=4)
    assert enrollment.notice == "undone: person 3" and state_of(*home_setup) == before


@pytest.mark.slow
def test_features_of_unknown_origin_are_left_alone(home_setup):
    recognizer, enrollment, _, features = home_setup
    (features / "person 3" / "person 3_features.json").unlink()
    before = file_contents(features)
    enroll(recognizer, enrollment, "person 3", draw_selfies(500, 6))
    assert file_contents(features) == before and len(recognizer.gallery.matrix) == 40
