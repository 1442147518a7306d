"""An album, a folder with a folder of photos per person: every file is somebody's photo, or counted as not read."""

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from utils.cli import InputError, counted, summarize
from utils.files import group_spellings, sha256
from utils.media.images import is_image, list_people, png_name
from utils.storage import is_remote, listed

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv")

MAX_NAMES = 20  # of people that are listed

Entry = os.DirEntry | Path  # what a list of a folder says of a file; for an address a path that knows it

# Why files are not read. "{}" is their number.
LOOSE = "{} loose photos: put them into a person's folder"
NESTED = "{} in nested folders: selfies2face.py --recursive reads them"
IGNORED = "{} in folders whose names begin with . or __"
HIDDEN = "{} hidden files"
VIDEOS = "{} videos: capture.py --video_path reads them"
OTHER = "{} files of other kinds"
SPECIAL = "{} special files (links to nothing, pipes)"


@dataclass(frozen=True)
class Unread:
    """A file, or a folder with all its files, that is not read."""

    path: Path
    reason: str  # one of those above, or of their form
    files: int | None = None  # in the folder; None for a file
    kind: str = ""  # what it is, if it is neither a file nor a folder

    @property
    def count(self) -> int:
        return 1 if self.files is None else self.files

    def __str__(self) -> str:
        described = self.kind if self.files is None else counted(self.files, "file")
        return f"{self.path}: {described}" if described else str(self.path)


@dataclass
class Person:
    """One person's photos, from one folder, or from several whose names are spellings of the same name."""

    folders: list[Path]  # the first one's name is the person's
    chip_names: dict[Path, str] = field(default_factory=dict)  # photo → file name of its face, unique for the person
    unread: list[Unread] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # folders that cannot be opened, with the reason

    @property
    def name(self) -> str:
        return self.folders[0].name


@dataclass
class Album:
    """The people of an album, and what is not read."""

    people: list[Person]
    unread: list[Unread] = field(default_factory=list)  # outside the people's folders

    @property
    def photos(self) -> list[Path]:
        return [photo for person in self.people for photo in person.chip_names]

    @property
    def all_unread(self) -> list[Unread]:
        """What is not read, in people's folders and outside."""
        return [*self.unread, *(item for person in self.people for item in person.unread)]

    @property
    def problems(self) -> list[str]:
        return [problem for person in self.people for problem in person.problems]


def read_album(folder: Path, recursive: bool = False) -> Album:
    """List an album's photos and all its other files. Raises InputError without a person's folder.

    recursive: whether the folders inside a person's folder are read, too.
    """
    folder = listed(folder)
    paths = {path.name: path for path in list_people(folder)}
    album = Album([Person([paths[name] for name in names]) for names in group_spellings(paths).values()])
    for entry in _scan(folder):
        if _is_folder(entry) and entry.name not in paths:
            album.unread += _whole_folder(entry, IGNORED)
        elif not _is_folder(entry):
            album.unread.append(Unread(_path(entry), LOOSE) if _is_photo(entry) else _unread(entry))
    for person in album.people:
        for number, path in enumerate(person.folders):
            for photo in _read_folder(path, person, recursive):
                is_plain = photo.parent == path and number == 0
                person.chip_names[photo] = png_name(photo.name) if is_plain else _unique_name(photo, path.parent)
    return album


def list_unread(folder: Path) -> list[Unread]:
    """What one person's folder, or any folder of photos, holds besides the photos in it."""
    person = Person([folder])
    for _ in _read_folder(folder, person, recursive=False):
        pass
    return person.unread


def _read_folder(folder: Path, person: Person, recursive: bool) -> Iterator[Path]:
    """Yield the photos of a folder, sorted by name; note its other files."""
    try:
        entries = _scan(folder)
    except OSError as exc:  # the other people's photos are still read
        person.problems.append(f"{folder}: {exc.strerror}")
        return
    for entry in entries:
        if not _is_folder(entry):
            if _is_photo(entry):
                yield _path(entry)
            else:
                person.unread.append(_unread(entry))
        elif entry.name.startswith((".", "__")):
            person.unread += _whole_folder(entry, IGNORED)
        elif recursive and not entry.is_symlink():  # a link may lead back up
            yield from _read_folder(_path(entry), person, recursive)
        else:
            person.unread += _whole_folder(entry, NESTED)


