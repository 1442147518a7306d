"""Build feature extractors: a pretrained network, cut at a layer and pooled, as one Keras graph.

Every extractor takes RGB 0-255 (N, S, S, 3). Preprocessing is its first layer, so no caller can get
it wrong. The input's name, INPUT_NAME, marks models that have it.
"""

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.cli import InputError
from utils.keras_models import INPUT_NAME
from utils.networks.dlib_network import INPUT_SIZE as DLIB_INPUT_SIZE
from utils.networks.dlib_network import build_dlib_network, find_dlib_weights, read_dlib_weights
from utils.networks.onnx_extractor import build_from_onnx, build_sface
from utils.networks.onnx_preprocessing import NO_OPTIONS, OnnxOptions
from utils.networks.sface_network import INPUT_SIZE as SFACE_INPUT_SIZE

if TYPE_CHECKING:
    import keras

Builder = Callable[..., "keras.Model"]  # a function of keras.applications
PREPROCESSING_NAME = "preprocessing"
UNIT_LENGTH_NAME = "unit_length"  # the last layer of the networks whose features are compared by their angle
ONNX_SUFFIX = ".onnx"


def build_extractor(
    backbone: str,
    layer: str | None,
    pooling: str,
    input_size: int | None,
    weights: str,
    flip: bool = False,
    onnx: OnnxOptions = NO_OPTIONS,
    report: Callable[[str], None] = print,
) -> "keras.Model":
    """Build a functional Keras model from RGB 0-255 (N, S, S, 3) to float32 (N, D).

    Args:
        backbone: "dlib", "sface", the name of a `keras.applications` network, in upper or lower case, or the path
            of an ONNX file. The features of SFace and of ONNX files have length 1.
        layer: Name of the layer to cut at; None for the last.
        pooling: "avg", "max" or "none" (flatten).
        input_size: S in pixels; None for the network's own.
        weights: "pretrained", "none" (random) or a file.
        flip: See `with_flip`.
        onnx: What an ONNX file does not say about itself.
        report: Takes lines about what was read from an ONNX file.

    Raises:
        InputError: An argument does not fit, or the weights cannot be downloaded.
    """
    if is_face_network(backbone):
        model = _build_face_network(backbone, layer, pooling, input_size, weights, onnx, report)
    elif onnx != NO_OPTIONS:
        raise InputError("--layout, --mean, --scale and --channels are for ONNX files (--backbone FILE.onnx)")
    elif backbone.lower() == "dlib":
        model = _build_dlib(layer, pooling, input_size, weights)
    else:
        model = _build_application(backbone, layer, pooling, input_size, weights)
    return with_flip(model) if flip else model


def is_face_network(backbone: str) -> bool:
    """Whether a backbone sees ArcFace's crop and gives features of length 1, as today's face networks do."""
    return backbone.lower() == "sface" or _is_onnx(backbone)


def _is_onnx(backbone: str) -> bool:
    return backbone.lower().endswith(ONNX_SUFFIX)


def with_flip(model: "keras.Model") -> "keras.Model":
    """An extractor that averages the features of each image and of its mirror image.

    Both show the same person, so what the network sees in only one of them is noise. This makes fewer
    errors (figures in docs/research.md) and takes twice the time.
    """
    from keras import Input, Model, ops

    image = Input(model.input_shape[1:], name=INPUT_NAME)
    # One batch of twice the size, because only a network that is called once can be sped up (inference.py).
    # Operations, unlike layers, cannot be named. No fingerprint depends on them.
    both = model(ops.concatenate([image, ops.flip(image, axis=2)], axis=0))
    features = ops.mean(ops.reshape(both, (2, -1, model.output_shape[1])), axis=0)
    if model.layers[-1].name == UNIT_LENGTH_NAME:
        features = _unit_length(features)  # the mean of two vectors of length 1 is shorter
    return Model(image, features, name=f"{model.name}_flip")


def _unit_length(features: "keras.KerasTensor") -> "keras.KerasTensor":
    from keras import layers

    return layers.UnitNormalization(name=UNIT_LENGTH_NAME)(features)


def _build_face_network(
    backbone: str,
    layer: str | None,
    pooling: str,
    input_size: int | None,
    weights: str,
    onnx: OnnxOptions,
    report: Callable[[str], None],
) -> "keras.Model":
    from keras import Model

    names = (INPUT_NAME, PREPROCESSING_NAME)
    if _is_onnx(backbone):
        network = build_from_onnx(Path(backbone), dataclasses.replace(onnx, size=input_size), weights, names, report)
    elif input_size not in (None, SFACE_INPUT_SIZE):
        raise InputError(f"--input_size must be {SFACE_INPUT_SIZE} for the sface backbone. Received: {input_size}")
    elif onnx != NO_OPTIONS:
        raise InputError("--layout, --mean, --scale and --channels do not apply to sface, whose file says them")
    else:
        network = build_sface(weights, names, report)
    name = network.name
    if layer is not None:
        network = _cut(network, layer)
        name = f"{network.name}_{pooling}"
    return Model(network.input, _unit_length(_pool(network.output, pooling)), name=name)


def _build_dlib(layer: str | None, pooling: str, input_size: int | None, weights: str) -> "keras.Model":
    from keras import Model

    if input_size not in (None, DLIB_INPUT_SIZE):
        raise InputError(f"--input_size must be {DLIB_INPUT_SIZE} for the dlib backbone. Received: {input_size}")
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


