"""What benchmarks/live.py films: people who come before a camera one after the other, and crowds.

Between two visits nobody is there for a moment. A visit begins with a cut: the face is whole in its first
picture, so that is when the newcomer appears. Each picture carries its number, by which whoever sees it
knows whose visit it is.
"""

import multiprocessing
import time
from pathlib import Path

import cv2
import numpy as np

from utils.cli import InputError, counted
from utils.faces.alignment import align_crop, face_chip
from utils.faces.detection import load_detector
from utils.features.feature_files import FeatureSet
from utils.media.images import list_images, read_image
from utils.media.video import Frame
from utils.synthetic.identity import sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.portrait import draw_selfie
from utils.synthetic.scenes import webcam_clip

RATE = 30.0  # pictures a second
SIZE_WH = (640, 480)  # pixels
VISITS = 22  # people who come before the camera, one after the other
VISIT, ABSENCE = 55, 10  # pictures of each visit, of which nobody is in the first few
PHOTOS = 5  # of each enrolled person
PHOTO_SHARE = 0.6  # of the picture's height that a photographed visitor's photo fills
SWAY = 0.04  # of a face's picture, to the side; three quarters of it up and down
BITS, BLOCK = 16, 8  # a picture's number is painted as black and white blocks of so many pixels
GRAY = 200  # of the wall behind


def _wall() -> np.ndarray:
    return np.full((*SIZE_WH[::-1], 3), GRAY, np.uint8)


def swaying(photo: np.ndarray, phase: float) -> np.ndarray:
    """A photo moved as a head moves. phase: radians."""
    height, width = photo.shape[:2]
    move = np.array([[1, 0, SWAY * width * np.sin(phase)], [0, 1, 0.75 * SWAY * height * np.cos(phase)]])
    return cv2.warpAffine(photo, move, (width, height), borderMode=cv2.BORDER_REPLICATE)


