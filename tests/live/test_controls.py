"""The keys of test.py's window, and what it draws."""

from collections.abc import Iterable

import numpy as np
import pytest
from support import FakeClock

from utils.display import drawing
from utils.display.viewers import PAUSED_KEYS, while_paused
from utils.display.window import BACKSPACE, CAPS_LOCK, CLOSED, ENTER, ESCAPE, SHIFT
from utils.live.controls import KEYS, LiveControls
from utils.live.enrollment import check_name
from utils.media.images import read_image
from utils.recognition.recognizer import NamedFace

LOST = "camera lost, trying again"


class FakeEnrollment:
    """Records the requests, and does nothing."""

    gallery = type("EmptyGallery", (), {"names": []})
    notice, notice_until, progress = "", 0.0, None

    def __init__(self):
        self.requests = []

    def submit(self, method, *_) -> None:
        self.requests.append(method)

    def undo(self) -> None: ...

    def begin(self) -> None: ...


def type_name(*keys: str) -> str | None:
    """The typed name after `e` and these keys, None if typing has ended."""
    controls = LiveControls(FakeEnrollment())
    for key in ("e", *keys):
        controls.press(key, [NamedFace((0, 0, 9, 9), None, 0.1, 3)], np.zeros((9, 9, 3), np.uint8))
    return controls.typed_name


def drawn(controls: LiveControls, note: str | None) -> dict[str, str]:
    """The texts that are drawn on a frame without faces. note: what is wrong with the camera."""
    texts = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw_message", lambda _, text, **options: texts.update(message=text) or 0)
        patch.setattr(drawing, "draw_entry", lambda _, prompt, text, hint: texts.update(entry=text) or 480)
        patch.setattr(
            drawing, "draw_status", lambda _, text, aside, keys, widest: texts.update(aside=aside, keys=keys) or 0
        )
        controls.draw(np.full((480, 640, 3), 128, np.uint8), [], None, note, False)
    return texts


def test_a_name_is_typed():
    assert type_name(*"zoë") == "Zoë"
    assert type_name(*"ada lovelace-byron") == "Ada Lovelace-Byron"
    assert type_name("a", SHIFT, "b", "c") == "ABc"
    assert type_name("a", CAPS_LOCK, "b", "c", CAPS_LOCK, "d") == "ABCd"
    assert type_name("a", "b", BACKSPACE, BACKSPACE, BACKSPACE, "q", "h") == "Qh"
    assert check_name(type_name("z", "o", "\u0308", "e"))[0] == "Zoë"  # a dead key, then its letter
    assert type_name("a", ESCAPE) is None


def test_renaming_a_named_face_needs_a_second_enter():
    enrollment = FakeEnrollment()
    controls = LiveControls(enrollment)

    def press(keys: Iterable[str], name: str | None) -> str:
        faces = [NamedFace((0, 0, 9, 9), name, 0.9, 3), NamedFace((0, 0, 5, 5), "Eve", 0.9, 4)]
        for key in keys:
            controls.press(key, faces, None)
        return drawn(controls, None).get("message", "")

    question = "this is Ada: press Enter again to enroll as Bea"
    assert press(["e", *"bea", ENTER], "Ada") == question
    assert controls.typed_name == "Bea" and not enrollment.requests
    assert press([BACKSPACE], "Ada") == "" and press(["a", ENTER], "Ada") == question and not enrollment.requests
    # If the face has got another name since, the question is another one.
    assert press([ENTER], "Bob") == question.replace("Ada", "Bob") and not enrollment.requests
    assert press([ENTER], "Bob") == ""
    assert controls.typed_name is None and enrollment.requests == [enrollment.begin]
    for name, typed_name in (("Ada", "ada"), (None, "bea")):  # more faces of a known person, and an unknown one
        enrollment.requests.clear()
        press(["e", *typed_name, ENTER], name)
        assert controls.typed_name is None and enrollment.requests == [enrollment.begin]
    # A name that the face gets during typing counts, even if the face is out of sight at Enter.
    enrollment.requests.clear()
    press(["e", "b"], None)
    press(["c"], "Ada")
    controls.press(ENTER, [], None)
    assert "this is Ada" in drawn(controls, None)["message"] and not enrollment.requests


