"""Where pictures come from and go to: cameras, videos and photos in, videos out."""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# OpenCV and FFmpeg write their own warnings to stderr; our errors say what they mean.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from utils.cli import InputError, warn
from utils.images import list_images, read_image

DEFAULT_RATE = 30.0  # frames a second, where a source does not tell
MOST_CAMERAS = 1 << 16  # indices beyond are no camera, and no number that OpenCV takes
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}


@dataclass(frozen=True)
class Frame:
    """One picture. image: RGB uint8 (H, W, 3). time: seconds since the source's start. name: a photo's file name."""

    image: np.ndarray
    time: float
    name: str | None = None


class PhotoSource:
    """The photos of a folder, or one; unreadable ones are named on stderr and skipped."""

    live = False
    rate = None

    def __init__(self, path: Path):
        path = Path(path)
        if not path.exists():
            raise InputError(f"{path} does not exist")
        self.paths = list_images(path) if path.is_dir() else [path]
        if not self.paths:
            raise InputError(f"{path} has no photos")
        self.single = not path.is_dir()

    def frames(self) -> Iterator[Frame]:
        for path in self.paths:
            try:
                image = read_image(path)
            except (InputError, OSError) as exc:
                if self.single:
                    raise InputError(str(exc)) from None
                warn(f"skipped: {exc}")
                continue
            yield Frame(image, 0.0, path.name)

    def close(self) -> None:
        pass


class VideoSource:
    """A video file, frame by frame, or a camera. rate: frames a second. live: whether it is a camera."""

    def __init__(self, location: str | Path | int):
        self.live = isinstance(location, int) or is_url(str(location)) or str(location).startswith("/dev/")
        what = f"camera {without_password(str(location))}" if self.live else str(location)
        if not self.live and not Path(location).is_file():
            raise InputError(
                f"{what} is a folder, not a video" if Path(location).is_dir() else f"{what} does not exist"
            )
        self.capture = cv2.VideoCapture(location if isinstance(location, int) else str(location))
        if not self.capture.isOpened():
            hint = ": is it plugged in, and free? --camera chooses another" if self.live else " as a video"
            raise InputError(f"{what} cannot be opened{hint}")
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if 1 <= rate <= 1000 else DEFAULT_RATE
        self.what = what

    def frames(self) -> Iterator[Frame]:
        start = time.monotonic()
        index = 0
        while True:
            done, bgr = self.capture.read()
            if not done:
                break
            # A phone's video has no constant rate: its own time stamps count.
            stamp = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or index / self.rate
            seconds = time.monotonic() - start if self.live else stamp
            yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), seconds)
            index += 1
        if not index:
            raise InputError(f"{self.what} gives no picture")
        if self.live:
            warn(f"{self.what} gives no more pictures")

    def close(self) -> None:
        self.capture.release()


def is_url(text: str) -> bool:
    """Whether a text is the address of a network camera."""
    return re.match(r"[a-z]+://", text, re.IGNORECASE) is not None


def without_password(text: str) -> str:
    """A camera's address without the user name and password that it may hold: for messages."""
    return re.sub(r"(://)[^/]*@", r"\1…@", text)


def open_source(camera: str, video_path: Path | None, image_path: Path | None) -> PhotoSource | VideoSource:
    """The source that the flags name: photos, a video, or else the camera. Raises InputError."""
    if image_path:
        return PhotoSource(image_path)
    if video_path:
        return VideoSource(video_path)
    if camera.isdecimal():
        return VideoSource(min(int(camera), MOST_CAMERAS))
    if not is_url(camera) and not camera.startswith("/dev/"):
        raise InputError(f"--camera must be an index, a device such as /dev/video1, or a URL. Received: {camera!r}")
    return VideoSource(camera)


class VideoOutput:
    """A video file that RGB frames are appended to; it appears under its name when it is closed.

    It is opened with the first frame, whose size it takes.
    """

    def __init__(self, path: Path, rate: float):
        self.path = Path(path)
        self.unfinished = self.path.with_name(f".unfinished-{self.path.name}")
        self.rate = rate
        self.writer = None

    def write(self, image: np.ndarray) -> None:
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
            self.writer = cv2.VideoWriter(str(self.unfinished), codec, self.rate, image.shape[1::-1])
            if not self.writer.isOpened():
                raise InputError(f"{self.path} cannot be written")
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        if self.writer is not None:
            self.writer.release()
            self.writer = None
            if self.unfinished.is_file():
                os.replace(self.unfinished, self.path)
