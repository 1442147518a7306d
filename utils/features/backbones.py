"""Building feature extractors: a pretrained network, cut at a layer and pooled, as one Keras graph.

Every extractor takes RGB 0-255 (N, S, S, 3). Its preprocessing is its first layer, so that no
caller can get it wrong; the input's name says that it is there.
"""

import re
import sys
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.features.dlib_network import INPUT_SIZE as DLIB_INPUT_SIZE
from utils.features.dlib_network import build_dlib_network, find_dlib_weights, read_dlib_weights

INPUT_NAME = "rgb_0_255"
PREPROCESSING_NAME = "preprocessing"


def build_extractor(
    backbone: str, layer: str | None, pooling: str, input_size: int | None, weights: str, flip: bool = False
):
    """A functional Keras model from RGB 0-255 (N, S, S, 3) to float32 (N, D).

    backbone: "dlib" or the name of a `keras.applications` network, in any case. layer: where to cut,
    None for its end. pooling: "avg", "max" or "none" (flattened). input_size: S in pixels, None for
    the network's own. weights: "pretrained", "none" (random) or a file. flip: see `with_flip`.
    Raises InputError.
    """
    if backbone == "dlib":
        model = _build_dlib(layer, pooling, input_size, weights)
    else:
        model = _build_application(backbone, layer, pooling, input_size, weights)
    return with_flip(model) if flip else model


def with_flip(model):
    """An extractor whose features are the mean of those of each image and of its mirror image.

    A face and its mirror image are one person's, and what the network sees in one of them only is noise:
    docs/research.md has what leaving it out is worth. It costs twice the time.
    """
    from keras import Input, Model, ops

    image = Input(model.input_shape[1:], name=INPUT_NAME)
    # As one batch of twice the size: a network that is called once can be made quick (utils/features/inference.py).
    # Operations, unlike layers, cannot be named; no fingerprint depends on them.
    both = model(ops.concatenate([image, ops.flip(image, axis=2)], axis=0))
    features = ops.mean(ops.reshape(both, (2, -1, model.output_shape[1])), axis=0)
    return Model(image, features, name=f"{model.name}_flip")


def _build_dlib(layer: str | None, pooling: str, input_size: int | None, weights: str):
    from keras import Model

    if input_size not in (None, DLIB_INPUT_SIZE):
        raise InputError(f"--input_size of the dlib backbone is {DLIB_INPUT_SIZE}. Received: {input_size}")
    parameters = None
    if weights != "none":
        path = find_dlib_weights() if weights == "pretrained" else Path(weights)
        try:
            parameters = read_dlib_weights(path.read_bytes())
        except ValueError as exc:
            raise InputError(f"{path} is not a dlib face recognition network: {exc}") from None
    model = build_dlib_network(parameters, INPUT_NAME, PREPROCESSING_NAME)
    if layer is None:
        return model
    network = _cut(model, layer)
    return Model(network.input, _pool(network.output, pooling), name=f"{network.name}_{pooling}")


def _build_application(backbone: str, layer: str | None, pooling: str, input_size: int | None, weights: str):
    from keras import Input, Model, layers

    build = _find_application(backbone)
    size = input_size or _native_size(build)
    network = _cut(_pretrained(build, size, weights), layer)
    network.trainable = False
    image = Input((size, size, 3), name=INPUT_NAME)
    # Whatever a network's preprocessing scales, shifts and swaps (BGR) is affine in a pixel's three
    # channels: a 1×1 convolution, which every Keras and every file format can store.
    preprocessing = layers.Conv2D(3, 1, name=PREPROCESSING_NAME, trainable=False)
    matrix, offset = _preprocessing_of(build)
    features = _pool(network(preprocessing(image)), pooling)
    preprocessing.set_weights([matrix[None, None], offset])
    return Model(image, features, name=f"{network.name}_{pooling}")


