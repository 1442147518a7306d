"""What operators of an ONNX graph take and give: nodes, and intermediate results as Keras tensors.

ONNX' images are channels first, Keras' channels last. No result is transposed until an operator needs another order:
each remembers which of its ONNX axes lies where.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

MAX_VALUES = 1 << 24  # of one image in one intermediate result; IR-ResNet at 224 px has 3 million
IMAGE = (0, 2, 3, 1)  # the ONNX axes (N, C, H, W) in Keras' order


@dataclass(frozen=True)
class Activation:
    """An intermediate result. Raises ValueError if it is too large, or if a size is unknown."""

    tensor: "keras.KerasTensor"  # its first axis is the batch
    axes: tuple[int, ...]  # the ONNX axis that each of the tensor's axes holds

    def __post_init__(self) -> None:
        if None in self.tensor.shape[1:] or math.prod(self.tensor.shape[1:]) > MAX_VALUES:
            raise ValueError(f"its result is too large. Received: {self.tensor.shape}")

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def batch_axis(self) -> int:
        """The ONNX axis of the batch."""
        return self.axes[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The ONNX shape for a batch of one image."""
        sizes = (1, *self.tensor.shape[1:])
        return tuple(sizes[self.axes.index(axis)] for axis in range(self.rank))

    def keras_axis(self, axis: int) -> int:
        """Where an ONNX axis lies in the tensor. Raises ValueError."""
        return self.axes.index(checked_axis(axis, self.rank))


@dataclass
class Node:
    """An operator with its operands."""

    op: str
    name: str  # a layer's name, unique in the network
    operands: list[Activation | np.ndarray | None]
    attributes: dict[str, Any]
    opset: int
    outputs: int  # how many it gives
    spend: Callable[[int], None]  # notes the bytes of weights; raises ValueError if they are too many
    label: Callable[[str], str]  # makes a unique layer name from a suffix, for what it needs beside its main layer

    def activation(self, index: int = 0) -> Activation:
        """An operand that depends on the image. Raises ValueError for a constant."""
        operand = self.operands[index] if index < len(self.operands) else None
        if not isinstance(operand, Activation):
            raise ValueError(f"operand {index} must depend on the image")
        return operand

    def constant(self, index: int) -> np.ndarray | None:
        """A constant operand, None if it is left out. Raises ValueError for one that depends on the image."""
        operand = self.operands[index] if index < len(self.operands) else None
        if isinstance(operand, Activation):
            raise ValueError(f"operand {index} must be a constant")
        return operand

    def weights(self, index: int) -> np.ndarray:
        """A constant operand, float32. Raises ValueError if it is left out or holds no finite numbers."""
        constant = self.constant(index)
        if constant is None:
            raise ValueError(f"operand {index} is missing")
        self.spend(4 * np.size(constant))
        values = np.asarray(constant).astype(np.float32)
        if not np.isfinite(values).all():
            raise ValueError(f"operand {index} contains numbers that are not finite")
        return values

    def setting(self, name: str, index: int | None = None, default: Any = None) -> Any:
        """An attribute that later operator versions take as an operand (at `index`)."""
        if name in self.attributes:
            return self.attributes[name]
        constant = None if index is None else self.constant(index)
        return default if constant is None else constant.tolist()


def checked_axis(axis: int, rank: int) -> int:
    """An axis counted from 0. Raises ValueError if there is no such axis."""
    if not -rank <= axis < rank:
        raise ValueError(f"there is no axis {axis} of {rank}")
    return axis % rank


def arrange(x: Activation, axes: Sequence[int], name: str) -> Activation:
    """The same result with its ONNX axes in another order; the batch stays first. name: for the layer it may take."""
    from keras import layers

    axes = tuple(axes)
    if axes == x.axes:
        return x
    order = [x.axes.index(axis) for axis in axes]
    if order[0] != 0:
        raise ValueError("it mixes the images of a batch")
    target = [x.tensor.shape[position] for position in order[1:]]
    wide = [position for position in order[1:] if x.tensor.shape[position] != 1]
    # Moving axes of size 1 moves no numbers.
    layer = layers.Reshape(target, name=name) if wide == sorted(wide) else layers.Permute(order[1:], name=name)
    return Activation(layer(x.tensor), axes)


def plain(x: Activation, name: str) -> Activation:
    """The result with the batch first and the other axes in ONNX' order."""
    return arrange(x, (x.batch_axis, *(axis for axis in range(x.rank) if axis != x.batch_axis)), name)


def image(x: Activation, name: str) -> Activation:
    """An ONNX result (N, C, H, W) as Keras' (N, H, W, C). Raises ValueError for other shapes."""
    if x.rank != 4 or x.batch_axis != 0:
        raise ValueError(f"it must take images (N, C, H, W). Received: {x.shape}")
    return arrange(x, IMAGE, name)


def raised(x: Activation, rank: int, name: str) -> Activation:
    """The result with axes of size 1 before its own, as ONNX adds them to operands of fewer axes than another."""
    from keras import layers

    more = rank - x.rank
    if more <= 0:
        return x
    tensor = layers.Reshape([1] * more + list(x.tensor.shape[1:]), name=name)(x.tensor)
    batch, *rest = (axis + more for axis in x.axes)
    return Activation(tensor, (batch, *range(more), *rest))


def reshape(x: Activation, shape: Sequence[int], label: Callable[[str], str], name: str) -> Activation:
    """Give a result another ONNX shape, for a batch of one image. Raises ValueError if it would mix images."""
    from keras import layers

    if math.prod(shape) != math.prod(x.shape):
        raise ValueError(f"{x.shape} cannot become {tuple(shape)}")
    # The numbers of one image stay together where the same number of values precedes the batch axis.
    before = math.prod(x.shape[: x.batch_axis])
    places = [axis for axis, size in enumerate(shape) if size == 1 and math.prod(shape[:axis]) == before]
    if not places:
        raise ValueError(f"it mixes the images of a batch: {x.shape} becomes {tuple(shape)}")
    batch = min(places, key=lambda axis: abs(axis - x.batch_axis))
    rest = [axis for axis in range(len(shape)) if axis != batch]
    source = plain(x, label("order"))
    tensor = layers.Reshape([shape[axis] for axis in rest], name=name)(source.tensor)
    return Activation(tensor, (batch, *rest))


def in_axes_of(constant: np.ndarray, x: Activation) -> np.ndarray:
    """A constant that ONNX broadcasts to x, with x's rank and in the order of its tensor. Raises ValueError."""
    constant = constant.reshape((1,) * (x.rank - constant.ndim) + constant.shape)
    if constant.ndim != x.rank or any(size not in (1, own) for size, own in zip(constant.shape, x.shape, strict=True)):
        raise ValueError(f"{constant.shape} does not fit {x.shape}")
    return constant.transpose(x.axes)
