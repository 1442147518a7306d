"""Where and when faces were seen, from the event lines that test.py --events wrote."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from utils import interrupts
from utils.cli import InputError, counted, cut
from utils.files import one_spelling, parse_json
from utils.media.pipes import copy_pipe, is_pipe
from utils.recognition.tracks import MAX_ABSENCE

MAX_LINE = 1 << 20  # bytes; a line of 100 faces has 12,000
NOBODY = b'"faces": []}\n'  # the end of a line without faces, which need not be read


class TrackKey(NamedTuple):
    """A face that was followed in one run of test.py."""

    started: str  # when the run started
    track: int


class Run(NamedTuple):
    """One run of test.py, as its first event line describes it."""

    started: str  # the time, as in the names of its unknown faces
    source: str  # a video, a folder of photos or a camera
    extractor: str | None  # fingerprint


class EventFace(NamedTuple):
    """One face of an event line."""

    name: str | None
    score: float
    track: int | None


class EventLine(NamedTuple):
    """One event line."""

    time: float  # seconds since the source's start
    faces: list[EventFace]
    run: Run | None  # in the first line of a run
    clock: str | None  # date and time, from a camera
    image: str | None  # a photo's file name


@dataclass
class Sighting:
    """A face, seen without a break in one run of test.py. Without `events` only its chip is known."""

    started: str | None = None  # when the run started; None if that is unknown
    source: str | None = None  # a video, a folder of photos or a camera; None if that is unknown
    events: Path | None = None  # the file that tells of it
    image: str | None = None  # a photo's file name
    name: str | None = None  # that test.py gave to the face
    track: int | None = None  # of an unknown face
    chip: Path | None = None  # of an unknown face: its best picture
    score: float = 0.0  # of the name, the highest, or of the chip and the searched face: a probability
    frames: int = 0
    first: float | None = None  # seconds since the source's start
    last: float | None = None
    clock_first: str | None = None  # date and time, from a camera
    clock_last: str | None = None

    def see(self, line: EventLine, face: EventFace) -> None:
        """Add one frame."""
        self.first = line.time if self.first is None else self.first
        self.clock_first = self.clock_first or line.clock
        self.last, self.clock_last = line.time, line.clock
        self.score = max(self.score, face.score)
        self.frames += 1

    @property
    def order(self) -> tuple[str, float]:
        """A key to sort by time: a video's frames count from the start of the run."""
        return re.sub(r"\D", "", self.clock_first or self.started or "")[:17], self.first or 0.0


class EventSearch:
    """Finds tracks and names in event files."""

    def __init__(self, tracks: set[TrackKey], names: set[str], extractor: str):
        """tracks, names: to find. extractor: the fingerprint that the events have to come from."""
        self._tracks, self._names, self._extractor = tracks, names, extractor
        self.by_track: dict[TrackKey, Sighting] = {}
        self.by_name: dict[str, list[Sighting]] = {name: [] for name in names}
        self.runs: set[str] = set()  # when each run that was met started
        self.files = 0  # that were read
        self.problems: list[str] = []  # what could not be read or joined

    def read(self, path: Path) -> None:
        """Read one file. Raises InputError if it has no event lines, or if they come from another extractor."""
        self.files += 1
        run, lines, damaged, runless = None, 0, 0, False
        recent: dict[str, Sighting] = {}  # the last one of each name
        for data in _lines(path):
            lines += 1
            if data.endswith(NOBODY):
                continue
            line = parse_line(data)
            if line is None:
                damaged += 1
                continue
            if line.run:
                run, recent = line.run, {}
                self._check(path, run)
            runless |= run is None
            for face in line.faces:
                self._add(path, run, line, face, recent)
        if damaged == lines:
            raise InputError(f"{path} has no event lines: expected a file that test.py --events wrote")
        if damaged:
            self.problems.append(f"{path}: {counted(damaged, 'line is', 'lines are')} damaged and left out")
        if runless and self._tracks:
            self.problems.append(f"{path}: not joined with unknown faces, because its first line does not name the run")

    def _check(self, path: Path, run: Run) -> None:
        self.runs.add(run.started)
        if run.extractor not in (None, self._extractor):
            raise InputError(
                f"{path} was written with {cut(run.extractor)}, but --model is {self._extractor}: pass the model that "
                "wrote it, or leave this file out"
            )

    def _add(self, path: Path, run: Run | None, line: EventLine, face: EventFace, recent: dict[str, Sighting]) -> None:
        started, source = run[:2] if run else (None, None)
        here = partial(Sighting, started=started, source=source, events=path, image=line.image)
        key = TrackKey(started or "", face.track or 0)
        if key in self._tracks:
            self.by_track.setdefault(key, here(track=face.track)).see(line, face)
        name = face.name and one_spelling(face.name)
        if name in self._names:
            last = recent.get(name)
            if last is None or line.image or not 0 <= line.time - last.last <= MAX_ABSENCE:
                recent[name] = last = here(name=name)
                self.by_name[name].append(last)
            last.see(line, face)


def parse_line(data: bytes) -> EventLine | None:
    """An event line; None for anything else."""
    try:
        line = parse_json(data, "line")
        run = line.get("run")
        if run is not None:
            run = Run(_text(run["started"]), _text(run["source"]), _text(run.get("extractor"), True))
        if clock := _text(line.get("clock"), True):
            datetime.fromisoformat(clock)
        faces = [
            EventFace(_text(face["name"], True), float(face["score"]), _track(face.get("track")))
            for face in line["faces"]
        ]
        return EventLine(float(line["time"]), faces, run, clock, _text(line.get("image"), True))
    except (InputError, KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return None


def _text(value: object, optional: bool = False) -> str | None:
    if not (isinstance(value, str) or (optional and value is None)):
        raise ValueError(f"expected a text. Received: {type(value).__name__}")
    return value


def _track(value: object) -> int | None:
    if not isinstance(value, int | None):
        raise ValueError(f"expected a whole number. Received: {type(value).__name__}")
    return value


def check_events(path: Path) -> None:
    """Raise InputError for a path that is no file."""
    if not path.exists() or path.is_dir():
        raise InputError(f"--events {path} {'is a folder' if path.is_dir() else 'does not exist'}")
    is_pipe(path)  # raises for a device


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file or a pipe; one that is too long comes in parts."""
    file: IO[bytes]
    with contextlib.closing(copy_pipe(path) if is_pipe(path) else path.open("rb")) as file:
        while data := file.readline(MAX_LINE):
            interrupts.check()
            yield data
