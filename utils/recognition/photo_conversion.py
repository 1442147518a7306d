"""Turn photos into chips: one face each, and of several faces the one that a person's photos have in common."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from utils import interrupts
from utils.cli import describe_error
from utils.faces.alignment import Face
from utils.faces.detection import main_faces
from utils.faces.photo import Photo
from utils.faces.photo_search import PhotoSearch, load_photo_search
from utils.features.feature_files import STRANGERS
from utils.files import is_disk_full
from utils.media.images import read_image, write_image
from utils.media.pipes import read_file
from utils.recognition.face_choice import choose_own_faces
from utils.storage import is_remote
from utils.threads import core_count, map_ahead

if TYPE_CHECKING:
    from utils.features.extractor import Extractor  # not imported where no faces are compared: it takes a while


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    problem: str = ""  # why there is no chip
    doubt: str = ""  # why the chip may be somebody else's
    undecided: bool = False  # there is no chip yet: the person's other photos decide which face it shows


@dataclass(frozen=True)
class PhotoConverter:
    """Turns photos into chips. Several threads may use it at once."""

    search: PhotoSearch
    search_size: int  # pixels: a photo with a longer side is searched in a copy
    min_size: int  # pixels of the photo: smaller faces are ignored
    largest: bool  # whether to take one of several faces
    compares: bool  # whether to leave that choice to `choose_faces`

    def convert(self, photo: Path, chip: Path) -> Outcome:
        """Save the face of a photo.

        If the photo has no usable face, an older chip of it is deleted. If it cannot be processed for other
        reasons, such as a lack of memory, the older chip stays. Raises OSError if the disk is full.
        """
        try:
            decoded, faces, reason = self.main_faces(photo)
            # Strangers have no face in common, and none of their faces is the wrong one.
            is_unsure = len(faces) > 1 and chip.parent.name != STRANGERS
            if is_unsure and self.compares:
                return Outcome(undecided=True)
            if len(faces) == 1 or (faces and self.largest):
                write_image(chip, decoded.chip(faces[0]), private=True)
                return Outcome(doubt=f"took the main one of {len(faces)} faces" if is_unsure else "")
            problem = f"{len(faces)} faces (--largest takes the main one)" if faces else reason
        except (ValueError, cv2.error) as exc:
            problem = str(exc)
        except (OSError, MemoryError) as exc:
            if isinstance(exc, OSError) and is_disk_full(exc):
                raise
            return Outcome(describe_error(exc) if isinstance(exc, OSError) else str(exc) or type(exc).__name__)
        remove_chip(chip)
        return Outcome(problem)

    def convert_all(self, pairs: Sequence[tuple[Path, Path]], jobs: int | None = None) -> Iterator[Outcome]:
        """Convert photos to chips in threads; yields the outcomes in order. jobs: None for a good number."""
        if jobs is None and any(map(is_remote, pairs[0] if pairs else ())):
            jobs = 2 * core_count()  # half of them wait for an answer
        # One thread more than cores: while one writes, there is a photo for each core.
        return map_ahead(lambda pair: self.convert(*pair), pairs, jobs or core_count() + 1)

    def load_here(self) -> Callable[[list[tuple[Path, Path]]], Iterator[Outcome]]:
        """The function of a cluster's worker."""
        load_photo_search(self.search.detector, threads=self.search.threads)
        return self.convert_all

    def main_faces(self, photo: Path) -> tuple[Photo, list[Face], str]:
        """A photo, its main faces, and why there are none. Raises ValueError or OSError if it cannot be read."""
        decoded = Photo(read_file(photo), self.search_size)
        found = decoded.search(self.search)
        return decoded, main_faces(found.large_enough(self.min_size), found.size_wh), found.why_none(self.min_size)


def remove_chip(chip: Path) -> None:
    """Delete a chip that does not belong to its photo any more."""
    with contextlib.suppress(OSError):  # for example, its name is too long for a file
        chip.unlink()


@dataclass(frozen=True)
class Crowd:
    """One person's photos of several faces, and the other photos, which tell which of the faces is the person's."""

    undecided: dict[Path, Path]  # photo → where its chip will be
    others: list[Path]  # where the chips of the other photos are, if they have one


def find_crowds(chips: dict[Path, Path], outcomes: dict[Path, Outcome]) -> list[Crowd]:
    """The people with photos that are undecided. chips: where the chip of each photo of all people is or will be."""
    folders = dict.fromkeys(chips[photo].parent for photo, outcome in outcomes.items() if outcome.undecided)
    crowds = {folder: Crowd({}, []) for folder in folders}
    for photo, outcome in outcomes.items():
        if outcome.undecided:
            crowds[chips[photo].parent].undecided[photo] = chips[photo]
    for photo, chip in chips.items():
        if chip.parent in crowds and photo not in crowds[chip.parent].undecided:
            crowds[chip.parent].others.append(chip)
    return list(crowds.values())


def choose_faces(crowd: Crowd, converter: PhotoConverter, extractor: "Extractor") -> dict[Path, Outcome]:
    """Save, of each photo that is undecided, the face that agrees with the person's other photos.

    Returns the outcomes of these photos. They are read again, so that memory holds those of one person.
    """
    interrupts.check()
    outcomes: dict[Path, Outcome] = {}
    candidates: dict[Path, list] = {}
    for photo in crowd.undecided:
        try:
            decoded, faces, _ = converter.main_faces(photo)
            candidates[photo] = [decoded.chip(face) for face in faces]
        except (ValueError, OSError, MemoryError, cv2.error) as exc:  # changed since it was searched
            outcomes[photo] = Outcome(str(exc) or type(exc).__name__)
    others = []
    for chip in crowd.others:
        with contextlib.suppress(FileNotFoundError):
            others.append([read_image(chip)])
    groups = [*candidates.values(), *others]
    matrix = extractor.embed([chip for group in groups for chip in group])
    choices = choose_own_faces(np.split(matrix, np.cumsum([len(group) for group in groups])[:-1]))
    for (photo, own), choice in zip(candidates.items(), choices, strict=False):  # the others are saved already
        chip = crowd.undecided[photo]
        if choice is None:
            remove_chip(chip)
            name = chip.parent.name
            reason = f"unsure which of {len(own)} faces is {name}'s: crop the photo, or add photos of {name} alone"
            outcomes[photo] = Outcome(reason)
        else:
            write_image(chip, own[choice], private=True)
            outcomes[photo] = Outcome()
    return outcomes


def load_choosing(
    converter: PhotoConverter, model_path: Path, precision: str, engine: str
) -> Callable[[list[Crowd]], Iterator[dict[Path, Outcome]]]:
    """The function of a cluster's worker, which chooses faces as `choose_faces` does, with an extractor of its own."""
    from utils.features.extractor import load_extractor

    extractor = load_extractor(model_path, precision, engine=engine)
    return lambda crowds: (choose_faces(crowd, converter, extractor) for crowd in crowds)
