"""Import Keras quietly; find, safely load and save Keras models.

A model's file is checked before Keras reads it: see utils.model_file.
"""

import contextlib
import json
import logging
import math
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.cli import InputError, hidden_stderr
from utils.files import atomic_path, json_bytes, parse_json
from utils.model_file import CONFIG, MAX_CONFIG, METADATA, FileCheck, is_hdf5, short_reason, trust
from utils.storage import as_path, is_remote, local_copy

if TYPE_CHECKING:
    import keras

INPUT_NAME = "rgb_0_255"  # of an extractor's input: marks models whose first layer is the preprocessing
MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide everything written to stderr, by C++ libraries too. Exceptions still pass through."""
    sys.stderr.flush()
    saved = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        hidden_stderr.append(saved)
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(saved, 2)
        hidden_stderr.remove(saved)
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


def training_devices(count: int | None) -> tuple[str, ...]:
    """Keras' names of the devices that share a training: `count` of them, or all. Empty if Keras takes one by itself.

    Keras 3.15 distributes training with JAX only. Raises InputError if there are not so many.
    """
    keras = import_keras()
    if keras.backend.backend() != "jax":
        if (count or 1) > 1:
            raise InputError(
                f"--devices {count} needs KERAS_BACKEND=jax: Keras shares training among devices only there"
            )
        if keras.backend.backend() == "tensorflow" and count is None and len(keras.distribution.list_devices()) > 1:
            print("note: TensorFlow trains on one of several devices; KERAS_BACKEND=jax shares the training among all")
        return ()
    devices = keras.distribution.list_devices()
    if (count or 1) > len(devices):
        raise InputError(f"--devices {count}: JAX sees only {', '.join(devices)}")
    return tuple(devices[:count])


def new_model_path(path: str | Path) -> Path:
    """The path to save a model at: `path`, with `.keras` appended unless it has a model's extension."""
    path = as_path(path)
    return path if path.suffix.lower() in MODEL_SUFFIXES else path.with_name(path.name + ".keras")


def find_model(path: str | Path) -> Path:
    """Find a model's file from its path with or without the extension. Raises InputError."""
    path = as_path(path)
    for candidate in (path, *(path.with_name(path.name + suffix) for suffix in MODEL_SUFFIXES)):
        if candidate.is_file():
            return candidate
    if (path / "saved_model.pb").is_file():
        raise InputError(
            f"{path} is a folder that TensorFlow's SavedModel format wrote, which Keras 3 cannot load: where the model "
            f"was made, save it with model.save('{path.name}.keras') instead"
        )
    models = sorted(file for file in (path.iterdir() if path.is_dir() else ()) if file.suffix.lower() in MODEL_SUFFIXES)
    hint = f"; the folder holds {', '.join(map(str, models[:3]))}" if models else ""
    raise InputError(f"there is no model at {path}{hint}")


@interrupts.deferred()
def load_model(path: Path) -> "keras.Model":
    """Load a Keras model. Raises InputError.

    Refused are models that could run code (Lambda layers, custom objects), files that claim to be much larger than
    they are or that point to other files, and numbers that are not finite.
    """
    copy = local_copy(path)
    suffix = ".h5" if is_hdf5(copy, path) else ".keras"
    check = FileCheck(copy, path)  # goes on while Keras is imported, so that nobody waits for it
    keras = import_keras()
    check.finish()
    try:
        with quiet_stderr(), _with_suffix(copy, suffix) as file:
            model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as exc:  # Keras raises nearly anything for a foreign file
        raise InputError(f"{path} is not a Keras model that can be loaded safely: {short_reason(exc)}") from None
    check_finite(model, str(path))
    return model


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
    copy = local_copy(path)
    try:
        if is_hdf5(copy, path):
            FileCheck(copy, path).finish()
            import h5py

            with h5py.File(copy, "r") as file:
                data = bytes(file[key][()]) if key in file and file[key].nbytes <= MAX_CONFIG else None
        else:
            with zipfile.ZipFile(copy) as archive:
                data = _read_member(archive, METADATA)
                content = parse_json(data, path).get(key) if data else None
                return content if isinstance(content, dict) else None
    except InputError:
        raise
    except Exception as exc:  # zipfile and h5py raise many kinds of error for damaged files
        raise InputError(f"{path} is not a Keras model, or it is damaged: {short_reason(exc)}") from None
    return parse_json(data, path) if data else None


def read_layer_names(path: Path) -> set[str]:
    """The names of a stored model's layers, without those inside nested models. Empty if they cannot be read."""
    copy = local_copy(path)
    try:
        FileCheck(copy, path).finish()
        if is_hdf5(copy, path):
            import h5py

            with h5py.File(copy, "r") as file:
                data = file.attrs.get("model_config", "{}")
        else:
            with zipfile.ZipFile(copy) as archive:
                data = _read_member(archive, CONFIG)
        return {str(layer["config"]["name"]) for layer in parse_json(data, path)["config"]["layers"]}
    except Exception:  # zipfile and h5py raise many kinds of error for damaged files
        return set()


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """A small member of a `.keras` file; None if it is missing or too large."""
    if name not in archive.namelist() or archive.getinfo(name).file_size > MAX_CONFIG:
        return None
    return archive.read(name)


@contextlib.contextmanager
def _with_suffix(path: Path, suffix: str) -> Iterator[Path]:
    """The model's file under a name with an extension, by which Keras tells the format. Old Keras needed none."""
    if path.suffix in MODEL_SUFFIXES:
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
        lower = temporary.with_suffix(path.suffix.lower())  # Keras knows no others
        model.save(lower)
        os.replace(lower, temporary)
        if notes:
            _add_notes(temporary, notes)
    if not is_remote(path):
        trust(path)


def _add_notes(path: Path, notes: dict[str, dict]) -> None:
    texts = {key: json_bytes(note) for key, note in notes.items()}
    if is_hdf5(path):
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