def _unique_name(photo: Path, folder: Path) -> str:
    """A name for the face of a photo in a nested folder, where others may have photos of the same name."""
    relative = os.fsencode(str(photo.relative_to(folder)))
    return f"{photo.stem}_{photo.suffix[1:]}-{sha256(relative)[:8]}.png"


def _scan(folder: Path) -> list[Entry]:
    with contextlib.nullcontext(folder.iterdir()) if is_remote(folder) else os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _path(entry: Entry) -> Path:
    return Path(entry) if isinstance(entry, os.DirEntry) else entry


def _is_folder(entry: Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_photo(entry: Entry) -> bool:
    try:
        return is_image(Path(entry.name)) and entry.is_file()
    except OSError:
        return False


def _unread(entry: Entry) -> Unread:
    reason = _kind(entry)
    return Unread(_path(entry), reason, kind=_special_kind(_path(entry)) if reason == SPECIAL else "")


def _special_kind(path: Path) -> str:
    """What a path is that is neither a file nor a folder, in words."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "a link to nothing"
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "not a file")


def _kind(entry: Entry) -> str:
    """The reason why a file that is not a photo is not read."""
    suffix = Path(entry.name).suffix.lower()
    if entry.name.startswith("."):
        return HIDDEN
    if suffix in VIDEO_SUFFIXES:
        return VIDEOS
    if is_image(Path(entry.name)):
        return SPECIAL
    return f"{{}} {suffix} files" if suffix and suffix.isprintable() and not set(suffix) & set("{}") else OTHER


def _whole_folder(entry: Entry, reason: str) -> list[Unread]:
    files = _count_files(entry)
    return [Unread(_path(entry), reason, files)] if files else []


def _count_files(folder: Entry) -> int:
    if isinstance(folder, os.DirEntry):
        return sum(len(names) for _, _, names in os.walk(folder.path))
    return sum(1 if entry.is_file() else _count_files(entry) for entry in folder.iterdir())


def count_unread(unread: list[Unread]) -> int:
    """The number of files."""
    return sum(item.count for item in unread)


def describe_unread(unread: list[Unread]) -> str:
    """The numbers of files that are not read, by reason, most first: "90 in nested folders: …; 3 videos: …"."""
    counts: Counter[str] = Counter()
    for item in unread:
        counts[item.reason] += item.count
    parts = [_singular(reason.format(1)) if n == 1 else reason.format(n) for reason, n in counts.most_common()]
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


def report_unread(album: Album) -> None:
    """Print which files of an album are not read, and who has no photo that is."""
    for person in album.people:
        if len(person.folders) > 1:
            spellings = counted(len(person.folders), "folder")
            print(f"note: {person.name} has {spellings}, in spellings (NFC and NFD) that look alike: one person")
    unread, photos = album.all_unread, len(album.photos)
    if {LOOSE, NESTED} & {item.reason for item in unread}:  # the photos may not be sorted by person yet
        names = ", ".join(person.name for person in album.people[:MAX_NAMES])
        more = f" and {len(album.people) - MAX_NAMES} more" if len(album.people) > MAX_NAMES else ""
        print(f"each folder is one person: {names}{more}")
    if unread:
        total = count_unread(unread)
        print(f"not read: {total} of {counted(total + photos, 'file')}: {describe_unread(unread)}")
        # What only has a photo's name comes first: most of all it needs a word.
        print(summarize([str(item) for item in sorted(unread, key=lambda item: not item.kind)]))
    for problem in album.problems:
        print(f"not read: {problem}")
    absent = [
        f"{person.name}: {describe_unread(person.unread) or 'the folder is empty'}"
        for person in album.people
        if not person.chip_names and not person.problems
    ]
    if absent:
        print(f"no photo read of {counted(len(absent), 'person', 'people')}")
        print(summarize(absent, limit=len(absent)))
