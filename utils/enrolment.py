"""What the keys of the window do to the people who are known: enrol, take from a name, undo.

Everything is written as capture.py and extract_features.py would have written it, so that a later run
of extract_features.py finds nothing to do. The window only asks (`ask`); what it asked for is done by
the thread that recognises, after its next picture.
"""

import queue
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.cli import counted
from utils.collecting import FaceSaver
from utils.extraction import image_entry
from utils.faces import face_chip
from utils.features import STRANGERS, PersonFeatures, delete_person, load_person, save_person
from utils.files import make_folder
from utils.naming import Look, add_look
from utils.quality import judge, thumbnail
from utils.recognizer import Recognizer
from utils.tracks import Track

MOST_FACES = 5  # saved at one enrolment
LEAST_GAP = 0.2  # seconds between two of them
LONGEST = 8.0  # seconds that an enrolment goes on looking for good faces
LONGEST_NAME = 80  # bytes
FORBIDDEN = '/\\:*?"<>|'


def check_name(text: str, known: list[str] = ()) -> tuple[str, str | None]:
    """A typed name as a person's folder would be called, and what is wrong with it, None if nothing.

    A name that is known in another case or with its accents written otherwise is that person's.
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not name:
        return name, "a name is needed"
    for each in known:
        if unicodedata.normalize("NFC", each).casefold() == name.casefold():
            return each, None
    if name.startswith((".", "_")) or name.endswith("."):
        return name, "a name may not begin with a dot or _, nor end with a dot"
    if any(sign in FORBIDDEN or not sign.isprintable() for sign in name):
        return name, f"a name may not hold any of {FORBIDDEN}"
    if len(name.encode()) > LONGEST_NAME:
        return name, "the name is too long"
    return name, None


@dataclass
class Change:
    """What one key did, so that it can be undone. rows: how many the gallery got."""

    name: str
    paths: list[Path] = field(default_factory=list)
    rows: int = 0
    track: Track | None = None
    denied: str | None = None


class Enrolment:
    """Adds faces to the gallery and to the folders, and takes them back.

    faces_path, features_path: the folders of capture.py and extract_features.py. notice: what to tell
    the user, "" for nothing, until `notice_until` on the monotonic clock.
    """

    def __init__(self, recognizer: Recognizer, faces_path: Path, features_path: Path):
        self.recognizer, self.gallery = recognizer, recognizer.gallery
        self.faces_path, self.features_path = faces_path, features_path
        self.changes: list[Change] = []
        self._asked: queue.SimpleQueue[tuple] = queue.SimpleQueue()
        self.notice, self.notice_until = "", 0.0
        self.progress: float | None = None  # of the enrolment that goes on, 0-1
        self._change: Change | None = None
        recognizer.listeners.append(self._work)

    def ask(self, task: Callable, *arguments) -> None:
        """Have a method of this object called after the next picture; for any thread."""
        self._asked.put((task, arguments))

    def _work(self, _: Recognizer) -> None:
        while not self._asked.empty():
            task, arguments = self._asked.get_nowait()
            task(*arguments)
        self._offer()

    def tell(self, text: str, seconds: float = 4.0) -> None:
        self.progress = self._change.rows / MOST_FACES if self._change else None
        self.notice, self.notice_until = text, time.monotonic() + seconds

    def begin(self, name: str, number: int | None) -> None:
        """Enrol the face with this track number as `name`: from now on its good pictures are saved."""
        track = next((track for track in self.recognizer.visible if track.number == number), None)
        self._change = Change(name, track=track)
        self._until = time.monotonic() + LONGEST
        self._saved_at = -np.inf
        self._thumbnails: list[np.ndarray] = []
        self.tell(f"{name}: look at the camera", LONGEST)

    def _offer(self) -> None:
        """Save the enrolled face out of the newest picture if it is good."""
        change, recognizer = self._change, self.recognizer
        if change is None:
            return
        track = self._find(change)
        chip = face_chip(recognizer.image, track.face) if track else None
        reason = judge(recognizer.image, track.face, chip, self._thumbnails) if track else "come into the picture"
        soon = time.monotonic() - self._saved_at < LEAST_GAP
        if reason is None and not soon:
            self._save(change, track, chip)
        if change.rows >= MOST_FACES or time.monotonic() > self._until:
            self._finish(change, reason)
        elif change.rows or reason:
            hint = "turn your head a little" if change.rows and reason in (None, "like the last one") else reason
            self.tell(f"{change.name}: {change.rows} of {MOST_FACES} saved, {hint}", LONGEST)

    def _find(self, change: Change) -> Track | None:
        """The enrolled track; where it was lost, the face with the name, or before there is one the only face."""
        visible = self.recognizer.visible
        if change.track not in visible:
            candidates = [track for track in visible if track.name == change.name] if change.rows else visible
            change.track = candidates[0] if len(candidates) == 1 else None
        return change.track

    def _save(self, change: Change, track: Track, chip: np.ndarray) -> None:
        recognizer = self.recognizer
        change.paths.append(self._write_chip(change.name, chip))
        embedding = recognizer.extractor.embed([chip])
        self._write_features(change.name, [change.paths[-1]], embedding)
        self.gallery.add(change.name, embedding)
        change.rows += 1
        recognizer.rescore()
        # Who was denied this name before is now said to have it.
        track.denied.discard(change.name)
        look = Look(embedding[0], self.gallery.scores(embedding)[0], track.quality, recognizer.now)
        add_look(track, look, self.gallery)
        recognizer.settle()
        self._thumbnails.append(thumbnail(chip))
        self._saved_at = time.monotonic()

    def _finish(self, change: Change, reason: str | None) -> None:
        self._change = None
        if change.rows:
            self.changes.append(change)
            self.tell(f"{change.name} is enrolled with {counted(change.rows, 'face')}")
        else:
            self.tell(f"{change.name} is not enrolled: {reason or 'no good face'}")

    def reject(self, number: int) -> None:
        """The face with this track number is not who it is called: keep it as a stranger's, take the name away."""
        track = next((track for track in self.recognizer.visible if track.number == number), None)
        if track is None or track.name is None:
            self.tell("no face with a name to say no to")
            return
        chip = face_chip(self.recognizer.image, track.face)
        change = Change(STRANGERS, [self._write_chip(STRANGERS, chip)], track=track, denied=track.name)
        self._write_features(STRANGERS, change.paths, self.recognizer.extractor.embed([chip]))
        track.denied.add(track.name)
        self.changes.append(change)
        self.tell(f"not {track.name}: kept for the next training")
        self.recognizer.settle()

    def undo(self) -> None:
        """Take back the last enrolment or rejection: files, features and gallery."""
        if self._change is not None:
            self.changes.append(self._change)
            self._change = None
        if not self.changes:
            self.tell("nothing to undo")
            return
        change = self.changes.pop()
        for path in change.paths:
            path.unlink(missing_ok=True)
        self._remove_features(change)
        if change.rows:
            self.gallery.remove(change.name, change.rows)
            self.recognizer.rescore()
        if change.denied and change.track:
            change.track.denied.discard(change.denied)
        if change.paths:
            _remove_if_empty(change.paths[0].parent)
        self.tell(f"undone: {change.name if change.denied is None else f'not {change.denied}'}")

    def _write_chip(self, name: str, chip: np.ndarray) -> Path:
        """Save a chip in the person's folder as capture.py does."""
        make_folder(self.faces_path / name)
        return FaceSaver(self.faces_path / name).save(chip)

    def _stored(self, name: str) -> PersonFeatures | None:
        try:
            return load_person(self.features_path, name)
        except FileNotFoundError:
            return None

    def _write_features(self, name: str, paths: list[Path], rows: np.ndarray) -> None:
        """Add rows (n, D) to a person's feature file, in the order of the image names.

        A file of which is not known what it was made from is left: extract_features.py makes it anew.
        """
        stored = self._stored(name)
        fingerprint = self.recognizer.extractor.fingerprint
        if stored and (stored.manifest is None or stored.manifest.extractor != fingerprint or stored.manifest.align):
            return
        known = list(zip(stored.manifest.images, stored.matrix, strict=True)) if stored else []
        known += [(image_entry(path), row) for path, row in zip(paths, rows, strict=True)]
        known.sort(key=lambda item: item[0][0])
        matrix = np.stack([row for _, row in known])
        save_person(self.features_path, name, matrix, [entry for entry, _ in known], fingerprint, align=0)

    def _remove_features(self, change: Change) -> None:
        stored = self._stored(change.name)
        if stored is None or stored.manifest is None:
            return
        gone = {path.name for path in change.paths}
        kept = [index for index, entry in enumerate(stored.manifest.images) if entry[0] not in gone]
        if kept:
            images = [stored.manifest.images[index] for index in kept]
            manifest = stored.manifest
            matrix = stored.matrix[kept]
            save_person(self.features_path, change.name, matrix, images, manifest.extractor, manifest.align)
        else:
            delete_person(self.features_path, change.name)
            _remove_if_empty(self.features_path / change.name)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
