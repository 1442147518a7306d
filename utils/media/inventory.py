"""What a folder of people's folders holds besides the images that are read, so that no file is silently left out."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.cli import counted, summarize
from utils.media.images import is_image


@dataclass(frozen=True)
class Unread:
    """A file or a folder that is not read."""

    path: Path
    files: int  # how many files it stands for
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def list_unread(folder: Path, people: Iterable[Path]) -> list[Unread]:
    """Everything in a folder, and in its people's folders, that is not an image of a person. Sorted by path."""
    known = {Path(person).name for person in people}
    unread = []
    for entry in _scan(folder):
        if not entry.is_dir():
            unread.append(Unread(Path(entry.path), 1, "not in a person's folder"))
        elif entry.name not in known:
            unread.append(_folder(entry, "not a person's folder, because of its name"))
    for name in sorted(known):
        unread += [_unread_in_person(entry) for entry in _scan(Path(folder) / name) if not _is_read(entry)]
    return [item for item in unread if item.files]


def report_unread(unread: list[Unread]) -> None:
    """Print what was not read, and why."""
    if not unread:
        return
    print(f"not read: {counted(sum(item.files for item in unread), 'file')}")
    print(summarize([str(item) for item in unread]))


def _scan(folder: Path) -> list[os.DirEntry]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # the run says so where it reads the folder
        return []


def _is_read(entry: os.DirEntry) -> bool:
    return is_image(Path(entry.name)) and entry.is_file()


def _unread_in_person(entry: os.DirEntry) -> Unread:
    if entry.is_dir():
        return _folder(entry, "a folder inside a person's folder")
    if entry.name.startswith("."):
        return Unread(Path(entry.path), 1, "hidden")
    if is_image(Path(entry.name)):
        return Unread(Path(entry.path), 1, "not a regular file")
    suffix = Path(entry.name).suffix
    return Unread(Path(entry.path), 1, f"{suffix} files are not read" if suffix else "not an image's name")


def _folder(entry: os.DirEntry, reason: str) -> Unread:
    files = sum(len(names) for _, _, names in os.walk(entry.path))
    return Unread(Path(entry.path), files, f"{reason} ({counted(files, 'file')})")
