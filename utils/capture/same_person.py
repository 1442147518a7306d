"""Notices a face that is unlike the faces that a person's folder holds: is this still the same person?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from utils.faces.alignment import crop_square
from utils.faces.dlib_hog import dlib_descriptor
from utils.media.images import list_images, read_image

MAX_DISTANCE = 0.6  # between descriptors of one person; dlib's own limit, right in 99.4 % of LFW's pairs
MAX_KNOWN = 10  # faces of earlier runs to compare with, spread over the folder; describing each takes 0.08 s


def describe_chip(chip: np.ndarray) -> np.ndarray:
    """dlib's descriptor, float32 (128,), of a chip, RGB uint8 (S, S, 3)."""
    return dlib_descriptor(crop_square(chip))


class SamePerson:
    """The descriptors of one person's faces: those of earlier runs, and those saved by this one."""

    def __init__(
        self, folder: Path, describe: Callable[[np.ndarray], np.ndarray] = describe_chip, max_known: int = MAX_KNOWN
    ):
        """Describe some of the faces that the folder holds. Raises InputError if dlib's network cannot be loaded.

        describe: from a chip, RGB uint8 (S, S, 3), to a descriptor whose distances MAX_DISTANCE limits.
        max_known: faces of the folder.
        """
        self._describe = describe
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # the chip described last, and its descriptor
        self._known: list[np.ndarray] = []  # descriptors
        paths = list_images(folder)
        for index in np.unique(np.linspace(0, len(paths) - 1, max_known).round().astype(int)) if paths else ():
            try:
                self._known.append(describe(read_image(paths[index])))
            except (ValueError, OSError):  # a damaged image says nothing about the person
                continue

    def is_unlike(self, chip: np.ndarray) -> bool:
        """Whether a chip, RGB uint8 (S, S, 3), resembles none of the faces. The first face resembles all."""
        return bool(self._known) and self.distance(chip) > MAX_DISTANCE

    def distance(self, chip: np.ndarray) -> float:
        """How far a chip, RGB uint8 (S, S, 3), is from the face that it resembles most; infinite without faces."""
        descriptor = self._descriptor(chip)
        return min((float(np.linalg.norm(known - descriptor)) for known in self._known), default=np.inf)

    def add(self, chip: np.ndarray) -> None:
        """Count a saved chip among the person's faces."""
        self._known.append(self._descriptor(chip))

    def undo_last(self) -> None:
        """Forget the chip added last."""
        self._known.pop()

    def _descriptor(self, chip: np.ndarray) -> np.ndarray:
        if self._last is None or self._last[0] is not chip:
            self._last = chip, self._describe(chip)
        return self._last[1]
