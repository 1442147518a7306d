"""The loops of capture.py: over a file, and beside a camera with a detector that is slow."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from support import FakeWindow, assert_one_error_line, run_script, wait_until, webcam_view, write_clip

import capture
from utils.capture.collector import Collector
from utils.capture.guide import PROMPTS
from utils.capture.loops import collect_from_camera, open_preview
from utils.cli import InputError
from utils.display.drawing import KNOWN_COLOR
from utils.faces.alignment import Face
from utils.faces.detection import Detector, load_detector
from utils.faces.folder import FaceSaver
from utils.faces.quality import head_pose
from utils.media.camera import Camera
from utils.media.images import read_image
from utils.synthetic.identity import Shot
from utils.synthetic.network_camera import MjpegCamera


@pytest.fixture(scope="module")
def turning_clip(tmp_path_factory):
    """A drawn person who turns left, right, up and down, as the guide asks."""
    swings = [("yaw", 18.0), ("yaw", -18.0), ("pitch", 16.0), ("pitch", -20.0)]
    pictures = [webcam_view()] * 6
    for angle, most in swings:
        parts = np.concatenate([np.linspace(0, 1, 6), np.ones(4), np.linspace(1, 0, 4)])
        pictures += [webcam_view(Shot(**{angle: float(most * part)}), seed=seed) for seed, part in enumerate(parts)]
    path = tmp_path_factory.mktemp("clip") / "turning.mp4"
    write_clip(path, pictures)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["retinaface", "dlib"])
def test_a_guide_without_a_window(turning_clip, tmp_path, capsys, detector):
    line = ["-o", str(tmp_path / "ada"), "-v", str(turning_clip), "--headless", "--guide", "--detector", detector]
    assert capture.main(line) == 0
    out = capsys.readouterr().out
    chips = saved_chips(tmp_path / "ada")
    assert len(chips) == len(PROMPTS), out
    prompts = [line for line in out.splitlines() if " of 5 – " in line]
    assert prompts[0] == "1 of 5 – look at the camera" and len(prompts) >= 5 and "5 of 5 poses\n" in out
    yaws = [head_pose(load_detector(min_size=20)(chip)[0].landmarks).yaw for chip in chips]
    assert max(yaws) - yaws[0] > 8 and min(yaws) - yaws[0] < -8


def test_a_guide_without_a_window_says_what_is_missing(tmp_path, capsys):
    write_clip(tmp_path / "still.avi", [webcam_view()] * 5)
    line = ["-o", str(tmp_path / "ada"), "-v", str(tmp_path / "still.avi"), "--headless", "--guide"]
    assert capture.main(line) == 0
    out = capsys.readouterr().out
    assert "1 of 5 – look at the camera\n" in out and out.count("2 of 5 – turn a little to your left\n") == 1
    assert "1 of 5 poses; missing: left, right, up, down\n" in out


@pytest.mark.slow
def test_headless_saves_only_good_faces_and_says_why_not(tmp_path, capsys):
    good = webcam_view()
    write_clip(tmp_path / "dark.avi", [(good * 0.2).astype(np.uint8)] * 4 + [good])
    line = ["-o", str(tmp_path / "ada"), "-v", str(tmp_path / "dark.avi"), "--headless", "--every", "1"]
    assert capture.main(line) == 0
    out = capsys.readouterr().out
    assert "1 face saved" in out and "not saved: too dark (4 frames)" in out
    assert capture.main([*line, "--gate", "0"]) == 0
    assert "5 faces saved" in capsys.readouterr().out


def test_from_a_network_camera(tmp_path, capsys):
    camera = MjpegCamera([webcam_view(Shot(yaw=float(yaw))) for yaw in (-15, 0, 15)], 10)
    camera.start()
    try:
        line = ["-o", str(tmp_path / "ada"), "--camera", camera.url, "--headless", "--every", "1", "--count", "2"]
        assert capture.main(line) == 0
    finally:
        camera.stop()
    assert "2 faces saved" in capsys.readouterr().out


@pytest.mark.slow
def test_a_silent_camera_is_given_up(gray_camera, tmp_path, capsys):
    gray_camera.silent = True
    line = ["-o", str(tmp_path / "ada"), "--camera", gray_camera.url, "--headless", "--every", "1", "--give_up", "0.5"]
    assert capture.main(line) == 2
    captured = capsys.readouterr()
    assert "0 faces saved" in captured.out and "no picture within 0.5 s" in captured.err


class WaitingDetector:
    """Detects one face, always at the same place, but first waits for what `wait` waits for."""

    def __init__(self, wait: Callable[[], None]):
        self.wait = wait
        self.grays: list[int] = []  # of every image that was searched

    def __call__(self, image: np.ndarray) -> list[Face]:
        self.wait()
        self.grays.append(int(image[60, 80, 0]))
        eye, side = np.array([65, 45]), 30
        points = eye + side * np.array([[0, 0], [1, 0], [0.5, 0.6], [0.1, 1], [0.9, 1]], np.float32)
        return [Face((60, 35, 40, 50), 0.99, points, np.array([[1 / 40, 0, -60 / 40], [0, 1 / 40, -40 / 40]]))]


def collect(url: str, detect: Detector, folder: Path, window: FakeWindow, every: int = 0) -> None:
    """Run capture.py's loop without a gate beside a camera."""
    folder.mkdir()
    source = Camera(url)
    collector = Collector(FaceSaver(folder), False, every, None, source.rate)
    with ExitStack() as cleanup:
        cleanup.callback(source.close)
        screen = open_preview(collector, False, cleanup)
        screen.window = window
        collect_from_camera(source, detect, collector, screen)


