"""What a run of test.py leaves behind: annotated pictures, event lines, faces of strangers, a summary."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted
from utils.display import drawing
from utils.files import make_folder
from utils.media.images import png_name, write_image
from utils.media.sources import PhotoSource
from utils.media.video import CODECS, Frame, VideoOutput
from utils.recognition.recognizer import NamedFace, Recognizer

MIN_SIGHTINGS = 3  # of an unknown face before it is kept: less is often no face at all


def check_outputs(output: Path | None, events: Path | None, source, source_path: Path | None) -> None:
    """Raise InputError where an output cannot be, before anything is loaded or opened."""
    for name, path in (("--output", output), ("--events", events)):
        if path and source_path and path.exists() and path.samefile(source_path):
            raise InputError(f"{name} {path} is the source itself")
    if output and events and output.resolve() == events.resolve():
        raise InputError(f"--output and --events are one file: {output}")
    if output and isinstance(source, PhotoSource):
        if output.suffix or output.is_file():
            raise InputError(f"--output {output}: expected a folder for photos")
    elif output and (output.suffix.lower() not in CODECS or output.is_dir()):
        raise InputError(f"--output {output}: expected a video file, one of {', '.join(CODECS)}")


class Outputs:
    """The annotated pictures and the event lines of a run, each only if asked for."""

    def __init__(self, output: Path | None, events: Path | None, source, cleanup: ExitStack):
        self.live = source.live
        self.folder = self.video = self.events = None
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
        """Append an annotated frame. A camera's are repeated or left out so that the video keeps its time."""
        if self.folder:
            write_image(self.folder / png_name(frame.name), annotated)
        elif self.video and self.live:
            self.video.write_at(annotated, frame.time)
        elif self.video:
            self.video.write(annotated)

    def write_event(self, frame: Frame, faces: list[NamedFace], latency: float | None = None) -> None:
        """Append the event line of a frame. latency: seconds since a camera's frame arrived."""
        if self.events:
            self.events.write(json.dumps(event(frame, faces, latency), ensure_ascii=False) + "\n")


def event(frame: Frame, faces: list[NamedFace], latency: float | None = None) -> dict:
    """The event line of a frame. A camera's has the clock's time of the frame and its latency, a photo's its name."""
    line = {"frame": frame.index, "time": round(frame.time, 3)}
    if latency is not None:
        clock = datetime.fromtimestamp(time.time() - latency).astimezone()
        line |= {"clock": clock.isoformat(timespec="milliseconds"), "latency": round(latency, 3)}
    if frame.name:
        line["image"] = frame.name
    line["faces"] = [_face(face) for face in faces]
    return line


def _face(face: NamedFace) -> dict:
    line = {"box": list(face.box), "name": face.name, "score": round(face.score, 4)}
    return line if face.track_id is None else line | {"track": face.track_id}


@dataclass
class _Sighting:
    pictures: int = 0
    first: float = 0.0
    last: float = 0.0
    score: float = 0.0  # summed


class Summary:
    """Who was seen, from when to when, and how sure that is."""

    def __init__(self, timed: bool):
        self.timed = timed  # whether frames have times and faces tracks
        self.people: dict[str, _Sighting] = {}
        self.frames = self.faces = self.unknown = 0
        self.latencies: list[float] = []
        self.start: float | None = None
        self.strangers: set[int] = set()  # tracks that never had a name
        self.known: set[int] = set()

    def begin(self) -> None:
        """From now on time counts."""
        self.start = time.monotonic()

    def print(self) -> None:
        """Print the summary, if anything has begun."""
        if self.start is not None:
            print("\n".join(self.lines(time.monotonic() - self.start)))

    def add(self, frame: Frame, faces: list[NamedFace]) -> None:
        """Count the faces of one recognized frame."""
        self.faces += len(faces)
        for face in faces:
            if face.name is None:
                self.unknown += 1
                self.strangers.add(face.track_id)
                continue
            self.known.add(face.track_id)
            person = self.people.setdefault(face.name, _Sighting(first=frame.time))
            person.pictures += 1
            person.last = frame.time
            person.score += face.score

    def lines(self, seconds: float) -> list[str]:
        """Rates and counts, then a line a person, most seen first. seconds: that the run took."""
        rate = self.frames / max(seconds, 1e-9)
        head = f"{counted(self.frames, 'frame')} at {rate:.1f} a second, {counted(self.faces, 'face')}"
        lines = [f"{head}, {self.unknown} unknown"]
        if self.latencies:
            middle, most = np.percentile(self.latencies, (50, 95)) * 1000
            lines.append(f"  from camera to name: {middle:.0f} ms, 95 % within {most:.0f} ms")
        for name, seen in sorted(self.people.items(), key=lambda item: -item[1].pictures):
            when = f", from {_clock(seen.first)} to {_clock(seen.last)}" if self.timed else ""
            sure = min(seen.score / seen.pictures, 0.99)
            lines.append(f"  {name}: {counted(seen.pictures, 'frame')}{when}, {sure:.0%} sure")
        strangers = len(self.strangers - self.known)
        if self.timed and strangers:
            lines.append(f"  {counted(strangers, 'face')} never had a name")
        return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"


class UnknownFaces:
    """Keeps the best chip of every face that never gets a name, as PNG files of a folder."""

    def __init__(self, folder: Path):
        make_folder(folder)
        self.folder = folder
        self.best: dict[int, tuple[float, np.ndarray]] = {}
        self.sightings: dict[int, int] = {}
        self.stamp = datetime.now().strftime("%Y%m%d_%H%M%S")

    def __call__(self, recognizer: Recognizer) -> None:
        """Take note of the tracks in the recognizer's newest picture."""
        from utils.faces.alignment import face_chip

        for track in recognizer.visible:
            self.sightings[track.track_id] = self.sightings.get(track.track_id, 0) + 1
            if track.name is not None:
                self.best[track.track_id] = (np.inf, None)  # it is somebody: never kept, whatever follows
            elif track.face.quality > self.best.get(track.track_id, (-1.0, None))[0]:
                self.best[track.track_id] = (track.face.quality, face_chip(recognizer.image, track.face))

    def save(self) -> int:
        """Write the faces; returns how many."""
        kept = {n: chip for n, (_, chip) in self.best.items() if chip is not None}
        kept = {n: chip for n, chip in kept.items() if self.sightings[n] >= MIN_SIGHTINGS}
        for number, chip in kept.items():
            write_image(self.folder / f"unknown_{self.stamp}_{number}.png", chip)
        return len(kept)


def annotate(image: np.ndarray, faces: list[NamedFace], mirrored: bool = False) -> np.ndarray:
    """A copy of an RGB uint8 image with boxes, names and scores drawn on it, mirrored if asked."""
    if mirrored:
        picture, boxes = drawing.mirror(image, [face.box for face in faces])
        faces = [replace(face, box=box) for face, box in zip(faces, boxes, strict=True)]
    else:
        picture = image.copy()
    # Large faces last: the one in front is on top.
    for face in sorted(faces, key=lambda face: face.box[2] * face.box[3]):
        drawing.draw_face(picture, face.box, face.name, face.score)
    return picture
