"""The keys of test.py's window, and what it draws."""

import time

import numpy as np
import pytest

from utils.display import drawing
from utils.display.viewers import PAUSED_KEYS, while_paused
from utils.display.window import BACKSPACE, CAPS_LOCK, CLOSED, ENTER, ESCAPE, SHIFT
from utils.live.controls import KEYS, LiveControls
from utils.live.enrollment import check_name
from utils.media.images import read_image
from utils.recognition.recognizer import NamedFace


class NobodyEnrolled:
    """An enrollment that does nothing yet. asked: what it was asked for."""

    gallery = type("EmptyGallery", (), {"names": []})
    notice, notice_until, progress = "", 0.0, None

    def __init__(self):
        self.asked = []

    def ask(self, task, *_) -> None:
        self.asked.append(task)

    def undo(self) -> None: ...

    def begin(self) -> None: ...


def typed(*keys: str) -> str | None:
    controls = LiveControls(NobodyEnrolled())
    for key in ("e", *keys):
        controls.press(key, [NamedFace((0, 0, 9, 9), None, 0.1, 3)], np.zeros((9, 9, 3), np.uint8))
    return controls.typed


LOST = "camera lost, trying again"


def drawn(controls: LiveControls, note: str | None) -> dict[str, str]:
    """What a desk without faces writes on a picture, given the camera's note."""
    texts = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw_message", lambda _, text, **options: texts.update(message=text))
        patch.setattr(drawing, "draw_entry", lambda _, prompt, text, hint: texts.update(entry=text))
        patch.setattr(drawing, "draw_status", lambda _, text, aside, keys, widest: texts.update(aside=aside, keys=keys))
        controls.draw(np.full((480, 640, 3), 128, np.uint8), [], None, note, False)
    return texts


def test_a_name_is_typed():
    assert typed(*"zoë") == "Zoë"
    assert typed(*"ada lovelace-byron") == "Ada Lovelace-Byron"
    assert typed("a", SHIFT, "b", "c") == "ABc"
    assert typed("a", CAPS_LOCK, "b", "c", CAPS_LOCK, "d") == "ABCd"
    assert typed("a", "b", BACKSPACE, BACKSPACE, BACKSPACE, "q", "h") == "Qh"
    assert check_name(typed("z", "o", "\u0308", "e"))[0] == "Zoë"  # a dead key, then its letter
    assert typed("a", ESCAPE) is None


def test_another_name_for_a_face_that_has_one_is_asked_for_twice():
    enrollment = NobodyEnrolled()
    controls = LiveControls(enrollment)

    def press(keys, name) -> str:
        for key in keys:
            controls.press(key, [NamedFace((0, 0, 9, 9), name, 0.9, 3), NamedFace((0, 0, 5, 5), "Eve", 0.9, 4)], None)
        return drawn(controls, None).get("message", "")

    question = "this is Ada: Enter again to call this face Bea"
    assert press(["e", *"bea", ENTER], "Ada") == question and controls.typed == "Bea" and not enrollment.asked
    assert press([BACKSPACE], "Ada") == "" and press(["a", ENTER], "Ada") == question and not enrollment.asked
    # Where the face was taken for somebody else meanwhile, that is another question.
    assert press([ENTER], "Bob") == question.replace("Ada", "Bob") and not enrollment.asked
    assert press([ENTER], "Bob") == "" and controls.typed is None and enrollment.asked == [enrollment.begin]
    for name, typed_name in (("Ada", "ada"), (None, "bea")):  # more of a known face, and an unknown one
        enrollment.asked.clear()
        press(["e", *typed_name, ENTER], name)
        assert controls.typed is None and enrollment.asked == [enrollment.begin]
    # Who is named while the name is typed has that name, also where the face is gone at Enter.
    enrollment.asked.clear()
    press(["e", "b"], None)
    press(["c"], "Ada")
    controls.press(ENTER, [], None)
    assert "this is Ada" in drawn(controls, None)["message"] and not enrollment.asked


def test_a_snapshot_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    controls = LiveControls(None, tmp_path / "file")
    controls.press("s", [], np.zeros((9, 9, 3), np.uint8))
    assert drawn(controls, None)["message"].startswith("the snapshot is not saved: ")


