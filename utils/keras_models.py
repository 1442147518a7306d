"""Import Keras quietly; find, safely load and save Keras models."""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from utils import interrupts
from utils.cli import InputError
from utils.files import atomic_path

if TYPE_CHECKING:
    import keras

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
HDF5_MAGIC = b"\x89HDF"


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
    models = sorted(file for file in path.glob("*") if file.suffix.lower() in MODEL_SUFFIXES)
    hint = f"; the folder holds {', '.join(map(str, models[:3]))}" if models else ""
    raise InputError(f"there is no model at {path}{hint}")


@interrupts.deferred()
def load_model(path: Path) -> "keras.Model":
    """Load a Keras model. Models that could run code (Lambda layers, custom objects) are refused with InputError."""
    with open(path, "rb") as file:
        is_hdf5 = file.read(4) == HDF5_MAGIC
    if not is_hdf5 and not zipfile.is_zipfile(path):  # Keras would report a missing file
        raise InputError(f"{path} is not a Keras model, or it is damaged")
    keras = import_keras()
    try:
        with quiet_stderr(), _with_suffix(path, ".h5" if is_hdf5 else ".keras") as file:
            return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as exc:  # Keras raises nearly anything for a foreign file
        raise InputError(f"{path} is not a Keras model that can be loaded safely: {exc}") from None


@contextlib.contextmanager
def _with_suffix(path: Path, suffix: str) -> Iterator[Path]:
    """The model's file under a name with an extension, by which Keras tells the format. Old Keras needed none."""
    if path.suffix.lower() in MODEL_SUFFIXES:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder, f"model{suffix}")))


@interrupts.deferred()
def save_model(model: "keras.Model", path: Path) -> None:
    """Save a Keras model atomically, in the format of the path's extension."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def padded_batch_size(count: int) -> int:
    """The smallest power of two that is at least `count`. Few batch sizes mean few compilations of a network."""
    return 1 << (count - 1).bit_length()
