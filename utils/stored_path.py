"""Paths at addresses, such as s3://bucket/faces: universal_pathlib's, made safe and fast.

A write appears as a whole or not at all, a new file can be made under a name that no other process gets, a folder is
listed with one request, no old list is taken for the present, and every failure is an OSError that names the address or
a StorageError.
"""

import atexit
import contextlib
import errno
import fnmatch
import functools
import io
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import fsspec
from fsspec.config import conf
from fsspec.registry import known_implementations
from upath import UPath
from upath.extensions import ProxyUPath

from utils.listing import FOLDER, Listing, Status, status_of
from utils.storage import READERS, UNFINISHED, StorageError

# Where an upload appears as a whole, and where folders are only parts of names.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory")
# The errors of single files, which may have no number. Others are the storage's.
FILE_ERRORS = {
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    PermissionError: errno.EACCES,
    NotADirectoryError: errno.ENOTDIR,
    IsADirectoryError: errno.EISDIR,
}
FILE_NUMBERS = (*FILE_ERRORS.values(), errno.EINVAL, errno.ENAMETOOLONG, errno.EMSGSIZE, errno.EPERM, errno.ENOTEMPTY)

# What the user sets in the environment (FSSPEC_S3_…, AWS_…) has priority.
for _store in OBJECT_STORES:
    conf.setdefault(_store, {}).setdefault("use_listings_cache", False)  # another process may write
for _store in ("s3", "s3a"):
    conf[_store].setdefault("max_concurrency", 1)  # parts of one file at once; with more, each read asks for the size
    conf[_store].setdefault("config_kwargs", {"max_pool_connections": READERS})
# With waits of 1, 2, 4 … 32 s, at most: a store that is away for half a minute ends no run. The newer modes stop to
# repeat after 50-100 failures with few successes, and files that do not exist yet, of which a run sees many, are none.
os.environ.setdefault("AWS_RETRY_MODE", "legacy")
os.environ.setdefault("AWS_MAX_ATTEMPTS", "7")


def stored_path(address: str) -> "StoredPath":
    """The path at an address. Raises ValueError, which says what to install if a package is missing."""
    protocol = address.partition("://")[0].lower()
    if protocol not in known_implementations:
        raise ValueError(f"no storage is known for addresses with {protocol}://")
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as exc:
        package = known_implementations[protocol]["class"].partition(".")[0]
        command = {"s3fs": "-r requirements-cluster.txt", "fsspec": ""}.get(package, package)
        raise ValueError(f"{protocol}:// {f'needs a package: `pip install {command}`' if command else exc}") from None
    return StoredPath(f"{protocol}://{address.partition('://')[2].rstrip('/')}")


