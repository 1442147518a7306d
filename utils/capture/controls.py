"""capture.py's window: what it shows besides the picture, and what its keys do."""

import numpy as np

from utils.capture.collector import CaptureState, Collector
from utils.capture.guide import Guide
from utils.display import drawing
from utils.display.viewers import while_paused
from utils.display.window import CLOSED, ESCAPE
from utils.faces.motion import Box

# In the order that test.py's window has.
KEYS = (("q", "quit"), ("space", "pause"), ("s", "save"), ("u", "undo"), ("g", "guide"), ("h", "help"))
HELP = (
    ("q, Esc", "quit"),
    ("space", "pause, and go on"),
    ("s", "save the face as soon as it is good enough"),
    ("u", "delete what was saved last"),
    ("g", "ask for a few poses and save them"),
    ("h", "show or hide these keys"),
)


class CaptureControls:
    """What the window shows besides the picture, and what its keys do: the controls of a Screen.

    view: of the picture that was looked at last, None before the first. quit, paused: what the keys asked for.
    """

    def __init__(self, collector: Collector):
        self.collector = collector
        self.view: CaptureState | None = None
        self.quit = self.paused = self.helping = False

    def press(self, key: str, boxes: list[Box], picture: np.ndarray) -> None:
        """Act on a key."""
        collector = self.collector
        if key in ("q", ESCAPE, CLOSED):
            self.quit = True
        elif key == "s" and self.paused and self.view:
            self.view = collector.save_shown(self.view)
        elif key == "s":
            collector.request_save()
        elif key == "u":
            collector.undo()
        elif key == "g":
            collector.guide = None if collector.guide else Guide()
        elif key == " ":
            self.paused = not self.paused
        elif key == "h":
            self.helping = not self.helping

    def draw(self, image: np.ndarray, boxes: list[Box], latency: float | None, note: str | None, mirrored: bool):
        """A copy of an RGB uint8 frame with its faces, the chip that would be saved, a message and the keys.

        latency: is not shown here. note: about the camera.
        """
        view, saver = self.view, self.collector.saver
        good = view is not None and view.reason is None
        picture = image.copy()
        if mirrored:
            picture, boxes = drawing.mirror(picture, boxes)
        for box in boxes:
            drawing.draw_plain_face(picture, box, good)
        keys = while_paused(KEYS) if self.paused else KEYS
        height = drawing.draw_status(picture, f"{saver.person}: {saver.saved} saved", keys=keys)
        if good:
            drawing.draw_inset(picture, view.chip, height)
        if view and view.countdown is not None and not self.paused:
            # Beside the face, where there is one.
            right = bool(boxes) and boxes[0][0] < picture.shape[1] // 4
            drawing.draw_countdown(picture, str(view.countdown), right)
        self._draw_message(picture, note)
        if self.helping:
            drawing.draw_help(picture, HELP)
        return picture

    def _draw_message(self, picture: np.ndarray, note: str | None) -> None:
        collector, view = self.collector, self.view
        if note:
            drawing.draw_message(picture, note, warning=True)
            return
        message = collector.message(view) if view else ""
        if self.paused:
            message = f"paused: {view.reason}" if view and view.reason else "paused"
        if message:
            drawing.draw_message(picture, message, progress=collector.guide.progress if collector.guide else None)