def _build_application(
    backbone: str, layer: str | None, pooling: str, input_size: int | None, weights: str
) -> "keras.Model":
    from keras import Input, Model, layers

    build = _find_application(backbone)
    size = input_size or _native_size(build)
    network = _cut(_pretrained(build, size, weights), layer)
    network.trainable = False
    image = Input((size, size, 3), name=INPUT_NAME)
    # A network's preprocessing scales, shifts and swaps (BGR) a pixel's three channels. That is affine, so
    # a 1×1 convolution can do it, which every Keras version and file format can store.
    preprocessing = layers.Conv2D(3, 1, name=PREPROCESSING_NAME, trainable=False)
    matrix, offset = _preprocessing_of(build)
    features = _pool(network(preprocessing(image)), pooling)
    preprocessing.set_weights([matrix[None, None], offset])
    return Model(image, features, name=f"{network.name}_{pooling}")


def _find_application(name: str) -> Builder:
    """The function of `keras.applications` that builds a network. Raises InputError."""
    from keras import applications

    builders = {
        candidate.lower(): function
        for candidate, function in vars(applications).items()
        if callable(function) and candidate[0].isupper()
    }
    if name.lower() not in builders:
        known = ", ".join(sorted(builders))
        raise InputError(f"--backbone must be dlib, sface, a FILE{ONNX_SUFFIX} or one of {known}. Received: {name}")
    return builders[name.lower()]


def _native_size(build: Builder) -> int:
    """The input size in pixels that a network was trained at, from its full ImageNet model."""
    if build.__name__ == "ResNet50":
        return 224  # known, so the default need not build a second network to read it from
    return build(weights=None).input_shape[1]


def _pretrained(build: Builder, size: int, weights: str) -> "keras.Model":
    """A network without its classifier, with its ImageNet weights, random ones or those of a file."""
    shape = (size, size, 3)
    if weights == "none":
        return build(include_top=False, weights=None, input_shape=shape)
    if weights != "pretrained":
        if not Path(weights).is_file():
            raise InputError(f"--weights {weights} is not a file")
        return _load_weights_file(build, shape, weights)
    try:
        return build(include_top=False, weights="imagenet", input_shape=shape)
    except ValueError as exc:  # a size that the network does not support
        raise InputError(f"{build.__name__} cannot be built at {size} px: {exc}") from None
    except Exception as exc:  # Keras raises a bare Exception when a download fails
        raise InputError(
            f"the ImageNet weights of {build.__name__} could not be downloaded ({exc}). There are three ways on: "
            "try again online; download the file at that address elsewhere and give it with --weights FILE; or use "
            "--backbone dlib, which needs no download"
        ) from None


def _load_weights_file(build: Builder, shape: tuple[int, int, int], path: str) -> "keras.Model":
    problems = []
    # Keras publishes each network's weights both with and without its classifier.
    for options in ({"include_top": False, "input_shape": shape}, {"include_top": True}):
        try:
            model = build(weights=None, **options)
            model.load_weights(path)
            return model
        except Exception as exc:  # Keras raises nearly anything for a foreign file
            problems.append(str(exc))
    raise InputError(f"--weights {path} does not fit {build.__name__}: {problems[0]}")


def _preprocessing_of(build: Builder) -> tuple[np.ndarray, np.ndarray]:
    """The matrix float32 (3 in, 3 out) and offset float32 (3,) of a network's own `preprocess_input`.

    Found from its output for black and for the three primary colors.
    """
    preprocess = sys.modules[build.__module__].preprocess_input
    offset = preprocess(np.zeros((1, 1, 1, 3), np.float32)).reshape(3)
    primaries = preprocess(255 * np.eye(3, dtype=np.float32).reshape(3, 1, 1, 3)).reshape(3, 3)
    return (primaries - offset) / 255, offset


def _cut(model: "keras.Model", layer: str | None) -> "keras.Model":
    """The part of a model from its input to a layer, or all of it for None."""
    from keras import Model

    if layer is None:
        return model
    return Model(model.input, find_layer(model, layer).output, name=f"{model.name}_{layer}")


def _pool(features: "keras.KerasTensor", pooling: str) -> "keras.KerasTensor":
    """Pool (N, rows, columns, D) to (N, D). A tensor that is (N, D) already stays as it is."""
    from keras import layers

    if len(features.shape) == 4:
        kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "none": layers.Flatten}
        features = kinds[pooling](name="features")(features)
    if len(features.shape) != 2 or None in features.shape[1:]:
        raise InputError(f"the layer's output {features.shape} cannot be pooled to (N, D): cut at another --layer")
    return features


def find_layer(model: "keras.Model", name: str) -> "keras.Layer":
    """Find a layer by its current name, or by old Keras' `activation_N`, the N-th activation from the input.

    Raises InputError that lists some of the model's names.
    """
    from keras import layers

    names = [layer.name for layer in model.layers]
    if name in names:
        return model.get_layer(name)
    numbered = re.fullmatch(r"activation_(\d+)", name)
    # Old Keras numbered the Activation layers in order of creation, from 1.
    activations = [layer for layer in model.layers if isinstance(layer, layers.Activation | layers.ReLU)]
    if numbered and 1 <= int(numbered[1]) <= len(activations):
        return activations[int(numbered[1]) - 1]
    if numbered:
        raise InputError(f"--layer {name}: this network has activation_1 to activation_{len(activations)}")
    raise InputError(f"--layer {name} is not in this network; its last layers are {', '.join(names[-8:])}")
