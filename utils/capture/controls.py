"""The window of capture.py: what it draws on a frame, and what its keys do."""

import numpy as np

from utils.capture.collector import CaptureState, Collector
from utils.display import drawing
from utils.display.viewers import while_paused
from utils.display.window import CLOSED, ESCAPE
from utils.faces.boxes import Box

# In the same order as in test.py's window.
KEYS = (("q", "quit"), ("space", "pause"), ("s", "save"), ("u", "undo"), ("g", "guide"), ("h", "help"))
HELP = (
    ("q, Esc", "quit"),
    ("space", "pause or resume"),
    ("s", "save the face as soon as it is good enough"),
    ("u", "delete the face saved last"),
    ("g", "ask for a few poses and save them"),
    ("h", "show or hide these keys"),
)


class CaptureControls:
    """The Controls of capture.py's Screen."""

    def __init__(self, collector: Collector):
        self.collector = collector
        self.state: CaptureState | None = None  # of the newest frame that was searched for faces
        self.quit = self.paused = False  # what the keys asked for
        self._help = False

    def press(self, key: str, boxes: list[Box], picture: np.ndarray) -> None:
        """Act on a key. boxes, picture: what the screen shows; not needed here."""
        collector = self.collector
        if key in ("q", ESCAPE, CLOSED):
            self.quit = True
        elif key == "s" and self.paused and self.state:
            self.state = collector.save_shown(self.state)
        elif key == "s":
            collector.request_save()
        elif key == "u":
            collector.undo()
        elif key == "g":
            collector.toggle_guide()
        elif key == " ":
            self.paused = not self.paused
        elif key == "h":
            self._help = not self._help

    def click(self, x: int, y: int, boxes: list[Box]) -> None:
        """Clicks do nothing here: there is one face."""

    def draw(
        self, image: np.ndarray, boxes: list[Box], latency: float | None, note: str | None, mirrored: bool
    ) -> np.ndarray:
        """A copy of an RGB uint8 image (H, W, 3) with the faces, the chip that would be saved, a message and the keys.

        latency: not shown here. note: what is wrong with the camera.
        """
        state, saver = self.state, self.collector.saver
        good = state is not None and state.reason is None
        picture = image.copy()
        if mirrored:
            picture, boxes = drawing.mirror(picture, boxes)
        for box in boxes:
            drawing.draw_plain_face(picture, box, good)
        keys = while_paused(KEYS) if self.paused else KEYS
        height = drawing.draw_status(picture, f"{saver.person}: {saver.saved} saved", keys=keys)
        if good:
            drawing.draw_inset(picture, state.chip, height)
        if state and state.countdown is not None and not self.paused:
            # On the right if the face is on the left.
            right = bool(boxes) and boxes[0][0] < picture.shape[1] // 4
            drawing.draw_countdown(picture, str(state.countdown), right)
        self._draw_message(picture, note)
        if self._help:
            drawing.draw_help(picture, HELP)
        return picture

    def _draw_message(self, picture: np.ndarray, note: str | None) -> None:
        collector, state = self.collector, self.state
        if note:
            drawing.draw_message(picture, note, warning=True)
            return
        message = collector.message(state) if state else ""
        if self.paused:
            message = f"paused: {state.reason}" if state and state.reason else "paused"
        if message:
            drawing.draw_message(picture, message, progress=collector.guide.progress if collector.guide else None)
