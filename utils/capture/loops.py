"""capture.py's window and loops: over a film frame by frame, and before a camera that never waits."""

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from utils.capture.collector import CaptureState, Collector
from utils.capture.controls import CaptureControls
from utils.display.viewers import FRAME_WAIT_SECONDS, KEY_WAIT_SECONDS, Screen
from utils.faces.alignment import Face
from utils.faces.detection import Detector
from utils.faces.motion import Box, gray_copy, move_boxes
from utils.media.frame_worker import FrameWorker
from utils.media.video import Frame

TITLE = "capture"


def open_preview(collector: Collector, mirrored: bool, cleanup: ExitStack) -> Screen:
    """The window's state; the window itself opens with the first picture."""
    return Screen(CaptureControls(collector), cleanup, mirrored, TITLE)


def collect_from_frames(source, detect: Detector, collector: Collector, screen: Screen | None) -> None:
    """Look for faces picture by picture and save what is wished for, until there are enough or a key says so.

    Without a window, what a guide asks for is printed, and when it has asked for all its poses that ends it too.
    """
    guide, asked = collector.guide, None
    for frame in source.frames():
        if guide and not screen and not guide.done and guide.ask != asked:
            asked = guide.ask
            print(asked, flush=True)
        view = collector.process_frame(frame, detect(frame.image))
        if screen:
            screen.controls.view = view
            screen.show_paced(frame, _boxes(view), 1 / source.rate)
        done = screen.controls.quit if screen else guide and guide.done
        if done or collector.complete:
            break


@dataclass(frozen=True)
class DetectedFrame:
    """A frame and the faces in it. gray: its small gray copy, which the boxes are moved on from."""

    frame: Frame
    gray: np.ndarray
    faces: list[Face]


def collect_from_camera(camera, detect: Detector, collector: Collector, screen: Screen) -> None:
    """Show every frame of a camera, and look at those that were searched for faces meanwhile.

    Nothing here waits for the detector: faces are shown where they have moved since. What is judged and
    saved is the frame that was searched, and in a pause that one is shown.
    """
    preview = screen.controls
    search = FrameWorker(
        lambda frame: DetectedFrame(frame, gray_copy(frame.image), detect(frame.image)), camera, "detector"
    )
    frame = searched = None
    try:
        while not (preview.quit or collector.complete):
            for each in search.finished():
                if not preview.paused and not collector.complete:
                    searched = each
                    preview.view = collector.process_frame(each.frame, each.faces)
            new = camera.newest(frame.index if frame else -1, 0.0 if screen.frame else FRAME_WAIT_SECONDS)
            if new is None and camera.ended:
                break
            frame = new or frame
            if preview.paused and searched and screen.frame is not searched.frame:
                screen.show(searched.frame, _boxes(preview.view), None, camera.note)
            elif new and not preview.paused:
                screen.show(frame, _moved(searched, preview.view, frame) if searched else [])
            else:
                screen.redraw(camera)
            if screen.frame:  # a blank one has its keys too
                screen.handle_keys(KEY_WAIT_SECONDS)
    finally:
        search.close()


def _boxes(view: CaptureState) -> list[Box]:
    return [face.box for face in view.faces]


def _moved(searched: DetectedFrame, view: CaptureState, frame: Frame) -> list[Box]:
    """The boxes of a view, which is of the frame that was searched, where they are in a later frame."""
    boxes = _boxes(view)
    if not boxes or frame.index == searched.frame.index:
        return boxes
    return [box for box in move_boxes(searched.gray, frame.image, boxes) if box is not None]
