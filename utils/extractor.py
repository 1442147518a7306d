"""The feature extractor as a file and as a function: images in, feature matrix out."""

import contextlib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from utils.backbones import INPUT_NAME
from utils.cli import InputError
from utils.files import atomic_path
from utils.images import resize_chip

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
# The only batch sizes that the network ever sees: each new one is compiled anew.
BATCH_SIZES = (1, 2, 4, 8, 16, 32)


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
    with quiet_stderr():
        import keras
    return keras


def model_path(path: str | Path) -> Path:
    """Where a model called `path` is or will be: with its extension, or without it as `.keras`."""
    path = Path(path)
    if path.suffix.lower() in MODEL_SUFFIXES:
        return path
    for suffix in MODEL_SUFFIXES:
        if (candidate := path.with_name(path.name + suffix)).is_file():
            return candidate
    return path if path.is_file() else path.with_name(path.name + ".keras")


def load_model(path: Path):
    """Load a Keras model that cannot run code of its own: no Lambda, no custom object. Raises InputError."""
    keras = import_keras()
    if not path.is_file():
        raise InputError(f"there is no model at {path}")
    try:
        with quiet_stderr():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as exc:  # Keras raises nearly anything on a foreign file
        raise InputError(f"{path} is not a Keras model that can be loaded safely: {exc}") from None


def save_model(model, path: Path) -> None:
    """Save a Keras model atomically; the suffix chooses the format."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def model_fingerprint(model) -> str:
    """The extractor's identity: its name, D, and a hash of its layers and weights.

    It does not depend on the file's format, on when it was saved or on the precision it runs at.
    """
    digest = hashlib.sha256()
    for layer in model.layers:
        # Names differ between equal graphs, dtypes between float32 and bfloat16 runs of one network.
        config = {
            key: value
            for key, value in layer.get_config().items()
            if isinstance(value, int | float | str | list | tuple) and key not in ("name", "dtype", "trainable")
        }
        digest.update(json.dumps([type(layer).__name__, config], sort_keys=True, default=str).encode())
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array, np.float32).tobytes())
    return f"{model.name}-{model.output_shape[-1]}-{digest.hexdigest()[:16]}"


class Extractor:
    """A compiled feature extractor.

    size: the side S of its square input in pixels. dimension: D. fingerprint: see `model_fingerprint`.
    """

    def __init__(self, model):
        shape = model.input_shape
        if isinstance(shape, list) or len(shape) != 4 or shape[-1] != 3 or len(model.output_shape) != 2:
            raise InputError(
                f"a feature extractor maps images (N, S, S, 3) to (N, D). Received: {shape} to {model.output_shape}"
            )
        self.model = model
        self.size = shape[1] or 224
        self.dimension = model.output_shape[-1]
        self.fingerprint = model_fingerprint(model)

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """The features, float32 (n, D), of n RGB uint8 images of any size, each showing one face chip."""
        features = np.empty((len(images), self.dimension), np.float32)
        for start, stop, padded in batch_plan(len(images)):
            batch = np.zeros((padded, self.size, self.size, 3), np.uint8)
            for row, image in enumerate(images[start:stop]):
                batch[row] = resize_chip(image, self.size)
            features[start:stop] = self.model.predict_on_batch(batch)[: stop - start]
        return features


def batch_plan(count: int) -> list[tuple[int, int, int]]:
    """(start, stop, padded size) of the batches that cover `count` items, padded sizes from BATCH_SIZES."""
    plan = []
    for start in range(0, count, BATCH_SIZES[-1]):
        stop = min(count, start + BATCH_SIZES[-1])
        plan.append((start, stop, next(size for size in BATCH_SIZES if size >= stop - start)))
    return plan


def load_extractor(path: str | Path) -> Extractor:
    """Load an extractor file. One without preprocessing, as the original recipe saved, gets ResNet's."""
    model = load_model(model_path(path))
    if len(model.inputs) == 1 and len(model.inputs[0].shape) == 4 and model.inputs[0].name != INPUT_NAME:
        model = _with_resnet_preprocessing(model)
    return Extractor(model)


def _with_resnet_preprocessing(model):
    from keras import Input, Model
    from keras.applications.resnet50 import preprocess_input

    image = Input(model.input_shape[1:], name=INPUT_NAME)
    return Model(image, model(preprocess_input(image)), name=model.name)
