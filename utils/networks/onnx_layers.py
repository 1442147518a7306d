"""ONNX' layers with weights, and its pooling, as Keras layers."""

import math
from collections.abc import Callable

import numpy as np

from utils.networks.onnx_graph import Activation, Node, image, in_axes_of, plain

Operator = Callable[[Node], Activation]
LOWEST = -3.0e38  # pads the input of a maximum; all but the lowest float32, which bfloat16 would round to −infinity


def convolution(node: Node) -> Activation:
    from keras import layers

    x = image(node.activation(), node.label("channels_last"))
    kernel = node.weights(1)  # (out, in / groups, rows, columns)
    if kernel.ndim != 4:
        raise ValueError(f"only images can be convolved. Received: a kernel of shape {kernel.shape}")
    filters, inputs, *size = kernel.shape
    groups, channels = node.setting("group", default=1), x.shape[1]
    if groups < 1 or inputs * groups != channels or filters % groups:
        raise ValueError(f"a kernel of shape {kernel.shape} in {groups} groups does not fit {x.shape}")
    bias = node.weights(2) if node.constant(2) is not None else None
    strides, dilations = _pairs(node, "strides"), _pairs(node, "dilations")
    x, padding = _pad(node, x, size, strides, dilations, 0.0)
    options = {
        "strides": strides,
        "padding": padding,
        "dilation_rate": dilations,
        "use_bias": bias is not None,
        "name": node.name,
    }
    if groups == channels and groups > 1:
        layer = layers.DepthwiseConv2D(size, depth_multiplier=filters // groups, **options)
        kernel = kernel.reshape(groups, filters // groups, *size).transpose(2, 3, 0, 1)
    else:
        layer = layers.Conv2D(filters, size, groups=groups, **options)
        kernel = kernel.transpose(2, 3, 1, 0)
    result = Activation(layer(x.tensor), x.axes)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return result


def _pairs(node: Node, name: str) -> list[int]:
    """An attribute for rows and columns, 1 by default. Raises ValueError."""
    values = list(node.setting(name, default=[1, 1]))
    if len(values) != 2 or not all(1 <= value <= 1024 for value in values):
        raise ValueError(f"{name} must be two positive numbers. Received: {values}")
    return values


def _pad(
    node: Node, x: Activation, size: list[int], strides: list[int], dilations: list[int], value: float
) -> tuple[Activation, str]:
    """The input with the padding that Keras' "same" would not give, and Keras' padding."""
    from keras import layers, ops

    reach = [(kernel - 1) * dilation + 1 for kernel, dilation in zip(size, dilations, strict=True)]
    same = [_same_padding(*sizes) for sizes in zip(x.shape[2:], reach, strides, strict=True)]
    mode = node.setting("auto_pad", default="NOTSET")
    if mode == "NOTSET":
        pads = list(node.setting("pads", default=[0, 0, 0, 0]))
        if len(pads) != 4 or min(pads) < 0:
            raise ValueError(f"pads must be four numbers from 0 up. Received: {pads}")
        pads = list(zip(pads[:2], pads[2:], strict=True))
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = [pair if mode == "SAME_UPPER" else pair[::-1] for pair in same]
    else:
        pads = [(0, 0), (0, 0)]
    if max(map(max, pads)) == 0:
        return x, "valid"
    if pads == same:
        return x, "same"
    if max(map(max, pads)) > max(x.shape[2:]) + max(reach):
        raise ValueError(f"pads are larger than the image. Received: {pads}")
    if value == 0:
        tensor = layers.ZeroPadding2D(pads, name=node.label("pad"))(x.tensor)
    else:
        tensor = ops.pad(x.tensor, [(0, 0), *pads, (0, 0)], constant_values=value)
    return Activation(tensor, x.axes), "valid"


def _same_padding(size: int, reach: int, stride: int) -> tuple[int, int]:
    """The padding before and after with which ⌈size / stride⌉ windows fit."""
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def batch_normalization(node: Node) -> Activation:
    from keras import layers

    if node.setting("training_mode", default=0):
        raise ValueError("it was saved for training: export the network for inference (model.eval() in PyTorch)")
    x = node.activation()
    if x.rank < 2:
        raise ValueError(f"{x.shape} has no channels")
    if x.rank == 4 and x.batch_axis == 0:
        x = image(x, node.label("channels_last"))
    values = [node.weights(index) for index in (1, 2, 3, 4)]
    if any(value.shape != (x.shape[1],) for value in values) or values[3].min() < 0:
        raise ValueError(f"its weights do not fit {x.shape}")
    axis = x.keras_axis(1)
    if axis == 0:
        raise ValueError("it mixes the images of a batch")
    epsilon = float(node.setting("epsilon", default=1e-5))
    layer = layers.BatchNormalization(axis=-1 if axis == x.rank - 1 else axis, epsilon=epsilon, name=node.name)
    result = Activation(layer(x.tensor), x.axes)
    layer.set_weights(values)
    return result


def parametric_relu(node: Node) -> Activation:
    from keras import layers

    x = node.activation()
    slope = node.weights(1)
    if slope.size == 1 and slope.min() >= 0:
        return Activation(layers.LeakyReLU(negative_slope=slope.item(), name=node.name)(x.tensor), x.axes)
    slope = in_axes_of(slope, x)[0]
    if slope.ndim == 0:
        raise ValueError(f"a slope does not fit {x.shape}")
    shared = [axis for axis, size in enumerate(slope.shape, start=1) if size == 1 and x.tensor.shape[axis] != 1]
    layer = layers.PReLU(shared_axes=shared or None, name=node.name)
    result = Activation(layer(x.tensor), x.axes)
    layer.set_weights([slope])
    return result


def dense(node: Node) -> Activation:
    """Gemm: α·A·B + β·C, with A the features."""
    from keras import layers

    if node.setting("transA", default=0):
        raise ValueError("it mixes the images of a batch")
    x = plain(node.activation(), node.label("order"))
    kernel = node.weights(1) * np.float32(node.setting("alpha", default=1.0))
    kernel = kernel.T if node.setting("transB", default=0) else kernel
    if x.rank != 2 or x.batch_axis != 0 or kernel.ndim != 2 or len(kernel) != x.shape[1]:
        raise ValueError(f"a kernel of shape {kernel.shape} does not fit {x.shape}")
    weights = [kernel]
    if node.constant(2) is not None:
        bias = node.weights(2) * np.float32(node.setting("beta", default=1.0))
        weights.append(np.broadcast_to(bias, (1, kernel.shape[1]))[0])
    layer = layers.Dense(kernel.shape[1], use_bias=len(weights) == 2, name=node.name)
    result = Activation(layer(x.tensor), x.axes)
    layer.set_weights(weights)
    return result


def global_average(node: Node) -> Activation:
    from keras import layers

    x = image(node.activation(), node.label("channels_last"))
    return Activation(layers.GlobalAveragePooling2D(keepdims=True, name=node.name)(x.tensor), x.axes)


def global_maximum(node: Node) -> Activation:
    from keras import layers

    x = image(node.activation(), node.label("channels_last"))
    return Activation(layers.GlobalMaxPooling2D(keepdims=True, name=node.name)(x.tensor), x.axes)


def average_pooling(node: Node) -> Activation:
    from keras import layers

    x, size, strides, padding = _pooling(node, 0.0)
    if padding == "same" and node.setting("count_include_pad", default=0):
        pads = [_same_padding(*sizes) for sizes in zip(x.shape[2:], size, strides, strict=True)]
        x, padding = Activation(layers.ZeroPadding2D(pads, name=node.label("pad"))(x.tensor), x.axes), "valid"
    elif x.shape != node.activation().shape and not node.setting("count_include_pad", default=0):
        raise ValueError("its padding, which is left out of the average, is not supported")
    return Activation(layers.AveragePooling2D(size, strides, padding, name=node.name)(x.tensor), x.axes)


def max_pooling(node: Node) -> Activation:
    from keras import layers

    if node.outputs > 1:
        raise ValueError("the places of its maxima are not supported")
    x, size, strides, padding = _pooling(node, LOWEST)
    return Activation(layers.MaxPooling2D(size, strides, padding, name=node.name)(x.tensor), x.axes)


def _pooling(node: Node, value: float) -> tuple[Activation, list[int], list[int], str]:
    """The padded input of a pooling, the size and strides of its window, and Keras' padding."""
    x = image(node.activation(), node.label("channels_last"))
    size, strides = _pairs(node, "kernel_shape"), _pairs(node, "strides")
    if _pairs(node, "dilations") != [1, 1]:
        raise ValueError("dilations are not supported")
    x, padding = _pad(node, x, size, strides, [1, 1], value)
    if node.setting("ceil_mode", default=0) and padding == "valid":
        left = [(own - window) % stride for own, window, stride in zip(x.shape[2:], size, strides, strict=True)]
        if any(left):
            raise ValueError("ceil_mode is not supported where windows cross the border")
    return x, size, strides, padding


OPERATORS: dict[str, Operator] = {
    "Conv": convolution,
    "BatchNormalization": batch_normalization,
    "PRelu": parametric_relu,
    "Gemm": dense,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_maximum,
    "AveragePool": average_pooling,
    "MaxPool": max_pooling,
}