def test_a_failed_snapshot_is_reported(tmp_path):
    (tmp_path / "file").touch()
    controls = LiveControls(None, tmp_path / "file")
    controls.press("s", [], np.zeros((9, 9, 3), np.uint8))
    assert drawn(controls, None)["message"].startswith("snapshot not saved: ")


def test_keys_pause_hide_save_and_quit(tmp_path):
    controls, picture = LiveControls(None, tmp_path), np.full((120, 160, 3), 77, np.uint8)
    faces = [NamedFace((10, 10, 40, 40), "ada", 0.9, 1)]
    for key in (" ", "h", "s", "e", "n", "u"):
        controls.press(key, faces, picture)
    assert controls.paused and not controls.keys_shown and not controls.quit and controls.typed_name is None
    assert "--faces_path" in controls.message
    (snapshot,) = tmp_path.iterdir()
    np.testing.assert_array_equal(read_image(snapshot), picture)
    for key in ("q", ESCAPE, CLOSED):
        controls = LiveControls(None, tmp_path)
        controls.press(key, faces, picture)
        assert controls.quit


def test_typing_stays_visible_while_the_camera_is_lost():
    controls = LiveControls(FakeEnrollment())
    for key in "eq":
        controls.press(key, [NamedFace((0, 0, 9, 9), None, 0.1, 3)], None)
    assert drawn(controls, None)["entry"] == "Q" and "message" not in drawn(controls, None)
    assert drawn(controls, LOST)["entry"] == "Q" and drawn(controls, LOST)["message"] == LOST
    for key in (BACKSPACE, ENTER):
        controls.press(key, [], None)
    assert drawn(controls, LOST)["message"] == "type a name first"


def test_keys_are_answered_while_the_camera_is_lost(tmp_path):
    enrollment, faces, clock = FakeEnrollment(), [NamedFace((0, 0, 9, 9), "ada", 0.9, 3)], FakeClock()
    controls = LiveControls(enrollment, tmp_path, clock)
    assert drawn(controls, LOST)["message"] == LOST
    for key in "en":  # the face may not be there any more
        controls.press(key, faces, None)
        assert controls.typed_name is None and enrollment.requests == []
        assert "without a picture" in drawn(controls, LOST)["message"]
    controls.press("u", faces, None)
    assert enrollment.requests == [enrollment.undo] and "will be undone when" in drawn(controls, LOST)["message"]
    controls.press("s", faces, np.zeros((9, 9, 3), np.uint8))
    assert drawn(controls, LOST)["message"].endswith(".png saved")
    clock.sleep(60)
    assert drawn(controls, LOST)["message"] == LOST
    # What an enrollment has done is shown too; what it asks for is useless now.
    enrollment.notice, enrollment.notice_until = "undone: Zoë", clock() + 60
    assert drawn(controls, LOST)["message"] == "undone: Zoë"
    enrollment.progress = 0.4
    assert drawn(controls, LOST)["message"] == LOST and drawn(controls, None)["message"] == "undone: Zoë"
    controls.press("e", faces, None)
    assert controls.typed_name == ""  # the camera is back


def test_the_rate_is_that_of_new_frames():
    clock = FakeClock()
    controls = LiveControls(None, clock=clock)
    for note, aside in ((None, "20 fps"), (LOST, "")):
        drawn(controls, note)
        clock.sleep(0.05)
        assert drawn(controls, note)["aside"] == aside
    controls.press(" ", [], None)
    assert drawn(controls, None) == {"aside": "paused", "keys": while_paused(KEYS)}
    controls.press("h", [], None)
    assert drawn(controls, None)["keys"] == PAUSED_KEYS
    controls.press(" ", [], None)
    assert drawn(controls, None)["keys"] == ()


def test_frames_of_any_size_are_drawn_plain_and_mirrored():
    faces = [NamedFace((10, 10, 40, 40), "Zoë", 0.9, 1), NamedFace((5, 60, 20, 20), None, 0.3, 2)]
    for shape in ((90, 120, 3), (480, 640, 3), (2160, 3840, 3)):
        image = np.full(shape, 128, np.uint8)
        plain = LiveControls(None).draw(image, faces, 0.04, None, mirrored=False)
        mirrored = LiveControls(None).draw(image, faces, None, LOST, mirrored=True)
        assert plain.shape == mirrored.shape == shape and not np.array_equal(plain, mirrored)
        assert (image == 128).all()
