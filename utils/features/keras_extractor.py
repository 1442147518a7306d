"""An extractor as a Keras model: save and load it, identify it, and run it on Keras."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.cli import InputError
from utils.faces.crops import CROP_POINTS, are_crop_points, is_dlib_crop
from utils.features.inference import inference_model
from utils.keras_models import INPUT_NAME, load_model, read_note, save_model

if TYPE_CHECKING:
    import keras

# What a layer computes with, apart from its weights. The list is fixed, so that a Keras release with a new
# option does not change every fingerprint.
FINGERPRINT_KEYS = ("activation", "axis", "data_format", "dilation_rate", "epsilon", "groups", "kernel_size", "offset")
FINGERPRINT_KEYS += ("padding", "pool_size", "scale", "strides", "use_bias")
NOTE, POINTS = "siamese_faces_extractor", "crop_points"  # the key of the note inside the file, and the key in it
MAX_INPUT = 2048  # pixels, side of the input; a face chip has 150-256, and a batch takes memory for all its pixels


def model_fingerprint(model: "keras.Model", crop_points: np.ndarray = CROP_POINTS["dlib"]) -> str:
    """An extractor's identity: its name, D, and a hash of its layers, its weights and the five points of its crop.

    It does not depend on the file format, the time of saving, or the precision in use.
    """
    digest = hashlib.sha256()
    for layer in _flat_layers(model):
        config = layer.get_config()
        known = {key: config[key] for key in FINGERPRINT_KEYS if key in config}
        digest.update(json.dumps([type(layer).__name__, known], sort_keys=True, default=str).encode())
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array, np.float32).tobytes())
    if not is_dlib_crop(crop_points):  # which all extractors had before their files carried the points
        digest.update(np.asarray(crop_points).round(6).astype(np.float32).tobytes())
    return f"{model.name}-{model.outputs[0].shape[1]}-{digest.hexdigest()[:16]}"


def _flat_layers(model: "keras.Model") -> Iterator["keras.Layer"]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _flat_layers(layer)
        else:
            yield layer


def save_extractor(model: "keras.Model", path: Path, crop_points: np.ndarray) -> None:
    """Save an extractor's model atomically, with the five points (5, 2) of its crop. Raises InputError."""
    save_model(model, path, {NOTE: {POINTS: np.asarray(crop_points, float).tolist()}})


def read_crop_points(path: Path) -> np.ndarray:
    """The five points (5, 2) of the crop that an extractor's file carries; dlib's if it carries none.

    Raises InputError if they are not those of a face.
    """
    note = read_note(path, NOTE)
    if note is None:
        return CROP_POINTS["dlib"]
    try:
        points = np.array(note.get(POINTS), float)
    except (TypeError, ValueError):  # words, or rows of unequal length
        points = np.empty(0)
    if not are_crop_points(points):
        raise InputError(f"{path}: its note about the crop is damaged (five points of a face): make it again")
    return points


def load_extractor_model(path: Path) -> tuple["keras.Model", np.ndarray]:
    """An extractor file's model, from RGB 0-255 (N, S, S, 3) to (N, D), and the five points (5, 2) of its crop.

    A model without preprocessing, as the original recipe saved it, gets ResNet's. Raises InputError for a model that
    does not map square images to vectors.
    """
    model = load_model(path)
    crop_points = read_crop_points(path)
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
    if images[0][1] > MAX_INPUT:
        raise InputError(f"{path} takes images of {images[0][1]} px: at most {MAX_INPUT} px are supported")
    if model.inputs[0].name != INPUT_NAME:
        model = _with_resnet_preprocessing(model)
    return model, crop_points


def _with_resnet_preprocessing(model: "keras.Model") -> "keras.Model":
    from keras import Input, Model
    from keras.applications.resnet50 import preprocess_input

    image = Input(model.inputs[0].shape[1:], name=INPUT_NAME)
    return Model(image, model(preprocess_input(image)), name=model.name)


class KerasNetwork:
    """A copy of an extractor's model that runs on Keras. It is compiled for each batch size that it has not seen."""

    def __init__(self, model: "keras.Model", precision: str = "float32"):
        self.model = inference_model(model, precision)

    @interrupts.deferred()
    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """The features, float32 (n, D), of n inputs, uint8 (n, S, S, 3). Raises MemoryError."""
        try:
            return np.asarray(self.model.predict_on_batch(batch))
        except Exception as exc:  # each backend has its own exception for this
            if not re.search("resource.?exhausted|out of memory", f"{type(exc).__name__} {exc}", re.IGNORECASE):
                raise
            raise MemoryError from None
