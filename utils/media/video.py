"""Video files, frame by frame, and the Frame that every source yields."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# OpenCV and FFmpeg write their own warnings to stderr, which our errors replace. FFmpeg's debug output
# stays off even if the user asked for it: it prints the password in a camera's address.
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
os.environ.pop("OPENCV_FFMPEG_DEBUG", None)

import cv2
import numpy as np

from utils.cli import InputError, warn
from utils.media.interlaced import is_interlaced, read_interlaced
from utils.media.pipes import copy_pipe, is_pipe
from utils.media.video_check import describe_loss, explain_failure

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the variable is read only when cv2 is imported

DEFAULT_RATE = 30.0  # frames a second, if the source does not declare a rate
DEFAULT_SIZE = (640, 480)  # width and height in pixels, if the source does not declare a size
MAX_PIXEL_ASPECT = 4.0  # of a pixel's sides; formats in use stay below 2.5, and a damaged header may say anything
# Where time stamps leap further than this, recordings were joined. Back: stamps in disorder fall by less. On: a
# recorder that waits for motion may pause for long, but MPEG-TS, whose clock starts over, leaps by up to 26.5 hours.
MAX_STEP_BACK = 1.0  # seconds
MAX_STEP_ON = 3600.0  # seconds
ROW_STEP = 16  # to compare frames in a few microseconds


@dataclass(frozen=True)
class Frame:
    """One frame of a camera or a video, or one photo."""

    image: np.ndarray  # RGB uint8 (H, W, 3)
    time: float  # seconds since the source's start
    name: str | None = None  # a photo's file name
    index: int = 0  # its number in the source, from 0
    arrived: float = 0.0  # when a camera's frame was read, in seconds on the source's clock


class VideoSource:
    """A video file or pipe, frame by frame, with none skipped. Its pixels are made square, and its times never fall."""

    live = False

    def __init__(self, path: Path):
        if path.is_dir() or not path.exists():
            raise InputError(f"{path} is a folder, not a video" if path.is_dir() else f"{path} does not exist")
        self.path, self.name = path, str(path)
        self._copy = copy_pipe(path) if is_pipe(path) else None
        # A relative path such as "Interview: Ada.mp4" would be an address of the protocol "Interview".
        self._file = Path(f"/dev/fd/{self._copy.fileno()}") if self._copy else path.absolute()  # what is read
        # Bytes, because OpenCV crashes on text with a file name's stray bytes, as in the C locale.
        self.capture = cv2.VideoCapture(os.fsencode(self._file))
        if not self.capture.isOpened():
            raise InputError(f"{path} cannot be opened as a video{explain_failure(self._file, path)}")
        self.rate = declared_rate(self.capture)  # frames a second

    def frames(self) -> Iterator[Frame]:
        """Yield every frame. Warns if some are missing at the end; raises InputError if there is none."""
        index, times = 0, _Times(self.rate)
        for image, stamp in self._pictures():
            yield Frame(image, times.next(stamp), index=index)
            index += 1
        if not index:
            raise InputError(f"{self.path} has no frames that can be read{explain_failure(self._file, self.path)}")
        if self.capture.get(cv2.CAP_PROP_FRAME_COUNT) > index:
            loss = describe_loss(self._file, index)
            if loss:
                warn(f"{self.path}: {loss}")

    def _pictures(self) -> Iterator[tuple[np.ndarray, float]]:
        """Every picture, RGB uint8 (H, W, 3), with its time stamp in seconds, 0 without one."""
        held: tuple[np.ndarray, float] | None = None  # what OpenCV read last
        given, next_check = 0, 0
        while (image := read_frame(self.capture, stretch=True)) is not None:
            stamp = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if held and given >= next_check and are_equal(held[0], image):
                next_check = 2 * given + 1  # still pictures are equal, too, and a look into the file takes time
                if is_interlaced(self._file, given + 2):
                    yield from self._interlaced(given)
                    return
            if held:
                yield held
                given += 1
            held = image, stamp
        if held and not given and is_interlaced(self._file, 1):
            yield from self._interlaced(0)
        elif held:
            yield held

    def _interlaced(self, given: int) -> Iterator[tuple[np.ndarray, float]]:
        for image, stamp in read_interlaced(self._file, given):
            yield square_pixels(image, self.capture), stamp

    def close(self) -> None:
        self.capture.release()
        if self._copy:
            self._copy.close()


def read_frame(capture: cv2.VideoCapture, stretch: bool) -> np.ndarray | None:
    """The next frame, RGB uint8 (H, W, 3); None if there is none, or OpenCV cannot go on in a damaged file.

    stretch: whether pixels are made square. Raises MemoryError.
    """
    try:
        done, bgr = capture.read()
        if not done:
            return None
        return cv2.cvtColor(square_pixels(bgr, capture) if stretch else bgr, cv2.COLOR_BGR2RGB)
    except cv2.error as exc:
        if exc.code == cv2.Error.StsNoMem:
            raise MemoryError("for a frame of the video") from None
        return None


def are_equal(image: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frames are equal in every ROW_STEP-th row: no camera films twice the same noise."""
    return np.array_equal(image[::ROW_STEP], other[::ROW_STEP])