def test_keys_pause_hide_save_and_quit(tmp_path):
    controls, picture = LiveControls(None, tmp_path), np.full((120, 160, 3), 77, np.uint8)
    faces = [NamedFace((10, 10, 40, 40), "ada", 0.9, 1)]
    for key in (" ", "h", "s", "e", "n", "u"):
        controls.press(key, faces, picture)
    assert controls.paused and not controls.help and not controls.quit and controls.typed is None
    assert "--faces_path" in controls.message
    (snapshot,) = tmp_path.iterdir()
    np.testing.assert_array_equal(read_image(snapshot), picture)
    for key in ("q", ESCAPE, CLOSED):
        controls = LiveControls(None, tmp_path)
        controls.press(key, faces, picture)
        assert controls.quit


def test_a_name_is_typed_in_sight_whatever_the_camera_says():
    controls = LiveControls(NobodyEnrolled())
    for key in "eq":
        controls.press(key, [NamedFace((0, 0, 9, 9), None, 0.1, 3)], None)
    assert drawn(controls, None)["entry"] == "Q" and "message" not in drawn(controls, None)
    assert drawn(controls, LOST)["entry"] == "Q" and drawn(controls, LOST)["message"] == LOST
    for key in (BACKSPACE, ENTER):
        controls.press(key, [], None)
    assert drawn(controls, LOST)["message"] == "a name is needed"


def test_keys_are_answered_under_a_note(tmp_path):
    enrollment, faces = NobodyEnrolled(), [NamedFace((0, 0, 9, 9), "ada", 0.9, 3)]
    controls = LiveControls(enrollment, tmp_path)
    assert drawn(controls, LOST)["message"] == LOST
    for key in "en":  # whose face it was is not there any more
        controls.press(key, faces, None)
        assert controls.typed is None and enrollment.asked == []
        assert "no picture" in drawn(controls, LOST)["message"]
    controls.press("u", faces, None)
    assert enrollment.asked == [enrollment.undo] and "undone as soon as" in drawn(controls, LOST)["message"]
    controls.press("s", faces, np.zeros((9, 9, 3), np.uint8))
    assert drawn(controls, LOST)["message"].endswith(".png saved")
    controls.message_until = 0.0
    assert drawn(controls, LOST)["message"] == LOST
    # What an enrollment has done is told too, what it asks for is in vain now.
    enrollment.notice, enrollment.notice_until = "undone: Zoë", time.monotonic() + 60
    assert drawn(controls, LOST)["message"] == "undone: Zoë"
    enrollment.progress = 0.4
    assert drawn(controls, LOST)["message"] == LOST and drawn(controls, None)["message"] == "undone: Zoë"
    controls.press("e", faces, None)
    assert controls.typed == ""  # there are pictures again


def test_a_rate_is_shown_of_pictures_that_follow_one_another():
    controls = LiveControls(None)
    for note, shown in ((None, True), (LOST, False)):
        drawn(controls, note)
        assert drawn(controls, note)["aside"].endswith("fps") is shown
    controls.press(" ", [], None)
    assert drawn(controls, None) == {"aside": "paused", "keys": while_paused(KEYS)}
    controls.press("h", [], None)
    assert drawn(controls, None)["keys"] == PAUSED_KEYS
    controls.press(" ", [], None)
    assert drawn(controls, None)["keys"] == ()


def test_everything_is_drawn_at_any_size_and_mirrored():
    faces = [NamedFace((10, 10, 40, 40), "Zoë", 0.9, 1), NamedFace((5, 60, 20, 20), None, 0.3, 2)]
    for shape in ((90, 120, 3), (480, 640, 3), (2160, 3840, 3)):
        image = np.full(shape, 128, np.uint8)
        plain = LiveControls(None).draw(image, faces, 0.04, None, mirrored=False)
        mirrored = LiveControls(None).draw(image, faces, None, "camera lost, trying again", mirrored=True)
        assert plain.shape == mirrored.shape == shape and not np.array_equal(plain, mirrored)
        assert (image == 128).all()
