"""Real windows on a virtual screen, driven by key presses. Skipped where Xvfb or xdotool is missing."""

import json
import shutil
import time

import cv2
import pytest
from support import Display, finish, needs_screen, start

from utils.display.drawing import KEY_COLOR, KNOWN_COLOR, UNKNOWN_COLOR, WARNING_COLOR
from utils.display.window import MAX_SIZE_WH, fit_size
from utils.media.images import read_image, write_image
from utils.media.video import VideoOutput
from utils.synthetic.identity import sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.scenes import webcam_clip

pytestmark = needs_screen


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """60 s of an enrolled person, then a stranger: longer than any test looks."""
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    video = VideoOutput(path, 15)
    frames = [frame for frame, _ in webcam_clip({"person 1": sample_identity(101)}, [sample_identity(500)], 3, 75)]
    for frame in frames * 12:
        video.write(frame)
    video.close()
    return path


def test_test_py_shows_names_and_quits(screen, suite, long_clip):
    words = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"], "-v", long_clip]
    process = start(screen, "test.py", *words)
    screen.wait_for("Siamese Faces")
    # The names are drawn in their colors, which the drawn room does not have.
    screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 1000)
    screen.wait_until(lambda: screen.count(UNKNOWN_COLOR) > 500)
    screen.run("key", "q")
    out = finish(process)
    assert "person 1: " in out
    assert int(out.split(" frames at ")[0].splitlines()[-1]) < 900  # it was the key that ended it


@pytest.fixture(scope="module")
def moving_stranger():
    """A network camera before which a drawn stranger turns the head this way and that."""
    # Still frames of a visit's middle, then back: nobody comes or goes.
    frames = [frame for frame, _ in webcam_clip({}, [sample_identity(500)], 3, 150)]
    frames = frames[20:90]
    camera = MjpegCamera(frames + frames[::-1], 15)
    camera.start()
    yield camera
    camera.stop()


def type_slowly(screen: Display, text: str) -> None:
    """Type as slowly as a busy machine needs: of two keys that come at once, OpenCV tells the second only."""
    for character in text:
        screen.run("type", "--delay", "60", character)
        time.sleep(0.4)


def test_a_stranger_is_enrolled_by_keys_and_taken_back(screen, suite, moving_stranger, tmp_path):
    faces, features = (shutil.copytree(suite[name], tmp_path / name) for name in ("faces", "features"))
    words = ["-f", features, "-m", suite["extractor"], "-c", suite["head"], "--faces_path", faces, "--mirror"]
    events = tmp_path / "events.jsonl"
    process = start(screen, "test.py", *words, "--camera", moving_stranger.url, "--events", events)

    def names() -> list:
        """Who was seen in the last lines of the events."""
        lines = events.read_text(encoding="utf-8").splitlines()[-4:-1] if events.exists() else []
        return [face["name"] for line in lines for face in json.loads(line)["faces"]]

    screen.wait_for("Siamese Faces")
    screen.wait_until(lambda: names() == [None] * 3, 60)
    screen.run("key", "e")
    time.sleep(1)
    type_slowly(screen, "zoë b")
    screen.run("key", "Return")
    screen.wait_until(lambda: names() == ["Zoë B"] * 3, 60)
    screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 500)
    saved = list((faces / "Zoë B").iterdir())
    assert saved and all(path.name.startswith("Zoë B_") for path in saved)
    assert (features / "Zoë B" / "Zoë B_features.cPickle").is_file()
    screen.run("key", "u")
    screen.wait_until(lambda: names() == [None] * 3)
    screen.wait_until(lambda: not (faces / "Zoë B").exists())
    screen.run("key", "q")
    assert "Zoë B: " in finish(process)


def warned(screen: Display) -> bool:
    """Whether the bar with a warning is there, through which the picture shines a little."""
    return screen.count(WARNING_COLOR, within=24) > 4000


def test_the_window_says_when_the_camera_is_lost(screen, suite, moving_stranger):
    words = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]
    process = start(screen, "test.py", *words, "--camera", moving_stranger.url)
    screen.wait_for("Siamese Faces")
    screen.wait_until(lambda: screen.count(UNKNOWN_COLOR) > 200)
    assert not warned(screen)
    moving_stranger.stop()
    screen.wait_until(lambda: warned(screen))
    moving_stranger.start()
    screen.wait_until(lambda: not warned(screen))
    screen.run("key", "Escape")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "trying again" in err and "Traceback" not in err


