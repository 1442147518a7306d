"""Decides which faces of a camera or a video are saved, and what the person in front of it is told meanwhile."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from utils.capture.flatness import View, is_flat, view_face
from utils.capture.guide import Guide
from utils.capture.same_person import SamePerson
from utils.faces.alignment import Face, face_chip
from utils.faces.detection import main_faces
from utils.faces.folder import FaceSaver
from utils.faces.quality import TOO_SIMILAR, head_pose, rejection_reason, thumbnail
from utils.media.video import Frame

REQUEST_SECONDS = 3.0  # how long a requested save waits for a good face
COUNTDOWN_SECONDS = 3  # the last seconds before an automatic save are counted down
MAX_COMPARED = 200  # a new face is compared with so many of the faces saved last
MESSAGE_SECONDS = 1.2  # how long "saved" or "deleted" is shown
NOTICE_SECONDS = 4.0  # how long a skipped pose is shown, which nobody waits for
LIKE_A_PHOTO = "turn your head farther: so far it moves like a photo"  # the reason not to take a pose
UNLIKE = "is this still the same person?"  # the reason not to save a face that is unlike the saved ones
UNLIKE_SECONDS = 1.0  # for how long that answer stands, because comparing takes 0.08 s, two frames' time


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
    same_person: SamePerson | None = None  # compares a face with the saved ones; None to save anybody's
    rejected: Counter[str] = field(default_factory=Counter, init=False)  # frames whose face was wanted, by reason

    def __post_init__(self):
        self._index, self._now = -1, 0.0  # the newest frame's index and time
        self._requested_at = self._requested_until = -np.inf  # on the clock; in the source's time
        self._due = False  # an automatic save
        self._unlike_until = -np.inf  # in the source's time: until then the last answer stands
        self._confirmed = False  # the user says that it is the same person
        # One entry for each face saved by this run:
        self._thumbnails: list[np.ndarray] = []
        self._judged: list[np.ndarray] = []  # thumbnails of faces that were compared with the saved ones
        self._guided: list[bool] = []  # whether the guide asked for it
        self._front: View | None = None  # the frontal view that the guide recorded
        self._view: View | None = None  # of the newest frame that shows a pose
        self._message, self._message_until = "", -np.inf

    @property
    def complete(self) -> bool:
        """Whether as many faces are saved as were asked for."""
        return self.count is not None and self.saver.saved >= self.count

    def toggle_guide(self) -> None:
        """Start to ask for poses, or stop it."""
        self.guide = None if self.guide else Guide()

    def request_save(self) -> None:
        """Save the face as soon as it is good enough, in frames filmed from now on, for REQUEST_SECONDS at most.

        While the question UNLIKE is shown, this is the answer yes.
        """
        self._confirmed = self._now <= self._unlike_until
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
        guided = self.guide is not None and self._is_pose(state)
        # A camera's frame may have been filmed before the key was pressed. A file's frames have no such time.
        requested = now <= self._requested_until and not 0 < frame.arrived < self._requested_at
        if guided and self._moves_like_a_photo(image, faces[0]):
            guided = False
            state = state if requested or self._due else replace(state, reason=LIKE_A_PHOTO)
        if guided or (state.reason is None and (requested or self._due)):
            if not self._is_unlike(state.chip, self._confirmed and requested):
                return self._save(state, guided)
            state = replace(state, reason=UNLIKE)
        if state.reason and (requested or self._due or (self.guide and not self.guide.done)):
            self.rejected[state.reason] += 1
        if not self.gate:
            self._due = False  # it was this frame or none
        return state

    def _is_pose(self, state: CaptureState) -> bool:
        """Whether the guide wants this face saved."""
        too_similar = state.reason == TOO_SIMILAR
        pose = head_pose(state.faces[0].landmarks) if state.reason is None or too_similar else None
        accepted = self.guide.accepts(pose, self._now, too_similar)
        if self.guide.notice:
            print(self.guide.notice, flush=True)
            self._show_message(self.guide.notice, NOTICE_SECONDS)
            self.guide.notice = ""
        return accepted

    def _moves_like_a_photo(self, image: np.ndarray, face: Face) -> bool:
        """Whether a pose differs from the frontal view only as a tilted photo does."""
        self._view = view_face(image, face.landmarks)
        return bool(self.guide.recorded) and self._front is not None and is_flat(self._front, self._view)

    def _is_unlike(self, chip: np.ndarray, confirmed: bool) -> bool:
        """Whether to ask about a face instead of saving it."""
        if self.same_person is None or confirmed:
            return False
        if self._now < self._unlike_until:
            return True
        unlike = self.same_person.is_unlike(chip)
        if unlike:
            self._unlike_until = self._now + UNLIKE_SECONDS
        return unlike

    def save_shown(self, state: CaptureState) -> CaptureState:
        """Save the face of a paused frame, if it is good enough and not already saved.

        If it is unlike the saved ones, this asks first, and saves when it is called again.
        """
        if state.reason == UNLIKE:
            return self._save(state)
        if state.reason is not None or state.saved in self.saver.paths:
            return state
        return replace(state, reason=UNLIKE) if self._is_unlike(state.chip, False) else self._save(state)

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
        if self.same_person:
            self.same_person.add(state.chip)
        if guided:
            self.guide.record(head_pose(state.faces[0].landmarks))
            self._front = self._front if self._guided.count(True) > 1 else self._view
        self._due, self._requested_until = False, -np.inf
        self._confirmed, self._unlike_until = False, -np.inf
        self._show_message(f"{path.name} saved")
        return replace(state, reason=None, saved=path, countdown=None)

    def undo(self) -> None:
        """Delete the face saved last. If the guide asked for it, its pose is asked for again."""
        path = self.saver.undo()
        if path is None:
            self._show_message("nothing to undo")
            return
        self._thumbnails.pop()
        if self.same_person:
            self.same_person.undo_last()
        if self._guided.pop() and self.guide:
            self.guide.undo_last()
        self._requested_until = -np.inf
        self._show_message(f"{path.name} deleted")

    def _show_message(self, text: str, seconds: float = MESSAGE_SECONDS) -> None:
        self._message, self._message_until = text, self._now + seconds

    def message(self, state: CaptureState) -> str:
        """What to tell the person now, "" for nothing."""
        if self._now <= self._message_until:
            return self._message
        if state.reason == UNLIKE:
            return f"{UNLIKE} s: yes, save it"
        wanted = self._due or self._now <= self._requested_until
        guided = self.guide is not None and not self.guide.done
        if state.reason == TOO_SIMILAR and not wanted:
            # Nobody asked for another face like the last: the guide has its own prompt, otherwise all is well.
            return self.guide.prompt if guided else ""
        if state.reason == TOO_SIMILAR:
            return f"{TOO_SIMILAR}: move a little"
        return state.reason or (self.guide.prompt if self.guide else "")
