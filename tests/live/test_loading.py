"""The window is alive while the models load: it shows pictures, then boxes, then names, and a key ends it at once."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from support import DEADLINE, ROOT, FakeWindow, wait_until

from utils.cli import INTERRUPTED, InputError, warn
from utils.display.viewers import Screen
from utils.keras_models import quiet_stderr
from utils.live.controls import LOADING, LiveControls
from utils.live.loading import StartingRecognizer, load_behind
from utils.live.loops import run_camera
from utils.live.outputs import Outputs
from utils.live.summaries import Summary
from utils.media.camera import Camera
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace, RecognizedFrame

BOX = (40, 30, 50, 60)


class RecordingControls(LiveControls):
    """Remembers what it draws: "loading" or not, and the name of each face."""

    def __init__(self):
        super().__init__()
        self.drawn: list[tuple[bool, list[str | None]]] = []

    def draw(self, image, faces, latency, note, mirrored) -> np.ndarray:
        self.drawn.append((self.loading, [face.name for face in faces]))
        return super().draw(image, faces, latency, note, mirrored)


class FakeFace:
    box = BOX


class FakeRecognizer:
    """Sees Ada in every frame."""

    def recognize(self, frame: Frame) -> RecognizedFrame:
        return RecognizedFrame(frame, np.ascontiguousarray(frame.image[..., 0]), [NamedFace(BOX, "ada", 0.9, 1)])


class Run:
    """A run of the camera's loop whose loaders do as a test says."""

    def __init__(self, url: str, load_detector: Callable, load: Callable):
        self.camera, self.load_detector, self.load = Camera(url), load_detector, load
        self.controls = RecordingControls()
        self.screen = Screen(self.controls, ExitStack())
        self.screen.window = FakeWindow()
        self.summary = Summary()

    def shows(self, loading: bool, names: list[str | None]) -> bool:
        return (loading, names) in self.controls.drawn

    def begin(self, _: FakeRecognizer) -> None:
        self.controls.loading = False
        self.summary.start()

    def go(self, folder=None) -> None:
        with ExitStack() as cleanup:
            cleanup.callback(self.camera.close)
            outputs = Outputs(None, folder and folder / "events.jsonl", self.camera, cleanup)
            with closing(StartingRecognizer(self.load_detector, self.load, self.camera, self.begin)) as starting:
                starting.start_behind(self.screen)
                run_camera(self.camera, starting, outputs, self.summary, self.screen)


def test_pictures_then_boxes_then_names(gray_camera, tmp_path):
    """The detector loads once pictures are shown, the rest once boxes are, and the user quits once names are."""

    def load_detector() -> Callable:
        assert run.controls.drawn  # loading starts behind the first picture
        wait_until(lambda: len(run.controls.drawn) >= 3)
        return lambda image: [FakeFace()]

    def load(detect: Callable) -> FakeRecognizer:
        wait_until(lambda: run.shows(True, [None]))
        return FakeRecognizer()

    run = Run(gray_camera.url, load_detector, load)
    run.screen.window.keys = [(lambda: run.shows(False, ["ada"]), "q")]
    run.go(tmp_path)
    drawn = run.controls.drawn
    assert drawn[:3] == [(True, [])] * 3
    assert drawn.index((True, [None])) < drawn.index((False, ["ada"]))
    assert not any(loading and "ada" in names for loading, names in drawn)
    # Nothing is recorded before the names.
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert lines and all('"name": "ada"' in line for line in lines)
    assert 0 < run.summary.frames < len(drawn)


def test_a_key_quits_while_the_models_load(gray_camera, capsys):
    released = threading.Event()
    run = Run(gray_camera.url, lambda: released.wait() and None, lambda detect: FakeRecognizer())
    run.screen.window.keys = [(lambda: len(run.controls.drawn) >= 5, "q")]
    run.go()
    run.summary.print()
    assert run.controls.quit and not run.shows(False, []) and capsys.readouterr().out == ""
    released.set()


@pytest.mark.parametrize("part", ["detector", "rest"])
def test_an_error_of_loading_ends_the_run(gray_camera, part):
    def fail(*_) -> None:
        wait_until(lambda: len(run.controls.drawn) >= 3)
        raise InputError("the model is damaged")

    run = Run(gray_camera.url, fail if part == "detector" else lambda: lambda image: [], fail)
    with pytest.raises(InputError, match="the model is damaged"):
        run.go()
    assert run.summary.started_at is None


def screen_with(*keys: tuple[Callable[[], object] | float, str]) -> Screen:
    screen = Screen(RecordingControls(), ExitStack())
    screen.window = FakeWindow(keys)
    return screen


def test_a_still_picture_is_shown_while_the_models_load():
    screen = screen_with()

    def load() -> str:
        assert screen.controls.drawn == [(True, [])]
        wait_until(lambda: len(screen.controls.drawn) >= 3)
        return "a recognizer"

    assert load_behind(load, screen, Frame(np.zeros((120, 160, 3), np.uint8), 0.0)) == "a recognizer"
    assert not screen.controls.loading and LOADING

    def fail() -> None:
        raise InputError("the model is damaged")

    with pytest.raises(InputError, match="damaged"):
        load_behind(fail, screen, Frame(np.zeros((120, 160, 3), np.uint8), 0.0))


def test_a_key_quits_behind_a_still_picture():
    released = threading.Event()
    screen = screen_with((lambda: len(screen.controls.drawn) >= 3, "q"))
    assert load_behind(released.wait, screen, Frame(np.zeros((120, 160, 3), np.uint8), 0.0)) is None
    released.set()


SCRIPT = """
import atexit, sys, time
from utils.cli import clean_exit
from utils.threads import Loading

@clean_exit
def main(argv=None):
    atexit.register(print, "the libraries clean up")
    Loading(lambda: time.sleep(600))
    time.sleep(0.1)
    print("done")
    return 3

sys.exit(main())
"""


def run_code(code: str, folder: Path) -> subprocess.CompletedProcess:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, env=env, cwd=folder
    )


def test_the_process_ends_while_a_library_loads(tmp_path):
    process = run_code(SCRIPT, tmp_path)
    assert process.returncode == 3 and process.stderr == ""
    assert process.stdout == "done\nthe libraries clean up\n"


INTERRUPTED_SCRIPT = """
import os, signal, sys, time
from utils.cli import clean_exit
from utils.keras_models import quiet_stderr
from utils.threads import Loading

def load():
    with quiet_stderr():
        print("a note of a library", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(600)

@clean_exit
def main(argv=None):
    Loading(load)
    while True:
        time.sleep(0.01)

sys.exit(main())
"""


@pytest.mark.kill
def test_ctrl_c_while_a_library_loads_is_told(tmp_path):
    process = run_code(INTERRUPTED_SCRIPT, tmp_path)
    assert process.returncode == INTERRUPTED and process.stderr == "interrupted\n"


def test_a_warning_is_shown_while_a_library_loads(capfd):
    with quiet_stderr():
        os.write(2, b"a note of a library")
        warn("the camera is lost")
    assert capfd.readouterr().err == "warning: the camera is lost\n"
