"""The outputs of test.py: annotated pictures, event lines, unknown faces and a summary."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted
from utils.display import drawing
from utils.faces.alignment import face_chip
from utils.files import make_folder
from utils.media.images import png_name, write_image
from utils.media.sources import PhotoSource, Source
from utils.media.video import CODECS, Frame, VideoOutput
from utils.recognition.recognizer import NamedFace, Recognizer

MIN_SIGHTINGS = 3  # frames that show an unknown face, or it is not saved: fewer are often not a face at all


def check_outputs(output: Path | None, events: Path | None, source: Source, source_path: Path | None) -> None:
    """Raise InputError if an output is impossible. To be called before anything slow is loaded.

    source_path: the file or folder that the source reads, None for a camera.
    """
    for flag, path in (("--output", output), ("--events", events)):
        if path and source_path and path.exists() and path.samefile(source_path):
            raise InputError(f"{flag} {path} is the source itself")
    if output and events and output.resolve() == events.resolve():
        raise InputError(f"--output and --events are the same file: {output}")
    if output and isinstance(source, PhotoSource):
        if output.suffix or output.is_file():
            raise InputError(f"--output {output}: expected a folder for photos")
    elif output and (output.suffix.lower() not in CODECS or output.is_dir()):
        raise InputError(f"--output {output}: expected a video file, one of {', '.join(CODECS)}")


class Outputs:
    """Writes annotated pictures and event lines, if they were asked for."""

    def __init__(self, output: Path | None, events: Path | None, source: Source, cleanup: ExitStack):
        self.live = source.live
        self.folder: Path | None = None  # for annotated photos
        self.video: VideoOutput | None = None  # of annotated frames
        self.events = None  # text file of event lines
        if output and isinstance(source, PhotoSource):
            self.folder = output
        elif output:
            self.video = VideoOutput(output, source.rate)
            cleanup.callback(self.video.close)
        if events:
            events.parent.mkdir(parents=True, exist_ok=True)
            # A file name's stray bytes become escapes, which JSON reads back as the same name.
            self.events = cleanup.enter_context(
                events.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)
            )

    def write_picture(self, frame: Frame, annotated: np.ndarray) -> None:
        """Write an annotated photo or frame. A camera's frames are repeated or skipped to keep real time."""
        if self.folder:
            write_image(self.folder / png_name(frame.name), annotated)
        elif self.video and self.live:
            self.video.write_at(annotated, frame.time)
        elif self.video:
            self.video.write(annotated)

    def write_event(self, frame: Frame, faces: list[NamedFace], latency: float | None = None) -> None:
        """Write a frame's event line. latency: see event_line."""
        if self.events:
            self.events.write(json.dumps(event_line(frame, faces, latency), ensure_ascii=False) + "\n")


def event_line(frame: Frame, faces: list[NamedFace], latency: float | None = None) -> dict:
    """The event line of a frame, with a photo's file name.

    latency: seconds since the frame arrived from a camera. The line then has it, and the date and time of arrival.
    """
    line: dict[str, object] = {"frame": frame.index, "time": round(frame.time, 3)}
    if latency is not None:
        clock = datetime.fromtimestamp(time.time() - latency).astimezone()
        line |= {"clock": clock.isoformat(timespec="milliseconds"), "latency": round(latency, 3)}
    if frame.name:
        line["image"] = frame.name
    line["faces"] = [_face_entry(face) for face in faces]
    return line


def _face_entry(face: NamedFace) -> dict:
    entry = {"box": list(face.box), "name": face.name, "score": round(face.score, 4)}
    return entry if face.track_id is None else entry | {"track": face.track_id}


@dataclass
class _Person:
    """What a summary knows about a recognized person."""

    first: float  # seconds from the source's start, when recognized first
    last: float = 0.0  # and last
    frames: int = 0
    total_score: float = 0.0  # over these frames


