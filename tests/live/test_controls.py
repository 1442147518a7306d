"""The keys of test.py's window, and what it draws."""

from collections.abc import Iterable

import numpy as np
import pytest
from support import FakeClock

from utils.display import drawing
from utils.display.viewers import PAUSED_KEYS, while_paused
from utils.display.window import BACKSPACE, CAPS_LOCK, CLOSED, ENTER, ESCAPE, SHIFT
from utils.live.controls import KEYS, LOADING, OFFERED_KEYS, LiveControls
from utils.live.name_entry import check_name
from utils.media.images import read_image
from utils.recognition.recognizer import NamedFace

LOST = "camera lost, trying again"


class FakeEnrollment:
    """Records the requests, and does nothing."""

    gallery = type("SmallGallery", (), {"enrolled": ["Ada", "Eve"]})
    notice, notice_until, progress = "", 0.0, None

    def __init__(self):
        self.requests = []

    def submit(self, method, *arguments) -> None:
        self.requests.append((method, *arguments))

    def undo(self) -> None: ...

    def begin(self) -> None: ...

    def reject(self) -> None: ...

    def rename(self) -> None: ...


def type_name(*keys: str) -> str | None:
    """The typed name after `e` and these keys, None if typing has ended."""
    controls = LiveControls(FakeEnrollment())
    for key in ("e", *keys):
        controls.press(key, [NamedFace((0, 0, 9, 9), None, 0.1, 3)], np.zeros((9, 9, 3), np.uint8))
    return controls.entry.text


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


def press(controls: LiveControls, keys: Iterable[str], name: str | None) -> str:
    """Press keys before a large face with this name and a smaller one called Eve. Returns the message then shown."""
    faces = [NamedFace((0, 0, 9, 9), name, 0.9, 3), NamedFace((20, 0, 5, 5), "Eve", 0.9, 4)]
    for key in keys:
        controls.press(key, faces, None)
    return drawn(controls, None).get("message", "")


@pytest.fixture
def enrollment() -> FakeEnrollment:
    return FakeEnrollment()


@pytest.fixture
def controls(enrollment) -> LiveControls:
    return LiveControls(enrollment)


def test_a_named_face_offers_one_more_face_or_another_name(controls, enrollment):
    assert press(controls, "e", "Ada") == "this is Ada: what next?" and drawn(controls, None)["keys"] == OFFERED_KEYS
    assert press(controls, "qns", "Ada") == "this is Ada: what next?" and not controls.quit  # other keys do nothing
    press(controls, [ENTER], "Ada")
    assert enrollment.requests == [(enrollment.begin, "Ada", 3)] and not controls.offering
    press(controls, ["e", ESCAPE], "Ada")
    assert not controls.offering and not controls.quit and len(enrollment.requests) == 1
    press(controls, ["e", "r"], "Ada")
    assert controls.entry.text == "Ada"  # to be changed
    press(controls, [BACKSPACE, "e", ENTER], "Ada")
    assert enrollment.requests[1:] == [(enrollment.rename, "Ada", "Ade")] and controls.entry.text is None
    press(controls, ["e", "r", ENTER], "Ada")
    assert len(enrollment.requests) == 2  # the same name


def test_two_people_become_one_only_after_a_second_enter(controls, enrollment):
    question = "Eve is enrolled already: press Enter again to make Ada and Eve one person"
    assert press(controls, ["e", "r", *[BACKSPACE] * 3, *"eve", ENTER], "Ada") == question
    assert press(controls, [BACKSPACE], "Ada") == "" and press(controls, ["e", ENTER], "Ada") == question
    assert not enrollment.requests
    press(controls, [ENTER], "Ada")
    assert enrollment.requests == [(enrollment.rename, "Ada", "Eve")]
    # In another spelling it is the same person's name, and no question.
    press(controls, ["e", "r", *[BACKSPACE] * 3, CAPS_LOCK, *"ada", ENTER], "Ada")
    assert enrollment.requests[1:] == [(enrollment.rename, "Ada", "ADA")]


def test_another_name_for_a_face_needs_a_second_enter(controls, enrollment):
    question = "this is Ada: press Enter again to enroll as Bea"
    assert press(controls, ["e", "o", *"bea", ENTER], "Ada") == question
    assert controls.entry.text == "Bea" and not enrollment.requests
    # If the face has got another name since, the question is another one.
    assert press(controls, [ENTER], "Bob") == question.replace("Ada", "Bob") and not enrollment.requests
    assert press(controls, [ENTER], "Bob") == ""
    assert controls.entry.text is None and enrollment.requests.pop() == (enrollment.begin, "Bea", 3)
    press(controls, ["e", *"bea", ENTER], None)  # an unknown face
    assert controls.entry.text is None and enrollment.requests.pop() == (enrollment.begin, "Bea", 3)
    # A name that the face gets during typing counts, even if the face is out of sight at Enter.
    press(controls, ["e", "b"], None)
    press(controls, ["c"], "Ada")
    controls.press(ENTER, [], None)
    assert "this is Ada" in drawn(controls, None)["message"] and not enrollment.requests


def test_a_click_or_a_number_chooses_the_face(controls, enrollment):
    faces = [NamedFace((0, 0, 9, 9), None, 0.9, 3), NamedFace((20, 0, 5, 5), "Eve", 0.9, 4)]
    controls.click(22, 2, faces)
    assert controls.chosen == 4
    press(controls, "n", "Ada")
    assert enrollment.requests.pop() == (enrollment.reject, 4)
    controls.click(15, 2, faces)  # beside the faces
    assert controls.chosen is None
    press(controls, "n", "Ada")
    assert enrollment.requests.pop() == (enrollment.reject, 3)
    press(controls, "2", "Ada")
    assert controls.chosen is None  # they move, so they have no numbers
    press(controls, " 2", "Ada")
    assert controls.chosen == 4
    press(controls, "9", "Ada")
    assert controls.chosen == 4
    press(controls, "e", "Ada")
    assert controls.track_id == 4 and not controls.paused
    controls.chosen = 7  # it is out of sight: the largest face again
    press(controls, [ESCAPE, "n"], "Ada")
    assert enrollment.requests.pop() == (enrollment.reject, 3)


def test_while_the_models_load_keys_say_so(controls, enrollment):
    controls.loading = True
    assert drawn(controls, None)["message"] == LOADING and drawn(controls, LOST)["message"] == LOST
    for key in "enu":
        assert press(controls, key, None) == "wait until the models are loaded"
        controls.show_message("")
    assert controls.entry.text is None and not enrollment.requests
    press(controls, "q", None)
    assert controls.quit


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
    assert controls.paused and not controls.keys_shown and not controls.quit and controls.entry.text is None
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
        assert controls.entry.text is None and enrollment.requests == []
        assert "without a picture" in drawn(controls, LOST)["message"]
    controls.press("u", faces, None)
    assert enrollment.requests == [(enrollment.undo,)] and "will be undone when" in drawn(controls, LOST)["message"]
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
    assert controls.offering  # the camera is back


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
