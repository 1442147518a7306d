"""Cameras: a thread reads each one, keeps only the newest frame, and reopens the camera when it is lost."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeGuard
from urllib.parse import urlsplit

import cv2
import numpy as np

from utils.cli import InputError, warn
from utils.media.video import Frame, VideoSource, are_equal, declared_rate, declared_size, read_frame

TIMEOUT = 4.0  # seconds that a network camera may take to open, or to send a frame
MIN_TIMEOUT = 0.5  # the same shortly before it is given up
RETRY_WAITS = (0.5, 1.0, 2.0, 5.0)  # seconds before each attempt to reopen a lost camera; the last one repeats
SILENCE = 2.0  # seconds without a frame before the user is told
POLL = 0.2  # seconds between two checks whether a source has ended
STILL = 100  # frames of one picture after which the user is told: a camera's noise differs from frame to frame
PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935}  # for addresses without a port
DARK = 32  # gray level, 0-255, of the image shown before the first frame


class LiveSource:
    """A source that does not wait for its reader: a thread reads it and keeps only the newest frame."""

    live = True
    name = "camera"  # what the source is called in event lines

    def __init__(self, rate: float, size_wh: tuple[int, int], clock: Callable[[], float] = time.monotonic):
        self.rate = rate  # frames a second, as declared
        self.size_wh = size_wh  # pixels, as declared
        self.ended = False  # True once there will be no more frames
        self.clock = clock  # of Frame.arrived, in seconds
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def note(self) -> str | None:
        """What to tell the user while there are no frames, else None."""
        return None

    def start(self) -> None:
        """Start reading, if that has not started yet. Earlier frames are skipped."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
            self._thread.start()

    def newest(self, after: int = -1, timeout: float = 0.0) -> Frame | None:
        """Return the newest frame if its index is above `after`, else None after waiting `timeout` seconds.

        If reading failed, raises its error once the last frame has been returned.
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
        """The frame to show before the first one: plain dark, of the declared size, with index -1."""
        width, height = self.size_wh
        return Frame(np.full((height, width, 3), DARK, np.uint8), 0.0, index=-1)

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame again and again until the source ends. A slow consumer skips frames."""
        self.start()
        index = -1
        while True:
            frame = self.newest(index, POLL)
            if frame is not None:
                index = frame.index
                yield frame
            elif self.ended:
                return

    def _run(self) -> None:
        try:
            self._read_frames()
        except BaseException as exc:  # raised in `newest`, in the caller's thread
            self._error = exc
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _read_frames(self) -> None:
        """Call `_publish` with every frame until `_stop` is set or the source ends."""
        raise NotImplementedError

    def _publish(self, frame: Frame) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify_all()

    def close(self) -> None:
        """Stop reading. A camera that does not answer is waited for until it times out."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * TIMEOUT)


class Camera(LiveSource):
    """A camera, by index, device path or URL. It is reopened whenever it is lost."""

    def __init__(
        self,
        location: str | int,
        give_up: float = 0.0,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Open the camera.

        A network camera that accepts the connection but sends nothing counts as lost, not as an error.

        Args:
            location: an index, a device path or a URL.
            give_up: seconds without a frame, from now on, after which the camera is no longer retried; 0 retries
                forever. If there was no frame at all, that is an error.
            timeout: seconds that a network camera may take to open, or to send a frame.
            clock: the time in seconds.

        Raises:
            InputError: the camera cannot be opened.
        """
        self.location, self.give_up, self.timeout = location, give_up, timeout
        self.name = f"camera {without_password(str(location))}"
        self._clock, self._silent_since = clock, clock()  # since the last frame, at first since now
        started = clock()
        if _is_network(location) and not _has_valid_port(location):  # half of a password would be looked up as a host
            raise InputError(f"{self.name} has no valid address{_quoting_hint(location)}")
        patience = self._patience()
        self._capture = _open_capture(location, patience)
        if not self._capture.isOpened():
            timed_out = clock() - started > 0.9 * patience
            if not (timed_out and _accepts_connections(location, timeout)):
                checks = "its address, user name and password" if _is_network(location) else "that it is connected"
                hint = _quoting_hint(location) if _is_network(location) else ""
                raise InputError(f"{self.name} cannot be opened: check {checks}, or choose another with --camera{hint}")
        super().__init__(declared_rate(self._capture), declared_size(self._capture), clock)
        self._last_arrival = np.inf  # of a frame, or when reading started
        self._lost_at: float | None = None  # None while frames arrive

    @property
    def note(self) -> str | None:
        if self._lost_at is not None and self._frame is not None:
            return "camera lost, trying again"
        silent = self.clock() - self._last_arrival > SILENCE
        return "the camera sends no pictures" if self._lost_at is not None or silent else None

    def _read_frames(self) -> None:
        index, start, equal = 0, self.clock(), 0
        self._last_arrival = start
        while not self._stop.is_set():
            image = read_frame(self._capture, stretch=_is_network(self.location))  # 960H has no square pixels
            if image is not None:
                self._last_arrival, self._lost_at = self.clock(), None
                self._silent_since = self._last_arrival
                equal = equal + 1 if self._frame and are_equal(self._frame.image, image) else 0
                if equal == STILL:
                    warn(
                        f"{self.name} sends the same picture again and again: it hangs, or its pictures are "
                        "interlaced, which cannot be read. Choose a progressive mode in its settings"
                    )
                self._publish(Frame(image, self._last_arrival - start, index=index, arrived=self._last_arrival))
                index += 1
            elif not self._reopen():
                break
        self._capture.release()

    def _reopen(self) -> bool:
        """Retry until the camera opens, the run ends or it is time to give up. Returns whether it opened.

        The camera still counts as lost until it sends a frame: it may open and then send nothing.
        """
        if self._lost_at is None:
            self._lost_at = self.clock()
            warn(f"{self.name} sends no {'more ' if self._frame else ''}pictures: trying again")
        self._capture.release()
        attempt = 0
        while (remaining := self._remaining()) > 0:
            if self._stop.wait(min(RETRY_WAITS[min(attempt, len(RETRY_WAITS) - 1)], remaining)):
                return False
            attempt += 1
            self._capture = _open_capture(self.location, self._patience())
            if self._capture.isOpened():
                return True
        if self._frame is None:
            raise InputError(f"{self.name} has sent no picture within {self.give_up:g} s (--give_up)")
        warn(f"{self.name} is given up after {self.give_up:g} s")
        return False

    def _remaining(self) -> float:
        """Seconds until the camera is given up."""
        return self.give_up - (self._clock() - self._silent_since) if self.give_up else np.inf

    def _patience(self) -> float:
        """Seconds that the next attempt to open the camera, and each frame after it, may take."""
        return min(self.timeout, max(self._remaining(), MIN_TIMEOUT))