class Summary:
    """Counts frames and faces: who was recognized, from when to when, with what score."""

    def __init__(self, timed: bool, clock: Callable[[], float] = time.monotonic):
        self.timed = timed  # False for photos, which have no times and no tracks
        self.clock = clock  # the time in seconds
        self.people: dict[str, _Person] = {}  # by name
        self.frames = self.faces = self.unknown = 0
        self.latencies: list[float] = []  # seconds from camera to name
        self.started_at: float | None = None  # on the clock
        self.named_tracks: set[int | None] = set()  # track ids that had a name at some time
        self.unknown_tracks: set[int | None] = set()  # track ids that had none at some time

    def start(self) -> None:
        """Start the time that rates are computed from."""
        self.started_at = self.clock()

    def print(self) -> None:
        """Print the summary, unless the run ended before it started."""
        if self.started_at is not None:
            print("\n".join(self.lines(self.clock() - self.started_at)))

    def add(self, frame: Frame, faces: list[NamedFace]) -> None:
        """Count the faces of one recognized frame."""
        self.faces += len(faces)
        for face in faces:
            if face.name is None:
                self.unknown += 1
                self.unknown_tracks.add(face.track_id)
                continue
            self.named_tracks.add(face.track_id)
            person = self.people.setdefault(face.name, _Person(first=frame.time))
            person.frames += 1
            person.last = frame.time
            person.total_score += face.score

    def lines(self, seconds: float) -> list[str]:
        """A line of totals, then one line per person, most frames first. seconds: that the run took."""
        rate = self.frames / max(seconds, 1e-9)
        totals = f"{counted(self.frames, 'frame')} at {rate:.1f} per second, {counted(self.faces, 'face')}"
        lines = [f"{totals}, {self.unknown} unknown"]
        if self.latencies:
            median, high = np.percentile(self.latencies, (50, 95)) * 1000
            lines.append(f"  camera to name: median {median:.0f} ms, 95% within {high:.0f} ms")
        for name, person in sorted(self.people.items(), key=lambda item: -item[1].frames):
            times = f", from {_minutes(person.first)} to {_minutes(person.last)}" if self.timed else ""
            sure = min(person.total_score / person.frames, 0.99)
            lines.append(f"  {name}: {counted(person.frames, 'frame')}{times}, {sure:.0%} sure")
        never_named = len(self.unknown_tracks - self.named_tracks)
        if self.timed and never_named:
            lines.append(f"  {counted(never_named, 'face')} never named")
        return lines


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"


@dataclass
class _UnknownFace:
    sightings: int = 0
    quality: float = -1.0  # of the best chip
    chip: np.ndarray | None = None  # the best one, RGB uint8 (S, S, 3)
    named: bool = False  # the track had a name at some time, so it is not saved


class UnknownFaces:
    """Collects the best chip of every face that is never named, and saves them as PNG files."""

    def __init__(self, folder: Path):
        make_folder(folder, private=True)  # fail early
        self.folder = folder
        self.by_track: dict[int, _UnknownFace] = {}
        self.stamp = datetime.now().strftime("%Y%m%d_%H%M%S")

    def __call__(self, recognizer: Recognizer) -> None:
        """Look at the tracks in the newest frame: a listener of the recognizer."""
        for track in recognizer.visible:
            face = self.by_track.setdefault(track.track_id, _UnknownFace())
            face.sightings += 1
            if track.name is not None:
                face.named, face.chip = True, None
            elif not face.named and track.face.quality > face.quality:
                face.quality, face.chip = track.face.quality, face_chip(recognizer.image, track.face)

    def save(self) -> int:
        """Write the faces that were seen often enough. Returns how many."""
        chips = {
            track_id: face.chip
            for track_id, face in self.by_track.items()
            if face.chip is not None and face.sightings >= MIN_SIGHTINGS
        }
        for track_id, chip in chips.items():
            write_image(self.folder / f"unknown_{self.stamp}_{track_id}.png", chip, private=True)
        return len(chips)


def annotate(image: np.ndarray, faces: list[NamedFace], mirrored: bool = False) -> np.ndarray:
    """A copy of an RGB uint8 image (H, W, 3), mirrored if asked, with boxes, names and scores drawn on it."""
    if mirrored:
        picture, boxes = drawing.mirror(image, [face.box for face in faces])
        faces = [replace(face, box=box) for face, box in zip(faces, boxes, strict=True)]
    else:
        picture = image.copy()
    for face in sorted(faces, key=face_area):  # large faces, which are in front, last
        drawing.draw_face(picture, face.box, face.name, face.score)
    return picture


def face_area(face: NamedFace) -> int:
    """The area of a face's box in pixels."""
    return face.box[2] * face.box[3]