def test_a_camera_without_pictures_has_a_window_with_keys(screen, suite, moving_stranger):
    words = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]
    moving_stranger.silent = True
    process = start(screen, "test.py", *words, "--camera", moving_stranger.url)
    screen.wait_for("Siamese Faces")
    screen.wait_until(lambda: warned(screen))
    assert screen.count(KEY_COLOR, within=24) > 100
    screen.run("key", "h")
    screen.wait_until(lambda: screen.count(KEY_COLOR, within=24) == 0)
    moving_stranger.silent = False
    screen.wait_until(lambda: screen.count(UNKNOWN_COLOR) > 200)
    assert not warned(screen)
    screen.run("key", "q")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err.count("\n") == 1 and "sends no pictures" in err


def test_photos_stay_until_a_key(screen, suite):
    words = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]
    process = start(screen, "test.py", *words, "--image_path", suite["faces"].parent / "selfies" / "person 2")
    screen.wait_for("Siamese Faces")
    screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 500)
    screen.run("key", "space")
    time.sleep(0.5)
    assert process.poll() is None
    screen.run("key", "Escape")
    assert "2 frames" in finish(process)


def test_each_photo_is_shown_in_its_proportions_and_no_larger_than_a_screen(screen, suite, tmp_path):
    photo = read_image(next((suite["faces"].parent / "selfies" / "person 2").iterdir()))
    height, width = photo.shape[:2]
    large = cv2.resize(photo, (4 * width, 4 * height))
    for number, picture in enumerate((photo, photo[:, width // 4 : 3 * width // 4], large)):
        write_image(tmp_path / f"{number}.jpg", picture)
    words = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]
    process = start(screen, "test.py", *words, "--image_path", tmp_path)
    screen.wait_for("Siamese Faces")
    window = screen.run("search", "--onlyvisible", "--name", "Siamese Faces").splitlines()[0]
    for size_wh in (photo.shape[1::-1], (width // 2, height), fit_size(large.shape[1::-1], MAX_SIZE_WH)):
        geometry = f"Geometry: {size_wh[0]}x{size_wh[1]}"
        screen.wait_until(lambda geometry=geometry: geometry in screen.run("getwindowgeometry", window))
        screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 500)
        screen.run("key", "space")
    assert "3 frames" in finish(process)


def test_capture_saves_on_s_and_quits_on_q(screen, long_clip, tmp_path):
    folder = tmp_path / "ada"
    process = start(screen, "capture.py", "--output", folder, "--video_path", long_clip)
    screen.wait_for("capture")
    for number in range(2):
        screen.wait_until(lambda: screen.count(KNOWN_COLOR) > 300)  # one face: a whole box
        screen.run("key", "s")
        screen.wait_until(lambda number=number: (folder / f"ada_{number}.png").exists())
    screen.run("key", "q")
    assert "2 faces saved" in finish(process)
    assert len(list(folder.iterdir())) == 2


def close_window(screen: Display, title: str) -> None:
    """Ask a window to close, as its button in a window manager does."""
    from Xlib import X, display
    from Xlib.protocol.event import ClientMessage

    connection = display.Display(screen.env["DISPLAY"])
    number = int(screen.run("search", "--onlyvisible", "--name", title).splitlines()[0])
    window = connection.create_resource_object("window", number)
    protocols, delete = (connection.intern_atom(name) for name in ("WM_PROTOCOLS", "WM_DELETE_WINDOW"))
    data = (32, [delete, X.CurrentTime, 0, 0, 0])
    window.send_event(ClientMessage(window=window, client_type=protocols, data=data))
    connection.sync()
    connection.close()


def test_closing_the_window_quits(screen, long_clip, tmp_path):
    process = start(screen, "capture.py", "--output", tmp_path / "ada", "--video_path", long_clip)
    screen.wait_for("capture")
    time.sleep(1)
    close_window(screen, "capture")
    assert "0 faces saved" in finish(process)


def test_closing_a_photo_quits(screen, suite):
    words = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]
    process = start(screen, "test.py", *words, "--image_path", suite["faces"].parent / "selfies" / "person 2")
    screen.wait_for("Siamese Faces")
    time.sleep(1)
    close_window(screen, "Siamese Faces")
    assert "1 frame at" in finish(process)
