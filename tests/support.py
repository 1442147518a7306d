"""Helpers of several tests: scripts as processes, a virtual screen with keys, stand-ins for clocks and windows."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.faces.detected import MeasuredFace
from utils.features.feature_files import FeatureSet
from utils.heads.plda import Plda
from utils.live.enrollment import Enrollment
from utils.media.video import Frame
from utils.media.video_output import VideoOutput
from utils.recognition.recognizer import NamedFace, Recognizer
from utils.synthetic.identity import Shot, sample_identity
from utils.synthetic.portrait import add_noise, draw_on, draw_selfie

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 600  # seconds that a test waits for a process, a thread or a window: a busy machine takes minutes for one


def wait_until(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait for a condition to hold; fail after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(0.02)


def run_script(*words, env: dict | None = None, timeout: float = DEADLINE) -> subprocess.CompletedProcess:
    """Run a script in a process of its own, in the project's root."""
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout)


def assert_one_error_line(result: subprocess.CompletedProcess, *parts: str) -> None:
    """Check that a run ended as bad input must: with status 2 and one `error:` line that has these parts."""
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for part in parts:
        assert part in lines[0]


def gray_pictures(count: int) -> list[np.ndarray]:
    """Plain pictures, RGB uint8 (120, 160, 3), each lighter than the last."""
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


