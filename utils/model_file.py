"""Check a Keras model's file before Keras reads it, in a process of its own.

A small file may claim to hold terabytes, or point to other files. And the HDF5 library, which reads all weights, can
run into an endless loop or a crash in a damaged file, where not even Ctrl-C ends it. So another process reads the
whole file first, with limits on its time and memory.

  python -m utils.model_file FILE     prints what is wrong with a file, if anything is
"""

import functools
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import InputError

if TYPE_CHECKING:
    import h5py

HDF5_MAGIC = b"\x89HDF"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"  # the members of a .keras file
MAX_MEMBERS = 1000  # Keras writes 3, and more only for layers with vocabularies
MAX_CONFIG = 1 << 26  # bytes; the largest of keras.applications, NASNetLarge's, has under 1 MB
# Keras stores weights uncompressed. Another program may have compressed them, which saves a tenth.
MAX_EXPANSION = 20
ALWAYS_ALLOWED = 1 << 28  # bytes, however small the file is
MAX_MODEL = 1 << 33  # bytes; the largest of keras.applications, ConvNeXtXLarge, has 1.4 GB
MAX_REASON = 200  # characters of a library's message that are repeated to the user
# Of the process that reads the file. 100 MB take 0.1 s.
MIN_SECONDS, BYTES_PER_SECOND = 5, 1 << 26  # of CPU time
EXTRA_MEMORY = 1 << 30  # bytes, besides twice the most that the file may hold
MAX_WAIT = 3600.0  # seconds on the clock


def is_hdf5(path: Path, shown: Path | None = None) -> bool:
    """Whether a model's file is HDF5, not a `.keras` archive. Raises InputError, which names `shown`, for others."""
    with open(path, "rb") as file:
        found = file.read(4) == HDF5_MAGIC
    if not found and not zipfile.is_zipfile(path):  # Keras would report a missing file
        raise InputError(f"{shown or path} is not a Keras model, or it is damaged")
    return found


def short_reason(exc: Exception) -> str:
    """The first sentence of a library's message, which may fill a screen, or the kind of exception."""
    # OpenVINO's messages begin with the lines of its source.
    lines = [
        text for line in str(exc).splitlines() if (text := line.strip()) and not text.startswith("Exception from ")
    ]
    if not lines:
        return type(exc).__name__
    reason = lines[0].split(". ")[0]
    return reason if len(reason) <= MAX_REASON else reason[:MAX_REASON] + "…"


class FileCheck:
    """A check of a model's file, which runs beside this process until `finish`.

    A file that has passed, or that this process has written, is not checked again. Raises InputError for a file that
    is no model at all, for the path `shown`.
    """

    def __init__(self, path: Path, shown: Path | None = None):
        is_hdf5(path, shown)
        self.path, self._version = shown or path, _file_version(path)
        self._process = None
        if self._version not in _trusted_versions():
            root = Path(__file__).resolve().parent.parent
            self._process = subprocess.Popen(
                [sys.executable, "-m", "utils.model_file", str(path.resolve())],
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
            )

    def finish(self) -> None:
        """Wait for the check's end. Raises InputError with what is wrong."""
        if self._process is None:
            return
        try:
            text, _ = self._process.communicate(timeout=MAX_WAIT)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        if text:
            raise InputError(f"{self.path} {text.decode('utf-8', 'replace').strip()}")
        if self._process.returncode:
            raise InputError(f"{self.path} is damaged: reading it crashes, or never ends")
        _trusted_versions().add(self._version)


def trust(path: Path) -> None:
    """Leave out the check of a file that this process has written."""
    _trusted_versions().add(_file_version(path))


@functools.cache
def _trusted_versions() -> set[tuple]:
    return set()


def _file_version(path: Path) -> tuple:
    status = path.stat()
    return str(path.resolve()), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def main(path: Path) -> None:
    """The other process: print what is wrong with a file."""
    _limit_resources(path.stat().st_size)
    try:
        check_content(path)
        return
    except InputError as exc:
        message = str(exc)
    except Exception as exc:  # h5py and zipfile raise many kinds of error for damaged files
        message = f"is not a Keras model that can be loaded safely: {short_reason(exc)}"
    os.write(1, message.encode("utf-8", "backslashreplace"))  # whatever the locale


def _limit_resources(size: int) -> None:
    """Let the system end this process if it takes more time or memory than a file of this size needs."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: MIN_SECONDS + size // BYTES_PER_SECOND,
        resource.RLIMIT_AS: EXTRA_MEMORY + 2 * _max_content(size),
    }
    for kind, limit in limits.items():
        highest = resource.getrlimit(kind)[1]  # of this user, who cannot raise it
        limit = limit if highest == resource.RLIM_INFINITY else min(limit, highest)
        resource.setrlimit(kind, (limit, limit))


def _max_content(size: int) -> int:
    """The bytes that a file of this size may hold, unpacked."""
    return min(max(ALWAYS_ALLOWED, MAX_EXPANSION * size), MAX_MODEL)


def check_content(path: Path) -> None:
    """Check the sizes that a model's file declares, then read all of it. Raises InputError, or what a library raises.

    The messages go on from the file's name.
    """
    import h5py

    limit = _max_content(path.stat().st_size)
    if is_hdf5(path):
        with h5py.File(path, "r") as file:
            return _check_hdf5(file, limit)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise InputError(f"is refused: it has {len(members)} parts, more than {MAX_MEMBERS}")
        for member in members:
            if member.filename in (CONFIG, METADATA) and member.file_size > MAX_CONFIG:
                raise InputError(f"is refused: its {member.filename} has {member.file_size:,} bytes")
        total = sum(member.file_size for member in members)
        if total > limit:
            raise InputError(f"is refused: unpacked it would have {total:,} bytes, more than {limit:,}")
        if WEIGHTS in archive.namelist():
            with archive.open(WEIGHTS) as weights, h5py.File(io.BytesIO(weights.read()), "r") as file:
                _check_hdf5(file, limit)


def _check_hdf5(file: "h5py.File", limit: int) -> None:
    """Check the declared sizes of all arrays, and that none is in another file; then read them. Raises InputError."""
    import h5py

    total, foreign, items = 0, False, [file]

    def visit(name: str, link: object) -> None:
        nonlocal total, foreign
        item = file.get(name) if isinstance(link, h5py.HardLink) else None
        if isinstance(item, h5py.Dataset):
            total += item.nbytes
            foreign = foreign or item.external is not None or item.is_virtual
        foreign = foreign or isinstance(link, h5py.ExternalLink)
        if item is not None:
            items.append(item)

    file.visititems_links(visit)
    if foreign:
        raise InputError("is refused: its weights are in another file")
    if total > limit:
        raise InputError(f"is refused: its weights would have {total:,} bytes, more than {limit:,}")
    for item in items:
        dict(item.attrs)
        if isinstance(item, h5py.Dataset):
            item[()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
