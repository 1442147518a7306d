"""The loops of capture.py: over a source frame by frame, and beside a camera that never waits."""

from contextlib import ExitStack

from utils import interrupts
from utils.capture.collector import UNLIKE, CaptureState, Collector
from utils.capture.controls import CaptureControls
from utils.cli import warn
from utils.display.viewers import FRAME_WAIT_SECONDS, KEY_WAIT_SECONDS, Screen
from utils.faces.alignment import Face
from utils.faces.boxes import Box
from utils.faces.detected import DetectedFrame
from utils.faces.detection import Detector
from utils.faces.motion import gray_copy, move_boxes
from utils.media.camera import LiveSource
from utils.media.frame_worker import FrameWorker
from utils.media.sources import Source
from utils.media.video import Frame

TITLE = "capture"


def open_preview(collector: Collector, mirrored: bool, cleanup: ExitStack) -> Screen[CaptureControls]:
    """Prepare the preview; its window opens with the first frame."""
    return Screen(CaptureControls(collector), cleanup, mirrored, TITLE)


def collect_from_frames(
    source: Source, detect: Detector, collector: Collector, screen: Screen[CaptureControls] | None
) -> None:
    """Process frame after frame until enough faces are saved, a key quits or the source ends.

    Without a window the guide's prompts are printed, and the run also ends when the guide is done.
    """
    guide, prompt, asked = collector.guide, None, False
    for frame in source.frames():
        interrupts.check()
        if guide and not screen and not guide.done and guide.prompt != prompt:
            prompt = guide.prompt
            print(prompt, flush=True)
        state = collector.process_frame(frame, detect(frame.image))
        if not screen and state.reason == UNLIKE and not asked:
            warn(f"the face at {frame.time:.1f} s is unlike those saved so far: not saved (--same_person saves it)")
        asked = state.reason == UNLIKE or (asked and state.saved is None)  # one warning until a face is saved again
        if screen:
            screen.controls.state = state
            screen.show_paced(frame, _boxes(state), 1 / source.rate)
        done = screen.controls.quit if screen else guide and guide.done
        if done or collector.complete:
            break


def collect_from_camera(
    camera: LiveSource, detect: Detector, collector: Collector, screen: Screen[CaptureControls]
) -> None:
    """Show every frame of a camera, and process as many as the detector can keep up with.

    Nothing here waits for the detector: until it is done, the last boxes are moved along with the image.
    Only frames that were searched for faces are judged and saved, and a pause shows the last of these.
    """

    def search(frame: Frame) -> DetectedFrame[Face]:
        return DetectedFrame(frame, gray_copy(frame.image), detect(frame.image))

    controls, detector = screen.controls, FrameWorker(search, camera, "detector")
    frame = searched = None
    try:
        while not (controls.quit or collector.complete):
            interrupts.check()
            for detected in detector.finished():
                if not controls.paused and not collector.complete:
                    searched = detected
                    controls.state = collector.process_frame(detected.frame, detected.faces)
            new = camera.newest(frame.index if frame else -1, 0.0 if screen.frame else FRAME_WAIT_SECONDS)
            if new is None and camera.ended:
                break
            frame = new or frame
            if controls.paused and searched and screen.frame is not searched.frame:
                screen.show(searched.frame, _boxes(controls.state), None, camera.note)
            elif new and not controls.paused:
                screen.show(frame, _moved_boxes(searched, controls.state, frame) if searched else [])
            else:
                screen.redraw(camera)
            if screen.frame:  # even a blank one: its window has keys
                screen.handle_keys(KEY_WAIT_SECONDS)
    finally:
        detector.close()


def _boxes(state: CaptureState) -> list[Box]:
    return [face.box for face in state.faces]


def _moved_boxes(searched: DetectedFrame[Face], state: CaptureState, frame: Frame) -> list[Box]:
    """Where the faces of the searched frame, as its state lists them, are in a later frame."""
    boxes = _boxes(state)
    if not boxes or frame.index == searched.frame.index:
        return boxes
    return [box for box in move_boxes(searched.gray, frame.image, boxes) if box is not None]
