"""Cameras: each is read by a thread of its own that keeps only the newest picture and opens a lost one again."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from utils.cli import InputError, warn
from utils.media.video import Frame, VideoSource, declared_rate, declared_size

TIMEOUT = 4000  # milliseconds that a network camera may take to open, or to send a picture
BACKOFF = (0.5, 1.0, 2.0, 5.0)  # seconds between attempts to open a lost camera; the last goes on
SILENCE = 2.0  # seconds without a picture after which that is said
WAIT = 0.2  # seconds between two looks at whether there will be no more frames
PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935}  # where an address names none
DARK = 32  # gray level, 0-255, of the picture that stands for one that has not come yet


class LiveSource:
    """What films while others work: a thread reads it and keeps the newest frame only.

    rate: frames a second, and size_wh: pixels, as declared. note: what to tell the user while there is no
    picture, else None. ended: whether there will be no more. An error of the thread is raised by `newest`.
    """

    live = True
    note: str | None = None

    def __init__(self, rate: float, size_wh: tuple[int, int]):
        self.rate, self.size_wh = rate, size_wh
        self.ended = False
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read, if that has not begun; what was filmed before is left out."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
            self._thread.start()

    def newest(self, after: int = -1, timeout: float = 0.0) -> Frame | None:
        """The newest frame if its index is above `after`, waited for at most `timeout` seconds; else None.

        Raises what ended the filming before its time, once its last frame was taken.
        """

        def is_new() -> bool:
            return self._frame is not None and self._frame.index > after

        with self._changed:
            self._changed.wait_for(lambda: is_new() or self.ended, timeout)
            if is_new():
                return self._frame
            if self._error is not None:
                raise self._error
            return None

    def blank(self) -> Frame:
        """What to show as long as no picture has come: a plain dark one of the declared size, before all frames."""
        width, height = self.size_wh
        return Frame(np.full((height, width, 3), DARK, np.uint8), 0.0, index=-1)

    def frames(self) -> Iterator[Frame]:
        """One newest frame after another, until there are no more."""
        self.start()
        index = -1
        while True:
            frame = self.newest(index, WAIT)
            if frame is not None:
                index = frame.index
                yield frame
            elif self.ended:
                return

    def _run(self) -> None:
        try:
            self._film()
        except BaseException as exc:  # raised where the frames are taken
            self._error = exc
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _film(self) -> None:
        """Read until told to stop, and `_put` every frame."""
        raise NotImplementedError

    def _put(self, frame: Frame) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify_all()

    def close(self) -> None:
        """Stop reading; a camera that does not answer is waited for until its time limit."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * TIMEOUT / 1000)


class Camera(LiveSource):
    """A camera by index, device path or URL; a lost one is opened again as soon as it answers.

    give_up: seconds after which a lost camera is not tried any more; 0 tries for ever. Raises InputError
    where it cannot be opened at first. A network camera that takes the connection and sends nothing is
    waited for like a lost one.
    """

    def __init__(self, location: str | int, give_up: float = 0.0):
        self.location, self.give_up = location, give_up
        self.what = f"camera {without_password(str(location))}"
        asked = time.monotonic()
        self._capture = _open(location)
        if not self._capture.isOpened():
            timed_out = time.monotonic() - asked > 0.9 * TIMEOUT / 1000
            if not (timed_out and _takes_connections(location)):
                doubt = (
                    "are address, name and password right" if _is_network(location) else "is it plugged in, and free"
                )
                raise InputError(f"{self.what} cannot be opened: {doubt}? --camera chooses another")
        super().__init__(declared_rate(self._capture), declared_size(self._capture))
        self._last = np.inf  # when the newest picture came, before there is one when the reading began
        self._lost_at: float | None = None  # None while pictures come

    @property
    def note(self) -> str | None:
        if self._lost_at is not None and self._frame is not None:
            return "camera lost, trying again"
        silent = time.monotonic() - self._last > SILENCE
        return "the camera sends no pictures" if self._lost_at is not None or silent else None

    def _film(self) -> None:
        index, start = 0, time.monotonic()
        self._last = start
        while not self._stop.is_set():
            done, bgr = self._capture.read()
            if done:
                self._last, self._lost_at = time.monotonic(), None
                image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                self._put(Frame(image, self._last - start, index=index, arrived=self._last))
                index += 1
            elif not self._open_again():
                break
        self._capture.release()

    def _open_again(self) -> bool:
        """Try until the camera answers, the run ends or it is given up. Returns whether it answers.

        It is lost until a picture comes: what answers may still have nothing to show.
        """
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            warn(f"{self.what} {'gives no more' if self._frame else 'sends no'} pictures: trying again")
        self._capture.release()
        attempt = 0
        while not (self.give_up and time.monotonic() - self._lost_at >= self.give_up):
            if self._stop.wait(BACKOFF[min(attempt, len(BACKOFF) - 1)]):
                return False
            attempt += 1
            self._capture = _open(self.location)
            if self._capture.isOpened():
                return True
        warn(f"{self.what} is given up after {self.give_up:g} s")
        return False


class PacedVideo(LiveSource):
    """A video file that plays at its own speed, as a camera would film it: who is too slow misses frames."""

    def __init__(self, path: Path):
        self._source = VideoSource(path)
        super().__init__(self._source.rate, declared_size(self._source.capture))

    def _film(self) -> None:
        start = time.monotonic()
        for frame in self._source.frames():
            if self._stop.wait(max(0.0, start + frame.time - time.monotonic())):
                break
            self._put(Frame(frame.image, frame.time, index=frame.index, arrived=time.monotonic()))

    def close(self) -> None:
        super().close()
        self._source.close()


def _is_network(location: str | int) -> bool:
    return isinstance(location, str) and is_url(location)


def _open(location: str | int) -> cv2.VideoCapture:
    if _is_network(location):
        # FFmpeg alone, by name: another reader would try the address as a file's and tell everybody so.
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT]
        return cv2.VideoCapture(location, cv2.CAP_FFMPEG, timeouts)
    return cv2.VideoCapture(location)


def _takes_connections(location: str | int) -> bool:
    """Whether there is somebody at a network camera's address, whatever is sent from there."""
    if not _is_network(location):
        return False
    try:
        address = urlsplit(location)
        port = address.port or PORTS[address.scheme.lower()]
        with socket.create_connection((address.hostname, port), TIMEOUT / 1000):
            return True
    except (OSError, ValueError, KeyError):  # nobody there, no address, or none that is called up like this
        return False


def is_url(text: str) -> bool:
    """Whether a text is the address of a network camera."""
    return re.match(r"[a-z]+://", text, re.IGNORECASE) is not None


def without_password(text: str) -> str:
    """A camera's address without what may be secret in it, name, password and query: for messages.

    Rather too much than too little: whatever stands before the last @ is taken for a name and a password.
    """
    text = re.sub(r"^([a-z]+://)?.*@", r"\1…@", text, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"[?#].+", "?…", text, flags=re.DOTALL)
