"""The window of a film or a camera: it opens with the first picture, lives between two, and takes keys."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from utils.display.window import Window
from utils.media.video import Frame

TITLE = "Siamese Faces"
POLL = 0.004  # seconds between two looks for a camera's next frame, in which keys are taken
NO_WINDOW_POLL = 0.1  # the same where there are no keys; a frame ends the wait
REDRAW = 0.1  # seconds between two drawings of a picture that stands still
GO_ON = (("space", "go on"),)  # while paused, even where the keys are hidden


class Controls(Protocol):
    """What draws on a Screen and acts on its keys: LiveControls in test.py, CaptureControls in capture.py.

    quit, paused: what the keys asked for. faces: what each takes for its own, NamedFace or Box.
    """

    quit: bool
    paused: bool

    def press(self, key: str, faces: list, picture: np.ndarray) -> None:
        """Act on a key. picture: as it is shown, RGB uint8 (H, W, 3)."""

    def draw(
        self, image: np.ndarray, faces: list, latency: float | None, note: str | None, mirrored: bool
    ) -> np.ndarray:
        """What to show of an RGB uint8 frame (H, W, 3). latency, note: see LiveControls.draw."""


@dataclass
class Screen:
    """A window, opened with its first picture.

    mirrored: as a looking glass. frame, faces, picture: what it shows, as filmed and as drawn; frame and
    picture are None before the first. put_at: when that was shown, on the monotonic clock. due: when the
    next picture of a film is.
    """

    controls: Controls
    cleanup: ExitStack
    mirrored: bool = False
    title: str = TITLE
    window: Window | None = field(default=None, init=False)
    frame: Frame | None = field(default=None, init=False)
    faces: list = field(default_factory=list, init=False)
    picture: np.ndarray | None = field(default=None, init=False)
    put_at: float = field(default=-np.inf, init=False)
    due: float = field(default_factory=time.monotonic, init=False)

    def put(self, frame: Frame, faces: list, latency: float | None = None, note: str | None = None) -> None:
        """Draw a frame and show it. faces: as the controls draw them. latency, note: see LiveControls.draw."""
        if self.window is None:
            self.window = Window(self.title, frame.image.shape[1::-1])
            self.cleanup.callback(self.window.close)
        elif self.frame and self.frame.image.shape != frame.image.shape:  # a blank was shown, or the camera changed
            self.window.resize(frame.image.shape[1::-1])
        self.frame, self.faces = frame, faces
        self.picture = self.controls.draw(frame.image, faces, latency, note, self.mirrored)
        self.window.put(self.picture)
        self.put_at = time.monotonic()

    def hold(self, camera, latency: float | None = None) -> None:
        """Nothing new came: draw the last frame, or a blank before the first, now and then for what is to be said."""
        if (camera.note or self.controls.paused) and time.monotonic() - self.put_at >= REDRAW:
            self.put(self.frame or camera.blank(), self.faces, latency, camera.note)

    def play(self, frame: Frame, faces: list, interval: float) -> None:
        """Show a film's frame for at least `interval` seconds since the last, and for as long as it is paused."""
        self.put(frame, faces)
        self.due = max(self.due + interval, time.monotonic())
        self.take_keys(self.due - time.monotonic())
        while self.controls.paused and not self.controls.quit:
            self.put(frame, faces)
            self.take_keys(REDRAW)

    def take_keys(self, seconds: float) -> None:
        """Let the window live for some seconds, and act on every key."""
        end = time.monotonic() + seconds
        while True:
            key = self.window.press(end - time.monotonic())
            if key:
                self.controls.press(key, self.faces, self.picture)
            if self.controls.quit or time.monotonic() >= end:
                return


def while_paused(keys: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The keys of a window, with what space does in a pause."""
    return tuple(dict(keys, **dict(GO_ON)).items())


class PhotoWindow:
    """A window in which each photo stays until a key is pressed."""

    def __init__(self, cleanup: ExitStack):
        self.cleanup = cleanup
        self.window: Window | None = None
        self.size_wh: tuple[int, int] | None = None  # of the picture that is shown

    def show(self, picture: np.ndarray) -> bool:
        """Show a picture in a window of its proportions; returns whether to go on."""
        size_wh = picture.shape[1::-1]
        if self.window is None:
            self.window = Window(TITLE, size_wh)
            self.cleanup.callback(self.window.close)
        elif size_wh != self.size_wh:
            self.window.resize(size_wh)
        self.size_wh = size_wh
        return (self.window.show(picture) or self.window.wait()) != "q"
