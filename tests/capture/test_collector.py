"""Collecting faces: what is asked, what is saved when, what the person is told; headless and in real windows."""

import time
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from support import FakeWindow, assert_one_error_line, finish, needs_screen, run_script, start

from utils.capture.collector import WAIT_FOR_GOOD, Collector
from utils.capture.guide import ASKS, PATIENCE, STEADY, Guide
from utils.capture.loops import collect_from_camera, open_preview
from utils.cli import InputError
from utils.display.drawing import KNOWN_COLOR, WARNING_COLOR
from utils.faces.alignment import Face
from utils.faces.detection import load_detector
from utils.faces.folder import FaceSaver
from utils.faces.quality import Pose, head_pose
from utils.media.camera import Camera
from utils.media.images import read_image
from utils.media.video import Frame, VideoOutput
from utils.synthetic.identity import Shot, sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.portrait import add_noise, draw_on

RATE = 15


def view(shot=None, height=200.0, number=101, seed=0) -> np.ndarray:
    """A webcam's picture of a drawn person, RGB uint8 (480, 640, 3)."""
    image = np.full((480, 640, 3), (190, 200, 205), np.uint8)
    draw_on(image, sample_identity(number), shot or Shot(), (320, 240), height)
    add_noise(image, np.random.default_rng(seed), 2.5)
    return image


@pytest.fixture(scope="module")
def looks():
    """Named pictures of one person, each with the faces in it: found once."""
    detect = load_detector(min_size=30)
    good = view()
    pictures = {
        "good": good,
        "turned": view(Shot(yaw=16.0)),
        "nodding": view(Shot(pitch=14.0)),
        "dark": (good * 0.25).astype(np.uint8),
        "nobody": np.full_like(good, 190),
        "two": cv2.resize(np.hstack([good[:, 160:480], view(number=103)[:, 160:480]]), (640, 480)),
    }
    return {name: (picture, detect(picture)) for name, picture in pictures.items()}


class Session:
    """A collector that is shown named pictures, RATE a second."""

    def __init__(self, looks, folder, gate=True, every=0, guide=None):
        folder.mkdir(exist_ok=True)
        self.looks, self.folder = looks, folder
        self.collector = Collector(FaceSaver(folder), gate, every, guide, RATE)
        self.count = 0

    def show(self, name, filmed=0.0):
        image, faces = self.looks[name]
        frame = Frame(image, self.count / RATE, index=self.count, arrived=filmed)
        self.count += 1
        return self.collector.process_frame(frame, faces)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def test_a_wish_waits_for_a_good_face(looks, tmp_path):
    session = Session(looks, tmp_path / "ada")
    assert session.show("good").saved is None and session.collector.message(session.show("good")) == ""
    session.collector.request_save()
    dark = session.show("dark")
    assert dark.saved is None and dark.reason == "too dark"
    assert session.collector.message(dark) == "too dark"
    saved = session.show("good")
    assert saved.saved.name == "ada_0.png" and session.files == ["ada_0.png"]
    assert session.collector.message(saved) == "ada_0.png saved"
    assert (read_image(saved.saved) == saved.chip).all()
    assert session.show("turned").saved is None  # one wish, one face


def test_a_wish_is_for_what_is_filmed_after_it(looks, tmp_path):
    session = Session(looks, tmp_path / "ada")
    before = time.monotonic()
    session.collector.request_save()
    assert session.show("good", filmed=before).saved is None
    assert session.show("turned", filmed=time.monotonic()).saved.name == "ada_0.png"


def test_a_wish_ends(looks, tmp_path):
    session = Session(looks, tmp_path / "ada")
    session.show("dark")
    session.collector.request_save()
    for _ in range(int(WAIT_FOR_GOOD * RATE) + 2):
        session.show("dark")
    assert session.show("good").saved is None and session.files == []
    assert session.collector.refused["too dark"] >= WAIT_FOR_GOOD * RATE - 1


def test_reasons_of_pictures_without_the_one_face(looks, tmp_path):
    session = Session(looks, tmp_path / "ada", gate=False)
    assert session.show("nobody").reason == "no face seen"
    assert session.show("two").reason == "2 faces: one at a time"
    assert session.show("dark").reason is None  # there is no gate


