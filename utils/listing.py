"""What storage says of its files and folders, kept for a moment: size, time, and what is in which folder."""

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")  # keys of a file's time
CHECKSUMS = ("ETag", "etag", "md5Hash")  # and of its content's checksum


class Status(NamedTuple):
    """What a list says about a file or a folder."""

    is_folder: bool
    st_size: int  # bytes
    # Storage keeps whole seconds. What follows them is from the checksum of the content, if the storage has one, so
    # that a change within a second is one.
    st_mtime_ns: int

    @property
    def st_mtime(self) -> float:
        """Seconds since 1970."""
        return self.st_mtime_ns // 10**9


FOLDER = Status(True, 0, 0)


@dataclass
class Listing:
    """What was in one folder, or in all folders below one, at one moment."""

    folders: dict[str, dict[str, Status]]  # folder → name → what the list says
    root: str | None = None  # the folder below which all is listed

    def names_in(self, folder: str) -> dict[str, Status] | None:
        """What is in a folder, None if the list does not tell."""
        is_covered = self.root is not None and f"{folder}/".startswith(f"{self.root}/")
        return self.folders.get(folder, {} if is_covered else None)

    def add(self, path: str, status: Status) -> None:
        """Add a file and the folders that it is in."""
        while path != self.root:
            folder, _, name = path.rpartition("/")
            names = self.folders.setdefault(folder, {})
            if name in names:
                return
            names[name] = status
            path, status = folder, FOLDER


def status_of(info: dict) -> Status:
    """What an entry of fsspec's lists says."""
    is_folder = info["type"] == "directory" or info["name"].endswith("/")  # the mark of an empty folder
    time = next((info[key] for key in TIMES if info.get(key)), 0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    seconds = int(time.timestamp() if isinstance(time, datetime) else time)
    checksum = next((info[key] for key in CHECKSUMS if info.get(key)), "").strip('"')
    return Status(is_folder, info.get("size") or 0, seconds * 10**9 + zlib.crc32(checksum.encode()) % 10**9)
