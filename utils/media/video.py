"""Where pictures come from and go to: videos and photos in, videos out. Cameras have a module of their own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# OpenCV and FFmpeg write their own warnings to stderr; our errors say what they mean. Not even on the
# user's wish: with a camera's address they would write its password.
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
os.environ.pop("OPENCV_FFMPEG_DEBUG", None)

import cv2
import numpy as np

from utils.cli import InputError

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its variable counts only before cv2 is loaded

DEFAULT_RATE = 30.0  # frames a second, where a source does not tell
DEFAULT_SIZE = (640, 480)  # pixels, likewise
MAX_REPEATED = 1000  # times that a live picture is written in a row, however long the camera was away
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


@dataclass(frozen=True)
class Frame:
    """One picture.

    image: RGB uint8 (H, W, 3). time: seconds since the source's start. name: a photo's file name. index:
    its number in the source, from 0. arrived: the monotonic clock's time at which a camera's was read.
    """

    image: np.ndarray
    time: float
    name: str | None = None
    index: int = 0
    arrived: float = 0.0


class VideoSource:
    """A video file, frame by frame, none left out. rate: frames a second."""

    live = False

    def __init__(self, path: str | Path):
        if not Path(path).is_file():
            raise InputError(f"{path} is a folder, not a video" if Path(path).is_dir() else f"{path} does not exist")
        self.capture = cv2.VideoCapture(str(path))
        if not self.capture.isOpened():
            raise InputError(f"{path} cannot be opened as a video")
        self.rate = declared_rate(self.capture)
        self.path = path

    def frames(self) -> Iterator[Frame]:
        index = 0
        while True:
            done, bgr = self.capture.read()
            if not done:
                break
            # A phone's video has no constant rate: its own time stamps count.
            seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or index / self.rate
            yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), seconds, index=index)
            index += 1
        if not index:
            raise InputError(f"{self.path} gives no picture")

    def close(self) -> None:
        self.capture.release()


def declared_rate(capture: cv2.VideoCapture) -> float:
    """The frames a second that a camera or a file says it has, or the usual ones where it says nothing."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return float(rate) if 1 <= rate <= 1000 else DEFAULT_RATE


def declared_size(capture: cv2.VideoCapture) -> tuple[int, int]:
    """The width and height in pixels that a camera or a file says it has, or the usual ones where it says nothing."""
    width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return (width, height) if width > 0 and height > 0 else DEFAULT_SIZE


class VideoOutput:
    """A video file that RGB frames are appended to; it appears under its name when it is closed.

    It is opened with the first frame, whose size it takes.
    """

    def __init__(self, path: Path, rate: float):
        self.path = Path(path)
        self.unfinished = self.path.with_name(f".unfinished-{self.path.name}")
        self.rate = rate
        self.writer = None
        self.written = 0
        self.first: float | None = None

    def write(self, image: np.ndarray) -> None:
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
            self.writer = cv2.VideoWriter(str(self.unfinished), codec, self.rate, image.shape[1::-1])
            if not self.writer.isOpened():
                raise InputError(f"{self.path} cannot be written")
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.written += 1

    def write_at(self, image: np.ndarray, seconds: float) -> None:
        """Write an image so that it is seen from `seconds` after the first on: repeated or left out as that takes."""
        self.first = seconds if self.first is None else self.first
        for _ in range(min(round((seconds - self.first) * self.rate) + 1 - self.written, MAX_REPEATED)):
            self.write(image)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.release()
            self.writer = None
            if self.unfinished.is_file():
                os.replace(self.unfinished, self.path)
