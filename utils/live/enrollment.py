"""Changes to the enrolled people while the window is open: enroll a face, reject a name, undo either.

The window's thread only submits requests. The recognizer's thread carries them out after its next frame.
"""

import queue
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted, describe_error
from utils.faces.alignment import face_chip
from utils.faces.quality import OUT_OF_FRAME, TOO_SIMILAR, rejection_reason, thumbnail
from utils.features.feature_files import STRANGERS
from utils.live.enrolled_files import EnrolledFiles
from utils.recognition.naming import add_observation
from utils.recognition.recognizer import Recognizer
from utils.recognition.tracks import Observation, Track

MAX_FACES = 5  # saved per enrollment
MIN_INTERVAL = 0.2  # seconds between two of them
MAX_DURATION = 8.0  # seconds until an enrollment ends, even with fewer faces
MESSAGE_SECONDS, ERROR_SECONDS = 4.0, 8.0  # how long a message or an error is shown
MAX_NAME_LENGTH = 80  # bytes
FORBIDDEN = '/\\:*?"<>|'


def check_name(text: str, known_names: Sequence[str] = ()) -> tuple[str, str | None]:
    """Turn typed text into a person's folder name. Returns the name and what is wrong with it, or None.

    A known name is returned in its own spelling, even if case or the encoding of accents differ.
    """
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    if not name:
        return name, "type a name first"
    for known_name in known_names:
        if unicodedata.normalize("NFC", known_name).casefold() == name.casefold():
            return known_name, None
    if name.startswith((".", "_")) or name.endswith("."):
        return name, "a name cannot start with a dot or _, or end with a dot"
    if any(character in FORBIDDEN or not character.isprintable() for character in name):
        return name, f"a name cannot contain any of {FORBIDDEN}"
    if len(name.encode()) > MAX_NAME_LENGTH:
        return name, "the name is too long"
    return name, None


@dataclass
class Change:
    """One enrollment or rejection, with what is needed to undo it."""

    name: str  # the person whose folders got the faces: STRANGERS after a rejection
    paths: list[Path] = field(default_factory=list)  # of the saved chips
    gallery_rows: int = 0  # added to the gallery
    track: Track | None = None  # of the face; None while it is out of sight
    rejected_name: str | None = None  # None for an enrollment


