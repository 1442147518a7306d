"""A person's folder of faces: files numbered on, nothing overwritten."""

import re
from pathlib import Path

import numpy as np

from utils.media.images import write_image


class FaceSaver:
    """Writes chips as <person>_<number>.png, numbered on after the highest number in the folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.person = folder.resolve().name
        numbers = (re.fullmatch(rf"{re.escape(self.person)}_(\d+)", path.stem) for path in folder.iterdir())
        self.next = max((int(found[1]) + 1 for found in numbers if found), default=0)
        self.paths: list[Path] = []

    @property
    def saved(self) -> int:
        """How many faces this run has saved and not taken back."""
        return len(self.paths)

    def save(self, chip: np.ndarray) -> Path:
        while (path := self.folder / f"{self.person}_{self.next}.png").exists():  # another capture's, by now
            self.next += 1
        write_image(path, chip)
        print(f"{path} saved")
        self.next += 1
        self.paths.append(path)
        return path

    def undo(self) -> Path | None:
        """Delete the face that was saved last, if this run has saved one."""
        if not self.paths:
            return None
        path = self.paths.pop()
        path.unlink(missing_ok=True)
        print(f"{path} deleted")
        return path