def _find_application(name: str):
    from keras import applications

    found = {
        candidate.lower(): function
        for candidate, function in vars(applications).items()
        if callable(function) and candidate[0].isupper()
    }
    if name.lower() not in found:
        raise InputError(f"--backbone must be dlib or one of {', '.join(sorted(found))}. Received: {name}")
    return found[name.lower()]


def _native_size(build) -> int:
    """The input size that a network was trained at, in pixels, read off its full ImageNet model."""
    if build.__name__ == "ResNet50":
        return 224  # known: spares the default building a network to look at
    return build(weights=None).input_shape[1]


def _pretrained(build, size: int, weights: str):
    shape = (size, size, 3)
    if weights == "none":
        return build(include_top=False, weights=None, input_shape=shape)
    if weights != "pretrained":
        if not Path(weights).is_file():
            raise InputError(f"--weights {weights} is no file")
        return _load_weights_file(build, shape, weights)
    try:
        return build(include_top=False, weights="imagenet", input_shape=shape)
    except ValueError as exc:  # a size that the network cannot take
        raise InputError(f"{build.__name__} cannot be built at {size} px: {exc}") from None
    except Exception as exc:  # Keras raises a bare Exception when a download fails
        raise InputError(
            f"the ImageNet weights of {build.__name__} could not be downloaded ({exc}). Three ways on: retry "
            "online; give a file you have with --weights FILE; or use --backbone dlib, which needs no download"
        ) from None


def _load_weights_file(build, shape: tuple[int, int, int], path: str):
    problems = []
    # Keras publishes each network's weights with and without its classifier; people have either.
    for options in ({"include_top": False, "input_shape": shape}, {"include_top": True}):
        try:
            model = build(weights=None, **options)
            model.load_weights(path)
            return model
        except Exception as exc:  # Keras raises nearly anything on a foreign file
            problems.append(str(exc))
    raise InputError(f"--weights {path} does not fit {build.__name__}: {problems[0]}")


def _preprocessing_of(build) -> tuple[np.ndarray, np.ndarray]:
    """The matrix float32 (3 in, 3 out) and offset float32 (3,) of a network's own `preprocess_input`.

    Measured by feeding it black and the three primary colors.
    """
    preprocess = sys.modules[build.__module__].preprocess_input
    offset = preprocess(np.zeros((1, 1, 1, 3), np.float32)).reshape(3)
    primaries = preprocess(255 * np.eye(3, dtype=np.float32).reshape(3, 1, 1, 3)).reshape(3, 3)
    return (primaries - offset) / 255, offset


def _cut(model, layer: str | None):
    """The part of a model from its input to a layer; all of it where the layer is None."""
    from keras import Model

    if layer is None:
        return model
    return Model(model.input, find_layer(model, layer).output, name=f"{model.name}_{layer}")


def _pool(features, pooling: str):
    """Make rows and columns one vector; what is a vector already stays as it is."""
    from keras import layers

    if len(features.shape) == 4:
        kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "none": layers.Flatten}
        features = kinds[pooling](name="features")(features)
    if len(features.shape) != 2 or None in features.shape[1:]:
        raise InputError(f"the layer's output {features.shape} cannot be pooled to (N, D): cut at another --layer")
    return features


def find_layer(model, name: str):
    """A layer by today's name, or by the old Keras numbering `activation_N` (the N-th ReLU from the input).

    Raises InputError that lists a few names of the model.
    """
    from keras import layers

    names = [layer.name for layer in model.layers]
    if name in names:
        return model.get_layer(name)
    numbered = re.fullmatch(r"activation_(\d+)", name)
    # Old Keras named every Activation layer by its order of creation, counting from 1.
    activations = [layer for layer in model.layers if isinstance(layer, layers.Activation | layers.ReLU)]
    if numbered and 1 <= int(numbered[1]) <= len(activations):
        return activations[int(numbered[1]) - 1]
    if numbered:
        raise InputError(f"--layer {name}: this network has activation_1 to activation_{len(activations)}")
    raise InputError(f"--layer {name} is not in this network; the last of its layers: {', '.join(names[-8:])}")
