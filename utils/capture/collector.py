"""Decides which faces of a camera or a video are saved, and what the person in front of it is told meanwhile."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from utils.capture.guide import Guide
from utils.faces.alignment import Face, face_chip
from utils.faces.detection import main_faces
from utils.faces.folder import FaceSaver
from utils.faces.quality import TOO_SIMILAR, head_pose, rejection_reason, thumbnail
from utils.media.video import Frame

REQUEST_SECONDS = 3.0  # how long a requested save waits for a good face
COUNTDOWN_SECONDS = 3  # the last seconds before an automatic save are counted down
MAX_COMPARED = 200  # a new face is compared with so many of the faces saved last
MESSAGE_SECONDS = 1.2  # how long "saved" or "deleted" is shown


@dataclass(frozen=True)
class CaptureState:
    """The faces of one frame and what became of them."""

    faces: list[Face]
    chip: np.ndarray | None  # of the face if there is exactly one, RGB uint8 (S, S, 3)
    reason: str | None  # why the face cannot be saved; None if it can
    saved: Path | None = None  # the file that the face was saved to
    countdown: int | None = None  # seconds until the next automatic save, None if it is not shown


@dataclass
class Collector:
    """Takes in one frame after another and saves faces that are requested and good enough."""

    saver: FaceSaver
    gate: bool  # save only faces that are good enough
    every: int  # save a face every so many frames of the source; 0 for never
    guide: Guide | None  # asks for poses and has them saved
    rate: float  # frames a second, for the countdown
    count: int | None = None  # stop after so many faces; None for no limit
    clock: Callable[[], float] = time.monotonic  # the one that Frame.arrived is read from
    rejected: Counter[str] = field(default_factory=Counter, init=False)  # frames whose face was wanted, by reason

    def __post_init__(self):
        self._index, self._now = -1, 0.0  # the newest frame's index and time
        self._requested_at = self._requested_until = -np.inf  # on the clock; in the source's time
        self._due = False  # an automatic save
        # One entry for each face saved by this run:
        self._thumbnails: list[np.ndarray] = []
        self._guided: list[bool] = []  # whether the guide asked for it
        self._message, self._message_until = "", -np.inf

    @property
    def complete(self) -> bool:
        """Whether as many faces are saved as were asked for."""
        return self.count is not None and self.saver.saved >= self.count

    def request_save(self) -> None:
        """Save the face as soon as it is good enough, in frames filmed from now on, for REQUEST_SECONDS at most."""
        self._requested_at = self.clock()
        self._requested_until = self._now + REQUEST_SECONDS

    def process_frame(self, frame: Frame, faces: list[Face]) -> CaptureState:
        """Judge the faces of a frame, and save one if it is time. Frames may be skipped, but must come in order."""
        image, now = frame.image, frame.time
        self._due |= bool(self.every) and frame.index // self.every > self._index // self.every
        self._index, self._now = frame.index, now
        faces = main_faces(faces)
        chip = face_chip(image, faces[0]) if len(faces) == 1 else None
        state = CaptureState(faces, chip, self._reason(image, faces, chip), countdown=self._countdown())
        if self.guide and self._is_pose(state):
            return self._save(state, guided=True)
        # A camera's frame may have been filmed before the key was pressed. A file's frames have no such time.
        requested = now <= self._requested_until and not 0 < frame.arrived < self._requested_at
        if state.reason is None and (requested or self._due):
            return self._save(state)
        if state.reason and (requested or self._due or (self.guide and not self.guide.done)):
            self.rejected[state.reason] += 1
        if not self.gate:
            self._due = False  # it was this frame or none
        return state

    def _is_pose(self, state: CaptureState) -> bool:
        """Whether the guide wants this face saved."""
        too_similar = state.reason == TOO_SIMILAR
        pose = head_pose(state.faces[0].landmarks) if state.reason is None or too_similar else None
        return self.guide.accepts(pose, self._now, too_similar)

    def save_shown(self, state: CaptureState) -> CaptureState:
        """Save the face of a paused frame, if it is good enough and not already saved."""
        return self._save(state) if state.reason is None and state.saved not in self.saver.paths else state

    def _reason(self, image: np.ndarray, faces: list[Face], chip: np.ndarray | None) -> str | None:
        if chip is None:
            return f"{len(faces)} faces: one at a time" if faces else "no face seen"
        return rejection_reason(image, faces[0], chip, self._thumbnails[-MAX_COMPARED:]) if self.gate else None

    def _countdown(self) -> int | None:
        """Whole seconds until the next automatic save, None if it is too far away or saves come too fast to count."""
        if self.every < self.rate or self._due:
            return None
        seconds = int((self.every - self._index % self.every) / self.rate) + 1
        return seconds if seconds <= COUNTDOWN_SECONDS else None

    def _save(self, state: CaptureState, guided: bool = False) -> CaptureState:
        path = self.saver.save(state.chip)
        self._thumbnails.append(thumbnail(state.chip))
        self._guided.append(guided)
        if guided:
            self.guide.record(head_pose(state.faces[0].landmarks))
        self._due, self._requested_until = False, -np.inf
        self._show_message(f"{path.name} saved")
        return replace(state, reason=None, saved=path, countdown=None)

    def undo(self) -> None:
        """Delete the face saved last. If the guide asked for it, its pose is asked for again."""
        path = self.saver.undo()
        if path is None:
            self._show_message("nothing to undo")
            return
        self._thumbnails.pop()
        if self._guided.pop() and self.guide:
            self.guide.undo_last()
        self._requested_until = -np.inf
        self._show_message(f"{path.name} deleted")

    def _show_message(self, text: str) -> None:
        self._message, self._message_until = text, self._now + MESSAGE_SECONDS

    def message(self, state: CaptureState) -> str:
        """What to tell the person now, "" for nothing."""
        if self._now <= self._message_until:
            return self._message
        wanted = self._due or self._now <= self._requested_until
        guided = self.guide is not None and not self.guide.done
        if state.reason == TOO_SIMILAR and not wanted:
            # Nobody asked for another face like the last: the guide has its own prompt, otherwise all is well.
            return self.guide.prompt if guided else ""
        if state.reason == TOO_SIMILAR:
            return f"{TOO_SIMILAR}: move a little"
        return state.reason or (self.guide.prompt if self.guide else "")
