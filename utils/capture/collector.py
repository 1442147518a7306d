"""Collecting one person's faces out of pictures: which are saved when, and what the person is told meanwhile."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.capture.guide import Guide
from utils.faces.alignment import Face, face_chip
from utils.faces.detection import main_faces
from utils.faces.folder import FaceSaver
from utils.faces.quality import TOO_SIMILAR, head_pose, rejection_reason, thumbnail
from utils.media.video import Frame

WAIT_FOR_GOOD = 3.0  # seconds that a wish to save waits for a face that is good enough
COUNTED_DOWN = 3  # seconds before a save of its own that are shown
COMPARED = 200  # faces saved last, which a new one is compared with
TOLD = 1.2  # seconds that something done is told for


@dataclass(frozen=True)
class CaptureState:
    """One picture's faces and what became of them.

    chip: the only face's, None where there is not one. reason: why it would not be saved, None where it
    would. saved: the file that it was saved to. countdown: seconds until the next is saved by itself,
    None where that is not to be shown.
    """

    image: np.ndarray
    faces: list[Face]
    chip: np.ndarray | None
    reason: str | None
    saved: Path | None = None
    countdown: int | None = None


class Collector:
    """Looks at one picture after the other and saves the faces that are wished for and good enough.

    gate: whether a face must be good enough. every: a face is saved every so many frames of the source, 0
    for never. guide: asks for poses and saves those, None for no guide. rate: frames a second, for the
    countdown. count: of faces, which are enough; None for no end.
    """

    def __init__(
        self, saver: FaceSaver, gate: bool, every: int, guide: Guide | None, rate: float, count: int | None = None
    ):
        self.saver, self.gate, self.every, self.guide, self.rate, self.count = saver, gate, every, guide, rate, count
        self.index = -1  # the newest frame's
        self._wished_at = self._wished_until = -np.inf
        self._due = False
        self._thumbnails: list[np.ndarray] = []
        self._guided: list[bool] = []  # of the faces saved: whether the guide had asked for it
        self._told, self._told_until = "", -np.inf
        self._now = 0.0
        self.refused = Counter()  # reasons, of the pictures in which a face was wished for and not saved

    @property
    def complete(self) -> bool:
        """Whether as many faces are saved as were asked for."""
        return self.count is not None and self.saver.saved >= self.count

    def request_save(self) -> None:
        """Have the face saved as soon as it is good enough, in what is filmed from now on for WAIT_FOR_GOOD seconds."""
        self._wished_at = time.monotonic()
        self._wished_until = self._now + WAIT_FOR_GOOD

    def process_frame(self, frame: Frame, faces: list[Face]) -> CaptureState:
        """Take in the faces of a frame that is later than the last; those between were looked at by nobody."""
        image, now = frame.image, frame.time
        self._due |= bool(self.every) and frame.index // self.every > self.index // self.every
        self.index, self._now = frame.index, now
        faces = main_faces(faces)
        chip = face_chip(image, faces[0]) if len(faces) == 1 else None
        view = CaptureState(image, faces, chip, self._reason(image, faces, chip), countdown=self._countdown())
        if self.guide and self._is_pose(view):
            return self._save(view, guided=True)
        # Before a camera, what is looked at now may have been filmed before the key; a file's next frame never is.
        wished = now <= self._wished_until and not 0 < frame.arrived < self._wished_at
        if view.reason is None and (wished or self._due):
            return self._save(view)
        if view.reason and (wished or self._due or (self.guide and not self.guide.done)):
            self.refused[view.reason] += 1
        if not self.gate:
            self._due = False  # it was this picture or none
        return view

    def _is_pose(self, view: CaptureState) -> bool:
        """Whether the guide wants this view saved."""
        alike = view.reason == TOO_SIMILAR
        pose = head_pose(view.faces[0].landmarks) if view.reason is None or alike else None
        return self.guide.accepts(pose, self._now, alike)

    def save_shown(self, view: CaptureState) -> CaptureState:
        """Save the face of a view that stands still, if it is good enough and not saved already."""
        return self._save(view) if view.reason is None and view.saved not in self.saver.paths else view

    def _reason(self, image: np.ndarray, faces: list[Face], chip: np.ndarray | None) -> str | None:
        if chip is None:
            return f"{len(faces)} faces: one at a time" if faces else "no face seen"
        return rejection_reason(image, faces[0], chip, self._thumbnails[-COMPARED:]) if self.gate else None

    def _countdown(self) -> int | None:
        """Whole seconds until the next face is due, where they are worth counting."""
        if self.every < self.rate or self._due:
            return None
        seconds = int((self.every - self.index % self.every) / self.rate) + 1
        return seconds if seconds <= COUNTED_DOWN else None

    def _save(self, view: CaptureState, guided: bool = False) -> CaptureState:
        path = self.saver.save(view.chip)
        self._thumbnails.append(thumbnail(view.chip))
        self._guided.append(guided)
        if guided:
            self.guide.record(head_pose(view.faces[0].landmarks))
        self._due, self._wished_until = False, -np.inf
        self._show_message(f"{path.name} saved")
        return CaptureState(view.image, view.faces, view.chip, None, path)

    def undo(self) -> None:
        """Delete the face that was saved last; its pose is asked for again."""
        path = self.saver.undo()
        if path is None:
            self._show_message("nothing to undo")
            return
        self._thumbnails.pop()
        if self._guided.pop() and self.guide:
            self.guide.undo_last()
        self._wished_until = -np.inf
        self._show_message(f"{path.name} deleted")

    def _show_message(self, text: str) -> None:
        self._told, self._told_until = text, self._now + TOLD

    def message(self, view: CaptureState) -> str:
        """What the person should know or do now, "" for nothing."""
        if self._now <= self._told_until:
            return self._told
        wanted = self._due or self._now <= self._wished_until
        guided = self.guide is not None and not self.guide.done
        if view.reason == TOO_SIMILAR and not wanted:
            # Nobody asked for another like it: the guide has its own words, and else nothing is wrong.
            return self.guide.ask if guided else ""
        if view.reason == TOO_SIMILAR:
            return f"{TOO_SIMILAR}: move a little"
        return view.reason or (self.guide.ask if self.guide else "")
