"""Real windows on a virtual screen, driven by key presses; skipped without Xvfb and xdotool."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import DEADLINE, Display, finish, needs_screen, start, wait_until, write_clip

from utils.display.drawing import KEY_COLOR, KNOWN_COLOR, UNKNOWN_COLOR, WARNING_COLOR
from utils.display.window import MAX_SIZE_WH, fit_size
from utils.media.images import read_image, write_image
from utils.synthetic.identity import sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.portrait import draw_selfie
from utils.synthetic.scenes import webcam_clip

pytestmark = needs_screen


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """An enrolled person, then a stranger, again and again for two minutes: longer than any test needs."""
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    frames = [frame for frame, _ in webcam_clip({"person 1": sample_identity(101)}, [sample_identity(500)], 3, 75)]
    write_clip(path, frames * 24)
    return path


@pytest.fixture
def recognition(suite) -> list:
    """The flags that every run of test.py needs."""
    return ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]


@pytest.fixture
def photos(suite) -> Path:
    return suite["faces"].parent / "selfies" / "person 2"


@pytest.mark.slow
def test_names_are_shown_and_q_quits(screen, recognition, long_clip):
    process = start(screen, "test.py", *recognition, "-v", long_clip)
    screen.wait_for("Siamese Faces")
    # The drawn room has neither of the two colors of names.
    wait_until(lambda: screen.count(KNOWN_COLOR) > 1000)
    wait_until(lambda: screen.count(UNKNOWN_COLOR) > 500)
    screen.press("q")
    out = finish(process)
    assert "person 1: " in out
    assert int(out.split(" frames at ")[0].splitlines()[-1]) < 1800  # the key ended it, not the clip


@pytest.fixture(scope="module")
def moving_stranger():
    """A network camera that films a drawn stranger, who turns the head this way and that."""
    # The middle of a visit forward and backward, so that nobody comes or goes.
    frames = [frame for frame, _ in webcam_clip({}, [sample_identity(500)], 3, 150)]
    frames = frames[20:90]
    camera = MjpegCamera(frames + frames[::-1], 15)
    camera.start()
    yield camera
    camera.stop()


def text_field(screen: Display) -> np.ndarray:
    """The white field in which a name is typed; empty if there is none."""
    image = screen.image()
    white = (image == 250).all(axis=2)
    rows, columns = np.flatnonzero(white.sum(axis=1) > 100), np.flatnonzero(white.sum(axis=0) > 10)
    return image[rows[0] : rows[-1], columns[0] : columns[-1]] if rows.size and columns.size else image[:0, :0]


def type_name(screen: Display, name: str) -> None:
    """Open the text field, type a name, each letter after the last has appeared, and press Enter."""
    screen.press("e")
    wait_until(lambda: text_field(screen).size)
    for character in name:
        before = text_field(screen)
        screen.run("type", character)
        wait_until(lambda before=before: not np.array_equal(text_field(screen), before))
    screen.press("Return")
    wait_until(lambda: not text_field(screen).size)


@pytest.mark.slow
def test_a_stranger_is_enrolled_by_keys_and_undone(screen, suite, recognition, moving_stranger, tmp_path):
    faces, features = (shutil.copytree(suite[name], tmp_path / name) for name in ("faces", "features"))
    words = ["-f", features, *recognition[2:], "--faces_path", faces, "--mirror"]
    events = tmp_path / "events.jsonl"
    process = start(screen, "test.py", *words, "--camera", moving_stranger.url, "--events", events)

    def names() -> list[str | None]:
        lines = events.read_text().splitlines()[-3:] if events.exists() else []
        return [face["name"] for line in lines for face in json.loads(line)["faces"]]

    screen.wait_for("Siamese Faces")
    wait_until(lambda: names() == [None] * 3)
    type_name(screen, "zoë b")
    wait_until(lambda: names() == ["Zoë B"] * 3)
    wait_until(lambda: screen.count(KNOWN_COLOR) > 500)
    saved = list((faces / "Zoë B").iterdir())
    assert saved and all(path.name.startswith("Zoë B_") for path in saved)
    assert (features / "Zoë B" / "Zoë B_features.cPickle").is_file()
    screen.press("u")
    wait_until(lambda: names() == [None] * 3)
    wait_until(lambda: not (faces / "Zoë B").exists())
    screen.press("q")
    assert "Zoë B: " in finish(process)


def warned(screen: Display) -> bool:
    """Whether the bar of a warning is shown; the picture shows through it a little."""
    return screen.count(WARNING_COLOR, within=24) > 4000


def recognizes_a_stranger(screen: Display) -> bool:
    return screen.count(UNKNOWN_COLOR) > 200 and not warned(screen)


@pytest.mark.fault
@pytest.mark.slow
def test_the_window_says_when_the_camera_is_lost(screen, recognition, moving_stranger):
    process = start(screen, "test.py", *recognition, "--camera", moving_stranger.url)
    screen.wait_for("Siamese Faces")
    wait_until(lambda: recognizes_a_stranger(screen))
    moving_stranger.stop()
    wait_until(lambda: warned(screen))
    moving_stranger.start()
    wait_until(lambda: recognizes_a_stranger(screen))
    screen.press("Escape")
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and "trying again" in err and "Traceback" not in err


@pytest.mark.slow
def test_the_window_of_a_silent_camera_has_keys(screen, recognition, moving_stranger):
    moving_stranger.silent = True
    process = start(screen, "test.py", *recognition, "--camera", moving_stranger.url)
    screen.wait_for("Siamese Faces")
    wait_until(lambda: warned(screen) and screen.count(KEY_COLOR, within=24) > 100)
    screen.press("h")
    wait_until(lambda: screen.count(KEY_COLOR, within=24) == 0)
    moving_stranger.silent = False
    wait_until(lambda: recognizes_a_stranger(screen))
    screen.press("q")
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and err.count("\n") == 1 and "sends no pictures" in err


@pytest.mark.slow
def test_photos_stay_until_a_key(screen, recognition, photos):
    process = start(screen, "test.py", *recognition, "--image_path", photos)
    screen.wait_for("Siamese Faces")
    wait_until(lambda: screen.count(KNOWN_COLOR) > 500)
    first = screen.still_image()
    screen.press("space")
    wait_until(lambda: (screen.image() != first).any() and screen.count(KNOWN_COLOR) > 500)
    screen.still_image()
    assert process.poll() is None
    screen.press("Escape")
    assert "2 photos, 0 without a face; 2 faces, 0 unknown\n  person 2: 2 photos" in finish(process)


@pytest.mark.slow
def test_a_clicked_face_is_enrolled_and_renamed(screen, suite, recognition, tmp_path):
    faces, features = (shutil.copytree(suite[name], tmp_path / name) for name in ("faces", "features"))
    rng = np.random.default_rng(1)
    strangers = [draw_selfie(sample_identity(number), rng) for number in (500, 501)]
    width = strangers[0].shape[1]
    write_image(tmp_path / "photo.png", np.hstack(strangers))
    words = ["-f", features, *recognition[2:], "--faces_path", faces, "--image_path", tmp_path / "photo.png", "--json"]
    process = start(screen, "test.py", *words)
    screen.wait_for("Siamese Faces")
    wait_until(lambda: screen.count(UNKNOWN_COLOR) > 500)
    window = screen.find_window("Siamese Faces")
    scale = fit_size((2 * width, len(strangers[0])), MAX_SIZE_WH)[0] / (2 * width)
    before = screen.still_image()
    place = str(round(1.5 * width * scale)), str(round(0.5 * len(strangers[0]) * scale))
    screen.run("mousemove", "--window", window, *place, "click", "1")
    wait_until(lambda: (screen.image() != before).any())
    type_name(screen, "zoe")
    wait_until(lambda: screen.count(KNOWN_COLOR) > 500)
    assert [path.name for path in (faces / "Zoe").iterdir()] == ["Zoe_0.png"]
    screen.press("e")
    screen.still_image()
    screen.press("r")
    wait_until(lambda: text_field(screen).size)
    screen.press("b")
    screen.still_image()
    screen.press("Return")
    wait_until(lambda: (faces / "Zoeb").is_dir() and (features / "Zoeb" / "Zoeb_features.json").exists())
    screen.still_image()
    screen.press("q")
    out, err = process.communicate(timeout=DEADLINE)
    assert json.loads(out)["people"].keys() == {"Zoeb"} and "7 people, 35 images" in err


@pytest.mark.slow
def test_photos_keep_their_proportions_and_fit_on_a_screen(screen, recognition, photos, tmp_path):
    photo = read_image(next(photos.iterdir()))
    height, width = photo.shape[:2]
    large = cv2.resize(photo, (4 * width, 4 * height))
    for number, picture in enumerate((photo, photo[:, width // 4 : 3 * width // 4], large)):
        write_image(tmp_path / f"{number}.jpg", picture)
    process = start(screen, "test.py", *recognition, "--image_path", tmp_path)
    screen.wait_for("Siamese Faces")
    window = screen.find_window("Siamese Faces")
    for size_wh in (photo.shape[1::-1], (width // 2, height), fit_size(large.shape[1::-1], MAX_SIZE_WH)):
        geometry = f"Geometry: {size_wh[0]}x{size_wh[1]}"
        wait_until(lambda geometry=geometry: geometry in screen.run("getwindowgeometry", window))
        wait_until(lambda: screen.count(KNOWN_COLOR) > 500)
        screen.press("space")
    assert "3 photos" in finish(process)


@pytest.mark.slow
def test_capture_saves_on_s_and_quits_on_q(screen, long_clip, tmp_path):
    folder = tmp_path / "ada"
    process = start(screen, "capture.py", "--output", folder, "--video_path", long_clip)
    screen.wait_for("capture")
    for number in range(2):
        wait_until(lambda: screen.count(KNOWN_COLOR) > 300)  # one face: a whole box
        screen.press("s")
        wait_until(lambda number=number: (folder / f"ada_{number}.png").exists())
    screen.press("q")
    assert "2 faces saved" in finish(process)
    assert len(list(folder.iterdir())) == 2


def close_window(screen: Display, title: str) -> None:
    """Ask a window to close, as its button in a window manager does."""
    from Xlib import X, display
    from Xlib.protocol.event import ClientMessage

    connection = display.Display(screen.env["DISPLAY"])
    window = connection.create_resource_object("window", int(screen.find_window(title)))
    protocols, delete = (connection.intern_atom(name) for name in ("WM_PROTOCOLS", "WM_DELETE_WINDOW"))
    data = (32, [delete, X.CurrentTime, 0, 0, 0])
    window.send_event(ClientMessage(window=window, client_type=protocols, data=data))
    connection.sync()
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--guide"]])
def test_closing_the_window_of_capture_quits(screen, moving_stranger, long_clip, tmp_path, words):
    source = ["--camera", moving_stranger.url] if words else ["--video_path", long_clip]
    process = start(screen, "capture.py", "--output", tmp_path / "ada", *source, *words)
    screen.wait_for("capture")
    close_window(screen, "capture")
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and " saved in " in out


@pytest.mark.slow
@pytest.mark.parametrize("source", ["camera", "video_path", "image_path"])
def test_closing_the_window_quits(screen, recognition, moving_stranger, long_clip, photos, source):
    values = {"camera": moving_stranger.url, "video_path": long_clip, "image_path": photos}
    process = start(screen, "test.py", *recognition, f"--{source}", values[source])
    screen.wait_for("Siamese Faces")
    wait_until(lambda: screen.count(KNOWN_COLOR) + screen.count(UNKNOWN_COLOR) > 500)
    close_window(screen, "Siamese Faces")
    out = finish(process)
    # A camera's window may be closed while the models are still loading, and then there is no summary.
    assert source == "camera" or ("1 photo, " if source == "image_path" else " frames at ") in out
