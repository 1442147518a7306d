"""The outputs of test.py: annotated pictures, event lines, and unknown faces."""

import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.cli import InputError, describe_error
from utils.faces.alignment import face_chip
from utils.files import is_existing_file, make_folder
from utils.live.events import STDOUT, EventLog, as_utf8, event_line
from utils.media.camera import Camera
from utils.media.images import png_name, write_image
from utils.media.sources import PhotoSource, Source
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace, Recognizer
from utils.storage import is_same_file

if TYPE_CHECKING:
    from utils.media.video_output import VideoOutput

TIME_FORMAT = "%Y%m%d_%H%M%S_%f"  # in names of files
MIN_SIGHTINGS = 3  # frames that show an unknown face, or it is not saved: fewer are often not a face at all


def check_outputs(output: Path | None, events: Path | None, source: Source, source_path: Path | None) -> None:
    """Raise InputError if an output is impossible. To be called before anything slow is loaded.

    events: a file, or STDOUT. source_path: the file or folder that the source reads, None for a camera.
    """
    for flag, path in (("--output", output), ("--events", events)):
        if not path or path == STDOUT:
            continue
        if source_path and path.exists() and is_same_file(path, source_path):
            raise InputError(f"{flag} {path} is the source itself")
        _check_writable(flag, path)
    if output and events and output.resolve() == events.resolve():
        raise InputError(f"--output and --events are the same file: {output}")
    if events and events.is_dir():
        raise InputError(f"--events {events} is a folder: expected a file, or - for standard output")
    if events and is_existing_file(events) and _is_binary(events):
        raise InputError(f"--events {events} would replace a file of another kind: choose a name that is free")
    if output and isinstance(source, PhotoSource):
        if output.suffix or output.is_file():
            raise InputError(f"--output {output}: expected a folder for photos")
    elif output:
        from utils.media.video_output import FORMATS  # imports PyAV, which only videos need

        if output.suffix.lower() in FORMATS and not output.is_dir():
            return
        raise InputError(f"--output {output}: expected a video file, one of {', '.join(FORMATS)}")


def _is_binary(path: Path) -> bool:
    """Whether a file is no text, such as a photo, a video or a model."""
    with open(path, "rb") as file:
        return b"\0" in file.read(1024)


def _check_writable(flag: str, path: Path) -> None:
    """Raise InputError if no file can be made at a path. The outputs open with the first frame, which is too late."""
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{flag} {path} cannot be written: {folder} is not a folder that you may write to")


class Outputs:
    """Writes annotated pictures and event lines, if they were asked for. Each opens with its first frame."""

    def __init__(self, output: Path | None, events: Path | None, source: Source, cleanup: ExitStack):
        """events: a file, or STDOUT: the standard output of this moment, from which other prints move to stderr."""
        self.folder: Path | None = None  # for annotated photos
        self.video: VideoOutput | None = None  # of annotated frames
        self.events: EventLog | None = None
        # In the first event line, for find.py. The start is in the names of unknown faces, too.
        self.run = {"started": f"{datetime.now():{TIME_FORMAT}}", "source": as_utf8(source.name)}
        self._told_run = False
        if output and isinstance(source, PhotoSource):
            self.folder = output
        elif output:
            from utils.media import video_output

            self.video = video_output.VideoOutput(output, source.rate)
            cleanup.callback(self.video.close)
        if events:
            self.events = EventLog(events, sys.stdout, isinstance(source, Camera))
            cleanup.callback(self.events.close)
        if events == STDOUT:  # the rest of what is printed goes elsewhere
            cleanup.enter_context(redirect_stdout(sys.stderr))

    def write_picture(self, frame: Frame, annotated: np.ndarray) -> None:
        """Write an annotated photo, or a frame to be seen at its time."""
        if self.folder:
            write_image(self.folder / png_name(frame.name), annotated, private=True)
        elif self.video:
            self.video.write_at(annotated, frame.time)

    def write_event(self, frame: Frame, faces: list[NamedFace], latency: float | None = None) -> None:
        """Write a frame's event line. latency: see event_line."""
        if self.events:
            run = {} if self._told_run else {"run": self.run}
            self.events.write(event_line(frame, faces, latency) | run)
            self._told_run = True


def save_snapshot(folder: Path, picture: np.ndarray) -> str:
    """Save what a window shows, RGB uint8 (H, W, 3). Returns what to tell the user."""
    path = folder / f"snapshot_{datetime.now():{TIME_FORMAT}}.png"
    try:
        write_image(path, picture, private=True)
    except (InputError, OSError) as exc:
        return f"snapshot not saved: {describe_error(exc)}"
    return f"{path} saved"


@dataclass
class _UnknownFace:
    sightings: int = 0
    quality: float = -1.0  # of the best chip
    chip: np.ndarray | None = None  # the best one, RGB uint8 (S, S, 3)
    named: bool = False  # the track had a name at some time, so it is not saved


class UnknownFaces:
    """Saves the best chip of every face that is never named as a PNG file, when its track ends."""

    def __init__(self, folder: Path, started: str):
        """started: when the run started, as in its first event line."""
        make_folder(folder, private=True)  # fail early
        self.folder, self.started = folder, started
        self.by_track: dict[int, _UnknownFace] = {}  # the faces in sight, and those that were a moment ago
        self.saved = 0

    def __call__(self, recognizer: Recognizer) -> None:
        """Look at the tracks in the newest frame: a listener of the recognizer."""
        for track in recognizer.visible:
            face = self.by_track.setdefault(track.track_id, _UnknownFace())
            face.sightings += 1
            if track.name is not None:
                face.named, face.chip = True, None
            elif not face.named and track.face.quality > face.quality:
                face.quality, face.chip = track.face.quality, face_chip(recognizer.image, track.face)
        alive = {track.track_id for track in recognizer.tracks.alive}
        self._save(self.by_track.keys() - alive)

    def _save(self, track_ids: Iterable[int]) -> None:
        for track_id in sorted(track_ids):
            face = self.by_track.pop(track_id)
            if face.chip is not None and face.sightings >= MIN_SIGHTINGS:
                write_image(self.folder / f"unknown_{self.started}_{track_id}.png", face.chip, private=True)
                self.saved += 1

    def save(self) -> int:
        """Write the faces whose tracks have not ended. Returns how many were saved in all."""
        self._save(self.by_track.keys())
        return self.saved
