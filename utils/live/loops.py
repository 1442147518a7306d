"""The loops of test.py: over photos, over every frame of a video, and over a camera without ever waiting."""

import errno
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import numpy as np

from utils import interrupts
from utils.cli import warn
from utils.display.viewers import FRAME_WAIT_SECONDS, KEY_WAIT_SECONDS, PhotoWindow, Screen
from utils.live.annotation import annotate
from utils.live.controls import LiveControls
from utils.live.enrollment import Enrollment
from utils.live.outputs import Outputs, Summary
from utils.media.camera import LiveSource
from utils.media.sources import PhotoSource
from utils.media.video import Frame, VideoSource
from utils.recognition.recognizer import BackgroundRecognizer, NamedFace, Recognizer
from utils.threads import BackgroundWriter, map_ahead, read_ahead

AHEAD = 8  # frames decoded in advance, and frames waiting to be written

Item = TypeVar("Item")


def run_photos(
    source: PhotoSource,
    recognize: Callable[[np.ndarray], list[NamedFace]],
    outputs: Outputs,
    summary: Summary,
    window: PhotoWindow | None,
) -> None:
    """Recognize one photo after another. window: None to open no window."""
    for frame in show_progress(source.frames(), window is None):
        interrupts.check()
        faces = recognize(frame.image)
        picture = annotate(frame.image, faces)
        try:
            outputs.write_picture(frame, picture)
        except OSError as exc:
            if exc.errno != errno.ENAMETOOLONG:  # a longer name than the photo's own
                raise
            warn(f"{frame.name}: its annotated picture is not written, because the name would be too long")
        outputs.write_event(frame, faces)
        summary.add(frame, faces)
        summary.frames += 1
        if window is not None and not window.show(picture):
            break


def run_video(
    source: VideoSource, recognizer: Recognizer, outputs: Outputs, summary: Summary, screen: Screen[LiveControls] | None
) -> None:
    """Recognize every frame of a video in order. screen: None to open no window.

    Threads decode and search frames ahead of the recognition, and write behind it. A window shows the video
    no faster than it was filmed.
    """
    with BackgroundWriter(AHEAD) as writer:
        detected = map_ahead(recognizer.find, read_ahead(source.frames(), AHEAD), ahead=AHEAD)
        for recognized in map(recognizer.name, show_progress(detected, screen is None)):
            interrupts.check()
            frame, faces = recognized.frame, recognized.faces
            if outputs.video:
                writer.submit(_write_annotated, outputs, frame, faces)
            outputs.write_event(frame, faces)
            summary.add(frame, faces)
            summary.frames += 1
            if screen is None:
                continue
            screen.show_paced(frame, faces, 1 / source.rate)
            if screen.controls.quit:
                break


def run_camera(
    camera: LiveSource,
    background: BackgroundRecognizer,
    outputs: Outputs,
    summary: Summary,
    screen: Screen[LiveControls] | None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Show every frame of a camera with the latest names, until the camera ends or the user quits.

    Nothing here waits for the recognizer. With a window or a video, the summary counts the frames shown or
    written, otherwise those recognized.

    Args:
      camera: the source of the frames.
      background: recognizes the camera's newest frame in a thread of its own.
      outputs, summary: where the results go.
      screen: None to open no window.
      clock: the time in seconds, the same as that of Frame.arrived.
    """
    frame = recognized = latency = None
    shows_frames = screen is not None or outputs.video is not None
    while not (screen and screen.controls.quit):
        interrupts.check()
        for recognized in background.finished():
            latency = clock() - recognized.frame.arrived
            summary.latencies.append(latency)
            outputs.write_event(recognized.frame, recognized.faces, latency)
            summary.add(recognized.frame, recognized.faces)
            summary.frames += not shows_frames
        new = camera.newest(frame.index if frame else -1, 0.0 if screen and screen.frame else FRAME_WAIT_SECONDS)
        if new is None and camera.ended:
            break
        if new is not None:
            frame = new
            summary.frames += shows_frames
            faces = recognized.moved_to(frame) if recognized and shows_frames else []
            if outputs.video:
                _write_annotated(outputs, frame, faces)
            if screen and not screen.controls.paused:
                screen.show(frame, faces, latency)
        elif screen:
            screen.redraw(camera, latency)
        if screen and screen.frame:  # keys work in a blank window too
            screen.handle_keys(KEY_WAIT_SECONDS)


def _write_annotated(outputs: Outputs, frame: Frame, faces: list[NamedFace]) -> None:
    outputs.write_picture(frame, annotate(frame.image, faces))


def open_screen(
    recognizer: Recognizer, faces_path: Path | None, features_path: Path | None, mirrored: bool, cleanup: ExitStack
) -> Screen[LiveControls]:
    """A screen with the keys of test.py. Its window opens with the first frame.

    faces_path, features_path: where enrolled people are saved; without faces_path nobody can be enrolled.
    """
    enrollment = Enrollment(recognizer, faces_path, features_path) if faces_path else None
    return Screen(LiveControls(enrollment), cleanup, mirrored)


def show_progress(items: Iterable[Item], headless: bool) -> Iterable[Item]:
    """The same items, with a progress bar on stderr if there is no window and stderr is a terminal."""
    from tqdm import tqdm

    return tqdm(items, unit="frame", disable=None if headless else True)
