"""The window of a film or a camera: it opens with the first picture, lives between two, and takes keys."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from utils.video import Frame
from utils.window import Window

TITLE = "Siamese Faces"
POLL = 0.004  # seconds between two looks for a camera's next frame, in which keys are taken
NO_WINDOW_POLL = 0.1  # the same where there are no keys; a frame ends the wait
REDRAW = 0.1  # seconds between two drawings of a picture that stands still


@dataclass
class Screen:
    """A window, opened with its first picture.

    desk: draws what else is on it and acts on its keys, utils.desk.Desk or utils.preview.Preview. mirrored:
    as a looking glass. frame, faces: what it shows, None before the first.
    """

    desk: Any
    cleanup: ExitStack
    mirrored: bool = False
    title: str = TITLE
    window: Window | None = field(default=None, init=False)
    frame: Frame | None = field(default=None, init=False)
    faces: list | None = field(default=None, init=False)
    due: float = field(default_factory=time.monotonic, init=False)

    def put(self, frame: Frame, faces: list, latency: float | None = None, note: str | None = None) -> None:
        """Draw a frame and show it. faces: as the desk draws them. latency, note: see utils.desk.Desk.draw."""
        if self.window is None:
            self.window = Window(self.title, frame.image.shape[1::-1])
            self.cleanup.callback(self.window.close)
        elif self.frame and self.frame.image.shape != frame.image.shape:  # a blank was shown, or the camera changed
            self.window.resize(frame.image.shape[1::-1])
        self.frame, self.faces = frame, faces
        self.picture = self.desk.draw(frame.image, faces, latency, note, self.mirrored)
        self.window.put(self.picture)
        self.put_at = time.monotonic()

    def put_again(self, latency: float | None, note: str | None) -> None:
        """Draw the last frame anew, now and then, for what the desk has to say."""
        if time.monotonic() - self.put_at >= REDRAW:
            self.put(self.frame, self.faces, latency, note)

    def play(self, frame: Frame, faces: list, interval: float) -> None:
        """Show a film's frame for at least `interval` seconds since the last, and for as long as it is paused."""
        self.put(frame, faces)
        self.due = max(self.due + interval, time.monotonic())
        self.take_keys(self.due - time.monotonic())
        while self.desk.paused and not self.desk.quit:
            self.put(frame, faces)
            self.take_keys(REDRAW)

    def take_keys(self, seconds: float) -> None:
        """Let the window live for some seconds, and act on every key."""
        end = time.monotonic() + seconds
        while True:
            key = self.window.press(end - time.monotonic())
            if key:
                self.desk.press(key, self.faces, self.picture)
            if self.desk.quit or time.monotonic() >= end:
                return
