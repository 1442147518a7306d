"""Collecting faces: what is saved when, and what the person is told."""

import cv2
import numpy as np
import pytest
from support import FakeClock, tilted_photo, webcam_view

from utils.capture.collector import LIKE_A_PHOTO, REQUEST_SECONDS, Collector
from utils.capture.guide import STEADY_FRAMES, Guide
from utils.faces.detection import load_detector
from utils.faces.folder import FaceSaver
from utils.media.images import read_image
from utils.media.video import Frame
from utils.synthetic.identity import Shot

RATE = 15


@pytest.fixture(scope="module")
def views():
    """Named pictures of one person, each with its faces, which are detected only once."""
    detect = load_detector(min_size=30)
    good = webcam_view()
    pictures = {
        "good": good,
        "turned": webcam_view(Shot(yaw=16.0)),
        "nodding": webcam_view(Shot(pitch=14.0)),
        "tilted photo": tilted_photo(good, -35, 0),
        "dark": (good * 0.25).astype(np.uint8),
        "empty": np.full_like(good, 190),
        "two": cv2.resize(np.hstack([good[:, 160:480], webcam_view(person=103)[:, 160:480]]), (640, 480)),
    }
    return {name: (picture, detect(picture)) for name, picture in pictures.items()}


class Session:
    """A collector that is shown named pictures, RATE a second."""

    def __init__(self, views, folder, gate=True, every=0):
        folder.mkdir(exist_ok=True)
        self.views, self.folder, self.clock = views, folder, FakeClock()
        self.collector = Collector(FaceSaver(folder), gate, every, None, RATE, clock=self.clock)
        self.count = 0

    def show(self, name, filmed=0.0):
        image, faces = self.views[name]
        frame = Frame(image, self.count / RATE, index=self.count, arrived=filmed)
        self.count += 1
        return self.collector.process_frame(frame, faces)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def test_a_requested_save_waits_for_a_good_face(views, tmp_path):
    session = Session(views, tmp_path / "ada")
    assert session.show("good").saved is None and session.collector.message(session.show("good")) == ""
    session.collector.request_save()
    dark = session.show("dark")
    assert dark.saved is None and dark.reason == "too dark"
    assert session.collector.message(dark) == "too dark"
    saved = session.show("good")
    assert saved.saved.name == "ada_0.png" and session.files == ["ada_0.png"]
    assert session.collector.message(saved) == "ada_0.png saved"
    assert (read_image(saved.saved) == saved.chip).all()
    assert session.show("turned").saved is None  # one request saves one face


def test_a_requested_save_takes_only_frames_filmed_later(views, tmp_path):
    session = Session(views, tmp_path / "ada")
    session.clock.now = 7.0
    session.collector.request_save()
    assert session.show("good", filmed=6.9).saved is None
    assert session.show("turned", filmed=7.1).saved.name == "ada_0.png"


def test_a_requested_save_times_out(views, tmp_path):
    session = Session(views, tmp_path / "ada")
    session.show("dark")
    session.collector.request_save()
    for _ in range(int(REQUEST_SECONDS * RATE) + 2):
        session.show("dark")
    assert session.show("good").saved is None and session.files == []
    assert session.collector.rejected["too dark"] >= REQUEST_SECONDS * RATE - 1


def test_reasons_without_exactly_one_face(views, tmp_path):
    session = Session(views, tmp_path / "ada", gate=False)
    assert session.show("empty").reason == "no face seen"
    assert session.show("two").reason == "2 faces: one at a time"
    assert session.show("dark").reason is None  # there is no gate


def test_a_face_like_the_last_is_rejected_on_request(views, tmp_path):
    session = Session(views, tmp_path / "ada")
    for _ in range(2):
        session.show("good")
        session.collector.request_save()
        session.show("good")
    session.count += 2 * RATE  # so that the message has gone
    again = session.show("good")
    assert session.files == ["ada_0.png"] and again.reason == "like the last one"
    assert session.collector.message(again) == "like the last one: move a little"
    assert session.show("turned").saved.name == "ada_1.png"


