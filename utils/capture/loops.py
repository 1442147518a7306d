"""capture.py's window and loops: over a film frame by frame, and before a camera that never waits."""

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from utils.capture.collector import Collector, View
from utils.capture.guide import Guide
from utils.display import drawing
from utils.display.viewers import NO_WINDOW_POLL, POLL, Screen, while_paused
from utils.display.window import CLOSED, ESCAPE
from utils.faces.alignment import Face
from utils.faces.detection import Detector
from utils.faces.motion import Box, carry, gray_copy
from utils.media.frame_worker import Background
from utils.media.video import Frame

TITLE = "capture"
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


class Preview:
    """What the window shows besides the picture, and what its keys do: the desk of a Screen.

    view: of the picture that was looked at last, None before the first. quit, paused: what the keys asked for.
    """

    def __init__(self, collector: Collector):
        self.collector = collector
        self.view: View | None = None
        self.quit = self.paused = self.helping = False

    def press(self, key: str, boxes: list[Box], picture: np.ndarray) -> None:
        """Act on a key."""
        collector = self.collector
        if key in ("q", ESCAPE, CLOSED):
            self.quit = True
        elif key == "s" and self.paused and self.view:
            self.view = collector.save_shown(self.view)
        elif key == "s":
            collector.wish()
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


def open_preview(collector: Collector, mirrored: bool, cleanup: ExitStack) -> Screen:
    """The window's state; the window itself opens with the first picture."""
    return Screen(Preview(collector), cleanup, mirrored, TITLE)


def collect_from_frames(source, detect: Detector, collector: Collector, screen: Screen | None) -> None:
    """Look for faces picture by picture and save what is wished for, until there are enough or a key says so.

    Without a window, what a guide asks for is printed, and when it has asked for all its poses that ends it too.
    """
    guide, asked = collector.guide, None
    for frame in source.frames():
        if guide and not screen and not guide.done and guide.ask != asked:
            asked = guide.ask
            print(asked, flush=True)
        view = collector.look(frame, detect(frame.image))
        if screen:
            screen.desk.view = view
            screen.play(frame, _boxes(view), 1 / source.rate)
        done = screen.desk.quit if screen else guide and guide.done
        if done or collector.complete:
            break


@dataclass(frozen=True)
class Searched:
    """A frame and the faces in it. gray: its small gray copy, which the boxes are moved on from."""

    frame: Frame
    gray: np.ndarray
    faces: list[Face]


def collect_from_camera(camera, detect: Detector, collector: Collector, screen: Screen) -> None:
    """Show every frame of a camera, and look at those that were searched for faces meanwhile.

    Nothing here waits for the detector: faces are shown where they have moved since. What is judged and
    saved is the frame that was searched, and in a pause that one is shown.
    """
    preview = screen.desk
    search = Background(lambda frame: Searched(frame, gray_copy(frame.image), detect(frame.image)), camera, "detector")
    frame = searched = None
    try:
        while not (preview.quit or collector.complete):
            for each in search.finished():
                if not preview.paused and not collector.complete:
                    searched = each
                    preview.view = collector.look(each.frame, each.faces)
            new = camera.newest(frame.index if frame else -1, 0.0 if screen.frame else NO_WINDOW_POLL)
            if new is None and camera.ended:
                break
            frame = new or frame
            if preview.paused and searched and screen.frame is not searched.frame:
                screen.put(searched.frame, _boxes(preview.view), None, camera.note)
            elif new and not preview.paused:
                screen.put(frame, _moved(searched, preview.view, frame) if searched else [])
            else:
                screen.hold(camera)
            if screen.frame:  # a blank one has its keys too
                screen.take_keys(POLL)
    finally:
        search.close()


def _boxes(view: View) -> list[Box]:
    return [face.box for face in view.faces]


def _moved(searched: Searched, view: View, frame: Frame) -> list[Box]:
    """The boxes of a view, which is of the frame that was searched, where they are in a later frame."""
    boxes = _boxes(view)
    if not boxes or frame.index == searched.frame.index:
        return boxes
    return [box for box in carry(searched.gray, frame.image, boxes) if box is not None]
