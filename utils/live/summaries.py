"""What a run of test.py prints at its end: who was recognized, and how often."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from utils.cli import counted, visible
from utils.live.events import as_utf8
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace


@dataclass
class _Person:
    """What a summary knows about a recognized person."""

    first: float = np.inf  # seconds from the source's start, when recognized first
    last: float = 0.0  # and last
    count: int = 0  # of frames or photos
    total_score: float = 0.0  # over these
    unsupported: int = 0  # of these, those in which no strangers of the face's kind were known

    def add(self, first: float, last: float, count: int, total_score: float, unsupported: int) -> None:
        """Count more frames or photos. See the fields."""
        self.first, self.last = min(self.first, first), max(self.last, last)
        self.count, self.total_score = self.count + count, self.total_score + total_score
        self.unsupported += unsupported

    def see(self, face: NamedFace, time: float) -> None:
        """Count one more frame or photo."""
        self.add(time, time, 1, face.score, face.kind_known is False)

    @property
    def score(self) -> float:
        """The mean probability of the name."""
        return self.total_score / self.count


class Summary:
    """Counts frames and faces: who was recognized, from when to when, with what score."""

    def __init__(self, json_to: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self.json_to = json_to  # where the summary goes as JSON; None to print it for people
        self.clock = clock  # the time in seconds
        self.frames = self.faces = self.unknown = 0
        self.latencies: list[float] = []  # seconds from camera to name
        self.started_at: float | None = None  # on the clock
        self.named_tracks: set[int | None] = set()  # track ids that had a name at some time
        self.unknown_tracks: set[int | None] = set()  # track ids that had none at some time
        self._people: dict[str, _Person] = {}  # by the names that they had
        self._new_names: dict[str, str] = {}  # of people who were renamed, by their former names

    def start(self) -> None:
        """Start the time that rates are computed from."""
        self.started_at = self.clock()

    def print(self) -> None:
        """Print the summary, unless the run ended before it started."""
        if self.started_at is None:
            return
        seconds = self.clock() - self.started_at
        if self.json_to is None:
            print("\n".join(self.lines(seconds)))
        else:  # without other signs than ASCII, so that the terminal's encoding does not matter
            print(json.dumps(self.content(seconds), indent=1), file=self.json_to)

    def rename(self, old: str, new: str) -> None:
        """Count a person under a new name, from the beginning; under their own again if both names are the same."""
        self._new_names[old] = new
        self._new_names.pop(new, None)

    def _new_name(self, name: str) -> str:
        while name in self._new_names:
            name = self._new_names[name]
        return name

    def add(self, frame: Frame, faces: list[NamedFace]) -> None:
        """Count the faces of one recognized frame."""
        self.faces += len(faces)
        for face in faces:
            if face.name is None:
                self.unknown += 1
                self.unknown_tracks.add(face.track_id)
            else:
                self.named_tracks.add(face.track_id)
                self._people.setdefault(face.name, _Person()).see(face, frame.time)

    @property
    def people(self) -> dict[str, _Person]:
        """The recognized people by name, most frames first."""
        people: dict[str, _Person] = {}
        for name, person in self._people.items():
            people.setdefault(self._new_name(name), _Person()).add(**vars(person))
        return dict(sorted(people.items(), key=lambda item: -item[1].count))

    @property
    def never_named(self) -> int:
        """How many tracked faces never had a name."""
        return len(self.unknown_tracks - self.named_tracks)

    def content(self, seconds: float) -> dict[str, Any]:
        """The summary for JSON. seconds: that the run took."""
        content: dict[str, Any] = {"frames": self.frames, "frames_per_second": round(self.rate(seconds), 2)}
        content |= {"faces": self.faces, "unknown": self.unknown, "never_named": self.never_named}
        if self.latencies:
            median, high = np.percentile(self.latencies, (50, 95))
            content["latency"] = {"median": round(float(median), 3), "p95": round(float(high), 3)}
        content["people"] = {
            as_utf8(name): {
                "frames": person.count,
                "first": round(person.first, 3),
                "last": round(person.last, 3),
                "score": round(person.score, 4),
                "kind_unknown": person.unsupported,
            }
            for name, person in self.people.items()
        }
        return content

    def rate(self, seconds: float) -> float:
        """Frames per second."""
        return self.frames / max(seconds, 1e-9)

    def lines(self, seconds: float) -> list[str]:
        """A line of totals, then one line per person, most frames first. seconds: that the run took."""
        totals = (
            f"{counted(self.frames, 'frame')} at {self.rate(seconds):.1f} per second, {counted(self.faces, 'face')}"
        )
        lines = [f"{totals}, {self.unknown} unknown"]
        if self.latencies:
            median, high = np.percentile(self.latencies, (50, 95)) * 1000
            lines.append(f"  camera to name: median {median:.0f} ms, 95% within {high:.0f} ms")
        for name, person in self.people.items():
            times = f"from {minutes(person.first)} to {minutes(person.last)}"
            lines.append(f"  {visible(name)}: {counted(person.count, 'frame')}, {times}, {_sure(person)}")
        if self.never_named:
            lines.append(f"  {counted(self.never_named, 'face')} never named")
        return lines


class PhotoSummary(Summary):
    """Counts photos and faces: how often each person was named. A photo that is looked at again counts anew."""

    def __init__(self, json_to: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        super().__init__(json_to, clock)
        self._photos: dict[int, list[NamedFace]] = {}  # the faces of each photo

    def add(self, frame: Frame, faces: list[NamedFace]) -> None:
        """Count the faces of one photo, in place of those that it had before."""
        self._photos[frame.index] = faces

    @property
    def people(self) -> dict[str, _Person]:
        """The recognized people by name, most photos first."""
        self._people = {}
        for faces in self._photos.values():
            for face in faces:
                if face.name is not None:
                    self._people.setdefault(face.name, _Person()).see(face, 0.0)
        return super().people

    def content(self, seconds: float) -> dict[str, Any]:
        """The summary for JSON. seconds: that the run took, which does not matter."""
        faces = [face for faces in self._photos.values() for face in faces]
        return {
            "photos": len(self._photos),
            "without_a_face": sum(not faces for faces in self._photos.values()),
            "faces": len(faces),
            "unknown": sum(face.name is None for face in faces),
            "people": {
                as_utf8(name): {
                    "photos": person.count,
                    "score": round(person.score, 4),
                    "kind_unknown": person.unsupported,
                }
                for name, person in self.people.items()
            },
        }

    def lines(self, seconds: float) -> list[str]:
        """A line of totals, then one line per person, most photos first. seconds: see `content`."""
        content = self.content(seconds)
        faces = f"{counted(content['faces'], 'face')}, {content['unknown']} unknown"
        lines = [f"{counted(content['photos'], 'photo')}, {content['without_a_face']} without a face; {faces}"]
        for name, person in self.people.items():
            lines.append(f"  {visible(name)}: {counted(person.count, 'photo')}, {_sure(person)}")
        return lines


def _sure(person: _Person) -> str:
    kind = f", * no strangers of this kind known in {person.unsupported}" if person.unsupported else ""
    return f"{min(person.score, 0.99):.0%} sure{kind}"  # comparing faces cannot give certainty


def minutes(seconds: float) -> str:
    """A time in a video: "1:02.5"."""
    whole, rest = divmod(seconds, 60)
    return f"{int(whole)}:{rest:04.1f}"