def test_like_the_last_one_is_said_where_another_was_wished_for(looks, tmp_path):
    session = Session(looks, tmp_path / "ada")
    for _ in range(2):
        session.show("good")
        session.collector.request_save()
        session.show("good")
    session.count += 2 * RATE  # what was told is over
    again = session.show("good")
    assert session.files == ["ada_0.png"] and again.reason == "like the last one"
    assert session.collector.message(again) == "like the last one: move a little"
    assert session.show("turned").saved.name == "ada_1.png"


def test_every_waits_for_good_faces_behind_a_gate_and_not_without(looks, tmp_path):
    names = ["good", "turned", "nodding", "dark", "good", "nobody", "turned", "nodding"]
    gated = Session(looks, tmp_path / "gated", every=2)
    # Due at 0, 2, 4 and 6; at 4 and 6 it was like one that is saved.
    assert [gated.show(name).saved is not None for name in names] == [True, False, True] + [False] * 3 + [True, False]
    every = Session(looks, tmp_path / "every", gate=False, every=2)
    assert [every.show(name).saved is not None for name in names] == [True, False] * 4


def test_every_counts_the_frames_that_nobody_looked_at_too(looks, tmp_path):
    session = Session(looks, tmp_path / "ada", gate=False, every=RATE)
    saved, countdowns = [], []
    for index in range(3, 60, 4):
        session.count = index
        view = session.show("good")
        saved += [index] if view.saved else []
        countdowns.append(view.countdown)
    # The first, and of each second the first that was looked at: the countdown is over where one is saved.
    assert saved == [3, 15, 31, 47]
    assert countdowns[:4] == [None, 1, 1, None]


def test_undo(looks, tmp_path, capsys):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "ada_4.png").write_bytes(b"another day's")
    session = Session(looks, tmp_path / "ada", gate=True)
    session.collector.undo()
    assert session.files == ["ada_4.png"]  # what this run has not saved is not touched
    for name in ("good", "turned"):
        session.show(name)
        session.collector.request_save()
        assert session.show(name).saved
    session.collector.undo()
    assert session.files == ["ada_4.png", "ada_5.png"] and session.collector.saver.saved == 1
    assert "ada_6.png deleted" in capsys.readouterr().out
    session.collector.request_save()
    assert session.show("turned").saved  # its like is not there any more


def test_a_view_that_stands_still_is_saved_once(looks, tmp_path):
    session = Session(looks, tmp_path / "ada")
    view = session.collector.save_shown(session.show("good"))
    assert session.collector.save_shown(view).saved == view.saved
    session.collector.save_shown(session.show("dark"))
    assert session.files == ["ada_0.png"]
    session.collector.undo()
    assert session.collector.save_shown(view).saved.exists() and len(session.files) == 1


def test_countdown_shows_the_last_seconds(looks, tmp_path):
    session = Session(looks, tmp_path / "ada", every=4 * RATE)
    session.show("good")
    shown = [session.show("nobody").countdown for _ in range(4 * RATE - 1)]
    assert [number for number in dict.fromkeys(shown)] == [None, 3, 2, 1]
    fast = Session(looks, tmp_path / "bob", every=5)
    assert {fast.show("nobody").countdown for _ in range(10)} == {None}


def show_pose(guide: Guide, pose: Pose | None, now: float = 0.0) -> bool:
    """Whether a pose that is held for a while is accepted; it is then taken."""
    accepted = [guide.accepts(pose, now) for _ in range(STEADY)]
    assert not any(accepted[:-1])
    if accepted[-1]:
        guide.record(pose)
    return accepted[-1]


def test_the_guide_asks_for_five_poses():
    guide = Guide()
    front, low = Pose(2.0, 12.0, 0.0), Pose(0.0, 0.0, 0.0)
    assert "look at the camera" in guide.ask and guide.ask.startswith("1 of 5")
    assert not show_pose(guide, Pose(20.0, 0.0, 0.0)) and not show_pose(guide, None)
    assert show_pose(guide, front)
    # From now on all is measured from that look: it was seen from below.
    assert "left" in guide.ask and not show_pose(guide, front)
    assert show_pose(guide, Pose(18.0, 12.0, 0.0)) and "right" in guide.ask
    assert not show_pose(guide, Pose(45.0, 12.0, 0.0)) and not show_pose(guide, Pose(18.0, 12.0, 0.0))
    assert show_pose(guide, low)  # which was not asked for yet, and will do
    assert show_pose(guide, Pose(-16.0, 10.0, 0.0)) and "lift" in guide.ask
    assert guide.progress == pytest.approx(0.8) and not guide.done
    assert show_pose(guide, Pose(0.0, 24.0, 0.0))
    assert guide.done and guide.progress == 1 and not show_pose(guide, front) and "5 of 5" in guide.ask
    guide.undo_last()
    assert not guide.done and "lift" in guide.ask


