"""What several tests call: scripts as processes, a virtual screen with keys, stand-ins for cameras and windows."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from utils.faces.detected import MeasuredFace
from utils.features.feature_files import FeatureSet
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie

ROOT = Path(__file__).resolve().parent.parent


def run_script(*words, env: dict | None = None, timeout: float = 120) -> subprocess.CompletedProcess:
    """Run a script of the suite in a process of its own, in the project's root."""
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout)


def assert_one_error_line(result: subprocess.CompletedProcess, *parts: str) -> None:
    """A run ended as bad input must end: status 2 and one `error:` line that says these parts."""
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for part in parts:
        assert part in lines[0]


def gray_pictures(count: int) -> list[np.ndarray]:
    """Plain pictures, RGB uint8 (120, 160, 3), each lighter than the one before."""
    return [np.full((120, 160, 3), 40 + 3 * number, np.uint8) for number in range(count)]


def measured_face(
    x: int, y: int = 100, score: float = 0.99, quality: float = 0.5, thumbnail: float = 0.0
) -> MeasuredFace:
    """A face of 60×80 pixels whose thumbnail has one value everywhere."""
    pixels = np.full(144, thumbnail, np.float32)
    return MeasuredFace((x, y, 60, 80), score, np.zeros((5, 2), np.float32), np.eye(2, 3), quality, pixels)


def toy_features(people: int, photos: int, dimension: int = 4, seed: int = 0) -> FeatureSet:
    """Features of people whose photos scatter around a random center each, in the order of the people."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(people, dimension)).repeat(photos, axis=0)
    matrix = (centers + 0.3 * rng.normal(size=centers.shape)).astype(np.float32)
    return FeatureSet(matrix, np.arange(people).repeat(photos), [f"p{i}" for i in range(people)], None)


class FakeWindow:
    """Stands in for a Window: collects pictures, and gives keys at given moments."""

    def __init__(self, keys: Sequence[tuple[float, str]] = ()):
        self.pictures, self.keys, self.start = [], list(keys), time.monotonic()

    def show(self, picture: np.ndarray) -> None:
        self.pictures.append(picture)

    def wait_key(self, seconds: float) -> str:
        time.sleep(max(seconds, 0.001))
        if self.keys and time.monotonic() - self.start >= self.keys[0][0]:
            return self.keys.pop(0)[1]
        return ""


needs_screen = pytest.mark.skipif(
    # CI sets REQUIRE_WINDOWS, so that a failed installation there is no silent skip.
    not (os.environ.get("REQUIRE_WINDOWS") or (shutil.which("Xvfb") and shutil.which("xdotool"))),
    reason="needs Xvfb and xdotool (apt install xvfb xdotool)",
)


class Display:
    """A virtual screen of 1024×768 whose pixels can be read and whose keys can be pressed."""

    def __init__(self, folder):
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-fbdir", str(folder)]
        self.server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.env = {**os.environ, "DISPLAY": f":{pipe.readline().strip()}"}
        self.pixels = folder / "Xvfb_screen0"

    def run(self, *words, timeout: float = 60) -> str:
        result = subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, timeout=timeout)
        return result.stdout.strip()

    def wait_for(self, title: str) -> None:
        """Wait until a window is there, and put the pointer into it: without a window manager that is focus."""
        window = self.run("search", "--sync", "--onlyvisible", "--name", title).splitlines()[0]
        self.run("mousemove", "--window", window, "60", "60")
        # On a busy machine Qt misses its first exposure now and then and would stay black for ever.
        for _ in range(10):
            end = time.monotonic() + 2
            while time.monotonic() < end:
                if self.image()[:400, :400].mean() > 1:
                    return
                time.sleep(0.1)
            self.run("windowunmap", window, "windowmap", window)

    def image(self) -> np.ndarray:
        """What the screen shows, RGB uint8 (768, 1024, 3), from Xvfb's frame buffer in XWD format."""
        data = self.pixels.read_bytes()
        header = np.frombuffer(data, ">u4", count=25)
        start = header[0] + 12 * header[19]
        rows = np.frombuffer(data, np.uint8, offset=start)[: header[12] * header[5]].reshape(header[5], -1, 4)
        return rows[:, : header[4], 2::-1]

    def count(self, color, within: int = 3) -> int:
        return int((np.abs(self.image().astype(int) - color).max(axis=2) <= within).sum())

    def wait_until(self, condition, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)


STARTED: list[subprocess.Popen] = []


def start(screen: Display, script: str, *words) -> subprocess.Popen:
    command = [sys.executable, script, *map(str, words)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=screen.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    STARTED.append(process)
    return process


def finish(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return out


def wait_until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def view(identity: int, count: int):
    """Frames of one drawn person who moves from one to the next."""
    rng = np.random.default_rng(identity)
    return [draw_selfie(sample_identity(identity), rng) for _ in range(count)]


def show(recognizer, pictures, start=0.0, step=0.3) -> list[list[NamedFace]]:
    return [
        recognizer.recognize(Frame(picture, start + step * number, index=number)).faces
        for number, picture in enumerate(pictures)
    ]


def contents(folder) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def enroll(recognizer, enrollment, name, pictures, monkeypatch) -> None:
    """Enroll whoever is in the pictures; the gate is another module's matter, and so is time."""
    monkeypatch.setattr("utils.live.enrollment.rejection_reason", lambda *_: None)
    monkeypatch.setattr("utils.live.enrollment.MIN_INTERVAL", 0.0)
    faces = show(recognizer, pictures[:1])[0]
    enrollment.ask(enrollment.begin, name, faces[0].track_id)
    show(recognizer, pictures, start=0.1)
