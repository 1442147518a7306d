"""The keys of test.py's window, and everything that it draws on a frame."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from utils.display import drawing
from utils.display.viewers import PAUSED_KEYS, while_paused
from utils.display.window import CLOSED, ENTER, ESCAPE
from utils.live.annotation import draw_boxes, draw_names, face_area, mirror
from utils.live.enrollment import MESSAGE_SECONDS, Enrollment
from utils.live.name_entry import NameEntry, check_name
from utils.live.outputs import save_snapshot
from utils.recognition.recognizer import NamedFace

# Most important first, since a small window leaves out the last ones. The order is that of capture.py.
KEYS = (("q", "quit"), ("space", "pause"), ("s", "save"), ("u", "undo"), ("e", "enroll"), ("n", "wrong"), ("h", "hide"))
# What `e` offers for a face with a name.
OFFERED_KEYS = (("Enter", "one more face"), ("r", "rename"), ("o", "somebody else"), ("Esc", "cancel"))
NUMBERS = tuple("123456789")  # keys that choose one of several faces
WIDEST_RATE = "000 fps  0000 ms"  # keeps the layout still while the figures change
SNAPSHOTS = Path("snapshots")
RATE_SECONDS = 1.0  # time over which the frame rate is measured
LOADING = "loading the models…"


class LiveControls:
    """The state of one window's keys, and its drawing: the controls of a Screen."""

    keys: tuple[tuple[str, str], ...] = KEYS

    def __init__(
        self,
        enrollment: Enrollment | None = None,
        snapshots: Path = SNAPSHOTS,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.enrollment = enrollment  # None without a folder for faces, and before the models are loaded
        self.loading = False  # whether the models are not loaded yet
        self.snapshots = snapshots  # folder that `s` saves to
        self.clock = clock  # the time in seconds
        self.quit = self.paused = False  # what the keys asked for
        self.keys_shown = True
        self.entry = NameEntry()
        self.chosen: int | None = None  # track id of the face that a number or a click chose
        self.track_id: int | None = None  # of the face that `e` is about
        self.current_name: str | None = None  # of that face so far
        self.offering = False  # whether `e` asks what to do with a face that has a name
        self.renamed: str | None = None  # the person whose new name is being typed, None if a face is enrolled
        self._asked: tuple[str, str] | None = None  # current and new name, if the user was asked to confirm the change
        self.message, self.message_until = "", 0.0  # the answer to a key; when it disappears, on the clock
        self.note: str | None = None  # what was wrong with the camera at the last drawing
        self._drawn_at: list[float] = []  # times of the last drawings, on the clock

    def press(self, key: str, faces: list[NamedFace], picture: np.ndarray) -> None:
        """Act on a key. faces, picture: what the screen shows; the picture is RGB uint8 (H, W, 3)."""
        if key == CLOSED:
            self.quit = True
        elif self.entry.text is not None:
            self.current_name = next((face.name for face in faces if face.track_id == self.track_id), self.current_name)
            self._type(key)
        elif self.offering:
            self._choose_offer(key)
        elif key in ("q", ESCAPE):
            self.quit = True
        elif key == "h":
            self.keys_shown = not self.keys_shown
        elif key == "s":
            self.show_message(save_snapshot(self.snapshots, picture))
        elif key in ("e", "n", "u"):
            self._edit(key, faces)
        elif key in NUMBERS[: len(faces)] and self.is_numbered(faces):
            self.chosen = faces[NUMBERS.index(key)].track_id
        else:
            self.act(key)

    def act(self, key: str) -> None:
        """Act on the keys that only the window of a camera or a video has."""
        if key == " ":
            self.paused = not self.paused

    def click(self, x: int, y: int, faces: list[NamedFace]) -> None:
        """Choose the face at a place in the picture, the smallest if there are several; elsewhere, choose none."""
        if self.entry.text is None and not self.offering:
            hit = [face for face in faces if 0 <= x - face.box[0] < face.box[2] and 0 <= y - face.box[1] < face.box[3]]
            self.chosen = min(hit, key=face_area).track_id if hit else None

    def is_numbered(self, faces: list[NamedFace]) -> bool:
        """Whether a number chooses a face: several faces stand still."""
        return self.paused and len(faces) > 1

    def show_message(self, text: str, seconds: float = MESSAGE_SECONDS) -> None:
        """Show a message in the window."""
        self.message, self.message_until = text, self.clock() + seconds

    def _edit(self, key: str, faces: list[NamedFace]) -> None:
        """Enroll the chosen or the largest face (e), reject the name of the chosen or largest one (n), or undo (u)."""
        if self.loading:
            self.show_message("wait until the models are loaded")
        elif self.enrollment is None:
            self.show_message("to enroll people, start with --faces_path faces")
        elif key == "u":
            self.enrollment.submit(self.enrollment.undo)
            if self.note:  # requests wait for the next frame
                self.show_message("will be undone when the camera is back")
        elif self.note:
            self.show_message(f"cannot {'enroll' if key == 'e' else 'reject a name'} without a picture: {self.note}")
        elif key == "n":
            face = self._subject([face for face in faces if face.name is not None])
            if face is None:
                self.show_message("no named face in view")
            else:
                self.enrollment.submit(self.enrollment.reject, face.track_id)
        else:
            self._start_enrollment(self._subject(faces))

    def _subject(self, faces: list[NamedFace]) -> NamedFace | None:
        """The face that a key is about: the chosen one if it is among these, else the largest."""
        chosen = next((face for face in faces if face.track_id == self.chosen is not None), None)
        return chosen or max(faces, key=face_area, default=None)

    def _start_enrollment(self, face: NamedFace | None) -> None:
        if face is None:
            self.show_message("no face in view")
            return
        self.track_id, self.current_name, self.renamed, self._asked = face.track_id, face.name, None, None
        self.paused = False
        self.offering, self.message_until = face.name is not None, 0.0
        if not self.offering:
            self.entry.open()

    def _choose_offer(self, key: str) -> None:
        """Handle a key while the window offers what can be done with a face that has a name."""
        self.offering = key not in (ENTER, "e", "r", "o", ESCAPE)
        if key in (ENTER, "e"):
            self.enrollment.submit(self.enrollment.begin, self.current_name, self.track_id)
        elif key == "r":
            self.renamed = self.current_name
            self.entry.open(self.current_name)
        elif key == "o":
            self.entry.open()

    def _type(self, key: str) -> None:
        """Handle a key while a name is typed."""
        if key == ENTER:
            self._finish_typing()
            return
        if key:  # another key withdraws the question and the complaint about the name
            self._asked, self.message_until = None, 0.0
        if key == ESCAPE:
            self.entry.close()
        else:
            self.entry.press(key)

    def _finish_typing(self) -> None:
        """Rename the person, or start to enroll the face. Ask for a second Enter where two people may be confused."""
        enrollment, old = self.enrollment, self.renamed
        people = [name for name in enrollment.gallery.enrolled if name != old]
        name, problem = check_name(self.entry.text, people)
        question = ""
        if old is None and self.current_name not in (None, name):
            question = f"this is {self.current_name}: press Enter again to enroll as {name}"
        elif old is not None and name in people:
            question = f"{name} is enrolled already: press Enter again to make {old} and {name} one person"
        if problem:
            self.show_message(problem)
        elif question and self._asked != (self.current_name, name):
            self._asked = self.current_name, name
            self.show_message(question, np.inf)
        else:
            self.message_until = 0.0
            self.entry.close()
            if old is None:
                enrollment.submit(enrollment.begin, name, self.track_id)
            elif name != old:
                enrollment.submit(enrollment.rename, old, name)

    def draw(
        self, image: np.ndarray, faces: list[NamedFace], latency: float | None, note: str | None, mirrored: bool
    ) -> np.ndarray:
        """Draw faces, messages and keys on a copy of an RGB uint8 image (H, W, 3).

        latency: seconds from camera to name, None without a camera. note: what is wrong with the camera.
        """
        self.note = note
        typing, numbered = self.entry.text is not None, self.is_numbered(faces)
        if (typing or self.offering) and any(face.track_id == self.track_id for face in faces):
            faces = [face for face in faces if face.track_id == self.track_id]  # shows whom it is about
            numbered = False
        picture, faces = mirror(image, faces) if mirrored else (image.copy(), faces)
        draw_boxes(picture, faces, self.chosen)
        top = self._draw_message(picture)
        bottom = picture.shape[0] - self._draw_status(picture, faces, latency)
        if typing:
            prompt = "Who is this? Type a name:" if self.renamed is None else f"New name of {self.renamed}:"
            hint = f"Enter: {'enroll' if self.renamed is None else 'rename'}    Esc: cancel"
            bottom = drawing.draw_entry(picture, prompt, self.entry.text, hint)
        if not self.loading:
            draw_names(picture, faces, top, bottom, numbered)
        return picture

    def _draw_status(self, picture: np.ndarray, faces: list[NamedFace], latency: float | None) -> int:
        """Draw the bar at the bottom, and return its height."""
        # Redrawing the same frame must not count as frames per second.
        aside = "paused" if self.paused else "" if self.note else self._rate(latency)
        return drawing.draw_status(picture, "", aside, self._shown_keys(), WIDEST_RATE)

    def _shown_keys(self) -> tuple[tuple[str, str], ...]:
        if self.offering:
            return OFFERED_KEYS
        if self.entry.text is not None:
            return ()
        if self.paused:
            return while_paused(self.keys) if self.keys_shown else PAUSED_KEYS
        return self.keys if self.keys_shown else ()

    def _draw_message(self, picture: np.ndarray) -> int:
        """Draw the most important message, if there is one, and return the first row below it.

        That is the answer to a key while it lasts, then what a finished enrollment reports, then the
        camera's note, then what a running enrollment asks for.
        """
        now, typing, enrollment = self.clock(), self.entry.text is not None, self.enrollment
        has_notice = enrollment is not None and not typing and now < enrollment.notice_until
        if now < self.message_until:
            return drawing.draw_message(picture, self.message, warning=typing)
        if self.offering:
            return drawing.draw_message(picture, f"this is {self.current_name}: what next?")
        if self.note and not (has_notice and enrollment.progress is None):
            return drawing.draw_message(picture, self.note, warning=True)
        if self.loading:
            return drawing.draw_message(picture, LOADING)
        if has_notice:
            return drawing.draw_message(picture, enrollment.notice, progress=enrollment.progress)
        return 0

    def _rate(self, latency: float | None) -> str:
        """Frames per second, and the latency in milliseconds if there is one."""
        now = self.clock()
        self._drawn_at = [drawn for drawn in self._drawn_at if now - drawn <= RATE_SECONDS] + [now]
        span = now - self._drawn_at[0]
        rate = f"{(len(self._drawn_at) - 1) / span:.0f} fps" if span > 0 else ""
        return rate if latency is None else f"{rate}  {latency * 1000:.0f} ms"


AnyLiveControls = TypeVar("AnyLiveControls", bound=LiveControls)
