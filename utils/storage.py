"""What differs between folders of this machine and storage at addresses such as s3://bucket/faces.

A path of this machine is pathlib's, and an address is a StoredPath with the same methods. Whoever passes a file on to
a library that opens files itself needs `local_copy`. Nothing is imported for addresses unless there is one.
"""

from pathlib import Path

UNFINISHED = ".unfinished-"  # prefix of the temporary files of utils.files
# Requests that overlap: a request takes 10-100 ms, however small the file, and hardly any of the processor's time.
READERS = 32


class StorageError(Exception):
    """The storage at an address fails or does not answer. It ends the run: every other file there would fail, too."""


def is_remote(path: str | Path) -> bool:
    """Whether a path is at an address, not on this machine."""
    return not isinstance(path, str | Path)


def as_path(path: str | Path) -> Path:
    """The path in a text, or the path itself."""
    return Path(path) if isinstance(path, str) else path


def is_same_file(first: Path, second: Path) -> bool:
    """Whether two paths are the same file, which exists."""
    return is_remote(first) == is_remote(second) and first.samefile(second)


def local_copy(path: Path) -> Path:
    """The file itself, or a copy of it on this machine, which is there until the end of the run."""
    return path.local_copy() if is_remote(path) else path  # type: ignore[attr-defined]


def listed(folder: Path) -> Path:
    """The folder; if it is at an address, with all that is in it now, from one request for each 1,000 files.

    The paths made from it answer from this list whether they exist, their sizes and times. Without it each asks.
    """
    return folder.listed() if is_remote(folder) else folder  # type: ignore[attr-defined]
