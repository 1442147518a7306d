"""What the keys of the window do to the people who are known: enroll, take from a name, undo.

The window only asks (`ask`); what it asked for is done by the thread that recognizes, after its next
picture.
"""

import queue
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted
from utils.faces.alignment import face_chip
from utils.faces.quality import OUT_OF_FRAME, TOO_SIMILAR, rejection_reason, thumbnail
from utils.features.feature_files import STRANGERS
from utils.files import in_words
from utils.live.enrolled_files import PersonFiles
from utils.recognition.naming import add_observation
from utils.recognition.recognizer import Recognizer
from utils.recognition.tracks import Observation, Track

MAX_FACES = 5  # saved at one enrollment
MIN_INTERVAL = 0.2  # seconds between two of them
MAX_SECONDS = 8.0  # seconds that an enrollment goes on looking for good faces
ERROR_SECONDS = 8.0  # that an error is told
MAX_NAME_LENGTH = 80  # bytes
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
    if len(name.encode()) > MAX_NAME_LENGTH:
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


class Enrollment:
    """Adds faces to the gallery and to the folders, and takes them back.

    faces_path, features_path: the folders of capture.py and extract_features.py. notice: what to tell
    the user, "" for nothing, until `notice_until` on the monotonic clock.
    """

    def __init__(self, recognizer: Recognizer, faces_path: Path, features_path: Path):
        self.recognizer, self.gallery = recognizer, recognizer.gallery
        self.files = PersonFiles(faces_path, features_path, recognizer.extractor.fingerprint)
        self.changes: list[Change] = []
        self._asked: queue.SimpleQueue[tuple] = queue.SimpleQueue()
        self.notice, self.notice_until = "", 0.0
        self.progress: float | None = None  # of the enrollment that goes on, 0-1
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

    def _show_error(self, what: str, error: InputError | OSError) -> None:
        """Say what did not come to be: a folder that cannot be written is no reason to end the picture too."""
        self.show_message(f"{what}: {in_words(error)}", ERROR_SECONDS)

    def show_message(self, text: str, seconds: float = 4.0) -> None:
        self.progress = self._change.rows / MAX_FACES if self._change else None
        self.notice, self.notice_until = text, time.monotonic() + seconds

    def begin(self, name: str, number: int | None) -> None:
        """Enroll the face with this track number as `name`: from now on its good pictures are saved."""
        track = next((track for track in self.recognizer.visible if track.track_id == number), None)
        self._change = Change(name, track=track)
        self._until = time.monotonic() + MAX_SECONDS
        self._saved_at = -np.inf
        self._thumbnails: list[np.ndarray] = []
        self.show_message(f"{name}: look at the camera", MAX_SECONDS)

    def _offer(self) -> None:
        """Save the enrolled face out of the newest picture if it is good."""
        change, recognizer = self._change, self.recognizer
        if change is None:
            return
        track = self._find(change)
        chip = face_chip(recognizer.image, track.face) if track else None
        reason = rejection_reason(recognizer.image, track.face, chip, self._thumbnails) if track else OUT_OF_FRAME
        soon = time.monotonic() - self._saved_at < MIN_INTERVAL
        if reason is None and not soon:
            try:
                self._save(change, track, chip)
            except (InputError, OSError) as exc:
                self._break_off(change, exc)
                return
        if change.rows >= MAX_FACES or time.monotonic() > self._until:
            self._finish(change, reason)
        elif change.rows or reason:
            hint = "turn your head a little" if change.rows and reason in (None, TOO_SIMILAR) else reason
            self.show_message(f"{change.name}: {change.rows} of {MAX_FACES} saved, {hint}", MAX_SECONDS)

    def _find(self, change: Change) -> Track | None:
        """The enrolled track; where it was lost, the face with the name, or before there is one the only face."""
        visible = self.recognizer.visible
        if change.track not in visible:
            candidates = [track for track in visible if track.name == change.name] if change.rows else visible
            change.track = candidates[0] if len(candidates) == 1 else None
        return change.track

    def _save(self, change: Change, track: Track, chip: np.ndarray) -> None:
        recognizer = self.recognizer
        embedding = recognizer.extractor.embed([chip])
        change.paths.append(self.files.add(change.name, chip, embedding))
        self.gallery.add(change.name, embedding)
        change.rows += 1
        recognizer.rescore()
        # Who was denied this name before is now said to have it.
        track.denied.discard(change.name)
        look = Observation(embedding[0], self.gallery.scores(embedding)[0], track.face.quality, recognizer.now)
        add_observation(track, look, self.gallery)
        recognizer.update_names()
        self._thumbnails.append(thumbnail(chip))
        self._saved_at = time.monotonic()

    def _break_off(self, change: Change, error: InputError | OSError) -> None:
        """Go on without the rest of an enrollment; what is saved stays, and can be undone."""
        self._change = None
        if change.rows:
            self.changes.append(change)
            self._show_error(f"{change.name} is enrolled with only {counted(change.rows, 'face')}", error)
        else:
            self._show_error(f"{change.name} is not enrolled", error)

    def _finish(self, change: Change, reason: str | None) -> None:
        self._change = None
        if change.rows:
            self.changes.append(change)
            self.show_message(f"{change.name} is enrolled with {counted(change.rows, 'face')}")
        else:
            self.show_message(f"{change.name} is not enrolled: {reason or 'no good face'}")

    def reject(self, number: int) -> None:
        """The face with this track number is not who it is called: keep it as a stranger's, take the name away."""
        track = next((track for track in self.recognizer.visible if track.track_id == number), None)
        if track is None or track.name is None:
            self.show_message("no face with a name to say no to")
            return
        chip = face_chip(self.recognizer.image, track.face)
        try:
            path = self.files.add(STRANGERS, chip, self.recognizer.extractor.embed([chip]))
        except (InputError, OSError) as exc:
            self._show_error("the name stays", exc)
            return
        self.changes.append(Change(STRANGERS, [path], track=track, denied=track.name))
        track.denied.add(track.name)
        self.show_message(f"not {track.name}: kept for the next training")
        self.recognizer.update_names()

    def undo(self) -> None:
        """Take back the last enrollment or rejection: files, features and gallery."""
        if self._change is not None:
            self.changes.append(self._change)
            self._change = None
        if not self.changes:
            self.show_message("nothing to undo")
            return
        change = self.changes[-1]
        try:
            self.files.remove(change.name, change.paths)
        except (InputError, OSError) as exc:
            self._show_error("not undone", exc)  # it can be tried again
            return
        self.changes.pop()
        if change.rows:
            self.gallery.remove(change.name, change.rows)
            self.recognizer.rescore()
        if change.denied and change.track:
            change.track.denied.discard(change.denied)
        self.show_message(f"undone: {change.name if change.denied is None else f'not {change.denied}'}")