def test_the_guide_wants_a_pose_to_be_held_and_gives_up_what_never_comes():
    guide = Guide()
    assert not guide.accepts(Pose(0.0, 0.0, 0.0), 0.0) and not guide.accepts(None, 0.1)
    assert show_pose(guide, Pose(0.0, 0.0, 0.0), 1000.0)  # nobody was there before, which is no reason to give up
    missing = list(guide.missing)
    guide.accepts(None, 1001.0)
    guide.accepts(None, 1002.0 + PATIENCE)
    assert guide.missing == missing[1:]
    for step in range(2, 6):
        guide.accepts(None, 1000.0 + 2 * step * PATIENCE)
    assert guide.done and "1 of 5" in guide.ask
    assert guide.summary == "1 of 5 poses; missing: left, right, up, down"


def test_the_guide_says_where_a_pose_is_too_like_what_is_saved():
    guide = Guide()
    assert show_pose(guide, Pose(0.0, 0.0, 0.0)) and show_pose(guide, Pose(18.0, 0.0, 0.0))
    assert not any(guide.accepts(Pose(0.0, 8.0, 0.0), 0.0, alike=True) for _ in range(2 * STEADY))
    assert guide.ask == "3 of 5 – turn a little to your right"  # it was not up that was asked for
    late = 0.9 * PATIENCE
    assert not any(guide.accepts(Pose(-9.0, 0.0, 0.0), late, alike=True) for _ in range(2 * STEADY))
    assert guide.ask == "3 of 5 – turn a little to your right, farther than now"
    assert show_pose(guide, Pose(-14.0, 0.0, 0.0), late + 0.9 * PATIENCE)
    assert guide.ask == "4 of 5 – lift your chin a little"


def write_clip(path, pictures) -> None:
    clip = VideoOutput(path, RATE)
    for picture in pictures:
        clip.write(picture)
    clip.close()


@pytest.fixture(scope="module")
def turning_clip(tmp_path_factory):
    """A drawn person who looks up, down, left and right in turn, as if asked."""
    swings = [("yaw", 18.0), ("yaw", -18.0), ("pitch", 16.0), ("pitch", -20.0)]
    pictures = [view()] * 6
    for angle, most in swings:
        parts = np.concatenate([np.linspace(0, 1, 6), np.ones(4), np.linspace(1, 0, 4)])
        pictures += [view(Shot(**{angle: float(most * part)}), seed=index) for index, part in enumerate(parts)]
    path = tmp_path_factory.mktemp("clip") / "turning.mp4"
    write_clip(path, pictures)
    return path


@pytest.mark.parametrize("detector", ["retinaface", "dlib"])
def test_guided_headless(turning_clip, tmp_path, capsys, detector):
    import capture

    line = ["-o", str(tmp_path / "ada"), "-v", str(turning_clip), "--headless", "--guide", "--detector", detector]
    assert capture.main(line) == 0
    out = capsys.readouterr().out
    chips = [
        read_image(tmp_path / "ada" / f"ada_{number}.png") for number in range(len(list((tmp_path / "ada").iterdir())))
    ]
    assert len(chips) == len(ASKS), out
    asked = [line for line in out.splitlines() if " of 5 – " in line]
    assert asked[0] == "1 of 5 – look at the camera" and len(asked) >= 5 and "5 of 5 poses\n" in out
    yaws = [head_pose(load_detector(min_size=20)(chip)[0].landmarks).yaw for chip in chips]
    assert max(yaws) - yaws[0] > 8 and min(yaws) - yaws[0] < -8


def test_a_guide_without_a_window_says_what_is_missing(tmp_path, capsys):
    import capture

    write_clip(tmp_path / "still.avi", [view()] * 5)
    line = ["-o", str(tmp_path / "ada"), "-v", str(tmp_path / "still.avi"), "--headless", "--guide"]
    assert capture.main(line) == 0
    out = capsys.readouterr().out
    assert "1 of 5 – look at the camera\n" in out and out.count("2 of 5 – turn a little to your left\n") == 1
    assert "1 of 5 poses; missing: left, right, up, down\n" in out