class Enrollment:
    """Enrolls faces in the gallery and in the folders, rejects names, and undoes both."""

    def __init__(
        self,
        recognizer: Recognizer,
        faces_path: Path,
        features_path: Path,
        clock: Callable[[], float] = time.monotonic,
        interval: float = MIN_INTERVAL,
        duration: float = MAX_DURATION,
        judge: Callable[..., str | None] = rejection_reason,
    ):
        """Attach to a recognizer.

        Args:
          recognizer: sees the faces; its gallery is changed.
          faces_path: folder of person folders with chips, as capture.py writes it.
          features_path: folder of person folders with features, as extract_features.py writes it.
          clock: the time in seconds.
          interval: seconds between two saved faces, at least.
          duration: seconds until an enrollment ends.
          judge: why a face is not saved, None if it is good: utils.faces.quality.rejection_reason.
        """
        self.recognizer, self.gallery = recognizer, recognizer.gallery
        self.files = EnrolledFiles(faces_path, features_path, recognizer.extractor.fingerprint)
        self.clock, self.interval, self.duration, self.judge = clock, interval, duration, judge
        self.notice, self.notice_until = "", 0.0  # message for the user; when it disappears, on the clock
        self.progress: float | None = None  # of the running enrollment, 0-1
        self.changes: list[Change] = []  # that can be undone, oldest first
        self._requests: queue.SimpleQueue[tuple[Callable, tuple]] = queue.SimpleQueue()
        self._running: Change | None = None  # the enrollment in progress
        self._ends_at = self._last_saved_at = -np.inf  # of the running enrollment, on the clock
        self._thumbnails: list[np.ndarray] = []  # of the faces that it has saved
        recognizer.listeners.append(self._after_frame)

    def submit(self, method: Callable[..., None], *arguments: object) -> None:
        """Have a method of this object called after the next frame. May be called from any thread."""
        self._requests.put((method, arguments))

    def _after_frame(self, _: Recognizer) -> None:
        while not self._requests.empty():
            method, arguments = self._requests.get_nowait()
            method(*arguments)
        if self._running is not None:
            self._continue(self._running)

    def show_message(self, text: str, seconds: float = MESSAGE_SECONDS) -> None:
        """Show a message in the window."""
        self.progress = self._running.gallery_rows / MAX_FACES if self._running else None
        self.notice, self.notice_until = text, self.clock() + seconds

    def _show_error(self, failure: str, error: InputError | OSError) -> None:
        """Show that something could not be written. The window goes on."""
        self.show_message(f"{failure}: {describe_error(error)}", ERROR_SECONDS)

    def _visible_track(self, track_id: int | None) -> Track | None:
        return next((track for track in self.recognizer.visible if track.track_id == track_id), None)

    def begin(self, name: str, track_id: int | None) -> None:
        """Start to enroll a tracked face as `name`: its good views are saved from now on."""
        self._running = Change(name, track=self._visible_track(track_id))
        self._ends_at, self._last_saved_at = self.clock() + self.duration, -np.inf
        self._thumbnails = []
        self.show_message(f"{name}: look at the camera", self.duration)

    def _continue(self, change: Change) -> None:
        """Save the face from the newest frame if it is good, and end the enrollment when it is time."""
        image, track = self.recognizer.image, self._find_face(change)
        chip = face_chip(image, track.face) if track else None
        reason = self.judge(image, track.face, chip, self._thumbnails) if track else OUT_OF_FRAME
        if reason is None and self.clock() - self._last_saved_at >= self.interval:
            try:
                self._save(change, track, chip)
            except (InputError, OSError) as exc:
                self._abort(change, exc)
                return
        if change.gallery_rows >= MAX_FACES or self.clock() > self._ends_at:
            self._finish(change, reason)
        elif change.gallery_rows or reason:
            hint = "turn your head a little" if change.gallery_rows and reason in (None, TOO_SIMILAR) else reason
            self.show_message(f"{change.name}: {change.gallery_rows} of {MAX_FACES} saved, {hint}", self.duration)

    def _find_face(self, change: Change) -> Track | None:
        """The track that is being enrolled.

        If it was lost, the one face with the new name continues it. Before anything is saved nobody has
        that name, so the only face in view does.
        """
        visible = self.recognizer.visible
        if change.track not in visible:
            candidates = [track for track in visible if track.name == change.name] if change.gallery_rows else visible
            change.track = candidates[0] if len(candidates) == 1 else None
        return change.track

    def _save(self, change: Change, track: Track, chip: np.ndarray) -> None:
        recognizer = self.recognizer
        embedding = recognizer.extractor.embed([chip])
        change.paths.append(self.files.add(change.name, chip, embedding))
        self.gallery.add(change.name, embedding)
        change.gallery_rows += 1
        recognizer.rescore()
        track.denied.discard(change.name)  # the user may have rejected this name before
        (scores,), (familiarity,) = self.gallery.compare(embedding)
        observation = Observation(embedding[0], scores, track.face.quality, recognizer.now, float(familiarity))
        add_observation(track, observation, self.gallery)
        recognizer.update_names()
        self._thumbnails.append(thumbnail(chip))
        self._last_saved_at = self.clock()

    def _abort(self, change: Change, error: InputError | OSError) -> None:
        """End an enrollment after an error. The faces saved so far stay, and can be undone."""
        self._running = None
        if change.gallery_rows:
            self.changes.append(change)
            self._show_error(f"{change.name} enrolled with only {counted(change.gallery_rows, 'face')}", error)
        else:
            self._show_error(f"{change.name} not enrolled", error)

    def _finish(self, change: Change, reason: str | None) -> None:
        self._running = None
        if change.gallery_rows:
            self.changes.append(change)
            self.show_message(f"{change.name} enrolled with {counted(change.gallery_rows, 'face')}")
        else:
            self.show_message(f"{change.name} not enrolled: {reason or 'no good face'}")

    def reject(self, track_id: int | None) -> None:
        """Take the name from a tracked face, and save the face among the strangers'."""
        track = self._visible_track(track_id)
        if track is None or track.name is None:
            self.show_message("no named face in view")
            return
        chip = face_chip(self.recognizer.image, track.face)
        try:
            path = self.files.add(STRANGERS, chip, self.recognizer.extractor.embed([chip]))
        except (InputError, OSError) as exc:
            self._show_error("name not rejected", exc)
            return
        self.changes.append(Change(STRANGERS, [path], track=track, rejected_name=track.name))
        track.denied.add(track.name)
        self.show_message(f"not {track.name}: face saved for the next training")
        self.recognizer.update_names()

    def undo(self) -> None:
        """Undo the last enrollment or rejection: files, features and gallery. Ends a running enrollment."""
        if self._running is not None:
            self.changes.append(self._running)
            self._running = None
        if not self.changes:
            self.show_message("nothing to undo")
            return
        change = self.changes[-1]
        try:
            self.files.remove(change.name, change.paths)
        except (InputError, OSError) as exc:
            self._show_error("not undone", exc)  # the change stays, so the user can try again
            return
        self.changes.pop()
        if change.gallery_rows:
            self.gallery.remove(change.name, change.gallery_rows)
            self.recognizer.rescore()
        if change.rejected_name and change.track:
            change.track.denied.discard(change.rejected_name)
        self.show_message(f"undone: {f'not {change.rejected_name}' if change.rejected_name else change.name}")
