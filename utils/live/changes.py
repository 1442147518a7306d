"""What the keys of a window have changed, so that it can be undone."""

from dataclasses import dataclass, field
from pathlib import Path

from utils.live.enrolled_files import EnrolledFiles
from utils.live.renaming import Merger, rename_folders, undo_merger
from utils.recognition.tracks import Track


@dataclass
class Change:
    """One enrollment, rejection or renaming, with what is needed to undo it."""

    name: str  # the person whose folders got the faces: STRANGERS after a rejection
    paths: list[Path] = field(default_factory=list)  # of the saved chips
    gallery_rows: int = 0  # added to the person in the gallery
    track: Track | None = None  # of the face; None while it is out of sight
    rejected_name: str | None = None  # None if this is no rejection
    former_name: str | None = None  # None if this is no renaming
    merger: Merger | None = None  # None unless the person became one with another


def undo_in_folders(files: EnrolledFiles, change: Change) -> None:
    """Undo a change in the folders of faces and features. After an InputError or OSError it can be called again."""
    if change.merger:
        undo_merger(files, change.merger)
    elif change.former_name:
        rename_folders(files, change.name, change.former_name)
    else:
        files.remove(change.name, change.paths)
