"""ONNX' arithmetic, sums and products of matrices as Keras layers and operations.

A constant becomes the weight of a layer, as all weights do: a file's settings are no place for arrays, and
fingerprints see weights.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.networks.onnx_graph import (
    IMAGE,
    MAX_VALUES,
    Activation,
    Node,
    arrange,
    checked_axis,
    in_axes_of,
    plain,
    raised,
)

if TYPE_CHECKING:
    import keras

Operator = Callable[[Node], Activation]


def affine(x: Activation, scale: np.ndarray, offset: np.ndarray, node: Node) -> Activation:
    """x · scale + offset. Both constants have one value, or are broadcast to x as ONNX does."""
    from keras import layers

    if scale.size == offset.size == 1:
        layer = layers.Rescaling(scale.item(), offset.item(), name=node.name)
        return Activation(layer(x.tensor), x.axes)
    x = _grown(x, np.broadcast_shapes(scale.shape, offset.shape), node)
    scale, offset = np.broadcast_arrays(in_axes_of(scale, x), in_axes_of(offset, x))
    if scale.shape[0] != 1:
        raise ValueError("a constant differs between the images of a batch")
    varying = [axis for axis, size in enumerate(scale.shape) if size > 1]
    first, last = varying[0], varying[-1]
    sizes = x.tensor.shape[1:]
    # Batch normalization scales and shifts one axis. All axes on which a constant varies become one.
    shape = (1, *(size if first <= axis <= last else 1 for axis, size in enumerate(sizes, start=1)))
    node.spend(16 * math.prod(shape))
    weights = [np.broadcast_to(value, shape).reshape(-1) for value in (scale, offset)]
    layer = layers.BatchNormalization(axis=-1 if last == x.rank - 1 else first, epsilon=0, name=node.name)
    tensor = x.tensor
    if last > first:
        merged = (*sizes[: first - 1], len(weights[0]), *sizes[last:])
        tensor = layers.Reshape(merged, name=node.label("merged"))(tensor)
    tensor = layer(tensor)
    layer.set_weights([*weights, np.zeros_like(weights[0]), np.ones_like(weights[0])])
    if last > first:
        tensor = layers.Reshape(sizes, name=node.label("split"))(tensor)
    return Activation(tensor, x.axes)


def _grown(x: Activation, shape: tuple[int, ...], node: Node) -> Activation:
    """x repeated where it has size 1 and an ONNX shape, from the last axis, has more."""
    from keras import ops

    x = raised(x, len(shape), node.label("rank"))
    tensor = x.tensor
    for axis, size in enumerate(shape, start=x.rank - len(shape)):
        if x.shape[axis] == 1 and size > 1:
            if axis == x.batch_axis:
                raise ValueError("a constant differs between the images of a batch")
            tensor = ops.repeat(tensor, size, axis=x.keras_axis(axis))
    return Activation(tensor, x.axes)


def expand(node: Node) -> Activation:
    shape = tuple(node.setting("shape", 1, []))
    if min(shape, default=1) < 1 or math.prod(shape) > MAX_VALUES:
        raise ValueError(f"it cannot be expanded to {shape}")
    return _grown(node.activation(), shape, node)


def _aligned(node: Node) -> list[Activation]:
    """The operands of one rank and with their axes in the same order."""
    operands = [node.activation(index) for index in range(len(node.operands))]
    rank = max(x.rank for x in operands)
    operands = [raised(x, rank, node.label("rank")) for x in operands]
    order = max(operands, key=lambda x: math.prod(x.shape)).axes
    return [arrange(x, order, node.label("order")) for x in operands]


def _split_constant(node: Node) -> tuple[Activation, np.ndarray | None, bool]:
    """The activation of a pair, the constant beside it if there is one, and whether the constant is the first."""
    if len(node.operands) != 2:
        raise ValueError(f"expected two operands. Received: {len(node.operands)}")
    if isinstance(node.operands[0], Activation):
        constant = None if isinstance(node.operands[1], Activation) else node.weights(1)
        return node.operands[0], constant, False
    return node.activation(1), node.weights(0), True


def _merge(node: Node, layer: type["keras.Layer"]) -> Activation:
    """Both operands, which are computed, through a layer that takes two."""
    first, second = _aligned(node)
    return Activation(layer(name=node.name)([first.tensor, second.tensor]), first.axes)


ONE, ZERO = np.ones((), np.float32), np.zeros((), np.float32)


def add(node: Node) -> Activation:
    from keras import layers

    x, constant, _ = _split_constant(node)
    if constant is not None:
        return affine(x, ONE, constant, node)
    return _merge(node, layers.Add)


def subtract(node: Node) -> Activation:
    from keras import layers

    x, constant, is_first = _split_constant(node)
    if constant is not None:
        return affine(x, -ONE, constant, node) if is_first else affine(x, ONE, -constant, node)
    return _merge(node, layers.Subtract)


def multiply(node: Node) -> Activation:
    from keras import layers

    x, constant, _ = _split_constant(node)
    if constant is not None:
        return affine(x, constant, ZERO, node)
    return _merge(node, layers.Multiply)


def divide(node: Node) -> Activation:
    from keras import ops

    x, constant, is_first = _split_constant(node)
    if constant is None:
        first, second = _aligned(node)
        return Activation(ops.divide(first.tensor, second.tensor), first.axes)
    if is_first:
        return affine(Activation(ops.reciprocal(x.tensor), x.axes), constant, ZERO, node)
    if not constant.all():
        raise ValueError("it divides by 0")
    return affine(x, 1 / constant, ZERO, node)


def power(node: Node) -> Activation:
    from keras import ops

    x, constant, is_first = _split_constant(node)
    if constant is None or is_first or constant.size != 1:
        raise ValueError("its exponent must be one number")
    exponent = constant.item()
    tensor = ops.square(x.tensor) if exponent == 2 else ops.power(x.tensor, exponent)
    return Activation(tensor, x.axes)


def _extremum(name: str) -> Operator:
    def operator(node: Node) -> Activation:
        from keras import ops

        x, constant, _ = _split_constant(node)
        if constant is None:
            first, second = _aligned(node)
            return Activation(getattr(ops, name)(first.tensor, second.tensor), first.axes)
        if constant.size != 1:
            raise ValueError("its constant must be one number")
        return Activation(getattr(ops, name)(x.tensor, constant.item()), x.axes)

    return operator


def matrix_product(node: Node) -> Activation:
    from keras import ops

    if not all(isinstance(operand, Activation) for operand in node.operands):
        return _product_with_constant(node)
    first, second = (plain(node.activation(index), node.label("order")) for index in (0, 1))
    if first.axes != second.axes or first.batch_axis >= first.rank - 2:
        raise ValueError(f"{first.shape} and {second.shape} mix the images of a batch")
    return Activation(ops.matmul(first.tensor, second.tensor), first.axes)


def _product_with_constant(node: Node) -> Activation:
    """A product with a matrix, which is a dense layer on the last axis (constant right) or the last but one (left)."""
    from keras import layers

    x, matrix, is_left = _split_constant(node)
    matrix = matrix.reshape(matrix.shape[-2:]) if matrix.ndim > 2 and math.prod(matrix.shape[:-2]) == 1 else matrix
    axis = checked_axis(-2 if is_left else -1, x.rank)
    if matrix.ndim != 2 or axis == x.batch_axis:
        raise ValueError(f"a constant of shape {matrix.shape} beside {x.shape} is not supported")
    matrix = matrix.T if is_left else matrix
    if len(matrix) != x.shape[axis]:
        raise ValueError(f"{x.shape} and a constant of shape {matrix.shape} do not fit")
    rest = [other for other in x.axes if other != axis]
    x = arrange(x, (*rest, axis), node.label("order"))
    layer = layers.Dense(matrix.shape[1], use_bias=False, name=node.name)
    result = Activation(layer(x.tensor), x.axes)
    layer.set_weights([matrix])
    return result


def _reduction(name: str) -> Operator:
    def operator(node: Node) -> Activation:
        x = node.activation()
        axes = node.setting("axes", 1) or list(range(1, x.rank))
        axes = sorted({checked_axis(axis, x.rank) for axis in axes})
        if x.batch_axis in axes:
            raise ValueError("it mixes the images of a batch")
        keeps = bool(node.setting("keepdims", default=1))
        tensor = _reduce(name, x, [x.keras_axis(axis) for axis in axes], keeps, node)
        if keeps:
            return Activation(tensor, x.axes)
        kept = [axis for axis in range(x.rank) if axis not in axes]
        return Activation(tensor, tuple(kept.index(axis) for axis in x.axes if axis in kept))

    return operator


def _reduce(name: str, x: Activation, axes: list[int], keeps: bool, node: Node) -> Any:
    from keras import layers, ops

    if name == "mean" and x.axes == IMAGE and sorted(axes) == [1, 2]:
        return layers.GlobalAveragePooling2D(keepdims=keeps, name=node.name)(x.tensor)
    if name == "l2":
        return ops.sqrt(ops.sum(ops.square(x.tensor), axis=axes, keepdims=keeps))
    return getattr(ops, name)(x.tensor, axis=axes, keepdims=keeps)


OPERATORS: dict[str, Operator] = {
    "Add": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Pow": power,
    "Max": _extremum("maximum"),
    "Min": _extremum("minimum"),
    "MatMul": matrix_product,
    "ReduceMean": _reduction("mean"),
    "ReduceSum": _reduction("sum"),
    "ReduceMax": _reduction("max"),
    "ReduceL2": _reduction("l2"),
    "Expand": expand,
}