def test_headless_saves_only_good_faces_and_says_why_not(tmp_path, capsys):
    import capture

    good = view()
    write_clip(tmp_path / "dark.avi", [(good * 0.2).astype(np.uint8)] * 4 + [good])
    line = ["-o", str(tmp_path / "ada"), "-v", str(tmp_path / "dark.avi"), "--headless", "--every", "1"]
    assert capture.main(line) == 0
    out = capsys.readouterr().out
    assert "1 face saved" in out and "not saved: too dark (4 frames)" in out
    assert capture.main([*line, "--gate", "0"]) == 0
    assert "5 faces saved" in capsys.readouterr().out


def test_from_a_network_camera(tmp_path, capsys):
    import capture

    camera = MjpegCamera([view(Shot(yaw=float(yaw))) for yaw in (-15, 0, 15)], 10)
    camera.start()
    try:
        line = ["-o", str(tmp_path / "ada"), "--camera", camera.url, "--headless", "--every", "1", "--count", "2"]
        assert capture.main(line) == 0
    finally:
        camera.stop()
    assert "2 faces saved" in capsys.readouterr().out


def test_a_silent_camera_is_given_up(gray_camera, tmp_path, capsys):
    import capture

    gray_camera.silent = True
    line = ["-o", str(tmp_path / "ada"), "--camera", gray_camera.url, "--headless", "--every", "1", "--give_up", "0.5"]
    assert capture.main(line) == 0
    captured = capsys.readouterr()
    assert "0 faces saved" in captured.out and "given up after 0.5 s" in captured.err


class SlowDetector:
    """Sees one face in the same place; takes its time. seen: the gray of every picture that it was shown."""

    def __init__(self, seconds: float):
        self.seconds, self.seen = seconds, []

    def __call__(self, image) -> list[Face]:
        time.sleep(self.seconds)
        self.seen.append(int(image[60, 80, 0]))
        eye, side = np.array([65, 45]), 30
        points = eye + side * np.array([[0, 0], [1, 0], [0.5, 0.6], [0.1, 1], [0.9, 1]], np.float32)
        return [Face((60, 35, 40, 50), 0.99, points, np.array([[1 / 40, 0, -60 / 40], [0, 1 / 40, -40 / 40]]))]


def collect(url, detect, folder, keys, every=0):
    """Run capture.py, without a gate, before a camera, in a window that gives keys at given seconds; its pictures."""
    folder.mkdir()
    source = Camera(url)
    collector = Collector(FaceSaver(folder), False, every, None, source.rate)
    with ExitStack() as cleanup:
        cleanup.callback(source.close)
        screen = open_preview(collector, False, cleanup)
        screen.window = FakeWindow(keys)
        collect_from_camera(source, detect, collector, screen)
    return screen.window.pictures


def test_a_slow_detector_does_not_slow_the_window(gray_camera, tmp_path):
    detect = SlowDetector(0.3)
    pictures = collect(gray_camera.url, detect, tmp_path / "ada", [(4.0, "q")], every=1)
    # 30 a second are filmed and three searched; a noisy machine may cost some of the 120.
    grays = [int(picture[65, 2, 0]) for picture in pictures]
    assert np.count_nonzero(np.diff(grays)) >= 60
    assert 4 <= len(detect.seen) <= 14
    # All that were searched are saved, and as they were when they were searched; the end may cut two off.
    saved = [read_image(tmp_path / "ada" / f"ada_{n}.png") for n in range(len(list((tmp_path / "ada").iterdir())))]
    assert len(detect.seen) - 2 <= len(saved) <= len(detect.seen)
    assert [int(chip[112, 112, 0]) for chip in saved] == detect.seen[: len(saved)]


def test_a_pause_shows_what_was_judged_and_saves_that(gray_camera, tmp_path):
    detect = SlowDetector(0.3)
    pictures = collect(gray_camera.url, detect, tmp_path / "ada", [(2.0, " "), (3.0, "s"), (3.5, "q")])
    (chip,) = [read_image(path) for path in (tmp_path / "ada").iterdir()]
    last = [int(picture[65, 2, 0]) for picture in pictures[-5:]]
    assert set(last) == {int(chip[112, 112, 0])} and last[0] in detect.seen[:-2]  # it went on searching


def test_an_error_of_the_detector_ends_the_run(gray_camera, tmp_path):
    def broken(image):
        raise InputError("the detector is gone")

    with pytest.raises(InputError, match="the detector is gone"):
        collect(gray_camera.url, broken, tmp_path / "ada", [(20, "q")])


