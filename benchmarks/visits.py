"""The videos that benchmarks/live.py measures on: people who visit a camera one after another, and crowds.

Between two visits the frame is empty for a moment. A visit starts with a cut: the face is whole in its first frame,
which is when the newcomer appears. The number of each frame is painted into its corner, so that the benchmark can
tell from what it sees whose visit it is.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from utils.cli import InputError, counted
from utils.display.viewers import Screen
from utils.faces.alignment import align_crop, face_chip
from utils.faces.detection import load_detector
from utils.features.extractor import Extractor
from utils.features.feature_files import FeatureSet
from utils.media.images import list_images, read_image
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace
from utils.synthetic.identity import Identity, sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.portrait import draw_selfie
from utils.synthetic.scenes import webcam_clip

RATE = 30.0  # frames a second
SIZE_WH = (640, 480)  # pixels
VISITS = 22  # one per person, one after another
VISIT_FRAMES, EMPTY_FRAMES = 55, 10  # of one visit in all, and those at its start without a person
PHOTOS = 5  # of each enrolled person
PHOTO_HEIGHT = 0.6  # of a visitor's photo, as a share of the frame's height
SWAY = 0.04  # of an image's width to each side, and three quarters of that share of its height up and down
NUMBER_BITS, BLOCK_SIZE = 16, 8  # a frame's number is painted as black and white squares, in pixels
WALL_GRAY = 200  # gray level of the background, 0-255


def _wall() -> np.ndarray:
    return np.full((*SIZE_WH[::-1], 3), WALL_GRAY, np.uint8)


def swaying(image: np.ndarray, phase: float) -> np.ndarray:
    """Shift an image (H, W, 3) as a head sways. phase: radians."""
    height, width = image.shape[:2]
    shift = np.array([[1, 0, SWAY * width * np.sin(phase)], [0, 1, 0.75 * SWAY * height * np.cos(phase)]])
    return cv2.warpAffine(image, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)


class Crowd:
    """A video of drawn people who sway side by side, as a source of frames. length: frames."""

    live, rate, name = False, RATE, "drawn people"

    def __init__(self, count: int, length: int):
        rng = np.random.default_rng(count)
        self.columns = 1 if count == 1 else 2 if count <= 4 else 4
        rows = -(-count // self.columns)
        tile = (SIZE_WH[0] // self.columns, SIZE_WH[1] // rows)
        selfies = [draw_selfie(sample_identity(700 + number), rng) for number in range(count)]
        selfies = [cv2.resize(selfie, tile, interpolation=cv2.INTER_AREA) for selfie in selfies]
        self.images = [self._draw(selfies, index) for index in range(length)]

    def _draw(self, selfies: list[np.ndarray], index: int) -> np.ndarray:
        image = _wall()
        for number, selfie in enumerate(selfies):
            height, width = selfie.shape[:2]
            row, column = divmod(number, self.columns)
            place = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
            image[place] = swaying(selfie, index / 12 + number)
        return image

    def frames(self) -> Iterator[Frame]:
        for index, image in enumerate(self.images):
            yield Frame(image, index / RATE, index=index)


def select_photos(folder: Path) -> list[list[Path]]:
    """Choose VISITS people with enough photos, evenly spaced: PHOTOS photos of each to enroll, and one to visit with.

    Raises InputError if there are too few.
    """
    photos = [list_images(person) for person in sorted(folder.iterdir()) if person.is_dir()]
    enough = [paths[: PHOTOS + 1] for paths in photos if len(paths) > PHOTOS]
    if len(enough) < VISITS:
        raise InputError(f"{folder}: {counted(len(enough), 'person has', 'people have')} more than {PHOTOS} photos")
    return enough[:: len(enough) // VISITS][:VISITS]


def enrolled_visitors(folder: Path | None, extractor: Extractor) -> FeatureSet:
    """Embed the visitors: photos in `folder`, or selfies of drawn people if it is None."""
    if folder:
        chips = [align_crop(read_image(path)) for paths in select_photos(folder) for path in paths[:PHOTOS]]
    else:
        detect, rng = load_detector(), np.random.default_rng(0)
        selfies = [draw_selfie(identity, rng) for identity in _drawn_visitors() for _ in range(PHOTOS)]
        chips = [face_chip(selfie, detect(selfie)[0]) for selfie in selfies]
    names = [visitor_name(number) for number in range(VISITS)]
    return FeatureSet(extractor.embed(chips), np.repeat(np.arange(VISITS), PHOTOS), names, extractor.fingerprint)


def visitor_name(visit: int) -> str:
    return f"visitor {visit}"


def _drawn_visitors() -> list[Identity]:
    return [sample_identity(900 + number) for number in range(VISITS)]


def _render_images(folder: Path | None) -> list[np.ndarray]:
    """The whole video, RGB uint8 (H, W, 3) each, with numbers painted in. folder: see `enrolled_visitors`."""
    images = []
    for visit in _photo_visits(folder) if folder else _drawn_visits():
        images += [_wall() for _ in range(EMPTY_FRAMES)] + visit
    for number, image in enumerate(images):
        for bit in range(NUMBER_BITS):
            image[:BLOCK_SIZE, bit * BLOCK_SIZE : (bit + 1) * BLOCK_SIZE] = 255 * (number >> bit & 1)
    return images


def _photo_visits(folder: Path) -> Iterator[list[np.ndarray]]:
    side = int(PHOTO_HEIGHT * SIZE_WH[1])
    left, top = (SIZE_WH[0] - side) // 2, (SIZE_WH[1] - side) // 2
    for paths in select_photos(folder):
        photo = cv2.resize(read_image(paths[PHOTOS]), (side, side), interpolation=cv2.INTER_CUBIC)
        images = [_wall() for _ in range(VISIT_FRAMES - EMPTY_FRAMES)]
        for index, image in enumerate(images):
            image[top : top + side, left : left + side] = swaying(photo, index / 12)
        yield images


def _drawn_visits() -> Iterator[list[np.ndarray]]:
    for number, identity in enumerate(_drawn_visitors()):
        # Of 140 frames, the person enters in the first 20 and leaves from the 80th on.
        clip = [image for image, _ in webcam_clip({"x": identity}, [], number, 140)]
        yield [np.ascontiguousarray(image) for image in clip[20 : 20 + VISIT_FRAMES - EMPTY_FRAMES]]


def visit_of(image: np.ndarray) -> int | None:
    """The visit that a frame shows, None for an empty one, from its painted number, which survives compression."""
    inner = np.s_[2 : BLOCK_SIZE - 2]
    bits = (
        int(image[inner, bit * BLOCK_SIZE + 2 : (bit + 1) * BLOCK_SIZE - 2].mean() > 127) << bit
        for bit in range(NUMBER_BITS)
    )
    visit, frame = divmod(sum(bits), VISIT_FRAMES)
    return None if frame < EMPTY_FRAMES else visit


def start_camera(folder: Path | None) -> tuple[str, Callable[[], None]]:
    """Film the visitors in another process. Returns the camera's address and a function that stops it.

    folder: see `enrolled_visitors`. Raises InputError if the process ends before it has started the camera.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_camera, args=(theirs, folder), daemon=True)
    process.start()
    theirs.close()  # so that recv() fails if the process ends
    try:
        return ours.recv(), process.terminate
    except EOFError:
        raise InputError("the benchmark's camera did not start") from None


