"""Keras models as files: import Keras quietly, find a model, load it safely, save it."""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from utils.cli import InputError
from utils.files import atomic_path

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
HDF5_MAGIC = b"\x89HDF"


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide what C++ libraries write to stderr while they load; Python's exceptions are not touched."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def import_keras():
    """Import Keras without the notes that TensorFlow and absl write to stderr: every script's first import of it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # They warn of the few shapes that we compile on purpose, and that .h5 is old, which the user chose.
    for logger in ("tensorflow", "absl"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    try:
        with quiet_stderr():
            import keras
    except ValueError as exc:  # KERAS_BACKEND names none that there is
        raise InputError(f"Keras cannot start: {exc}") from None
    return keras


def new_model_path(path: str | Path) -> Path:
    """Where a model called `path` is saved: a name without a model's extension gets `.keras`."""
    path = Path(path)
    return path if path.suffix.lower() in MODEL_SUFFIXES else path.with_name(path.name + ".keras")


def find_model(path: str | Path) -> Path:
    """The file of the model called `path`, with its extension or without it. Raises InputError."""
    path = Path(path)
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in MODEL_SUFFIXES)):
        if candidate.is_file():
            return candidate
    inside = sorted(each for each in path.glob("*") if each.suffix.lower() in MODEL_SUFFIXES)
    hint = f"; this folder holds {', '.join(map(str, inside[:3]))}" if inside else ""
    raise InputError(f"there is no model at {path}{hint}")


def load_model(path: Path):
    """Load a Keras model that cannot run code of its own: no Lambda, no custom object. Raises InputError."""
    with open(path, "rb") as file:
        is_hdf5 = file.read(4) == HDF5_MAGIC
    if not is_hdf5 and not zipfile.is_zipfile(path):  # Keras would say that it is not there
        raise InputError(f"{path} is no Keras model, or a damaged one")
    keras = import_keras()
    try:
        with quiet_stderr(), _with_suffix(path, ".h5" if is_hdf5 else ".keras") as file:
            return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as exc:  # Keras raises nearly anything on a foreign file
        raise InputError(f"{path} is not a Keras model that can be loaded safely: {exc}") from None


@contextlib.contextmanager
def _with_suffix(path: Path, suffix: str) -> Iterator[Path]:
    """A file by whose name Keras knows the format: old Keras saved HDF5 under any name."""
    if path.suffix.lower() in MODEL_SUFFIXES:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder, f"model{suffix}")))


def save_model(model, path: Path) -> None:
    """Save a Keras model atomically; the suffix chooses the format."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def padded_batch_size(count: int) -> int:
    """The size that a batch of `count` items (at least 1) is padded to: the next power of two, or `count` itself.

    Keras compiles a network once per batch size, so few different sizes mean few compilations.
    """
    return 1 << (count - 1).bit_length()
