"""Make a network faster without changing what it computes: fewer layers, in float32 or bfloat16.

The change is in memory only. Files, fingerprints and layer names stay those of the saved network.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.cli import PRECISIONS

if TYPE_CHECKING:
    import keras

# These layers output sums or differences of large numbers. The 8 bits of bfloat16's mantissa are too few for that.
FLOAT32_LAYERS = ("preprocessing", "unit_length")


def inference_model(model: "keras.Model", precision: str = "float32") -> "keras.Model":
    """A copy of a single-output Keras model that runs faster and gives the same features.

    A batch normalization that directly follows a convolution or a dense layer is multiplied into it, because
    γ·(conv(x) − μ)/√(σ² + ε) + β is again a convolution (Ioffe and Szegedy, "Batch Normalization",
    2015, at inference). This needs a convolution with no other consumer, and is left out in models
    that call a layer twice or that wrap another model. Weights and output stay float32 with either
    precision. Raises ValueError for a precision that is not in PRECISIONS.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}. Received: {precision!r}")
    from keras import Model, layers, models

    model = Model(model.inputs, model.outputs[0], name=model.name)  # functional from here on, whatever it was
    folded = _normalizations_to_fold(model)
    weights = []

    def copy(layer: "keras.Operation") -> "keras.Operation":
        if not isinstance(layer, layers.Layer):  # a bare operation has neither weights nor a dtype
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
            if type(layer) is layers.Rescaling and np.ndim(layer.scale) == 0 and layer.output.shape[-1]:
                # OpenVINO adds while it multiplies by a number for each channel, but not while by one number for all:
                # dlib's network takes 4 % less time in float32, and 8 % in bfloat16.
                config["scale"] = [float(layer.scale)] * layer.output.shape[-1]
            clone = type(layer).from_config(config)
            weights.append((clone, values))
        return clone

    def call(layer: "keras.Operation", inputs: Any, *arguments: Any, **options: Any) -> Any:
        # A normalization is called with a mask, which Identity does not accept.
        return inputs if isinstance(layer, layers.Identity) else layer(inputs, *arguments, **options)

    fast = models.clone_model(model, clone_function=copy, call_function=call, recursive=True)
    for clone, values in weights:
        clone.set_weights(values)
    if precision == "float32":
        return fast
    features = layers.Activation("linear", dtype="float32", name="float32")(fast.outputs[0])
    return Model(fast.inputs, features, name=model.name)


def _normalizations_to_fold(model: "keras.Model") -> dict["keras.Layer", "keras.Layer"]:
    """Convolution or dense layer → the batch normalization that alone takes its output. Looks into nested models."""
    from keras import layers

    nested = [layer for layer in model.layers if hasattr(layer, "layers")]
    if nested:  # the `input` of a nested model does not tell what it takes from its neighbors
        return {key: value for inner in nested for key, value in _normalizations_to_fold(inner).items()}
    # `input` is that of a layer's first call only, and Keras has no public way to count the calls.
    if any(len(layer._inbound_nodes) > 1 for layer in model.layers):
        return {}
    consumed = [tensor for layer in model.layers for tensor in _as_list(layer.input)] + list(model.outputs)
    kinds = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
    linear = [layer for layer in model.layers if type(layer) in kinds]
    pairs = {}
    for layer in model.layers:
        is_normalization = type(layer) is layers.BatchNormalization
        if is_normalization and layer.axis in (-1, len(layer.input.shape) - 1):
            source = next((other for other in linear if other.output is layer.input), None)
            if source and sum(tensor is layer.input for tensor in consumed) == 1 and _is_linear(source):
                pairs[source] = layer
    return pairs


def _is_linear(layer: "keras.Layer") -> bool:
    config = layer.get_config()
    return config["activation"] == "linear" and config.get("data_format", "channels_last") == "channels_last"


def _as_list(tensors: Any) -> list:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _fold(weights: list[np.ndarray], normalization: "keras.Layer") -> list[np.ndarray]:
    """Fold a normalization into the weights [kernel] or [kernel, bias] before it. Returns [kernel, bias]."""
    kernel, bias = weights[0], weights[1] if len(weights) > 1 else 0
    mean, variance = (np.asarray(values) for values in (normalization.moving_mean, normalization.moving_variance))
    gamma = np.asarray(normalization.gamma) if normalization.scale else np.ones_like(mean)
    beta = np.asarray(normalization.beta) if normalization.center else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + normalization.epsilon)
    # A depthwise convolution's outputs are the last two axes of its kernel, the channels and the filters for each.
    outputs = kernel.shape[-1:] if kernel.shape[-1] == factor.size else kernel.shape[-2:]
    return [kernel * factor.reshape(outputs), (bias - mean) * factor + beta]


def on_accelerator() -> bool:
    """Whether Keras computes on a GPU or a TPU, with any backend."""
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.is_available() or torch.backends.mps.is_available()
    if backend not in ("tensorflow", "jax"):  # Keras does not list the devices of other backends
        return False
    return not all(device.startswith("cpu") for device in keras.distribution.list_devices())


def bfloat16_slow_reason(engine: str) -> str | None:
    """Why bfloat16 may be no faster than float32 on "openvino" or "keras" here. None if there is no known reason."""
    return _gpu_slow_reason() if engine == "keras" and on_accelerator() else cpu_slow_reason()


def cpu_slow_reason(platform: str = sys.platform, cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Why bfloat16 may be no faster than float32 on this CPU, read from Linux' list of its features."""
    if not platform.startswith("linux"):
        return "whether this processor has bfloat16 instructions cannot be determined here"
    if {"avx512_bf16", "amx_bf16", "bf16"} & set(cpuinfo.read_text().split()):
        return None
    return "this processor has no bfloat16 instructions"


def _gpu_slow_reason() -> str | None:
    import keras

    if keras.backend.backend() != "tensorflow":  # only TensorFlow tells the kind of GPU
        return None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability") if gpus else None
    # NVIDIA GPUs have bfloat16 units from compute capability 8.0 (Ampere) on.
    return "this graphics card has no bfloat16 units" if capability and capability < (8, 0) else None
