"""ONNX' operators that only move numbers: shapes, orders of axes, parts and wholes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from utils.networks.onnx_graph import Activation, Node, arrange, checked_axis, reshape

Result = Activation | np.ndarray | list[Activation]
Operator = Callable[[Node], Result]


def identity(node: Node) -> Activation:
    return node.activation()


def cast(node: Node) -> Activation:
    from onnx import TensorProto

    if node.attributes.get("to") not in (
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.DOUBLE,
    ):
        raise ValueError("only floating-point numbers are supported")
    return node.activation()


def shape_of(node: Node) -> np.ndarray:
    shape = node.activation().shape
    return np.array(shape[slice(node.attributes.get("start", 0), node.attributes.get("end"))], np.int64)


def flatten(node: Node) -> Activation:
    x = node.activation()
    axis = node.setting("axis", default=1)
    axis = axis + x.rank if axis < 0 else axis
    return reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])), node.label, node.name)


def reshape_to(node: Node) -> Activation:
    x, target = node.activation(), node.setting("shape", 1, [])
    if not node.setting("allowzero", default=0):
        target = [x.shape[axis] if size == 0 and axis < x.rank else size for axis, size in enumerate(target)]
    known = math.prod(size for size in target if size != -1)
    if target.count(-1) > 1 or known < 1 or min(target, default=0) < -1:
        raise ValueError(f"{x.shape} cannot become {target}")
    return reshape(x, [math.prod(x.shape) // known if size == -1 else size for size in target], node.label, node.name)


def squeeze(node: Node) -> Activation:
    x = node.activation()
    axes = node.setting("axes", 1) or [axis for axis, size in enumerate(x.shape) if size == 1 and axis != x.batch_axis]
    removed = {checked_axis(axis, x.rank) for axis in axes}
    if x.batch_axis in removed or any(x.shape[axis] != 1 for axis in removed):
        raise ValueError(f"axes {sorted(removed)} of {x.shape} cannot be removed")
    kept = [axis for axis in range(x.rank) if axis not in removed]
    return _resized(
        x, tuple(kept.index(axis) for axis in x.axes if axis in kept), [x.shape[axis] for axis in kept], node
    )


def unsqueeze(node: Node) -> Activation:
    x, axes = node.activation(), node.setting("axes", 1) or []
    rank = x.rank + len(axes)
    added = {checked_axis(axis, rank) for axis in axes}
    if len(added) != len(axes):
        raise ValueError(f"axes {axes} are added twice")
    old = [axis for axis in range(rank) if axis not in added]
    shape = [1 if axis in added else x.shape[old.index(axis)] for axis in range(rank)]
    return _resized(x, (*(old[axis] for axis in x.axes), *sorted(added)), shape, node)


def _resized(x: Activation, axes: tuple[int, ...], shape: list[int], node: Node) -> Activation:
    """x with axes of size 1 more or fewer. shape: the ONNX shape."""
    from keras import layers

    tensor = layers.Reshape([shape[axis] for axis in axes[1:]], name=node.name)(x.tensor)
    return Activation(tensor, axes)


def transpose(node: Node) -> Activation:
    """No number moves yet: see `Activation`."""
    x = node.activation()
    order = list(node.setting("perm", default=range(x.rank)[::-1]))
    if sorted(order) != list(range(x.rank)):
        raise ValueError(f"{order} is no order of {x.rank} axes")
    return Activation(x.tensor, tuple(order.index(axis) for axis in x.axes))


def concatenate(node: Node) -> Activation:
    from keras import layers

    parts = [node.activation(index) for index in range(len(node.operands))]
    order = max(parts, key=lambda x: math.prod(x.shape)).axes
    axis = checked_axis(node.setting("axis", default=1), parts[0].rank)
    if any(x.rank != len(order) for x in parts) or axis == order[0]:
        raise ValueError(f"{[x.shape for x in parts]} cannot be joined along axis {axis}")
    parts = [arrange(x, order, node.label("order")) for x in parts]
    if len(parts) == 1:
        return parts[0]
    layer = layers.Concatenate(parts[0].keras_axis(axis), name=node.name)
    return Activation(layer([x.tensor for x in parts]), order)


def split(node: Node) -> list[Activation]:
    from keras import ops

    x = node.activation()
    axis = checked_axis(node.setting("axis", default=0), x.rank)
    size = x.shape[axis]
    part = -(-size // max(1, node.outputs))
    sizes = node.setting("split", 1) or [part] * (node.outputs - 1) + [size - part * (node.outputs - 1)]
    if len(sizes) != node.outputs or sum(sizes) != size or min(sizes) < 1 or axis == x.batch_axis:
        raise ValueError(f"axis {axis} of {x.shape} cannot be split into {sizes}")
    if len(sizes) == 1:
        return [x]
    tensors = ops.split(x.tensor, np.cumsum(sizes)[:-1].tolist(), axis=x.keras_axis(axis))
    return [Activation(tensor, x.axes) for tensor in tensors]


def cut(node: Node) -> Activation:
    """Slice."""
    x = node.activation()
    starts, ends = node.setting("starts", 1, []), node.setting("ends", 2, [])
    axes = node.setting("axes", 3) or list(range(len(starts)))
    steps = node.setting("steps", 4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("its starts, ends, axes and steps differ in number")
    tensor = x.tensor
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = x.shape[checked_axis(axis, x.rank)]
        taken = range(*slice(start, end, step).indices(size)) if step else range(0)
        if step < 1 or not taken or (x.keras_axis(axis) == 0 and len(taken) < size):
            raise ValueError(f"axis {axis} of {x.shape} cannot be cut from {start} to {end} in steps of {step}")
        if len(taken) < size:
            tensor = _part(tensor, x.keras_axis(axis), taken)
    return Activation(tensor, x.axes)


def _part(tensor: Any, axis: int, taken: range) -> Any:
    return tensor[(slice(None),) * axis + (slice(taken.start, taken[-1] + 1, taken.step),)]


def gather(node: Node) -> Activation:
    from keras import ops

    x, indices = node.activation(), node.constant(1)
    axis = checked_axis(node.setting("axis", default=0), x.rank)
    if indices is None or indices.ndim > 1 or indices.size < 1 or axis == x.batch_axis:
        raise ValueError(f"axis {axis} of {x.shape} cannot be gathered so")
    numbers = [checked_axis(int(index), x.shape[axis]) for index in np.ravel(indices)]
    if indices.ndim == 1:
        return Activation(ops.take(x.tensor, numbers, axis=x.keras_axis(axis)), x.axes)
    tensor = _part(x.tensor, x.keras_axis(axis), range(numbers[0], numbers[0] + 1))
    kept = [other for other in range(x.rank) if other != axis]
    axes = tuple(kept.index(other) for other in x.axes if other != axis)
    return _resized(Activation(tensor, x.axes), axes, [x.shape[other] for other in kept], node)


def pad(node: Node) -> Activation:
    from keras import layers, ops

    x = node.activation()
    if node.setting("mode", default="constant") != "constant":
        raise ValueError("only padding with a constant is supported")
    pads = node.setting("pads", 1, [])
    axes = node.setting("axes", 3) or list(range(x.rank))
    value = float(np.ravel(node.setting("value", 2, 0.0))[0])
    if len(pads) != 2 * len(axes) or min(pads) < 0 or max(pads) > 4096:
        raise ValueError(f"{x.shape} cannot be padded by {pads}")
    amounts = {x.keras_axis(axis): (pads[k], pads[k + len(axes)]) for k, axis in enumerate(axes)}
    pairs = [amounts.get(axis, (0, 0)) for axis in range(x.rank)]
    if not any(map(any, pairs)):
        return x
    if any(pairs[0]):
        raise ValueError("it pads the batch")
    if x.rank == 4 and value == 0 and not any(pairs[3]):
        return Activation(layers.ZeroPadding2D(pairs[1:3], name=node.name)(x.tensor), x.axes)
    return Activation(ops.pad(x.tensor, pairs, constant_values=value), x.axes)


OPERATORS: dict[str, Operator] = {
    "Identity": identity,
    "Dropout": identity,
    "Cast": cast,
    "Shape": shape_of,
    "Flatten": flatten,
    "Reshape": reshape_to,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concatenate,
    "Split": split,
    "Slice": cut,
    "Gather": gather,
    "Pad": pad,
}
