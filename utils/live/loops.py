"""The loops of test.py: over photos, over every frame of a video, and over a camera without ever waiting."""

import errno
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

from utils import interrupts
from utils.cli import warn
from utils.display.viewers import FRAME_WAIT_SECONDS, KEY_WAIT_SECONDS, REDRAW_SECONDS, Screen
from utils.faces.detection import shrink_to_search
from utils.live.annotation import annotate
from utils.live.controls import LiveControls
from utils.live.outputs import Outputs
from utils.live.photo_controls import PhotoControls
from utils.live.summaries import Summary
from utils.media.camera import LiveSource
from utils.media.sources import PhotoSource
from utils.media.video import Frame, VideoSource
from utils.recognition.photo_recognizer import PhotoRecognizer
from utils.recognition.recognizer import NamedFace, RecognizedFrame, Recognizer
from utils.threads import BackgroundWriter, core_count, map_ahead, read_ahead

VIEW_SIZE = 1920  # pixels of a photo's longer side in the window, so that drawing takes little time
AHEAD = 8  # frames decoded in advance, and frames waiting to be written

Item = TypeVar("Item")


def run_photos(source: PhotoSource, recognizer: PhotoRecognizer, outputs: Outputs, summary: Summary) -> None:
    """Recognize one photo after another, without a window."""
    for photo in show_progress(source.frames(), True, "photo"):
        interrupts.check()
        record_photo(photo, recognizer.recognize_photo(photo), outputs, summary)


def show_photos(
    source: PhotoSource,
    recognizer: PhotoRecognizer,
    outputs: Outputs,
    summary: Summary,
    screen: Screen[PhotoControls],
) -> None:
    """Show photos, each until a key asks for the next or the one before. They are recorded when they are left."""
    index, recorded = 0, -1  # of the photo shown; of the last one whose event is written
    while not screen.controls.quit and (photo := source.photo(index)) is not None:
        screen.controls.turn_to(f"{index + 1} of {len(source.paths)}  {photo.name}")
        faces = recognizer.recognize_photo(photo)
        try:
            view, scale = shrunk(photo)
            while not (screen.controls.quit or screen.controls.step):
                interrupts.check()
                screen.show(view, _scaled(faces, scale))
                screen.handle_keys(REDRAW_SECONDS, only_one=True)
                faces = recognizer.refresh()
        finally:
            record_photo(photo, faces, outputs, summary, is_new=index > recorded)
        recorded = max(recorded, index)
        index = max(index + screen.controls.step, 0)


def shrunk(photo: Frame) -> tuple[Frame, float]:
    """A photo as it is shown, no larger than VIEW_SIZE, and its scale."""
    image, scale = shrink_to_search(photo.image, VIEW_SIZE)
    return replace(photo, image=image), scale


def _scaled(faces: list[NamedFace], scale: float) -> list[NamedFace]:
    """Faces from left to right, in pixels of a shrunk photo."""
    shown = []
    for face in sorted(faces, key=lambda face: face.box[0]):
        x, y, w, h = (round(side * scale) for side in face.box)
        shown.append(replace(face, box=(x, y, w, h)))
    return shown


def record_photo(photo: Frame, faces: list[NamedFace], outputs: Outputs, summary: Summary, is_new: bool = True) -> None:
    """Write a photo's outputs. is_new: whether it has no event yet."""
    faces = [replace(face, track_id=None) for face in faces]  # the numbers are only for the window
    try:
        if outputs.folder:
            outputs.write_picture(photo, annotate(photo.image, faces))
    except OSError as exc:
        if exc.errno != errno.ENAMETOOLONG:  # a longer name than the photo's own
            raise
        warn(f"{photo.name}: its annotated picture is not written, because the name would be too long")
    if is_new:
        outputs.write_event(photo, faces)
    summary.add(photo, faces)


def run_video(
    source: VideoSource,
    recognizer: Recognizer,
    outputs: Outputs,
    summary: Summary,
    screen: Screen[LiveControls] | None,
    frames: Iterable[Frame] | None = None,
) -> None:
    """Recognize every frame of a video in order. screen: None to open no window.

    Threads decode and search frames ahead of the recognition, and write behind it. A window shows the video
    no faster than it was filmed. frames: the source's, if some of them were taken from it before.
    """
    frames = source.frames() if frames is None else frames
    with BackgroundWriter(AHEAD) as writer:
        # One thread more than cores: while it waits for Python's lock, the network has a frame for each core.
        detected = map_ahead(recognizer.find, read_ahead(frames, AHEAD), core_count() + 1, AHEAD)
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


class Background(Protocol):
    """Recognizes a camera's newest frame in a thread of its own: a BackgroundRecognizer or a StartingRecognizer."""

    @property
    def ready(self) -> bool:
        """Whether the faces have names."""

    def finished(self) -> list[RecognizedFrame]:
        """The frames recognized since the last call. Raises the error if something failed."""


def run_camera(
    camera: LiveSource,
    background: Background,
    outputs: Outputs,
    summary: Summary,
    screen: Screen[LiveControls] | None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Show every frame of a camera with the latest names, until the camera ends or the user quits.

    Nothing here waits for the recognizer, or for its models. Until they are loaded nothing is recorded. With a
    window or a video, the summary counts the frames shown or written, otherwise those recognized.

    Args:
      camera: the source of the frames.
      background: recognizes the frames.
      outputs, summary: where the results go.
      screen: None to open no window.
      clock: the time in seconds, the same as that of Frame.arrived.
    """
    frame = recognized = latency = None
    shows_frames = screen is not None or outputs.video is not None
    while not (screen and screen.controls.quit):
        interrupts.check()
        for recognized in background.finished():
            if not background.ready:
                continue
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
            summary.frames += shows_frames and background.ready
            faces = recognized.moved_to(frame) if recognized and shows_frames else []
            if outputs.video and background.ready:
                _write_annotated(outputs, frame, faces)
            if screen and not screen.controls.paused:
                screen.show(frame, faces, latency)
        elif screen:
            screen.redraw(camera, latency)
        if screen and screen.frame:  # keys work in a blank window too
            screen.handle_keys(KEY_WAIT_SECONDS)


def _write_annotated(outputs: Outputs, frame: Frame, faces: list[NamedFace]) -> None:
    outputs.write_picture(frame, annotate(frame.image, faces))


def show_progress(items: Iterable[Item], headless: bool, unit: str = "frame") -> Iterable[Item]:
    """The same items, with a progress bar on stderr if there is no window and stderr is a terminal."""
    from tqdm import tqdm

    return tqdm(items, unit=unit, disable=None if headless else True)
