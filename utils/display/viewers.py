"""The windows of the scripts, with keys that act while a camera or a video plays."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from utils.display.window import Window
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

    def click(self, x: int, y: int, faces: list[Any]) -> None:
        """Act on a click at a place in the frame as filmed. faces: see press."""

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
            self.window = Window(self.title, self._click)
            self.cleanup.callback(self.window.close)
        self.frame, self.faces = frame, faces
        self.picture = self.controls.draw(frame.image, faces, latency, note, self.mirrored)
        self.window.show(self.picture)
        self.shown_at = self.clock()

    def _click(self, x: int, y: int) -> None:
        if self.frame is not None:
            self.controls.click(self.frame.image.shape[1] - 1 - x if self.mirrored else x, y, self.faces)

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

    def handle_keys(self, seconds: float, only_one: bool = False) -> None:
        """Keep the window alive for some seconds, and act on every key; or until the first key."""
        end = self.clock() + seconds
        while True:
            key = self.window.wait_key(end - self.clock())
            if key:
                self.controls.press(key, self.faces, self.picture)
            if self.controls.quit or self.clock() >= end or (key and only_one):
                return


def while_paused(keys: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """A window's keys with the meaning that they have in a pause."""
    return tuple(dict(keys, **dict(PAUSED_KEYS)).items())