class PacedVideo(LiveSource):
    """A video file played in real time, as if a camera were filming it: a slow consumer skips frames."""

    def __init__(self, path: Path):
        self._source, self.name = VideoSource(path), str(path)
        super().__init__(self._source.rate, declared_size(self._source.capture))

    def _read_frames(self) -> None:
        start = self.clock()
        for frame in self._source.frames():
            if self._stop.wait(max(0.0, start + frame.time - self.clock())):
                break
            self._publish(Frame(frame.image, frame.time, index=frame.index, arrived=self.clock()))

    def close(self) -> None:
        super().close()
        self._source.close()


def _is_network(location: str | int) -> TypeGuard[str]:
    return isinstance(location, str) and is_url(location)


def _open_capture(location: str | int, timeout: float) -> cv2.VideoCapture:
    if _is_network(location):
        # Name FFmpeg: OpenCV's other readers would try the address as a file name, and print it in full.
        milliseconds = int(1000 * timeout)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
        return cv2.VideoCapture(location, cv2.CAP_FFMPEG, limits)
    return cv2.VideoCapture(location)


def _accepts_connections(location: str | int, timeout: float) -> bool:
    """Whether something listens at a network camera's address, whatever it sends."""
    if not _is_network(location):
        return False
    try:
        address = urlsplit(str(location))
        port = address.port or PORTS[address.scheme.lower()]
        with socket.create_connection((address.hostname, port), timeout):
            return True
    except (OSError, ValueError, KeyError):  # nothing listens, the address is malformed, or its port is unknown
        return False


def _has_valid_port(address: str) -> bool:
    """Whether the part of an address before the first /, ? or # ends in a number, if in a colon and more."""
    try:
        port = urlsplit(address).port
        return port is None or port > 0
    except ValueError:
        return False


def _quoting_hint(address: str) -> str:
    """What to do about a password with signs that end the host's part of an address, as the end of a message."""
    before, at, after = re.sub(r"^[a-z]+://", "", address, flags=re.IGNORECASE).partition("@")
    if not at or (not re.search(r"[/?#]", before) and "@" not in after):
        return ""
    return ": in a user name or password write # as %23, / as %2F and ? as %3F"


def is_url(text: str) -> bool:
    """Whether a text is the address of a network camera."""
    return re.match(r"[a-z]+://", text, re.IGNORECASE) is not None


def without_password(text: str) -> str:
    """Hide what may be secret in a camera's address, for messages: user name, password and query.

    It hides too much rather than too little: everything before the last @ counts as user name and password.
    """
    text = re.sub(r"^([a-z]+://)?.*@", r"\1…@", text, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"[?#].+", "?…", text, flags=re.DOTALL)