class _Times:
    """Turns a file's time stamps into seconds that begin at 0 or above and never fall."""

    def __init__(self, rate: float):
        self.step = 1 / rate  # seconds between two frames, as declared
        self.count = 0
        self.stamped = False  # whether the file has time stamps
        self.offset = 0.0  # seconds to add to a time stamp
        self.last = 0.0  # seconds of the newest frame

    def next(self, stamp: float) -> float:
        """The time of the next frame. stamp: its time stamp in seconds, 0 if there is none."""
        # A phone's video has no constant rate, so use the time stamps where there are any.
        self.stamped |= stamp != 0
        time = (stamp if self.stamped else self.count * self.step) + self.offset
        if self.count == 0:
            self.offset = max(0.0, -time)
            time += self.offset
        elif not -MAX_STEP_BACK <= time - self.last <= MAX_STEP_ON:
            self.offset += self.last + self.step - time
            time = self.last + self.step
        self.count += 1
        self.last = max(self.last, time)
        return self.last


def square_pixels(image: np.ndarray, capture: cv2.VideoCapture) -> np.ndarray:
    """Stretch an image (H, W, 3) to the shape that was filmed: the pixels of DVD, DV and 960H are not square."""
    aspect = pixel_aspect(capture)
    if aspect == 1:
        return image
    return cv2.resize(image, stretched_size(image.shape[1::-1], aspect), interpolation=cv2.INTER_LINEAR)


def pixel_aspect(capture: cv2.VideoCapture) -> float:
    """A pixel's width divided by its height, in the upright image; 1 if it is not declared or impossible."""
    numerator, denominator = (capture.get(key) for key in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    if numerator <= 0 or denominator <= 0 or numerator == denominator:
        return 1.0
    aspect = numerator / denominator
    if not 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT:
        return 1.0
    # The file declares it for the image as stored, which OpenCV turns.
    on_its_side = capture.get(cv2.CAP_PROP_ORIENTATION_AUTO) and capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180
    return 1 / aspect if on_its_side else aspect


def stretched_size(size_wh: tuple[int, int], aspect: float) -> tuple[int, int]:
    """The size of an image once its pixels are square: wider or higher, so that none is lost."""
    width, height = size_wh
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def declared_rate(capture: cv2.VideoCapture) -> float:
    """The frames a second that a camera or a file declares, else DEFAULT_RATE."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return float(rate) if 1 <= rate <= 1000 else DEFAULT_RATE


def declared_size(capture: cv2.VideoCapture) -> tuple[int, int]:
    """The width and height in square pixels that a camera or a file declares, else DEFAULT_SIZE."""
    width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return stretched_size((width, height), pixel_aspect(capture)) if width > 0 and height > 0 else DEFAULT_SIZE
