"""Import Keras quietly; find, safely load and save Keras models.

A model's file is checked before Keras reads it: a small file may claim to hold terabytes, or point to other files.
"""

import contextlib
import io
import json
import logging
import math
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.cli import InputError
from utils.files import atomic_path, json_bytes, parse_json

if TYPE_CHECKING:
    import h5py
    import keras

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
HDF5_MAGIC = b"\x89HDF"

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"  # the members of a .keras file
MAX_MEMBERS = 1000  # Keras writes 3, and more only for layers with vocabularies
MAX_CONFIG = 1 << 26  # bytes; the largest of keras.applications, NASNetLarge's, has under 1 MB
# Keras stores weights uncompressed. Another program may have compressed them, which saves a tenth.
MAX_EXPANSION = 20
ALWAYS_ALLOWED = 1 << 28  # bytes, however small the file is
MAX_MODEL = 1 << 33  # bytes; the largest of keras.applications, ConvNeXtXLarge, has 1.4 GB
MAX_REASON = 200  # characters of Keras' message that are repeated to the user


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide everything written to stderr, by C++ libraries too. Exceptions still pass through."""
    sys.stderr.flush()
    saved = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(devnull)


@interrupts.deferred()
def import_keras() -> ModuleType:
    """Import Keras, before anything else does, without the notes of TensorFlow and absl. Raises InputError."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # They warn about the few shapes that we compile on purpose, and about .h5, which the user chose.
    for logger in ("tensorflow", "absl"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    try:
        with quiet_stderr():
            import keras
    except ValueError as exc:  # KERAS_BACKEND is not a backend
        raise InputError(f"Keras cannot start: {exc}") from None
    return keras


def new_model_path(path: str | Path) -> Path:
    """The path to save a model at: `path`, with `.keras` appended unless it has a model's extension."""
    path = Path(path)
    return path if path.suffix.lower() in MODEL_SUFFIXES else path.with_name(path.name + ".keras")


def find_model(path: str | Path) -> Path:
    """Find a model's file from its path with or without the extension. Raises InputError."""
    path = Path(path)
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in MODEL_SUFFIXES)):
        if candidate.is_file():
            return candidate
    if (path / "saved_model.pb").is_file():
        raise InputError(
            f"{path} is a folder that TensorFlow's SavedModel format wrote, which Keras 3 cannot load: where the model "
            f"was made, save it with model.save('{path.name}.keras') instead"
        )
    models = sorted(file for file in path.glob("*") if file.suffix.lower() in MODEL_SUFFIXES)
    hint = f"; the folder holds {', '.join(map(str, models[:3]))}" if models else ""
    raise InputError(f"there is no model at {path}{hint}")


@interrupts.deferred()
def load_model(path: Path) -> "keras.Model":
    """Load a Keras model. Raises InputError.

    Refused are models that could run code (Lambda layers, custom objects), files that claim to be much larger than
    they are or that point to other files, and numbers that are not finite.
    """
    is_hdf5 = _is_hdf5(path)
    keras = import_keras()
    try:
        with quiet_stderr():
            _check_file(path, is_hdf5)
            with _with_suffix(path, ".h5" if is_hdf5 else ".keras") as file:
                model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except InputError as exc:
        raise InputError(f"{path} {exc}") from None
    except Exception as exc:  # Keras raises nearly anything for a foreign file
        raise InputError(f"{path} is not a Keras model that can be loaded safely: {_short_reason(exc)}") from None
    check_finite(model, str(path))
    return model


def _is_hdf5(path: Path) -> bool:
    """Whether a model's file is HDF5, not a `.keras` archive. Raises InputError if it is neither."""
    with open(path, "rb") as file:
        is_hdf5 = file.read(4) == HDF5_MAGIC
    if not is_hdf5 and not zipfile.is_zipfile(path):  # Keras would report a missing file
        raise InputError(f"{path} is not a Keras model, or it is damaged")
    return is_hdf5