class StoredPath(ProxyUPath):
    """A path at an address."""

    __slots__ = ("_listing",)

    def __init__(self, address: str):
        super().__init__(address)
        self._listing: Listing | None = None

    @classmethod
    def _from_upath(cls, path: "UPath | StoredPath", listing: Listing | None = None) -> "StoredPath":
        made = object.__new__(cls)
        made.__wrapped__ = path.__wrapped__ if isinstance(path, StoredPath) else path
        made._listing = listing
        return made

    def __truediv__(self, name: "str | StoredPath") -> "StoredPath":
        return self._from_upath(self.__wrapped__ / str(name), self._listing)

    def with_name(self, name: str) -> "StoredPath":
        return self._from_upath(self.__wrapped__.with_name(name), self._listing)

    def with_suffix(self, suffix: str) -> "StoredPath":
        return self._from_upath(self.__wrapped__.with_suffix(suffix), self._listing)

    @property
    def parent(self) -> "StoredPath":
        return self._from_upath(self.__wrapped__.parent, self._listing)

    @property
    def _key(self) -> str:
        """The path as fsspec takes it, without the protocol and without "..", which storage takes for a name."""
        path = self.__wrapped__
        return (path.resolve() if "/../" in path.path else path).path.rstrip("/")

    @property
    def _is_object(self) -> bool:
        return self.protocol in OBJECT_STORES

    def _ask(self, method: str, *arguments: object, key: str = "", **options: object):
        """Call a method of fsspec. Raises OSError for this path, StorageError for the storage."""
        try:
            return getattr(self.fs, method)(key or self._key, *arguments, **options)
        except MemoryError:
            raise
        except Exception as exc:  # each storage's package has errors of its own
            code = next((code for kind, code in FILE_ERRORS.items() if isinstance(exc, kind)), None)
            code = code or getattr(exc, "errno", None)
            if not isinstance(exc, OSError) or code not in FILE_NUMBERS:
                reason = re.sub("//[^/@ ]*@", "//…@", str(exc)) or type(exc).__name__  # an endpoint's password
                raise StorageError(f"{self} cannot be reached: {reason}") from exc
            is_plain = code in (errno.ENOENT, errno.EEXIST) and "bucket" not in str(exc)
            raise OSError(code, os.strerror(code) if is_plain else str(exc).rstrip("."), str(self)) from exc

    # What is there

    def listed(self) -> "StoredPath":
        """This folder with a list of all that is in it now: see utils.storage.listed."""
        listing = Listing({}, self._key)
        with contextlib.suppress(FileNotFoundError):
            for path, info in self._ask("find", detail=True).items():
                listing.add(path.rstrip("/"), status_of(info))
        return self._from_upath(self, listing)

    def iterdir(self) -> Iterator["StoredPath"]:
        """The files and folders in this folder, which know what its list says of them. Raises OSError.

        An object store has no folders: one that is missing is empty.
        """
        key = self._key
        listing = self._listing
        names = listing.names_in(key) if listing else None
        if names is None:
            try:
                infos = {info["name"].rstrip("/"): status_of(info) for info in self._ask("ls", detail=True)}
            except FileNotFoundError:
                if not self._is_object:
                    raise
                infos = {}
            if key in infos and not infos.pop(key).is_folder:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self))
            names = {path.rpartition("/")[2]: status for path, status in infos.items()}
            listing = Listing({key: names})
        for name in names:
            yield self._from_upath(self.__wrapped__ / name, listing)

    def glob(self, pattern: str, **_: object) -> Iterator["StoredPath"]:
        """The files and folders in this folder whose names have a pattern."""
        return (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def _status(self) -> Status | None:
        """What a list or the storage says of this path, None if there is nothing."""
        if self._listing:
            parent, _, name = self._key.rpartition("/")
            names = self._listing.names_in(parent)
            if names is not None:
                return names.get(name)
            if self._listing.names_in(self._key):
                return FOLDER
        try:
            return status_of(self._ask("info"))
        except FileNotFoundError:
            return None

    def stat(self, *, follow_symlinks: bool = True) -> Status:  # type: ignore[override]
        """Size and time, as far as the storage knows them. Raises FileNotFoundError."""
        status = self._status()
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return status

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return self._status() is not None

    def is_file(self) -> bool:
        status = self._status()
        return status is not None and not status.is_folder

    def is_dir(self) -> bool:
        status = self._status()
        return status is not None and status.is_folder

    def is_symlink(self) -> bool:
        return False

    def samefile(self, other: Path) -> bool:
        """Whether both are the same address, written in any way."""
        return isinstance(other, StoredPath) and str(self.resolve()) == str(other.resolve())

    # Reading

    def read_bytes(self) -> bytes:
        """The content. Raises OSError."""
        return self._ask("cat_file")

    def read_end(self, count: int) -> bytes:
        """The last bytes of the content. Raises OSError."""
        return self._ask("cat_file", start=-min(count, self.stat().st_size))

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        with self.open("r", encoding=encoding, errors=errors, newline=newline) as file:
            return file.read()

    def open(  # type: ignore[override]
        self, mode: str = "r", buffering: int = -1, encoding: str | None = None, **options: object
    ) -> IO:
        """Open the file to read it: all of it is fetched. Raises OSError."""
        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"an address is written with write_bytes. Received: {mode!r}")
        content = io.BytesIO(self.read_bytes())
        return content if mode == "rb" else io.TextIOWrapper(content, encoding, **options)  # type: ignore[arg-type]

    def local_copy(self) -> Path:
        """A copy on this machine: see utils.storage.local_copy. A file that has changed is fetched again."""
        status = self.stat()
        folder = _copies() / f"{abs(hash((str(self), status))):x}"
        copy = folder / self.name
        if not copy.is_file():
            folder.mkdir(exist_ok=True)
            unfinished = folder / uuid.uuid4().hex
            self._ask("get_file", str(unfinished))
            os.replace(unfinished, copy)
        return copy

    # Writing

    def write_bytes(self, data: bytes) -> int:
        """Replace the content: as a whole or not at all. Raises OSError."""
        self._replace(lambda key: self._ask("pipe_file", data, key=key))
        return len(data)

    def upload(self, file: Path) -> None:
        """Replace the content by a file of this machine: as a whole or not at all. Raises OSError."""
        self._replace(lambda key: self._ask("put_file", key, key=str(file)))

    def _replace(self, write: Callable[[str], object]) -> None:
        """Write this path as a whole. write: uploads the content to where it is told."""
        if self._is_object:
            write(self._key)
            return
        folder, _, name = self._key.rpartition("/")
        aside = f"{folder}/{UNFINISHED}{uuid.uuid4().hex}-{name}"
        self._ask("makedirs", key=folder, exist_ok=True)
        write(aside)
        self._ask("mv", self._key, key=aside)

    def create(self, data: bytes) -> None:
        """Write a file that does not exist yet: of several processes one succeeds. Raises FileExistsError."""
        try:
            self._ask("pipe_file", data, mode="create")
        except (OSError, StorageError) as exc:
            # The answer to a request that succeeded may be lost. When it is repeated, the file exists. And not all
            # storage says in the same way that it exists.
            try:
                found = self.read_bytes()
            except FileNotFoundError:
                raise exc from None
            if found != data:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self)) from None

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the file. Object stores do not say whether there was one."""
        try:
            self._ask("rm_file")
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the folder where there are folders. An object store has to have the bucket. Raises OSError."""
        if not self._is_object:
            self._ask("makedirs", exist_ok=True)
        elif self.protocol != "memory" and not self._ask("exists", key=self._key.partition("/")[0]):
            text = "there is no such bucket, or it cannot be used"
            raise FileNotFoundError(errno.ENOENT, text, str(self))

    def rmdir(self, recursive: bool = False) -> None:
        """Delete an empty folder where there are folders. Raises OSError."""
        if not self._is_object:
            self._ask("rmdir")


@functools.cache
def _copies() -> Path:
    """The folder of this run's local copies."""
    folder = tempfile.mkdtemp(prefix="siamese-faces-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
