"""Save a person's faces to a folder, numbered, without overwriting anything."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.files import write_new
from utils.media.images import encode_png

MAX_DIGITS = 18  # of a face's number; a file with more is not one of ours, and the next number might be too long a name


class FaceSaver:
    """Writes chips as <person>_<number>.png, counting on from the highest number in the folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.person = folder.resolve().name
        name = re.compile(rf"{re.escape(self.person)}_(\d{{1,{MAX_DIGITS}}})")
        matches = (name.fullmatch(path.stem) for path in folder.iterdir())
        self.next = max((int(match[1]) + 1 for match in matches if match), default=0)
        self.paths: list[Path] = []  # of the faces saved in this run and not undone

    @property
    def saved(self) -> int:
        """How many faces this run has saved and not undone."""
        return len(self.paths)

    def save(self, chip: np.ndarray) -> Path:
        """Write an RGB uint8 chip (S, S, 3) to the next free number and print its path.

        A name appears with its whole file, so neither a kill nor another run on this folder can damage a face.
        """
        path = write_new(self._next_paths(), encode_png(chip))
        print(f"{path} saved")
        self.paths.append(path)
        return path

    def _next_paths(self) -> Iterator[Path]:
        while True:
            self.next += 1
            yield self.folder / f"{self.person}_{self.next - 1}.png"

    def undo(self) -> Path | None:
        """Delete the face saved last, if this run has saved any; returns its path."""
        if not self.paths:
            return None
        path = self.paths.pop()
        path.unlink(missing_ok=True)
        print(f"{path} deleted")
        return path
