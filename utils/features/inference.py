"""A network made quick to run: the same function with fewer layers, in float32 or bfloat16.

Only what is computed changes hands here: files, fingerprints and layers' names stay those of the
network that was saved.
"""

import sys
from pathlib import Path

import numpy as np

PRECISIONS = ("float32", "bfloat16")
# Where its output is the sum or the difference of large numbers, 8 bits of mantissa are too few.
FLOAT32_LAYERS = ("preprocessing",)


def inference_model(model, precision: str = "float32"):
    """A copy of a Keras model of one output that runs faster and gives the same features.

    Every batch normalization that alone takes the output of a convolution is multiplied into that
    convolution, where no layer is called twice and the model is not one around another:
    γ·(conv(x) − μ)/√(σ² + ε) + β is a convolution again (Ioffe and Szegedy, "Batch
    Normalization", 2015, as it is at inference). precision: one of PRECISIONS, of what is computed in
    between; weights and output stay float32. Raises ValueError for another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}. Received: {precision!r}")
    from keras import Model, layers, models

    model = Model(model.inputs, model.outputs[0], name=model.name)  # of any kind: functional from here on
    folded = _normalizations_to_fold(model)
    weights = []

    def copy(layer):
        if not isinstance(layer, layers.Layer):  # a bare operation, which has no weights and no type of its own
            return layer
        config = layer.get_config()
        if layer in folded.values():
            clone = layers.Identity(name=layer.name)
        else:
            if precision == "bfloat16" and layer.name not in FLOAT32_LAYERS:
                config["dtype"] = "mixed_bfloat16"
            values = layer.get_weights()
            if layer in folded:
                values = _fold(values, folded[layer])
                config["use_bias"] = True
            clone = type(layer).from_config(config)
            weights.append((clone, values))
        return clone

    def call(layer, inputs, *arguments, **options):
        # A normalization is called with a mask, which Identity does not take.
        return inputs if isinstance(layer, layers.Identity) else layer(inputs, *arguments, **options)

    fast = models.clone_model(model, clone_function=copy, call_function=call, recursive=True)
    for clone, values in weights:
        clone.set_weights(values)
    if precision == "float32":
        return fast
    features = layers.Activation("linear", dtype="float32", name="float32")(fast.outputs[0])
    return Model(fast.inputs, features, name=model.name)


def _normalizations_to_fold(model) -> dict:
    """Convolution → the batch normalization that alone takes its output, here and in nested models."""
    from keras import layers

    nested = [layer for layer in model.layers if hasattr(layer, "layers")]
    if nested:  # what a model inside takes from its neighbors its own `input` does not tell
        return {key: value for inner in nested for key, value in _normalizations_to_fold(inner).items()}
    # `input` is that of a layer's first call alone, and nothing public counts the calls.
    if any(len(layer._inbound_nodes) > 1 for layer in model.layers):
        return {}
    inputs = [_as_list(layer.input) for layer in model.layers]
    takers = [tensor for tensors in inputs for tensor in tensors] + list(model.outputs)
    makers = {id(layer.output): layer for layer in model.layers if type(layer) is layers.Conv2D}
    found = {}
    for layer in model.layers:
        if type(layer) is layers.BatchNormalization:
            maker = makers.get(id(layer.input))
            alone = maker and sum(tensor is layer.input for tensor in takers) == 1
            plain = maker and maker.get_config()["activation"] == "linear" and maker.data_format == "channels_last"
            if alone and plain and layer.axis in (-1, 3):
                found[maker] = layer
    return found


def _as_list(tensors) -> list:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _fold(convolution: list[np.ndarray], normalization) -> list[np.ndarray]:
    """[kernel, bias] of a convolution [kernel] or [kernel, bias] and the normalization after it, in one."""
    kernel, bias = (*convolution, 0)[:2]
    mean, variance = (np.asarray(values) for values in (normalization.moving_mean, normalization.moving_variance))
    gamma = np.asarray(normalization.gamma) if normalization.scale else np.ones_like(mean)
    beta = np.asarray(normalization.beta) if normalization.center else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + normalization.epsilon)
    return [kernel * factor, (bias - mean) * factor + beta]


def on_accelerator() -> bool:
    """Whether Keras computes on a graphics card or a TPU, with whichever backend it runs."""
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.is_available() or torch.backends.mps.is_available()
    if backend not in ("tensorflow", "jax"):  # whose devices Keras does not list
        return False
    return not all(device.startswith("cpu") for device in keras.distribution.list_devices())


def bfloat16_doubt() -> str | None:
    """Why bfloat16 may not be faster than float32 here, None where nothing speaks against it."""
    if on_accelerator():
        return _card_doubt()
    if not sys.platform.startswith("linux"):
        return "whether this processor has bfloat16 instructions cannot be told here"
    if {"avx512_bf16", "amx_bf16", "bf16"} & set(Path("/proc/cpuinfo").read_text().split()):
        return None
    return "this processor has no bfloat16 instructions"


def _card_doubt() -> str | None:
    import keras

    if keras.backend.backend() != "tensorflow":  # only TensorFlow says what kind of card it is
        return None
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    capability = tf.config.experimental.get_device_details(cards[0]).get("compute_capability") if cards else None
    # bfloat16 came to NVIDIA's cards with compute capability 8.0 (Ampere).
    return "this graphics card has no bfloat16 units" if capability and capability < (8, 0) else None
