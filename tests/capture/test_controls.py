"""capture.py in real windows on a virtual screen: its keys, its messages and the mirrored preview."""

import numpy as np
import pytest
from support import DEADLINE, finish, needs_screen, start, wait_until, webcam_view, write_clip

from utils.display.drawing import KNOWN_COLOR, WARNING_COLOR
from utils.faces.detection import load_detector
from utils.faces.quality import head_pose
from utils.media.images import read_image
from utils.synthetic.identity import Shot
from utils.synthetic.network_camera import MjpegCamera

pytestmark = needs_screen


@pytest.mark.slow
def test_the_window_waits_for_a_camera_without_pictures(screen, tmp_path):
    camera = MjpegCamera([webcam_view(seed=seed) for seed in range(5)], 15)
    camera.silent = True
    camera.start()
    try:
        process = start(screen, "capture.py", "-o", tmp_path / "ada", "--camera", camera.url)
        screen.wait_for("capture")
        wait_until(lambda: screen.count(WARNING_COLOR, within=24) > 4000)
        camera.silent = False
        wait_until(lambda: screen.count(KNOWN_COLOR) > 300 and screen.count(WARNING_COLOR, within=24) == 0)
        screen.press("s")
        wait_until(lambda: (tmp_path / "ada" / "ada_0.png").exists())
        camera.silent = True
        wait_until(lambda: screen.count(WARNING_COLOR, within=24) > 4000)
        screen.press("Escape")
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        camera.stop()
    assert process.returncode == 0 and "1 face saved" in out
    assert err.count("sends no pictures: trying again") == 1 and "Traceback" not in err


@pytest.mark.slow
def test_the_window_saves_undoes_pauses_and_helps(screen, tmp_path):
    folder = tmp_path / "ada"
    # The head holds each pose for two seconds: whenever "g" is pressed, the front is the front.
    pictures = [webcam_view(Shot(yaw=float(yaw)), seed=step) for yaw in (0, 27, 0, -22) for step in range(20)]
    write_clip(tmp_path / "long.mp4", pictures * 40, rate=10)
    process = start(screen, "capture.py", "-o", folder, "-v", tmp_path / "long.mp4")
    screen.wait_for("capture")
    wait_until(lambda: screen.count(KNOWN_COLOR) > 300)
    screen.press("s")
    wait_until(lambda: (folder / "ada_0.png").exists())
    screen.press("u")
    wait_until(lambda: not (folder / "ada_0.png").exists())
    screen.press("space")
    paused = screen.still_image()
    screen.press("h")
    wait_until(lambda: (screen.image()[150:330, 120:520] < 100).mean() > 0.5)  # the dark panel
    screen.press("h")
    wait_until(lambda: (screen.image() == paused).all())
    screen.press("space")
    wait_until(lambda: (screen.image() != paused).any())
    screen.press("g")
    wait_until(lambda: len(list(folder.glob("ada_*.png"))) >= 3)  # front, left, right: the head never nods
    screen.press("Escape")
    out = finish(process)
    assert "ada_0.png deleted" in out and "3 faces saved" in out


@pytest.mark.slow
def test_a_mirrored_preview_saves_what_the_camera_saw(screen, tmp_path):
    picture = webcam_view(Shot(yaw=14.0))
    shifted = np.roll(picture, 150, axis=1)  # into the right half
    write_clip(tmp_path / "long.mp4", [shifted] * 600, rate=4)
    process = start(screen, "capture.py", "-o", tmp_path / "ada", "-v", tmp_path / "long.mp4", "--mirror")
    screen.wait_for("capture")
    wait_until(lambda: screen.count(KNOWN_COLOR) > 300)
    is_box = np.abs(screen.image()[:, :640].astype(int) - KNOWN_COLOR).max(axis=2) <= 3
    columns = np.flatnonzero(is_box.sum(axis=0) > 50)
    assert columns.size and columns.max() < 320  # the box is in the left half
    screen.press("s")
    wait_until(lambda: (tmp_path / "ada" / "ada_0.png").exists())
    screen.press("q")
    finish(process)
    (face,) = load_detector(min_size=20)(read_image(tmp_path / "ada" / "ada_0.png"))
    assert head_pose(face.landmarks).yaw > 5  # not mirrored