def _short_reason(exc: Exception) -> str:
    """The first sentence of a library's message, which may fill a screen, or the kind of exception."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    if not lines:
        return type(exc).__name__
    reason = lines[0].split(". ")[0]
    return reason if len(reason) <= MAX_REASON else reason[:MAX_REASON] + "…"


def _check_file(path: Path, is_hdf5: bool) -> None:
    """Check the sizes that a model's file declares, before anything of these sizes is read. Raises InputError."""
    import h5py

    limit = min(max(ALWAYS_ALLOWED, MAX_EXPANSION * path.stat().st_size), MAX_MODEL)
    if is_hdf5:
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
    """Check the declared sizes of all arrays, and that none is in another file. Raises InputError."""
    import h5py

    total, foreign = 0, False

    def visit(name: str, link: object) -> None:
        nonlocal total, foreign
        item = file.get(name) if isinstance(link, h5py.HardLink) else None
        if isinstance(item, h5py.Dataset):
            total += item.nbytes
            foreign = foreign or item.external is not None or item.is_virtual
        foreign = foreign or isinstance(link, h5py.ExternalLink)

    file.visititems_links(visit)
    if foreign:
        raise InputError("is refused: its weights are in another file")
    if total > limit:
        raise InputError(f"is refused: its weights would have {total:,} bytes, more than {limit:,}")


def check_finite(model: "keras.Model", what: str) -> None:
    """Check that all weights and settings of a model are finite numbers. Raises InputError that begins with `what`."""
    for weight in model.weights:
        array = np.asarray(weight)
        if array.dtype.kind not in "biuOSU" and not np.isfinite(array).all():
            raise InputError(f"{what}: the weights of {weight.path} contain numbers that are not finite")
    with contextlib.suppress(NotImplementedError):  # a subclass of Model without settings
        if _has_nan(model.get_config()):
            raise InputError(f"{what}: the settings of a layer contain numbers that are not finite")


def _has_nan(value: object) -> bool:
    if isinstance(value, dict | list | tuple):
        return any(map(_has_nan, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and math.isnan(value)


def read_note(path: Path, key: str) -> dict | None:
    """The note that `save_model` stored under `key` in a model's file. None without one. Raises InputError."""
    try:
        if _is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                data = bytes(file[key][()]) if key in file and file[key].nbytes <= MAX_CONFIG else None
        else:
            with zipfile.ZipFile(path) as archive:
                data = _read_member(archive, METADATA)
                content = parse_json(data, path).get(key) if data else None
                return content if isinstance(content, dict) else None
    except (OSError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as exc:
        raise InputError(f"{path} is not a Keras model, or it is damaged: {_short_reason(exc)}") from None
    return parse_json(data, path) if data else None


def read_layer_names(path: Path) -> set[str]:
    """The names of a stored model's layers, without those inside nested models. Empty if they cannot be read."""
    try:
        if _is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                data = file.attrs.get("model_config", "{}")
        else:
            with zipfile.ZipFile(path) as archive:
                data = _read_member(archive, CONFIG)
        return {str(layer["config"]["name"]) for layer in parse_json(data, path)["config"]["layers"]}
    except (InputError, OSError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return set()


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """A small member of a `.keras` file; None if it is missing or too large."""
    if name not in archive.namelist() or archive.getinfo(name).file_size > MAX_CONFIG:
        return None
    return archive.read(name)


@contextlib.contextmanager
def _with_suffix(path: Path, suffix: str) -> Iterator[Path]:
    """The model's file under a name with an extension, by which Keras tells the format. Old Keras needed none."""
    if path.suffix.lower() in MODEL_SUFFIXES:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder, f"model{suffix}")))


@interrupts.deferred()
def save_model(model: "keras.Model", path: Path, notes: dict[str, dict] | None = None) -> None:
    """Save a Keras model atomically, in the format of the path's extension.

    notes: JSON objects by key, to store in the same file, for `read_note`. Raises InputError if a number of the model
    is not finite, and leaves the file that was there.
    """
    check_finite(model, f"{path} is not written")
    with atomic_path(path) as temporary:
        model.save(temporary)
        if notes:
            _add_notes(temporary, notes)


def _add_notes(path: Path, notes: dict[str, dict]) -> None:
    texts = {key: json_bytes(note) for key, note in notes.items()}
    if _is_hdf5(path):
        import h5py

        with h5py.File(path, "a") as file:
            for key, text in texts.items():
                file.create_dataset(key, data=np.frombuffer(text, np.uint8))  # attributes end at 64 kB
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    # In the metadata, because Keras would unpack further members to the disk whenever it loads the model.
    metadata = json.loads(members[METADATA]) | {key: json.loads(text) for key, text in texts.items()}
    members[METADATA] = json_bytes(metadata)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def padded_batch_size(count: int) -> int:
    """The smallest power of two that is at least `count`. Few batch sizes mean few compilations of a network."""
    return 1 << (count - 1).bit_length()