def gaussian_people(
    people: int, photos: int, dimension: int = 12, seed: int = 0, spread: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Features whose scatter within people has very different widths, and their labels."""
    rng = np.random.default_rng(seed)
    widths = spread * np.geomspace(0.2, 3, dimension)
    labels = np.repeat(np.arange(people), photos)
    matrix = rng.normal(size=(people, dimension))[labels] + rng.normal(size=(len(labels), dimension)) * widths
    return matrix.astype(np.float32), labels


def log_likelihood_ratio(plda: Plda, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The formula of a PLDA model for faces (n, D) and (n, D)."""
    a, b = ((x - plda.mean) @ plda.projection for x in (a, b))
    return (a * b).sum(1) + (a**2 + b**2) @ plda.square_weights + plda.constant


class FakeClock:
    """A clock that stands still until `sleep` is called."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeWindow:
    """Stands in for a Window: collects pictures, and returns keys.

    keys: pairs of a moment and a key, in order; a moment is a condition, or seconds from now on the clock.
    """

    def __init__(
        self,
        keys: Sequence[tuple[Callable[[], object] | float, str]] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.pictures, self.keys = [], list(keys)
        self.clock, self.sleep, self.start = clock, sleep, clock()

    def show(self, picture: np.ndarray) -> None:
        self.pictures.append(picture)

    def wait_key(self, seconds: float) -> str:
        if not self._has_key():
            self.sleep(max(seconds, 0.001))
        return self.keys.pop(0)[1] if self._has_key() else ""

    def _has_key(self) -> bool:
        if not self.keys:
            return False
        moment = self.keys[0][0]
        return bool(moment()) if callable(moment) else self.clock() - self.start >= moment


needs_screen = pytest.mark.skipif(
    # CI sets REQUIRE_WINDOWS, so that a failed installation there is no silent skip.
    not (os.environ.get("REQUIRE_WINDOWS") or (shutil.which("Xvfb") and shutil.which("xdotool"))),
    reason="needs Xvfb and xdotool (apt install xvfb xdotool)",
)


SPARE_KEYCODE = 250  # no key of Xvfb's keyboard


class Display:
    """A virtual screen of 1024×768 whose pixels can be read and whose keys can be pressed."""

    def __init__(self, folder: Path):
        read, write = os.pipe()
        # -noreset keeps the keyboard when the last window closes.
        command = ["Xvfb", "-noreset", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-fbdir", str(folder)]
        self.server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.env = {**os.environ, "DISPLAY": f":{pipe.readline().strip()}"}
        self.pixels = folder / "Xvfb_screen0"
        self._add_key(SPARE_KEYCODE, "ediaeresis", "Ediaeresis")

    def _add_key(self, keycode: int, *names: str) -> None:
        """Give a letter a key. xdotool would lend it one for a moment, which a window on a busy machine misses."""
        from Xlib import XK, display

        keyboard = display.Display(self.env["DISPLAY"])
        keyboard.change_keyboard_mapping(keycode, [[XK.string_to_keysym(name) for name in names]])
        keyboard.close()

    def run(self, *words: str) -> str:
        """Run xdotool and return what it prints."""
        result = subprocess.run(["xdotool", *words], env=self.env, capture_output=True, text=True, timeout=DEADLINE)
        return result.stdout.strip()

    def press(self, key: str) -> None:
        """Press a key. OpenCV loses the first of two keys that it has not read: wait for its effect before the next."""
        self.run("key", key)

    def find_window(self, title: str) -> str:
        """The id of a visible window, once there is one."""
        return self.run("search", "--sync", "--onlyvisible", "--name", title).splitlines()[0]

    def wait_for(self, title: str) -> None:
        """Wait until a window shows a picture, and point at it: without a window manager that gives it the keys."""
        window = self.find_window(title)
        self.run("mousemove", "--window", window, "60", "60")
        end = time.monotonic() + DEADLINE
        while self.image()[:400, :400].mean() <= 1:
            assert time.monotonic() < end, f"{title} stays black"
            for _ in range(20):
                time.sleep(0.1)
                if self.image()[:400, :400].mean() > 1:
                    return
            # On a busy machine Qt sometimes misses its first exposure and would stay black forever.
            self.run("windowunmap", window, "windowmap", window)

    def image(self) -> np.ndarray:
        """What the screen shows, RGB uint8 (768, 1024, 3), from Xvfb's frame buffer in XWD format."""
        data = self.pixels.read_bytes()
        header = np.frombuffer(data, ">u4", count=25)
        start = header[0] + 12 * header[19]
        rows = np.frombuffer(data, np.uint8, offset=start)[: header[12] * header[5]].reshape(header[5], -1, 4)
        return rows[:, : header[4], 2::-1]

    def still_image(self) -> np.ndarray:
        """What the screen shows, once that has not changed for a second."""
        image, since, end = self.image(), time.monotonic(), time.monotonic() + DEADLINE
        while time.monotonic() - since < 1:
            assert time.monotonic() < end, "the screen does not stand still"
            time.sleep(0.1)
            newer = self.image()
            if (newer != image).any():
                image, since = newer, time.monotonic()
        return image

    def count(self, color: tuple[int, int, int], within: int = 3) -> int:
        """How many pixels have a color, give or take some gray levels."""
        return int((np.abs(self.image().astype(int) - color).max(axis=2) <= within).sum())


STARTED: list[subprocess.Popen] = []


def start(screen: Display, script: str, *words) -> subprocess.Popen:
    """Start a script whose windows open on a virtual screen."""
    command = [sys.executable, script, *map(str, words)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=screen.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    STARTED.append(process)
    return process


def finish(process: subprocess.Popen) -> str:
    """Wait for the end of a script that must succeed without warnings; returns what it printed."""
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    assert err == ""
    return out


def webcam_view(shot: Shot | None = None, height: float = 200.0, person: int = 101, seed: int = 0) -> np.ndarray:
    """A webcam's view of one drawn person, RGB uint8 (480, 640, 3)."""
    image = np.full((480, 640, 3), (190, 200, 205), np.uint8)
    draw_on(image, sample_identity(person), shot or Shot(), (320, 240), height)
    add_noise(image, np.random.default_rng(seed), 2.5)
    return image


def tilted_photo(picture: np.ndarray, down: float, right: float, seed: int = 1) -> np.ndarray:
    """A picture as a camera sees it that is turned by these degrees around its middle, near by, with noise."""
    height, width = picture.shape[:2]
    x, y = np.radians([down, right])
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turned = turn_y @ turn_x
    distance = 1.8 * 200  # pixels; the face is about 200 high
    camera = np.array([[distance, 0, width / 2], [0, distance, height / 2], [0, 0, 1]])
    plane = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    view = camera @ np.column_stack([turned[:, 0], turned[:, 1], [0, 0, distance]]) @ plane
    tilted = cv2.warpPerspective(picture, view, (width, height), borderValue=(120, 120, 120))
    noise = np.random.default_rng(seed).normal(0, 2.5, tilted.shape)
    return np.clip(tilted + noise, 0, 255).astype(np.uint8)


def write_clip(path: Path, pictures: Iterable[np.ndarray], rate: float = 15) -> None:
    """Write pictures as a video."""
    clip = VideoOutput(path, rate)
    for picture in pictures:
        clip.write(picture)
    clip.close()


def draw_selfies(person: int, count: int) -> list[np.ndarray]:
    """Selfies of one drawn person, each a little different."""
    rng = np.random.default_rng(person)
    return [draw_selfie(sample_identity(person), rng) for _ in range(count)]


def recognize_all(
    recognizer: Recognizer, pictures: Sequence[np.ndarray], start: float = 0.0, step: float = 0.3
) -> list[list[NamedFace]]:
    """The faces of each picture, recognized as frames `step` seconds apart."""
    frames = [Frame(picture, start + step * index, index=index) for index, picture in enumerate(pictures)]
    return [recognizer.recognize(frame).faces for frame in frames]


def file_contents(folder: Path) -> dict[Path, bytes]:
    """The content of every file in and below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def enroll(recognizer: Recognizer, enrollment: Enrollment, name: str, pictures: Sequence[np.ndarray]) -> None:
    """Enroll the person in the pictures, beginning with the face in the first one."""
    (face,) = recognize_all(recognizer, pictures[:1])[0]
    enrollment.submit(enrollment.begin, name, face.track_id)
    recognize_all(recognizer, pictures, start=0.1)