def _run_camera(pipe: Connection, folder: Path | None) -> None:
    camera = MjpegCamera(_render_images(folder), RATE)
    camera.start()
    pipe.send(camera.url)
    time.sleep(3600)


class Watch:
    """Notes when a screen shows what, and quits after `seconds`.

    has_display: without a display, frames are drawn and then dropped.
    """

    def __init__(self, screen: Screen, seconds: float, has_display: bool):
        self.screen, self.seconds, self.has_display = screen, seconds, has_display
        self.times: list[float] = []
        self.appeared: dict[int, float] = {}  # visit → when its first frame was shown
        self.named: dict[int, float] = {}  # visit → when the right name was first shown
        self.wrong_frames = 0  # that showed another name
        self._show = screen.show
        screen.show = self._show_and_note
        if not has_display:
            screen.window = self

    def _show_and_note(self, frame: Frame, faces: list[NamedFace], *rest: Any) -> None:
        self._show(frame, faces, *rest)
        now = time.perf_counter()
        self.times.append(now)
        visit = visit_of(frame.image)
        if visit is not None:
            self.appeared.setdefault(visit, now)
            names = {face.name for face in faces} - {None}
            if visitor_name(visit) in names:
                self.named.setdefault(visit, now)
            self.wrong_frames += bool(names - {visitor_name(visit)})
        self.screen.controls.quit = now - self.times[0] > self.seconds

    def show(self, picture: np.ndarray) -> None:
        """Stand in for Window.show where there is no display: drop the picture."""

    def wait_key(self, seconds: float) -> str:
        """Stand in for Window.wait_key: no key is pressed."""
        time.sleep(max(0.001, seconds))
        return ""

    def figures(self) -> dict[str, str | float]:
        """What was measured, for the JSON file: frames shown, and how soon newcomers were named in seconds."""
        gaps = np.diff(self.times)
        # The first visit may have started before the measurement, and the last may have been cut short.
        visits = list(self.appeared)[1:-1]
        waited = [self.named[v] - self.appeared[v] for v in visits if v in self.named]
        return {
            "window": "window on a screen" if self.has_display else "no screen",
            "shown_per_second": len(gaps) / gaps.sum(),
            "waits": float(np.clip(gaps - 1.5 / RATE, 0, None).sum() / gaps.sum()),
            "newcomers": len(visits),
            "named": len(waited),
            "named_s_p50": float(np.percentile(waited, 50)) if waited else float("nan"),
            "named_s_p95": float(np.percentile(waited, 95)) if waited else float("nan"),
            "pictures_with_a_wrong_name": self.wrong_frames,
        }