def test_every_waits_for_a_good_face_only_with_the_gate(views, tmp_path):
    names = ["good", "turned", "nodding", "dark", "good", "empty", "turned", "nodding"]
    gated = Session(views, tmp_path / "gated", every=2)
    # Due at 0, 2, 4 and 6. At 4 the face looks like a saved one, so that save waits until 6.
    assert [gated.show(name).saved is not None for name in names] == [True, False, True] + [False] * 3 + [True, False]
    every = Session(views, tmp_path / "every", gate=False, every=2)
    assert [every.show(name).saved is not None for name in names] == [True, False] * 4


def test_every_counts_skipped_frames_too(views, tmp_path):
    session = Session(views, tmp_path / "ada", gate=False, every=RATE)
    saved, countdowns = [], []
    for index in range(3, 60, 4):
        session.count = index
        state = session.show("good")
        saved += [index] if state.saved else []
        countdowns.append(state.countdown)
    # The first frame, and the first that was processed in each second. The countdown ends with the save.
    assert saved == [3, 15, 31, 47]
    assert countdowns[:4] == [None, 1, 1, None]


def test_undo_deletes_only_what_this_run_saved(views, tmp_path, capsys):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "ada_4.png").write_bytes(b"another day's")
    session = Session(views, tmp_path / "ada", gate=True)
    session.collector.undo()
    assert session.files == ["ada_4.png"]
    for name in ("good", "turned"):
        session.show(name)
        session.collector.request_save()
        assert session.show(name).saved
    session.collector.undo()
    assert session.files == ["ada_4.png", "ada_5.png"] and session.collector.saver.saved == 1
    assert "ada_6.png deleted" in capsys.readouterr().out
    session.collector.request_save()
    assert session.show("turned").saved  # the face that it looked like is gone


def test_a_paused_frame_is_saved_once(views, tmp_path):
    session = Session(views, tmp_path / "ada")
    state = session.collector.save_shown(session.show("good"))
    assert session.collector.save_shown(state).saved == state.saved
    session.collector.save_shown(session.show("dark"))
    assert session.files == ["ada_0.png"]
    session.collector.undo()
    assert session.collector.save_shown(state).saved.exists() and len(session.files) == 1


def test_the_countdown_shows_the_last_seconds(views, tmp_path):
    session = Session(views, tmp_path / "ada", every=4 * RATE)
    session.show("good")
    shown = [session.show("empty").countdown for _ in range(4 * RATE - 1)]
    assert list(dict.fromkeys(shown)) == [None, 3, 2, 1]
    fast = Session(views, tmp_path / "bob", every=5)
    assert {fast.show("empty").countdown for _ in range(10)} == {None}


def test_the_guide_does_not_take_a_photos_tilt(views, tmp_path):
    """Only a head that moves in itself shows another pose."""
    session = Session(views, tmp_path / "ada")
    guide = session.collector.guide = Guide()
    for _ in range(STEADY_FRAMES):
        session.show("good")
    assert [name for name, _ in guide.recorded] == ["front"]
    session.count += 2 * RATE  # so that the message has gone
    states = [session.show("tilted photo") for _ in range(3 * STEADY_FRAMES)]
    assert session.files == ["ada_0.png"] and states[-1].reason == LIKE_A_PHOTO
    assert session.collector.rejected[LIKE_A_PHOTO] and session.collector.message(states[-1]) == LIKE_A_PHOTO
    for _ in range(STEADY_FRAMES):
        state = session.show("turned")
    assert state.saved and [name for name, _ in guide.recorded] == ["front", "left"]
    session.collector.request_save()
    assert session.show("tilted photo").saved  # a key saves what the user wants
    session.collector.undo()
    session.collector.undo()
    session.collector.undo()
    assert guide.recorded == [] and session.files == []
