"""Read photos and videos from named pipes (`<(command)` in a shell) without ever hanging in silence."""

import os
import select
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from utils import interrupts
from utils.cli import InputError, warn
from utils.storage import as_path, is_remote

PATIENCE = 1.0  # seconds until the user is told that nothing comes
POLL = 0.2  # seconds between two looks for a signal that ends the run
CHUNK = 1 << 20  # bytes
MAX_FILE = 1 << 31  # bytes of an image's file; the largest that is decoded, in 16 bits and 3 channels, has 1.6 GB


def is_pipe(path: Path) -> bool:
    """Whether a path is a pipe rather than a file. Raises InputError for a device or a socket.

    Raises OSError if there is no such path.
    """
    if is_remote(path):
        return False
    mode = os.stat(path).st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        hint = f": for a camera use --camera {path}" if "video" in Path(path).name else ""
        raise InputError(f"{path} is a device, not a file{hint}")
    if stat.S_ISSOCK(mode):
        raise InputError(f"{path} is a socket, not a file")
    return stat.S_ISFIFO(mode)


def read_file(path: Path) -> bytes:
    """Read a file or a pipe to its end. Raises InputError for a device or a socket, which may have none.

    Raises ValueError for a file of more than MAX_FILE, which would fill the memory.
    """
    if is_pipe(path):
        return b"".join(_chunks(path))
    path = as_path(path)
    if not is_remote(path) and (size := path.stat().st_size) > MAX_FILE:
        raise ValueError(f"the file has {size:,} bytes: at most {MAX_FILE:,} are read")
    try:
        return path.read_bytes()
    except OSError as exc:
        exc.filename = exc.filename or str(path)  # a failed read does not say where
        raise


def copy_pipe(path: Path) -> IO[bytes]:
    """Copy a pipe to its end into a temporary file without a name, for formats that are not read in order."""
    warn(f"{path} is a pipe: reading it to its end first")
    file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    for chunk in _chunks(path):
        file.write(chunk)
    file.flush()
    file.seek(0)
    return file


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield what comes through a pipe. Warns if nothing comes.

    Opening it as a file would hang until there is a writer, and no signal would end that.
    """
    pipe, waited = os.open(path, os.O_RDONLY | os.O_NONBLOCK), 0.0
    try:
        while True:
            interrupts.check()
            if select.select([pipe], [], [], POLL)[0]:
                chunk = os.read(pipe, CHUNK)
                if not chunk:
                    return
                waited = float("inf")  # never warn from now on
                yield chunk
            waited += POLL
            if PATIENCE <= waited < PATIENCE + POLL:
                warn(f"{path} is a pipe to which nothing is written: waiting for it (Ctrl-C ends this)")
    finally:
        os.close(pipe)
