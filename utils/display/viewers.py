"""The windows of the scripts: one for a camera or a video, with keys that act while it plays, and one for photos."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from utils.display.window import CLOSED, ESCAPE, Window
from utils.media.camera import LiveSource
from utils.media.video import Frame

TITLE = "Siamese Faces"
KEY_WAIT_SECONDS = 0.004  # how long keys are handled before the next look for a camera's frame
FRAME_WAIT_SECONDS = 0.1  # how long to wait for a camera's frame while there is no window to handle keys for
REDRAW_SECONDS = 0.1  # between two drawings of a frame that stands still
PAUSED_KEYS = (("space", "go on"),)  # shown while paused, even if the keys are hidden


class Controls(Protocol):
    """Draws on a Screen and acts on its keys: LiveControls in test.py, CaptureControls in capture.py.

    faces are whatever the controls draw: each a NamedFace in test.py, a Box in capture.py.
    """

    quit: bool
    paused: bool

    def press(self, key: str, faces: list[Any], picture: np.ndarray) -> None:
        """Act on a key. faces, picture: what the screen shows; the picture is RGB uint8 (H, W, 3)."""

    def draw(
        self, image: np.ndarray, faces: list[Any], latency: float | None, note: str | None, mirrored: bool
    ) -> np.ndarray:
        """Draw faces, messages and keys on a copy of an RGB uint8 image (H, W, 3).

        latency: seconds from camera to name, None without a camera. note: what is wrong with the camera.
        """


AnyControls = TypeVar("AnyControls", bound=Controls)


@dataclass
class Screen(Generic[AnyControls]):
    """A window that opens with its first frame, shows one frame after another and handles keys in between."""

    controls: AnyControls
    cleanup: ExitStack
    mirrored: bool = False
    title: str = TITLE
    clock: Callable[[], float] = time.monotonic
    window: Window | None = field(default=None, init=False)
    frame: Frame | None = field(default=None, init=False)  # as filmed; None before the first
    faces: list[Any] = field(default_factory=list, init=False)
    picture: np.ndarray | None = field(default=None, init=False)  # the frame as drawn
    shown_at: float = field(default=-np.inf, init=False)  # on the clock
    next_due: float = field(default=-np.inf, init=False)  # when show_paced may return, on the clock

    def show(self, frame: Frame, faces: list[Any], latency: float | None = None, note: str | None = None) -> None:
        """Draw a frame with its faces and show it. latency, note: see Controls.draw."""
        if self.window is None:
            self.window = Window(self.title)
            self.cleanup.callback(self.window.close)
        self.frame, self.faces = frame, faces
        self.picture = self.controls.draw(frame.image, faces, latency, note, self.mirrored)
        self.window.show(self.picture)
        self.shown_at = self.clock()

    def redraw(self, camera: LiveSource, latency: float | None = None) -> None:
        """Draw the last frame, or a blank before the first, once more if the camera's note or a pause needs it."""
        if (camera.note or self.controls.paused) and self.clock() - self.shown_at >= REDRAW_SECONDS:
            self.show(self.frame or camera.blank(), self.faces, latency, camera.note)

    def show_paced(self, frame: Frame, faces: list[Any], interval: float) -> None:
        """Show a video's frame for `interval` seconds since the last, and for as long as the video is paused."""
        self.show(frame, faces)
        self.next_due = max(self.next_due + interval, self.clock())
        self.handle_keys(self.next_due - self.clock())
        while self.controls.paused and not self.controls.quit:
            self.show(frame, faces)
            self.handle_keys(REDRAW_SECONDS)

    def handle_keys(self, seconds: float) -> None:
        """Keep the window alive for some seconds, and act on every key."""
        end = self.clock() + seconds
        while True:
            key = self.window.wait_key(end - self.clock())
            if key:
                self.controls.press(key, self.faces, self.picture)
            if self.controls.quit or self.clock() >= end:
                return


def while_paused(keys: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """A window's keys with the meaning that they have in a pause."""
    return tuple(dict(keys, **dict(PAUSED_KEYS)).items())


class PhotoWindow:
    """A window that shows each photo until a key is pressed."""

    def __init__(self, cleanup: ExitStack):
        self.cleanup = cleanup
        self.window: Window | None = None

    def show(self, picture: np.ndarray) -> bool:
        """Show a picture, RGB uint8 (H, W, 3), and wait for a key. Returns False if the key quits."""
        if self.window is None:
            self.window = Window(TITLE)
            self.cleanup.callback(self.window.close)
        self.window.show(picture)
        return self.window.wait_any_key() not in ("q", ESCAPE, CLOSED)
