"""ONNX' functions of one operand, such as activations and normalizations, as Keras layers and operations."""

from collections.abc import Callable

import numpy as np

from utils.networks.onnx_graph import Activation, Node, checked_axis, plain

Operator = Callable[[Node], Activation]


def clip(node: Node) -> Activation:
    from keras import layers, ops

    x = node.activation()
    bounds = [node.setting(name, index) for name, index in (("min", 1), ("max", 2))]
    low, high = (
        np.inf * sign if value is None else float(np.ravel(value)[0])
        for value, sign in zip(bounds, (-1, 1), strict=True)
    )
    if not low <= high:
        raise ValueError(f"it cannot clip to {low} to {high}")
    if low == 0:
        return Activation(layers.ReLU(None if np.isinf(high) else high, name=node.name)(x.tensor), x.axes)
    tensor = x.tensor
    if np.isfinite(low):
        tensor = ops.maximum(tensor, low)
    if np.isfinite(high):
        tensor = ops.minimum(tensor, high)
    return Activation(tensor, x.axes)


def _activation(kind: str) -> Operator:
    def operator(node: Node) -> Activation:
        from keras import layers

        x = node.activation()
        layer = layers.ReLU(name=node.name) if kind == "relu" else layers.Activation(kind, name=node.name)
        return Activation(layer(x.tensor), x.axes)

    return operator


def _operation(name: str) -> Operator:
    def operator(node: Node) -> Activation:
        from keras import ops

        x = node.activation()
        return Activation(getattr(ops, name)(x.tensor), x.axes)

    return operator


def leaky_relu(node: Node) -> Activation:
    from keras import layers

    x, slope = node.activation(), float(node.setting("alpha", default=0.01))
    return Activation(layers.LeakyReLU(negative_slope=slope, name=node.name)(x.tensor), x.axes)


def elu(node: Node) -> Activation:
    from keras import layers

    x, alpha = node.activation(), float(node.setting("alpha", default=1.0))
    return Activation(layers.ELU(alpha, name=node.name)(x.tensor), x.axes)


def gelu(node: Node) -> Activation:
    from keras import ops

    x, approximate = node.activation(), node.setting("approximate", default="none") == "tanh"
    return Activation(ops.gelu(x.tensor, approximate=approximate), x.axes)


def hard_sigmoid(node: Node) -> Activation:
    return _hard_sigmoid(node, float(node.setting("alpha", default=0.2)), float(node.setting("beta", default=0.5)))


def _hard_sigmoid(node: Node, slope: float, offset: float) -> Activation:
    from keras import layers

    x = node.activation()
    tensor = layers.Rescaling(slope, offset, name=node.label("line"))(x.tensor)
    return Activation(layers.ReLU(1.0, name=node.label("clip"))(tensor), x.axes)


def hard_swish(node: Node) -> Activation:
    from keras import layers

    x = node.activation()
    gate = _hard_sigmoid(node, 1 / 6, 0.5)
    return Activation(layers.Multiply(name=node.name)([x.tensor, gate.tensor]), x.axes)


def softmax(node: Node) -> Activation:
    from keras import layers

    x = node.activation()
    axis = checked_axis(node.setting("axis", default=-1 if node.opset >= 13 else 1), x.rank)
    if node.opset < 13 and axis != x.rank - 1:  # before version 13 all axes from this one on were taken together
        raise ValueError(f"of several axes from {axis} on is not supported")
    if axis == x.batch_axis:
        raise ValueError("it mixes the images of a batch")
    return Activation(layers.Softmax(x.keras_axis(axis), name=node.name)(x.tensor), x.axes)


def layer_normalization(node: Node) -> Activation:
    from keras import layers

    x = plain(node.activation(), node.label("order"))
    if node.outputs > 1 or x.batch_axis != 0 or checked_axis(node.setting("axis", default=-1), x.rank) != x.rank - 1:
        raise ValueError("only the last axis can be normalized")
    epsilon = float(node.setting("epsilon", default=1e-5))
    weights = [node.weights(1)] + ([node.weights(2)] if node.constant(2) is not None else [])
    layer = layers.LayerNormalization(epsilon=epsilon, center=len(weights) == 2, name=node.name)
    result = Activation(layer(x.tensor), x.axes)
    layer.set_weights([np.broadcast_to(value, (x.shape[-1],)) for value in weights])
    return result


def unit_length(node: Node) -> Activation:
    from keras import layers

    x = node.activation()
    if node.setting("p", default=2) != 2:
        raise ValueError("only lengths of order 2 are supported")
    axis = x.keras_axis(node.setting("axis", default=-1))
    if axis == 0:
        raise ValueError("it mixes the images of a batch")
    return Activation(layers.UnitNormalization(axis=axis, name=node.name)(x.tensor), x.axes)


OPERATORS: dict[str, Operator] = {
    "Clip": clip,
    "Relu": _activation("relu"),
    "Sigmoid": _activation("sigmoid"),
    "Tanh": _activation("tanh"),
    "Softplus": _activation("softplus"),
    "Exp": _activation("exponential"),
    "Abs": _operation("abs"),
    "Erf": _operation("erf"),
    "Log": _operation("log"),
    "Neg": _operation("negative"),
    "Reciprocal": _operation("reciprocal"),
    "Sqrt": _operation("sqrt"),
    "LeakyRelu": leaky_relu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Softmax": softmax,
    "LayerNormalization": layer_normalization,
    "LpNormalization": unit_length,
}
