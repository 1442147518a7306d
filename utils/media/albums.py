"""An album, a folder with a folder of photos per person: every file is somebody's photo, or counted as not read."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from utils.cli import InputError, counted
from utils.files import group_spellings, sha256
from utils.media.images import is_image, list_people, png_name

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv")

# Why files are not read. "{}" is their number.
LOOSE = "{} loose photos: put them into a person's folder"
NESTED = "{} in nested folders: --recursive reads them"
IGNORED = "{} in folders whose names begin with . or __"
HIDDEN = "{} hidden files"
VIDEOS = "{} videos: capture.py --video_path reads them"
OTHER = "{} files of other kinds"
SPECIAL = "{} special files (links to nothing, pipes)"


@dataclass
class Person:
    """One person's photos, from one folder, or from several whose names are spellings of the same name."""

    folders: list[Path]  # the first one's name is the person's
    chip_names: dict[Path, str] = field(default_factory=dict)  # photo → file name of its face, unique for the person
    unread: Counter[str] = field(default_factory=Counter)  # files by reason

    @property
    def name(self) -> str:
        return self.folders[0].name


@dataclass
class Album:
    """The people of an album, and what is not read."""

    people: list[Person]
    unread: Counter[str] = field(default_factory=Counter)  # files outside the people's folders, by reason
    problems: list[str] = field(default_factory=list)  # folders that cannot be opened, with the reason

    @property
    def photos(self) -> list[Path]:
        return [photo for person in self.people for photo in person.chip_names]

    @property
    def all_unread(self) -> Counter[str]:
        """The files that are not read, by reason, in people's folders and outside."""
        return sum((person.unread for person in self.people), self.unread)


def read_album(folder: Path, recursive: bool) -> Album:
    """List an album's photos and count all its other files. Raises InputError without a person's folder.

    recursive: whether the folders inside a person's folder are read, too.
    """
    paths = {path.name: path for path in list_people(folder)}
    groups = group_spellings(paths).values()
    album = Album([Person([paths[name] for name in names]) for names in groups])
    for entry in _scan(folder, album):
        if entry.is_dir() and entry.name not in paths:
            album.unread[IGNORED] += _count_files(entry.path)
        elif not entry.is_dir():
            album.unread[LOOSE if _is_photo(entry) else _kind(entry)] += 1
    for person in album.people:
        for number, path in enumerate(person.folders):
            for photo in _read_folder(path, person, album, recursive):
                is_plain = photo.parent == path and number == 0
                person.chip_names[photo] = png_name(photo.name) if is_plain else _unique_name(photo, path.parent)
    return album


def _read_folder(folder: Path | str, person: Person, album: Album, recursive: bool) -> Iterator[Path]:
    """Yield the photos of a folder, sorted by name; count its other files."""
    for entry in _scan(folder, album):
        if not entry.is_dir():
            if _is_photo(entry):
                yield Path(entry.path)
            else:
                person.unread[_kind(entry)] += 1
        elif entry.name.startswith((".", "__")):
            person.unread[IGNORED] += _count_files(entry.path)
        elif recursive and not entry.is_symlink():  # a link may lead back up
            yield from _read_folder(entry.path, person, album, recursive)
        else:
            person.unread[NESTED] += _count_files(entry.path)


def _unique_name(photo: Path, folder: Path) -> str:
    """A name for the face of a photo in a nested folder, where others may have photos of the same name."""
    relative = photo.relative_to(folder)
    return f"{photo.stem}_{photo.suffix[1:]}-{sha256(os.fsencode(relative))[:8]}.png"


def _scan(folder: Path | str, album: Album) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as exc:  # the other people's photos are still read
        album.problems.append(f"{folder}: {exc.strerror}")
        return []


def _is_photo(entry: os.DirEntry) -> bool:
    return is_image(Path(entry.name)) and entry.is_file()


def _kind(entry: os.DirEntry) -> str:
    """The reason why a file that is not a photo is not read."""
    suffix = Path(entry.name).suffix.lower()
    if entry.name.startswith("."):
        return HIDDEN
    if suffix in VIDEO_SUFFIXES:
        return VIDEOS
    if is_image(Path(entry.name)):
        return SPECIAL
    return f"{{}} {suffix} files" if suffix and suffix.isprintable() and not set(suffix) & set("{}") else OTHER


def _count_files(folder: str) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def describe_unread(unread: Counter[str]) -> str:
    """The files that are not read, by reason, most first: "90 in nested folders: …; 3 videos: …"."""
    parts = [
        _singular(reason.format(1)) if count == 1 else reason.format(count) for reason, count in unread.most_common()
    ]
    return "; ".join(parts)


def _singular(text: str) -> str:
    for plural, singular in (("files", "file"), ("videos", "video"), ("photos", "photo")):
        text = text.replace(f" {plural}", f" {singular}", 1)
    return text


def check_has_photos(album: Album, folder: Path) -> None:
    """Raise InputError, which says what there is instead, unless the album has photos."""
    if not album.photos:
        parts = [f"{folder} has no photos in its {counted(len(album.people), 'person folder')}", *album.problems]
        raise InputError("; ".join([*parts, describe_unread(album.all_unread)]).rstrip("; "))
