"""What a window shows besides the picture, and what its keys do."""

import time
from datetime import datetime
from pathlib import Path

import numpy as np

from utils.display import drawing
from utils.display.viewers import PAUSED_KEYS, while_paused
from utils.display.window import BACKSPACE, CAPS_LOCK, CLOSED, ENTER, ESCAPE, SHIFT
from utils.files import in_words
from utils.live.enrollment import Enrollment, check_name
from utils.live.outputs import annotate
from utils.media.images import write_image
from utils.recognition.recognizer import NamedFace

# The most needed first, and as capture.py has them.
KEYS = (("q", "quit"), ("space", "pause"), ("s", "save"), ("u", "undo"), ("e", "enroll"), ("n", "wrong"), ("h", "hide"))
WIDEST_RATE = "000 fps  0000 ms"
SNAPSHOTS = Path("snapshots")
COMBINING = range(0x300, 0x370)  # accents that a dead key puts on the next letter
RATE_OVER = 1.0  # seconds over which the shown rate is taken


class LiveControls:
    """The keys' state and the drawing of one window.

    enrollment: None where there is no folder for faces. snapshots: folder for `s`. quit, paused: what the
    keys asked for.
    """

    def __init__(self, enrollment: Enrollment | None, snapshots: Path = SNAPSHOTS):
        self.enrollment, self.snapshots = enrollment, snapshots
        self.quit = self.paused = False
        self.help = True
        self.typed: str | None = None  # the name that is being typed
        self.number: int | None = None  # the track that it is for
        self.called: str | None = None  # the name that this face has
        self._doubted: tuple[str, str] | None = None  # the face's name and another: whether it is meant was asked
        self.message, self.message_until = "", 0.0
        self.note: str | None = None  # about the camera, as drawn last
        self._capital = self._capitals = False
        self._accent = ""
        self._shown: list[float] = []

    def press(self, key: str, faces: list[NamedFace], picture: np.ndarray) -> None:
        """Act on a key. faces: as they are shown. picture: as it is shown, RGB uint8 (H, W, 3)."""
        if key == CLOSED:
            self.quit = True
        elif self.typed is not None:
            self.called = next((face.name for face in faces if face.track_id == self.number), self.called)
            self._type(key)
        elif key in ("q", ESCAPE):
            self.quit = True
        elif key == "h":
            self.help = not self.help
        elif key == " ":
            self.paused = not self.paused
        elif key == "s":
            self._save(picture)
        elif key in ("e", "n", "u"):
            self._edit(key, faces)

    def show_message(self, text: str, seconds: float = 4.0) -> None:
        self.message, self.message_until = text, time.monotonic() + seconds

    def _save(self, picture: np.ndarray) -> None:
        path = self.snapshots / f"snapshot_{datetime.now():%Y%m%d_%H%M%S_%f}.png"
        try:
            write_image(path, picture)
        except OSError as exc:
            self.show_message(f"the snapshot is not saved: {in_words(exc)}")
        else:
            self.show_message(f"{path} saved")

    def _edit(self, key: str, faces: list[NamedFace]) -> None:
        if self.enrollment is None:
            self.show_message("start with --faces_path faces to enroll people")
        elif key == "u":
            self.enrollment.ask(self.enrollment.undo)
            if self.note:  # the enrollment works after each picture
                self.show_message("undone as soon as there is a picture again")
        elif self.note:
            self.show_message(f"no picture to {'enroll from' if key == 'e' else 'say no to'}: {self.note}")
        elif key == "n":
            named = [face for face in faces if face.name is not None]
            if not named:
                self.show_message("no face with a name to say no to")
            else:
                number = largest(named).track
                self.enrollment.ask(self.enrollment.reject, number)
        elif not faces:
            self.show_message("no face to enroll")
        else:
            face = largest(faces)
            self.typed, self.number, self.called, self._doubted = "", face.track_id, face.name, None
            self._capital = True
            self.paused = False

    def _type(self, key: str) -> None:
        """A key while a name is typed. Letters come without their case, see utils.display.window.decode_key."""
        if key == ENTER:
            self._enroll()
            return
        if key:  # another key is an answer to what was said of the name
            self._doubted, self.message_until = None, 0.0
        if key == ESCAPE:
            self.typed = None
        elif key == BACKSPACE:
            self.typed = self.typed[:-1]
            self._capital = not self.typed
        elif key == SHIFT:
            self._capital = True
        elif key == CAPS_LOCK:
            self._capitals = not self._capitals
        elif len(key) == 1 and ord(key) in COMBINING:
            self._accent = key
        elif key:
            self.typed += (key.upper() if self._capital or self._capitals else key) + self._accent
            # Names begin with a capital; Shift or caps lock give others.
            self._capital, self._accent = key in " -", ""

    def _enroll(self) -> None:
        name, wrong = check_name(self.typed, self.enrollment.gallery.names)
        if wrong:
            self.show_message(wrong)
            return
        if self.called not in (None, name) and self._doubted != (self.called, name):
            self._doubted = self.called, name
            self.show_message(f"this is {self.called}: Enter again to call this face {name}", np.inf)
            return
        self.message_until = 0.0
        number, self.typed = self.number, None
        self.enrollment.ask(self.enrollment.begin, name, number)

    def draw(self, image: np.ndarray, faces: list[NamedFace], latency: float | None, note: str | None, mirrored: bool):
        """A copy of an RGB uint8 frame with everything that the window shows.

        latency: seconds from camera to name, None where there is no camera. note: about the camera.
        """
        self.note = note
        if self.typed is not None and any(face.track_id == self.number for face in faces):
            faces = [face for face in faces if face.track_id == self.number]  # so that it is seen whose name is typed
        picture = annotate(image, faces, mirrored)
        if self.typed is not None:
            drawing.draw_entry(picture, "Who is this? A name:", self.typed, "Enter: enroll    Esc: cancel")
        self._draw_message(picture)
        # What is drawn again is no picture a second.
        aside = "paused" if self.paused else "" if note else self._rate(latency)
        drawing.draw_status(picture, "", aside, self._keys(), WIDEST_RATE)
        return picture

    def _keys(self) -> tuple[tuple[str, str], ...]:
        if self.typed is not None:
            return ()
        if self.paused:
            return while_paused(KEYS) if self.help else PAUSED_KEYS
        return KEYS if self.help else ()

    def _draw_message(self, picture: np.ndarray) -> None:
        """Answers to keys come first, for their seconds; then the camera's note, then what an enrollment asks for."""
        now, typing, enrollment = time.monotonic(), self.typed is not None, self.enrollment
        noticed = enrollment is not None and not typing and now < enrollment.notice_until
        if now < self.message_until:
            drawing.draw_message(picture, self.message, warning=typing)
        elif self.note and not (noticed and enrollment.progress is None):
            drawing.draw_message(picture, self.note, warning=True)
        elif noticed:
            drawing.draw_message(picture, enrollment.notice, progress=enrollment.progress)

    def _rate(self, latency: float | None) -> str:
        now = time.monotonic()
        self._shown = [when for when in self._shown if now - when <= RATE_OVER] + [now]
        span = now - self._shown[0]
        rate = f"{(len(self._shown) - 1) / span:.0f} fps" if span > 0 else ""
        return rate if latency is None else f"{rate}  {latency * 1000:.0f} ms"


def largest(faces: list[NamedFace]) -> NamedFace:
    """The face with the largest box."""
    return max(faces, key=lambda face: face.box[2] * face.box[3])
