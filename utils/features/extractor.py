"""The feature extractor as a file and as a function: images in, feature matrix out."""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.features.backbones import INPUT_NAME
from utils.features.inference import inference_model, on_accelerator
from utils.files import atomic_path
from utils.media.images import resize_chip

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
HDF5_MAGIC = b"\x89HDF"
# What a layer computes with besides its weights. A fixed list, so that a Keras release with a new
# option does not make every stored feature foreign.
FINGERPRINT_KEYS = ("activation", "axis", "data_format", "dilation_rate", "epsilon", "groups", "kernel_size", "offset")
FINGERPRINT_KEYS += ("padding", "pool_size", "scale", "strides", "use_bias")
# Images a call. From here on a processor gains nothing more (benchmarks/extraction.py), and half as many are
# enough of more than LARGE_INPUT pixels, which would take memory instead; a graphics card has more cores to fill.
BATCH_SIZE, BATCH_SIZE_ON_A_CARD = 64, 256
LARGE_INPUT = 160  # pixels of the input's side


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


def model_fingerprint(model) -> str:
    """The extractor's identity: its name, D, and a hash of its layers and weights.

    It does not depend on the file's format, on when it was saved or on the precision it runs at.
    """
    digest = hashlib.sha256()
    for layer in _flat_layers(model):
        config = layer.get_config()
        known = {key: config[key] for key in FINGERPRINT_KEYS if key in config}
        digest.update(json.dumps([type(layer).__name__, known], sort_keys=True, default=str).encode())
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array, np.float32).tobytes())
    return f"{model.name}-{model.outputs[0].shape[1]}-{digest.hexdigest()[:16]}"


def _flat_layers(model) -> Iterator:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _flat_layers(layer)
        else:
            yield layer


class Extractor:
    """A compiled feature extractor.

    size: the side S of its square input in pixels. dimension: D. fingerprint: see `model_fingerprint`.
    precision: "float32" or "bfloat16", what it computes in. batch_size: images a call at most.
    """

    def __init__(self, model, precision: str = "float32", batch_size: int | None = None):
        self.size = model.inputs[0].shape[1]
        self.dimension = model.outputs[0].shape[1]
        self.fingerprint = model_fingerprint(model)
        self.batch_size = batch_size or suitable_batch_size(self.size)
        self.model = inference_model(model, precision)

    def embed(self, images: Sequence[np.ndarray], padded: int | None = None) -> np.ndarray:
        """The features, float32 (n, D), of n RGB uint8 images of any size, each showing one face chip.

        The network is compiled anew for every number of images that it has not seen. So each call of it
        is padded to a power of two, or to `padded` images by who knows that more calls follow.
        """
        features = np.empty((len(images), self.dimension), np.float32)
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            size = max(padded or 0, min(self.batch_size, power_of_two(len(part))))
            batch = np.zeros((size, self.size, self.size, 3), np.uint8)
            for row, image in enumerate(part):
                batch[row] = resize_chip(image, self.size)
            features[start : start + len(part)] = self._predict(batch)[: len(part)]
        return features

    def _predict(self, batch: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self.model.predict_on_batch(batch))
        except Exception as exc:  # each backend has an exception of its own for this
            if not re.search("resource.?exhausted|out of memory", f"{type(exc).__name__} {exc}", re.IGNORECASE):
                raise
            raise InputError(
                f"there is no memory for batches of {len(batch)} images: --batch_size makes them smaller"
            ) from None


def suitable_batch_size(input_size: int) -> int:
    """How many images of an input's side in pixels are best computed in one call on this machine."""
    if on_accelerator():
        return BATCH_SIZE_ON_A_CARD
    return BATCH_SIZE if input_size <= LARGE_INPUT else BATCH_SIZE // 2


def power_of_two(count: int) -> int:
    """The least power of two that is not below a count of 1 or more."""
    return 1 << (count - 1).bit_length()


def load_extractor(path: str | Path, precision: str = "float32", batch_size: int | None = None) -> Extractor:
    """Load an extractor file. One without preprocessing, as the original recipe saved, gets ResNet's.

    precision, batch_size: see `Extractor`; None is a good size for the device. Raises InputError for a
    model that does not map square images (N, S, S, 3) to (N, D).
    """
    path = find_model(path)
    model = load_model(path)
    # A model that was never built has no inputs.
    inputs, outputs = (
        [tuple(tensor.shape) for tensor in getattr(model, side, None) or ()] for side in ("inputs", "outputs")
    )
    images = [shape for shape in inputs if len(shape) == 4 and shape[1] == shape[2] and shape[1] and shape[3] == 3]
    vectors = [shape for shape in outputs if len(shape) == 2 and shape[1]]
    if not (len(inputs) == len(images) == 1 and len(outputs) == len(vectors) == 1):
        raise InputError(
            f"{path}: a feature extractor maps square images (N, S, S, 3) to (N, D). Received: {inputs} to {outputs}"
        )
    if model.inputs[0].name != INPUT_NAME:
        model = _with_resnet_preprocessing(model)
    return Extractor(model, precision, batch_size)


def _with_resnet_preprocessing(model):
    from keras import Input, Model
    from keras.applications.resnet50 import preprocess_input

    image = Input(model.inputs[0].shape[1:], name=INPUT_NAME)
    return Model(image, model(preprocess_input(image)), name=model.name)
