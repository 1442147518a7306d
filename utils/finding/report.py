"""What find.py found: in words, and as JSON."""

from dataclasses import dataclass, field
from datetime import datetime

from utils.cli import counted, summarize, visible
from utils.finding.photos import FoundFace, FoundPhoto
from utils.finding.sightings import Sighting
from utils.live.events import as_utf8
from utils.live.summaries import minutes
from utils.media.albums import Unread, describe_unread


@dataclass
class Report:
    """All that one run found."""

    photos: list[FoundPhoto]
    unreadable: list[str] = field(default_factory=list)  # "path: reason" of photos that could not be read
    not_read: list[Unread] = field(default_factory=list)  # what folders hold besides photos
    people: int | None = None  # in the gallery; None without one
    threshold: float | None = None  # probability above which a face gets a name
    chips: int | None = None  # unknown faces that were searched; None without them
    chip_threshold: float | None = None  # probability above which a chip shows the same person
    chips_skipped: list[str] = field(default_factory=list)  # "path: reason" of files among them
    events: int = 0  # files of event lines that were searched
    not_joined: list[str] = field(default_factory=list)  # what of events and chips could not be read or joined

    def as_dict(self) -> dict:
        """The report for `--json`."""
        return {
            "people": self.people,
            "threshold": self.threshold,
            "unknown_faces": self.chips,
            "unknown_threshold": self.chip_threshold,
            "events": self.events,
            "photos": [_photo_entry(photo) for photo in self.photos],
            "unreadable": self.unreadable,
            "not_read": [str(item) for item in self.not_read],
            "unknown_unreadable": self.chips_skipped,
            "not_joined": self.not_joined,
        }

    def as_lines(self) -> list[str]:
        """The report in words. What could not be read is not in it: that is told during the run."""
        lines = []
        if self.chips is not None:
            lines.append(f"{counted(self.chips, 'unknown face')}; the same person above {self.chip_threshold:.5g}")
        for photo in self.photos:
            lines.append(f"{visible(str(photo.path))}: {photo.reason or counted(len(photo.faces), 'face')}")
            for face in photo.faces:
                lines += self._describe_face(face)
        if self.not_joined:
            lines += ["not joined:", summarize(self.not_joined)]
        if self.not_read:
            lines += [f"not read: {describe_unread(self.not_read)}", summarize([str(item) for item in self.not_read])]
        return [*lines, self._totals()]

    def _describe_face(self, face: FoundFace) -> list[str]:
        lines = [f"  face at {face.box} (x, y, w, h)"]
        if self.people is not None:
            kind = "; no strangers of this kind known" if face.kind_known is False else ""
            lines[0] += f": {visible(face.name or 'unknown')}{kind}"
        lines += [f"    {score:.4f}  {visible(name)}" for name, score in face.people]
        lines += [f"    seen {visible(describe_sighting(seen))}" for seen in face.seen]
        if not face.seen and (self.chips is not None or (self.events and face.name)):
            lines.append("    not seen")
        return lines

    def _totals(self) -> str:
        faces = [face for photo in self.photos for face in photo.faces]
        parts = [f"{sum(not photo.faces for photo in self.photos)} without a face"]
        parts += [f"{len(self.unreadable)} unreadable"] if self.unreadable else []
        parts.append(counted(len(faces), "face"))
        if self.people is not None:
            parts.append(f"{sum(face.name is None for face in faces)} unknown")
        if self.chips is not None:
            parts.append(f"{sum(any(seen.chip for seen in face.seen) for face in faces)} among the unknown faces")
        return f"{counted(len(self.photos) + len(self.unreadable), 'photo')}: {', '.join(parts)}"


def _photo_entry(photo: FoundPhoto) -> dict:
    entry: dict[str, object] = {"photo": as_utf8(str(photo.path)), "faces": [_face_entry(face) for face in photo.faces]}
    return entry | ({"reason": photo.reason} if photo.reason else {})


def _face_entry(face: FoundFace) -> dict:
    people = [{"name": as_utf8(name), "score": round(score, 4)} for name, score in face.people]
    entry: dict[str, object] = {
        "box": list(face.box),
        "name": None if face.name is None else as_utf8(face.name),
        "people": people,
        "seen": [_sighting_entry(seen) for seen in face.seen],
    }
    return entry | ({} if face.kind_known is None else {"kind_known": face.kind_known})


def _sighting_entry(seen: Sighting) -> dict:
    entry = {key: value for key, value in vars(seen).items() if value is not None}
    paths = {key: as_utf8(str(entry[key])) for key in ("events", "chip") if key in entry}
    return entry | paths | {"score": round(seen.score, 4)}


def describe_sighting(seen: Sighting) -> str:
    """Where and when, and as whom, in words: "in party.mp4 from 0:04.0 to 0:07.3: unknown/unknown_….png, 0.9987"."""
    if seen.image:
        where = f"in {seen.source}, {seen.image}" if seen.source else f"in {seen.image}"
    elif seen.clock_first:
        where = f"by {seen.source or 'a camera'} {_span(seen.clock_first, seen.clock_last or seen.clock_first)}"
    elif seen.events:
        where = f"in {seen.source or seen.events} from {minutes(seen.first)} to {minutes(seen.last)}"
    else:
        where = f"in a run from {_clock_of(seen.started)} on" if seen.started else "at an unknown time"
    return f"{where}: {f'as {seen.name}' if seen.name else seen.chip}, {seen.score:.4f}"


def _span(first: str, last: str) -> str:
    start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    until = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"from {start:%Y-%m-%d %H:%M:%S} to {until}"


def _clock_of(started: str) -> str:
    return f"{started[:4]}-{started[4:6]}-{started[6:8]} {started[9:11]}:{started[11:13]}:{started[13:15]}"
