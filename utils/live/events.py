"""The event lines of test.py: JSON, one line per frame with its faces."""

import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import TextIO

from utils.cli import InputError
from utils.files import put_aside, start_file, take_name
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace

STDOUT = Path("-")  # as the path of --events: write to standard output


class EventLog:
    """Writes event lines, each at once. The first one opens the file, which only its owner may read.

    Until it is closed, the file has the prefix `.unfinished-`, and there it stays if the run is killed. An older file
    of the same name is replaced only then. Those who watch a camera do not want to wait for its end: with `endless`
    the file has its name from the first line on, and an older one is kept as events.1.jsonl, events.2.jsonl, … A pipe
    or a device is written directly.
    """

    def __init__(self, path: Path, stdout: TextIO | None = None, endless: bool = False):
        """path: the file, or STDOUT for `stdout`. endless: whether the lines come from a camera."""
        self.path, self.stdout, self.endless = path, stdout, endless
        self._file: TextIO | None = None
        self._unfinished: Path | None = None

    def write(self, line: dict) -> None:
        """Append a line. Raises OSError with the file's name if that fails."""
        if self.path == STDOUT:
            # Without other signs than ASCII, so that the terminal's encoding does not matter.
            print(json.dumps(line), file=self.stdout, flush=True)
            return
        try:
            if self._file is None:
                self._open()
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as exc:
            raise self._named(exc) from None

    def _open(self) -> None:
        path = self.path
        if not (path.exists() and not path.is_file()) and not path.is_relative_to("/dev"):
            path = self._unfinished = start_file(path.resolve())
        # A file name's stray bytes become escapes, which JSON reads back as the same name.
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)
        if self._unfinished and self.endless:
            put_aside(self.path.resolve())
            self._take_name()

    def _take_name(self) -> None:
        unfinished, self._unfinished = self._unfinished, None
        if unfinished:
            take_name(unfinished, self.path.resolve())

    def _named(self, exc: OSError) -> Exception:
        if isinstance(exc, BrokenPipeError):  # which ends a run quietly where standard output is closed
            return InputError(f"--events {self.path}: nobody reads this pipe any more")
        return OSError(exc.errno, exc.strerror, str(self.path)) if exc.errno else exc

    def close(self) -> None:
        """Finish the file and give it its name."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError as exc:
            raise self._named(exc) from None
        finally:
            self._take_name()


def event_line(frame: Frame, faces: list[NamedFace], latency: float | None = None) -> dict:
    """The event line of a frame, with a photo's file name.

    latency: seconds since the frame arrived from a camera. The line then has it, and the date and time of arrival.
    """
    line: dict[str, object] = {"frame": frame.index, "time": round(frame.time, 3)}
    if latency is not None:
        clock = datetime.fromtimestamp(time.time() - latency).astimezone()
        line |= {"clock": clock.isoformat(timespec="milliseconds"), "latency": round(latency, 3)}
    if frame.name:
        line["image"] = as_utf8(frame.name)
    line["faces"] = [_face_entry(face) for face in faces]
    return line


def _face_entry(face: NamedFace) -> dict:
    name = None if face.name is None else as_utf8(face.name)
    entry = {"box": list(face.box), "name": name, "score": round(face.score, 4)}
    more = {"track": face.track_id, "kind_known": face.kind_known}
    return entry | {key: value for key, value in more.items() if value is not None}


def as_utf8(name: str) -> str:
    """A file's name, read as UTF-8 whatever the locale: with LC_ALL=C Python may read each byte by itself."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")
