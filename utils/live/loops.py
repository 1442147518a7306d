"""The loops of test.py: over photos, over a video frame by frame, and over a camera that never waits."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import numpy as np

from utils.display.viewers import FRAME_WAIT_SECONDS, KEY_WAIT_SECONDS, PhotoWindow, Screen
from utils.live.controls import LiveControls
from utils.live.enrollment import Enrollment
from utils.live.outputs import Outputs, Summary, annotate
from utils.media.sources import PhotoSource
from utils.media.video import Frame, VideoSource
from utils.recognition.recognizer import BackgroundRecognizer, NamedFace, Recognizer
from utils.threads import BackgroundWriter, map_ahead, read_ahead

AHEAD = 8  # frames decoded early, and frames waiting to be written


def run_photos(
    source: PhotoSource,
    recognize: Callable[[np.ndarray], list[NamedFace]],
    outputs: Outputs,
    summary: Summary,
    window: PhotoWindow | None,
) -> None:
    """Recognize photo after photo."""
    for frame in progress(source.frames(), window is None):
        faces = recognize(frame.image)
        picture = annotate(frame.image, faces)
        outputs.write_picture(frame, picture)
        outputs.write_event(frame, faces)
        summary.add(frame, faces)
        summary.frames += 1
        if window is not None and not window.show(picture):
            break


def run_video(
    source: VideoSource, recognizer: Recognizer, outputs: Outputs, summary: Summary, screen: Screen | None
) -> None:
    """Recognize every frame of a video, in order.

    Decoding and the search for faces run ahead, and writing behind, in threads of their own. In a window
    it is shown no faster than it was filmed.
    """
    with BackgroundWriter(AHEAD) as writer:
        found = map_ahead(recognizer.find, read_ahead(source.frames(), AHEAD), ahead=AHEAD)
        for recognition in map(recognizer.name, progress(found, screen is None)):
            frame, faces = recognition.frame, recognition.faces
            if outputs.video:
                writer.submit(write_annotated, outputs, frame, faces)
            outputs.write_event(frame, faces)
            summary.add(frame, faces)
            summary.frames += 1
            if screen is None:
                continue
            screen.show_paced(frame, faces, 1 / source.rate)
            if screen.controls.quit:
                break


def write_annotated(outputs: Outputs, frame: Frame, faces: list[NamedFace]) -> None:
    """Draw a frame's faces and write it."""
    outputs.write_picture(frame, annotate(frame.image, faces))


def run_camera(
    camera, background: BackgroundRecognizer, outputs: Outputs, summary: Summary, screen: Screen | None
) -> None:
    """Show every frame of a camera with the freshest names, until it ends or the window is told to quit.

    Nothing here waits for the recognizer. What counts as a frame is what is shown or written to a video,
    where neither is asked for what is recognized.
    """
    frame = recognition = latency = None
    wants_pictures = screen is not None or outputs.video is not None
    while not (screen and screen.controls.quit):
        for recognition in background.finished():
            latency = time.monotonic() - recognition.frame.arrived
            summary.latencies.append(latency)
            outputs.write_event(recognition.frame, recognition.faces, latency)
            summary.add(recognition.frame, recognition.faces)
            summary.frames += not wants_pictures
        new = camera.newest(frame.index if frame else -1, 0.0 if screen and screen.frame else FRAME_WAIT_SECONDS)
        if new is None and camera.ended:
            break
        if new is not None:
            frame = new
            summary.frames += wants_pictures
            faces = recognition.moved_to(frame) if recognition and wants_pictures else []
            if outputs.video:
                write_annotated(outputs, frame, faces)
            if screen and not screen.controls.paused:
                screen.show(frame, faces, latency)
        elif screen:
            screen.redraw(camera, latency)
        if screen and screen.frame:  # a blank one has its keys too
            screen.handle_keys(KEY_WAIT_SECONDS)


def open_screen(recognizer: Recognizer, faces_path, features_path, mirrored: bool, cleanup: ExitStack) -> Screen:
    """The window's state; the window itself opens with the first picture."""
    enrollment = Enrollment(recognizer, faces_path, features_path) if faces_path else None
    return Screen(LiveControls(enrollment), cleanup, mirrored)


def progress(frames: Iterable, headless: bool) -> Iterable:
    """The frames or what was made of them, counted on stderr where there is no window and stderr is a terminal."""
    from tqdm import tqdm

    return tqdm(frames, unit="frame", disable=None if headless else True)
