"""Changes to the enrolled people while the window is open: enroll a face, reject a name, rename a person, undo.

The window's thread only submits requests. The recognizer's thread carries them out after its next frame.
"""

import queue
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from utils.cli import WRITE_ERRORS, counted, describe_error
from utils.faces.alignment import face_chip
from utils.faces.quality import OUT_OF_FRAME, TOO_SIMILAR, rejection_reason, thumbnail
from utils.features.feature_files import STRANGERS
from utils.live.changes import Change, undo_in_folders
from utils.live.enrolled_files import EnrolledFiles
from utils.live.renaming import merge_folders, rename_folders
from utils.recognition.naming import add_observation
from utils.recognition.recognizer import Recognizer
from utils.recognition.tracks import Observation, Track

MAX_FACES = 5  # saved per enrollment
MIN_INTERVAL = 0.2  # seconds between two of them
MAX_DURATION = 8.0  # seconds until an enrollment ends, even with fewer faces
MESSAGE_SECONDS, ERROR_SECONDS = 4.0, 8.0  # how long a message or an error is shown


class Enrollment:
    """Enrolls faces in the gallery and in the folders, rejects names, renames people, and undoes all of this."""

    def __init__(
        self,
        recognizer: Recognizer,
        faces_path: Path,
        features_path: Path,
        clock: Callable[[], float] = time.monotonic,
        interval: float = MIN_INTERVAL,
        duration: float = MAX_DURATION,
        judge: Callable[..., str | None] = rejection_reason,
        max_faces: int = MAX_FACES,
        renamed: Callable[[str, str], object] = lambda old, new: None,
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
          max_faces: saved per enrollment.
          renamed: called with the former and the new name of a person who is renamed.
        """
        self.recognizer, self.gallery = recognizer, recognizer.gallery
        self.files = EnrolledFiles(faces_path, features_path, recognizer.extractor.fingerprint)
        self.clock, self.interval, self.duration, self.judge = clock, interval, duration, judge
        self.max_faces, self.renamed = max_faces, renamed
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
        self.progress = self._running.gallery_rows / self.max_faces if self._running else None
        self.notice, self.notice_until = text, self.clock() + seconds

    def _show_error(self, failure: str, error: Exception) -> None:
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
            except WRITE_ERRORS as exc:
                self._abort(change, exc)
                return
        if change.gallery_rows >= self.max_faces or self.clock() > self._ends_at:
            self._finish(change, reason)
        elif change.gallery_rows or reason:
            hint = "turn your head a little" if change.gallery_rows and reason in (None, TOO_SIMILAR) else reason
            self.show_message(f"{change.name}: {change.gallery_rows} of {self.max_faces} saved, {hint}", self.duration)

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

    def _abort(self, change: Change, error: Exception) -> None:
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
        except WRITE_ERRORS as exc:
            self._show_error("name not rejected", exc)
            return
        self.changes.append(Change(STRANGERS, [path], track=track, rejected_name=track.name))
        track.denied.add(track.name)
        self.show_message(f"not {track.name}: face saved for the next training")
        self.recognizer.update_names()

    def rename(self, old: str, new: str) -> None:
        """Rename a person: folders and gallery. If somebody has the new name already, the two become one person."""
        self._stop_enrolling()
        if old not in self.gallery.enrolled:  # undone while the new name was typed
            self.show_message(f"{old} is not enrolled any more")
            return
        change = Change(new, former_name=old)
        try:
            if new in self.gallery.enrolled:
                change.merger = merge_folders(self.files, old, new)
                change.gallery_rows = self.gallery.count(old)
            else:
                rename_folders(self.files, old, new)
        except WRITE_ERRORS as exc:
            self._show_error(f"{old} not renamed", exc)
            return
        self.changes.append(change)
        self.gallery.rename(old, new)
        self._replace_name(old, new)
        self.show_message(f"{old} is {new} now")

    def _replace_name(self, old: str, new: str) -> None:
        """Let the faces in view, and the summary, have a person's new name."""
        for track in self.recognizer.tracks.alive:
            track.name = new if track.name == old else track.name
            if old in track.denied:
                track.denied.remove(old)
                track.denied.add(new)
        self._update_names()
        self.renamed(old, new)

    def _update_names(self) -> None:
        self.recognizer.rescore()
        self.recognizer.update_names()

    def _stop_enrolling(self) -> None:
        """End a running enrollment, as a change that can be undone."""
        if self._running is not None:
            self.changes.append(self._running)
            self._running = None

    def undo(self) -> None:
        """Undo the last change: files, features and gallery. Ends a running enrollment."""
        self._stop_enrolling()
        if not self.changes:
            self.show_message("nothing to undo")
            return
        change = self.changes[-1]
        try:
            undo_in_folders(self.files, change)
        except WRITE_ERRORS as exc:
            self._show_error("not undone", exc)  # the change stays, so the user can try again
            return
        self.changes.pop()
        self._undo_in_gallery(change)
        undone = f"not {change.rejected_name}" if change.rejected_name else change.former_name or change.name
        self.show_message(f"undone: {undone}")

    def _undo_in_gallery(self, change: Change) -> None:
        gallery, track = self.gallery, change.track
        if change.merger:
            gallery.add(change.merger.old, gallery.remove(change.name, change.gallery_rows))
            self.renamed(change.merger.old, change.merger.old)
        elif change.former_name:
            gallery.rename(change.name, change.former_name)
            self._replace_name(change.name, change.former_name)
        else:
            gallery.remove(change.name, change.gallery_rows)
        if change.rejected_name and track:
            track.denied.discard(change.rejected_name)
        self._update_names()
