"""Video files in and out, and the Frame that every source yields."""

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

from utils.cli import InputError

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the variable is read only when cv2 is imported

DEFAULT_RATE = 30.0  # frames a second, if the source does not declare a rate
DEFAULT_SIZE = (640, 480)  # width and height in pixels, if the source does not declare a size
MAX_REPEATED = 1000  # times that a frame is written in a row, however long the camera was lost
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


@dataclass(frozen=True)
class Frame:
    """One frame of a camera or a video, or one photo."""

    image: np.ndarray  # RGB uint8 (H, W, 3)
    time: float  # seconds since the source's start
    name: str | None = None  # a photo's file name
    index: int = 0  # its number in the source, from 0
    arrived: float = 0.0  # when a camera's frame was read, in seconds on the source's clock


class VideoSource:
    """A video file, frame by frame, with none skipped."""

    live = False

    def __init__(self, path: Path):
        if not path.is_file():
            raise InputError(f"{path} is a folder, not a video" if path.is_dir() else f"{path} does not exist")
        self.capture = cv2.VideoCapture(str(path))
        if not self.capture.isOpened():
            raise InputError(f"{path} cannot be opened as a video")
        self.rate = declared_rate(self.capture)  # frames a second
        self.path = path

    def frames(self) -> Iterator[Frame]:
        index = 0
        while True:
            done, bgr = self.capture.read()
            if not done:
                break
            # A phone's video has no constant rate, so use the time stamps where there are any.
            seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or index / self.rate
            yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), seconds, index=index)
            index += 1
        if not index:
            raise InputError(f"{self.path} has no frames")

    def close(self) -> None:
        self.capture.release()


def declared_rate(capture: cv2.VideoCapture) -> float:
    """The frames a second that a camera or a file declares, else DEFAULT_RATE."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return float(rate) if 1 <= rate <= 1000 else DEFAULT_RATE


def declared_size(capture: cv2.VideoCapture) -> tuple[int, int]:
    """The width and height in pixels that a camera or a file declares, else DEFAULT_SIZE."""
    width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return (width, height) if width > 0 and height > 0 else DEFAULT_SIZE


class VideoOutput:
    """Appends RGB frames to a video file, which takes its name when it is closed.

    The first frame opens the file and sets its size.
    """

    def __init__(self, path: Path, rate: float):
        self.path = path
        self.unfinished = path.with_name(f".unfinished-{path.name}")
        self.rate = rate  # frames a second
        self.writer: cv2.VideoWriter | None = None
        self.written = 0  # frames
        self.start: float | None = None  # seconds of the first frame, for write_at

    def write(self, image: np.ndarray) -> None:
        """Append an RGB uint8 image (H, W, 3). Raises InputError if the file cannot be written."""
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
            self.writer = cv2.VideoWriter(str(self.unfinished), codec, self.rate, image.shape[1::-1])
            if not self.writer.isOpened():
                raise InputError(f"{self.path} cannot be written")
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.written += 1

    def write_at(self, image: np.ndarray, seconds: float) -> None:
        """Write an image to be seen at `seconds`: repeat it or leave it out to keep the video's rate."""
        self.start = seconds if self.start is None else self.start
        for _ in range(min(round((seconds - self.start) * self.rate) + 1 - self.written, MAX_REPEATED)):
            self.write(image)

    def close(self) -> None:
        """Finish the file and give it its name."""
        if self.writer is not None:
            self.writer.release()
            self.writer = None
            if self.unfinished.is_file():
                os.replace(self.unfinished, self.path)