def test_what_has_no_sense_is_refused(tmp_path):
    result = run_script("capture.py", "-o", tmp_path / "ada", "-v", tmp_path / "none.mp4", "--headless", "--guide")
    assert_one_error_line(result, "none.mp4")
    assert_one_error_line(run_script("capture.py", "-o", tmp_path / "ada", "--headless"), "--every", "--guide")
    # OpenCV has a lot to say about a camera that is not there; it is not asked.
    result = run_script("capture.py", "-o", tmp_path / "ada", "--headless", "--guide", "--camera", "60000")
    assert_one_error_line(result, "camera 60000 cannot be opened")


@needs_screen
def test_the_window_waits_for_a_camera_without_pictures(screen, tmp_path):
    camera = MjpegCamera([view(seed=seed) for seed in range(5)], RATE)
    camera.silent = True
    camera.start()
    try:
        process = start(screen, "capture.py", "-o", tmp_path / "ada", "--camera", camera.url)
        screen.wait_for("capture")
        screen.wait_until(lambda: screen.count(WARNING_COLOR, within=24) > 4000)
        camera.silent = False
        screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 300)
        assert screen.count(WARNING_COLOR, within=24) == 0
        screen.run("key", "s")
        screen.wait_until(lambda: (tmp_path / "ada" / "ada_0.png").exists())
        camera.silent = True
        screen.wait_until(lambda: screen.count(WARNING_COLOR, within=24) > 4000)
        screen.run("key", "Escape")
        out, err = process.communicate(timeout=60)
    finally:
        camera.stop()
    assert process.returncode == 0 and "1 face saved" in out
    assert err.count("sends no pictures: trying again") == 1 and "Traceback" not in err


@needs_screen
def test_the_window_saves_undoes_pauses_and_helps(screen, tmp_path):
    folder = tmp_path / "ada"
    pictures = [view(Shot(yaw=float(18 * np.sin(step / 6))), seed=step) for step in range(38)]
    write_clip(tmp_path / "long.mp4", pictures * 30)
    process = start(screen, "capture.py", "-o", folder, "-v", tmp_path / "long.mp4")
    screen.wait_for("capture")
    screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 300)
    screen.run("key", "s")
    screen.wait_until(lambda: (folder / "ada_0.png").exists())
    screen.run("key", "u")
    screen.wait_until(lambda: not (folder / "ada_0.png").exists())
    screen.run("key", "space")
    time.sleep(0.5)
    still = screen.image().copy()
    time.sleep(0.5)
    assert (screen.image() == still).all()
    screen.run("key", "h")
    screen.wait_until(lambda: (screen.image()[150:330, 120:520] < 100).mean() > 0.5)  # the dark panel
    screen.run("key", "h")
    screen.wait_until(lambda: (screen.image()[150:330, 120:520] < 100).mean() < 0.5)
    screen.run("key", "space")
    screen.wait_until(lambda: (screen.image() != still).any())
    time.sleep(0.5)
    screen.run("key", "g")
    screen.wait_until(lambda: len(list(folder.iterdir())) >= 3)  # front, left, right: the head nods in no picture
    screen.run("key", "Escape")
    out = finish(process)
    assert "ada_0.png deleted" in out and "3 faces saved" in out


@needs_screen
def test_the_mirrored_preview_saves_what_the_camera_saw(screen, tmp_path):
    picture = view(Shot(yaw=14.0))
    shifted = np.roll(picture, 150, axis=1)  # in the right half
    write_clip(tmp_path / "long.mp4", [shifted] * 900)
    process = start(screen, "capture.py", "-o", tmp_path / "ada", "-v", tmp_path / "long.mp4", "--mirror")
    screen.wait_for("capture")
    screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 300)
    columns = np.flatnonzero(
        (np.abs(screen.image()[:, :640].astype(int) - KNOWN_COLOR).max(axis=2) <= 3).sum(axis=0) > 50
    )
    assert columns.size and columns.max() < 320  # the box is where the looking glass shows the face
    screen.run("key", "s")
    screen.wait_until(lambda: (tmp_path / "ada" / "ada_0.png").exists())
    screen.run("key", "q")
    finish(process)
    (face,) = load_detector(min_size=20)(read_image(tmp_path / "ada" / "ada_0.png"))
    assert head_pose(face.landmarks).yaw > 5  # not mirrored