def shown_grays(window: FakeWindow) -> list[int]:
    return [int(picture[65, 2, 0]) for picture in window.pictures]


def saved_chips(folder: Path) -> list[np.ndarray]:
    """What was saved in an empty folder, in order."""
    return [read_image(folder / f"{folder.name}_{number}.png") for number in range(len(list(folder.iterdir())))]


@pytest.mark.slow
def test_a_slow_detector_does_not_slow_the_window(gray_camera, tmp_path):
    def changes() -> int:
        return int(np.count_nonzero(np.diff(shown_grays(window))))

    def wait_for_ten_frames() -> None:
        before = changes()
        wait_until(lambda: changes() >= before + 10 or not window.keys)  # no keys are left at the end

    window, detect = FakeWindow(), WaitingDetector(wait_for_ten_frames)
    window.keys = [(lambda: len(detect.grays) >= 5, "q")]
    collect(gray_camera.url, detect, tmp_path / "ada", window, every=1)
    assert changes() >= 50
    # All frames that were searched are saved, and as they were searched; the end may cut two off.
    saved = [int(chip[112, 112, 0]) for chip in saved_chips(tmp_path / "ada")]
    assert len(detect.grays) - 2 <= len(saved) and saved == detect.grays[: len(saved)]


def test_a_pause_shows_the_judged_frame_and_saves_that(gray_camera, tmp_path):
    def has_searched_twice_more() -> bool:
        searched.append(len(detect.grays))
        return searched[-1] >= searched[0] + 2

    def shows_the_same_since_saving() -> bool:
        return len(saved_chips(tmp_path / "ada")) == 1 and len(set(shown_grays(window)[-5:])) == 1

    searched: list[int] = []  # frames, at every look since the pause
    window, detect = FakeWindow(), WaitingDetector(lambda: None)
    window.keys = [
        (lambda: (window.pictures[-1] == KNOWN_COLOR).all(axis=2).any(), " "),  # a face is shown
        (has_searched_twice_more, "s"),
        (shows_the_same_since_saving, "q"),
    ]
    collect(gray_camera.url, detect, tmp_path / "ada", window)
    (chip,) = saved_chips(tmp_path / "ada")
    last = shown_grays(window)[-5:]
    assert set(last) == {int(chip[112, 112, 0])} and last[0] in detect.grays[:-2]  # it went on searching


def test_an_error_of_the_detector_ends_the_run(gray_camera, tmp_path):
    def broken(image: np.ndarray) -> list[Face]:
        raise InputError("the detector is gone")

    with pytest.raises(InputError, match="the detector is gone"):
        collect(gray_camera.url, broken, tmp_path / "ada", FakeWindow())


@pytest.mark.slow
def test_impossible_arguments_are_refused(tmp_path):
    result = run_script("capture.py", "-o", tmp_path / "ada", "-v", tmp_path / "none.mp4", "--headless", "--guide")
    assert_one_error_line(result, "none.mp4")
    assert_one_error_line(run_script("capture.py", "-o", tmp_path / "ada", "--headless"), "--every", "--guide")
    # OpenCV would print a lot about a missing camera, but is kept quiet.
    result = run_script("capture.py", "-o", tmp_path / "ada", "--headless", "--guide", "--camera", "60000")
    assert_one_error_line(result, "camera 60000 cannot be opened")