class Crowd:
    """A film of drawn people side by side who sway, as a source of frames. rate: frames a second."""

    live, rate = False, RATE

    def __init__(self, count: int, length: int):
        rng = np.random.default_rng(count)
        self.columns = 1 if count == 1 else 2 if count <= 4 else 4
        rows = -(-count // self.columns)
        tile = (SIZE_WH[0] // self.columns, SIZE_WH[1] // rows)
        selfies = [draw_selfie(sample_identity(700 + number), rng) for number in range(count)]
        self.selfies = [cv2.resize(selfie, tile, interpolation=cv2.INTER_AREA) for selfie in selfies]
        self.length = length

    def frames(self):
        for index in range(self.length):
            image = _wall()
            for number, selfie in enumerate(self.selfies):
                height, width = selfie.shape[:2]
                row, column = divmod(number, self.columns)
                place = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
                image[place] = swaying(selfie, index / 12 + number)
            yield Frame(image, index / RATE, index=index)


def photographed(folder: Path) -> list[list[Path]]:
    """Of VISITS people, evenly chosen from those with enough, PHOTOS photos to enroll and one to come by with."""
    photos = [list_images(person) for person in sorted(folder.iterdir()) if person.is_dir()]
    enough = [paths[: PHOTOS + 1] for paths in photos if len(paths) > PHOTOS]
    if len(enough) < VISITS:
        raise InputError(f"{folder}: {counted(len(enough), 'person has', 'people have')} more than {PHOTOS} photos")
    return enough[:: len(enough) // VISITS][:VISITS]


def enrolled_visitors(folder: Path | None, extractor) -> FeatureSet:
    """The visitors' features: of photos of `folder`, or None for drawn people, of their selfies."""
    if folder:
        chips = [align_crop(read_image(path)) for paths in photographed(folder) for path in paths[:PHOTOS]]
    else:
        detect, rng = load_detector(), np.random.default_rng(0)
        selfies = [draw_selfie(identity, rng) for identity in _drawn_visitors() for _ in range(PHOTOS)]
        chips = [face_chip(selfie, detect(selfie)[0]) for selfie in selfies]
    names = [visitor_name(number) for number in range(VISITS)]
    return FeatureSet(extractor.embed(chips), np.repeat(np.arange(VISITS), PHOTOS), names, extractor.fingerprint)


def visitor_name(visit: int) -> str:
    return f"visitor {visit}"


def _drawn_visitors() -> list:
    return [sample_identity(900 + number) for number in range(VISITS)]


def _pictures(folder: Path | None) -> list[np.ndarray]:
    """The whole film, RGB uint8 (H, W, 3) each, numbered."""
    pictures = []
    if folder:
        side = int(PHOTO_SHARE * SIZE_WH[1])
        left, top = (SIZE_WH[0] - side) // 2, (SIZE_WH[1] - side) // 2
        for paths in photographed(folder):
            photo = cv2.resize(read_image(paths[PHOTOS]), (side, side), interpolation=cv2.INTER_CUBIC)
            pictures += [_wall() for _ in range(ABSENCE)]
            for index in range(VISIT - ABSENCE):
                picture = _wall()
                picture[top : top + side, left : left + side] = swaying(photo, index / 12)
                pictures.append(picture)
    else:
        for number, identity in enumerate(_drawn_visitors()):
            # Of 140 frames the person is coming in the first 20 and going from the 80th on.
            clip = [frame for frame, _ in webcam_clip({"x": identity}, [], number, 140)]
            pictures += [_wall() for _ in range(ABSENCE)]
            pictures += [np.ascontiguousarray(frame) for frame in clip[20 : 20 + VISIT - ABSENCE]]
    for number, picture in enumerate(pictures):
        for bit in range(BITS):
            picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    return pictures


def visit_of(image: np.ndarray) -> int | None:
    """Whose visit a picture shows, None for nobody's, by the number that it carries through a camera's compression."""
    inner = np.s_[2 : BLOCK - 2]
    bits = (int(image[inner, bit * BLOCK + 2 : (bit + 1) * BLOCK - 2].mean() > 127) << bit for bit in range(BITS))
    visit, picture = divmod(sum(bits), VISIT)
    return None if picture < ABSENCE else visit


def start_camera(folder: Path | None):
    """Film the visitors in another process; returns the camera's address and how to stop it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_camera, args=(theirs, folder), daemon=True)
    process.start()
    theirs.close()  # so that its end is noticed
    try:
        return ours.recv(), process.terminate
    except EOFError:
        raise InputError("the benchmark's camera did not start") from None


def _run_camera(pipe, folder: Path | None) -> None:
    camera = MjpegCamera(_pictures(folder), RATE)
    camera.start()
    pipe.send(camera.url)
    time.sleep(3600)


class Watch:
    """Stands between the loop and its window and notes when what is shown; ends the run after some seconds.

    real: whether there is a screen; without one, pictures are drawn and then dropped.
    """

    def __init__(self, screen, seconds: float, real: bool):
        self.screen, self.seconds, self.real = screen, seconds, real
        self.times: list[float] = []
        self.appeared: dict[int, float] = {}  # visit → when its first frame was shown
        self.named: dict[int, float] = {}
        self.wrong = 0
        self._show = screen.show
        screen.show = self._show_and_note
        if not real:
            screen.window = self

    def _show_and_note(self, frame, faces, *rest) -> None:
        self._show(frame, faces, *rest)
        now = time.perf_counter()
        self.times.append(now)
        visit = visit_of(frame.image)
        if visit is not None:
            self.appeared.setdefault(visit, now)
            names = {face.name for face in faces} - {None}
            if visitor_name(visit) in names:
                self.named.setdefault(visit, now)
            self.wrong += bool(names - {visitor_name(visit)})
        self.screen.controls.quit = now - self.times[0] > self.seconds

    def show(self, picture: np.ndarray) -> None:
        """Drop a picture, where there is no window to show it in."""

    def wait_key(self, seconds: float) -> str:
        time.sleep(max(0.001, seconds))
        return ""

    def figures(self) -> dict:
        gaps = np.diff(self.times)
        # The first visit was on when we came, and the last may have been cut short.
        visits = list(self.appeared)[1:-1]
        waited = [self.named[v] - self.appeared[v] for v in visits if v in self.named]
        return {
            "window": "window on a screen" if self.real else "no screen",
            "shown_per_second": len(gaps) / gaps.sum(),
            "waits": float(np.clip(gaps - 1.5 / RATE, 0, None).sum() / gaps.sum()),
            "newcomers": len(visits),
            "named": len(waited),
            "named_s_p50": float(np.percentile(waited, 50)) if waited else float("nan"),
            "named_s_p95": float(np.percentile(waited, 95)) if waited else float("nan"),
            "pictures_with_a_wrong_name": self.wrong,
        }
