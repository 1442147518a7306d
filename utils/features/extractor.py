"""The feature extractor as a file and as a function: images in, feature matrix out."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.features.backbones import INPUT_NAME
from utils.features.inference import inference_model, on_accelerator
from utils.keras_models import find_model, load_model, padded_batch_size
from utils.media.images import resize_chip

# What a layer computes with besides its weights. A fixed list, so that a Keras release with a new
# option does not make every stored feature foreign.
FINGERPRINT_KEYS = ("activation", "axis", "data_format", "dilation_rate", "epsilon", "groups", "kernel_size", "offset")
FINGERPRINT_KEYS += ("padding", "pool_size", "scale", "strides", "use_bias")
# Images a call. From here on a processor gains nothing more (benchmarks/extraction.py), and half as many are
# enough of more than LARGE_INPUT pixels, which would take memory instead; a graphics card has more cores to fill.
BATCH_SIZE, BATCH_SIZE_ON_A_CARD = 64, 256
LARGE_INPUT = 160  # pixels of the input's side


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
        self.batch_size = batch_size or inference_batch_size(self.size)
        self.model = inference_model(model, precision)

    def embed(self, images: Sequence[np.ndarray], padded: int | None = None) -> np.ndarray:
        """The features, float32 (n, D), of n RGB uint8 images of any size, each showing one face chip.

        The network is compiled anew for every number of images that it has not seen. So each call of it
        is padded to a power of two, or to `padded` images by who knows that more calls follow.
        """
        features = np.empty((len(images), self.dimension), np.float32)
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            size = max(padded or 0, min(self.batch_size, padded_batch_size(len(part))))
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


def inference_batch_size(input_size: int) -> int:
    """How many images of an input's side in pixels are best computed in one call on this machine."""
    if on_accelerator():
        return BATCH_SIZE_ON_A_CARD
    return BATCH_SIZE if input_size <= LARGE_INPUT else BATCH_SIZE // 2


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
