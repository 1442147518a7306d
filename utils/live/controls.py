"""The keys of test.py's window, and everything that it draws on a frame."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from utils.cli import InputError, describe_error
from utils.display import drawing
from utils.display.viewers import PAUSED_KEYS, while_paused
from utils.display.window import BACKSPACE, CAPS_LOCK, CLOSED, ENTER, ESCAPE, SHIFT
from utils.live.annotation import draw_boxes, draw_names, face_area, mirror
from utils.live.enrollment import MESSAGE_SECONDS, Enrollment, check_name
from utils.media.images import write_image
from utils.recognition.recognizer import NamedFace

# Most important first, since a small window leaves out the last ones. The order is that of capture.py.
KEYS = (("q", "quit"), ("space", "pause"), ("s", "save"), ("u", "undo"), ("e", "enroll"), ("n", "wrong"), ("h", "hide"))
WIDEST_RATE = "000 fps  0000 ms"  # keeps the layout still while the figures change
SNAPSHOTS = Path("snapshots")
COMBINING_ACCENTS = range(0x300, 0x370)  # Unicode: a dead key puts one on the next letter
RATE_SECONDS = 1.0  # time over which the frame rate is measured


class LiveControls:
    """The state of one window's keys, and its drawing: the controls of a Screen."""

    def __init__(
        self,
        enrollment: Enrollment | None,
        snapshots: Path = SNAPSHOTS,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.enrollment = enrollment  # None without a folder for faces
        self.snapshots = snapshots  # folder that `s` saves to
        self.clock = clock  # the time in seconds
        self.quit = self.paused = False  # what the keys asked for
        self.keys_shown = True
        self.typed_name: str | None = None  # the name being typed, None if none is
        self.track_id: int | None = None  # of the face that gets it
        self.current_name: str | None = None  # of that face so far
        self._asked: tuple[str, str] | None = None  # current and new name, if the user was asked to confirm the change
        self.message, self.message_until = "", 0.0  # the answer to a key; when it disappears, on the clock
        self.note: str | None = None  # what was wrong with the camera at the last drawing
        self._shift = self._caps_lock = False  # capitals for the next letter, for all letters
        self._accent = ""  # goes on the next letter
        self._drawn_at: list[float] = []  # times of the last drawings, on the clock

    def press(self, key: str, faces: list[NamedFace], picture: np.ndarray) -> None:
        """Act on a key. faces, picture: what the screen shows; the picture is RGB uint8 (H, W, 3)."""
        if key == CLOSED:
            self.quit = True
        elif self.typed_name is not None:
            self.current_name = next((face.name for face in faces if face.track_id == self.track_id), self.current_name)
            self._type(key)
        elif key in ("q", ESCAPE):
            self.quit = True
        elif key == "h":
            self.keys_shown = not self.keys_shown
        elif key == " ":
            self.paused = not self.paused
        elif key == "s":
            self._save(picture)
        elif key in ("e", "n", "u"):
            self._edit(key, faces)

    def show_message(self, text: str, seconds: float = MESSAGE_SECONDS) -> None:
        """Show a message in the window."""
        self.message, self.message_until = text, self.clock() + seconds

    def _save(self, picture: np.ndarray) -> None:
        path = self.snapshots / f"snapshot_{datetime.now():%Y%m%d_%H%M%S_%f}.png"
        try:
            write_image(path, picture, private=True)
        except (InputError, OSError) as exc:
            self.show_message(f"snapshot not saved: {describe_error(exc)}")
        else:
            self.show_message(f"{path} saved")

    def _edit(self, key: str, faces: list[NamedFace]) -> None:
        """Enroll the largest face (e), reject the name of the largest named one (n), or undo (u)."""
        if self.enrollment is None:
            self.show_message("to enroll people, start with --faces_path faces")
        elif key == "u":
            self.enrollment.submit(self.enrollment.undo)
            if self.note:  # requests wait for the next frame
                self.show_message("will be undone when the camera is back")
        elif self.note:
            self.show_message(f"cannot {'enroll' if key == 'e' else 'reject a name'} without a picture: {self.note}")
        elif key == "n":
            named = [face for face in faces if face.name is not None]
            if named:
                self.enrollment.submit(self.enrollment.reject, _largest(named).track_id)
            else:
                self.show_message("no named face in view")
        elif not faces:
            self.show_message("no face in view")
        else:
            face = _largest(faces)
            self.typed_name, self.track_id, self.current_name, self._asked = "", face.track_id, face.name, None
            self._shift = True
            self.paused = False

    def _type(self, key: str) -> None:
        """Handle a key while a name is typed. Letters arrive in lower case: see utils.display.window.decode_key."""
        if key == ENTER:
            self._enroll()
            return
        if key:  # another key withdraws the question and the complaint about the name
            self._asked, self.message_until = None, 0.0
        if key == ESCAPE:
            self.typed_name = None
        elif key == BACKSPACE:
            self.typed_name = self.typed_name[:-1]
            self._shift = not self.typed_name
        elif key == SHIFT:
            self._shift = True
        elif key == CAPS_LOCK:
            self._caps_lock = not self._caps_lock
        elif len(key) == 1 and ord(key) in COMBINING_ACCENTS:
            self._accent = key
        elif key:
            self.typed_name += (key.upper() if self._shift or self._caps_lock else key) + self._accent
            # Each part of a name begins with a capital, without Shift.
            self._shift, self._accent = key in " -", ""

    def _enroll(self) -> None:
        """Start to enroll the face under the typed name. Ask for a second Enter if the face has another name."""
        name, problem = check_name(self.typed_name, self.enrollment.gallery.names)
        if problem:
            self.show_message(problem)
            return
        if self.current_name not in (None, name) and self._asked != (self.current_name, name):
            self._asked = self.current_name, name
            self.show_message(f"this is {self.current_name}: press Enter again to enroll as {name}", np.inf)
            return
        self.message_until = 0.0
        self.typed_name = None
        self.enrollment.submit(self.enrollment.begin, name, self.track_id)

    def draw(
        self, image: np.ndarray, faces: list[NamedFace], latency: float | None, note: str | None, mirrored: bool
    ) -> np.ndarray:
        """Draw faces, messages and keys on a copy of an RGB uint8 image (H, W, 3).

        latency: seconds from camera to name, None without a camera. note: what is wrong with the camera.
        """
        self.note = note
        if self.typed_name is not None and any(face.track_id == self.track_id for face in faces):
            faces = [face for face in faces if face.track_id == self.track_id]  # shows whose name is being typed
        picture, faces = mirror(image, faces) if mirrored else (image.copy(), faces)
        draw_boxes(picture, faces)
        top = self._draw_message(picture)
        # Redrawing the same frame must not count as frames per second.
        aside = "paused" if self.paused else "" if note else self._rate(latency)
        bottom = picture.shape[0] - drawing.draw_status(picture, "", aside, self._keys(), WIDEST_RATE)
        if self.typed_name is not None:
            prompt, hint = "Who is this? Type a name:", "Enter: enroll    Esc: cancel"
            bottom = drawing.draw_entry(picture, prompt, self.typed_name, hint)
        draw_names(picture, faces, top, bottom)
        return picture

    def _keys(self) -> tuple[tuple[str, str], ...]:
        if self.typed_name is not None:
            return ()
        if self.paused:
            return while_paused(KEYS) if self.keys_shown else PAUSED_KEYS
        return KEYS if self.keys_shown else ()

    def _draw_message(self, picture: np.ndarray) -> int:
        """Draw the most important message, if there is one, and return the first row below it.

        That is the answer to a key while it lasts, then what a finished enrollment reports, then the
        camera's note, then what a running enrollment asks for.
        """
        now, typing, enrollment = self.clock(), self.typed_name is not None, self.enrollment
        has_notice = enrollment is not None and not typing and now < enrollment.notice_until
        if now < self.message_until:
            return drawing.draw_message(picture, self.message, warning=typing)
        if self.note and not (has_notice and enrollment.progress is None):
            return drawing.draw_message(picture, self.note, warning=True)
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


def _largest(faces: list[NamedFace]) -> NamedFace:
    return max(faces, key=face_area)
