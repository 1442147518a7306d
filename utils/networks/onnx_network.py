"""Any face network in an ONNX file as a Keras model."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.networks import onnx_arithmetic, onnx_functions, onnx_layers, onnx_shapes
from utils.networks.onnx_file import FOLDABLE, OnnxFile, first_line, node_attributes, node_name
from utils.networks.onnx_graph import Activation, Node
from utils.networks.onnx_preprocessing import NO_OPTIONS, OnnxOptions, Preprocessing, channel_change

if TYPE_CHECKING:
    import keras
    import onnx

OPERATORS: dict[str, Any] = {
    name: operator
    for module in (onnx_layers, onnx_arithmetic, onnx_functions, onnx_shapes)
    for name, operator in module.OPERATORS.items()
}
LAYOUTS = {"nchw": (0, 2, 3, 1), "nhwc": (0, 1, 2, 3)}  # the ONNX axes in Keras' order
DEFAULT_SIZE = 112  # pixels, where neither the file nor the user says: nearly all face networks take it
MAX_FEATURES = 1 << 16


@dataclass(frozen=True)
class OnnxNetwork:
    """A network that was rebuilt from a file."""

    file: OnnxFile
    model: "keras.Model"  # RGB 0-255 (N, S, S, 3) to the file's output, float32
    output: str  # the name of that output
    layout: str  # of the file's input, a key of LAYOUTS
    preprocessing: Preprocessing
    is_half: bool  # whether the file computes with 16 bits
    constants: dict[str, np.ndarray] = field(repr=False)  # of the file, and what was computed from them


def build_onnx_network(
    file: OnnxFile, input_name: str, preprocessing_name: str, options: OnnxOptions = NO_OPTIONS
) -> OnnxNetwork:
    """Rebuild the graph of a file as a functional Keras model with a layer for each operator that has one.

    Args:
        file: The checked file.
        input_name: Of the model's input.
        preprocessing_name: Of its first layer.
        options: What the file does not say.

    Raises ValueError, with a message that goes on from the file's name.
    """
    from keras import Input, Model, layers

    layout, size = _input_form(file, options.layout, options.size)
    pixels = Input((size, size, 3), name=input_name)
    first = layers.Conv2D(3, 1, name=preprocessing_name)
    graph = _Graph(file, Activation(first(pixels), LAYOUTS[layout]), {input_name, preprocessing_name})
    output, features = graph.run()
    preprocessing = Preprocessing.choose(options, graph.normalizes)
    # A 1×1 convolution scales, shifts and swaps channels, and every Keras version and file format can store it.
    matrix = np.diag(preprocessing.scale)
    offset = -preprocessing.mean * preprocessing.scale
    if preprocessing.is_bgr:
        matrix, offset = matrix[:, ::-1], offset[::-1]
    first.set_weights([(matrix * graph.scale)[None, None], offset * graph.scale + graph.offset])
    constants = {name: value for name, value in graph.values.items() if isinstance(value, np.ndarray)}
    return OnnxNetwork(file, Model(pixels, features), output, layout, preprocessing, graph.is_half, constants)


def _input_form(file: OnnxFile, layout: str | None, size: int | None) -> tuple[str, int]:
    """The layout and the side of the input. Raises ValueError where the file contradicts, or does not say."""
    shape = file.input_shape
    if len(shape) != 4:
        raise ValueError(f"must take images. Received: an input of shape {shape}")
    if shape[0] not in (None, 1):
        raise ValueError(f"takes batches of {shape[0]} images only: export it for one image or for any number")
    channels = {"nchw": shape[1], "nhwc": shape[3]}
    possible = [name for name, count in channels.items() if count in (3, None) and layout in (name, None)]
    likely = [name for name in possible if channels[name] == 3] or possible
    if len(likely) != 1:
        way_out = "give --layout nchw or nhwc" if likely else "it must take 3 channels"
        raise ValueError(f"has an input of shape {shape}: {way_out}")
    sides = shape[2:] if likely[0] == "nchw" else shape[1:3]
    known = {side for side in sides if side is not None}
    if len(known) > 1 or (size and known and known != {size}):
        raise ValueError(f"takes images of {shape} only, which must be square and of --input_size")
    return likely[0], size or next(iter(known), DEFAULT_SIZE)


class _Graph:
    """Walks through the nodes of a file, computes those of constants and builds Keras layers for the others."""

    def __init__(self, file: OnnxFile, pixels: Activation, names: set[str]):
        self.file = file
        self.values: dict[str, Activation | np.ndarray | None] = {**file.constants, file.input_name: pixels, "": None}
        self.pixels = pixels
        self.names = {name.lower() for name in names}
        self.uses = Counter(name for node in file.nodes for name in node.input)
        # What the file itself does to its input, by channel. It becomes part of the first layer.
        self.scale, self.offset = np.ones(3, np.float32), np.zeros(3, np.float32)
        self.normalizes = False
        self.is_half = any(array.dtype.itemsize == 2 for array in file.constants.values() if array.ndim > 1)

    def run(self) -> tuple[str, "keras.KerasTensor"]:
        """The first output that has features, its name and its tensor. Raises ValueError."""
        unknown = sorted({_operator(node) for node in self.file.nodes} - OPERATORS.keys() - FOLDABLE)
        if unknown:
            raise ValueError(f"has operators that are not known here: {', '.join(unknown)[:500]}")
        for node in self.file.nodes:
            what = f"{node.op_type} {node_name(node)[:100]}"
            try:
                results = self._compute(node)
            except Exception as exc:  # Keras raises nearly anything for sizes that do not fit
                raise ValueError(f"cannot be rebuilt: {what}: {first_line(exc)}") from None
            self.values.update(zip(node.output, results, strict=False))
        return self._features()

    def _compute(self, node: "onnx.NodeProto") -> list[Any]:
        missing = [name for name in node.input if name not in self.values]
        if missing:
            raise ValueError(f"nothing makes its operand {missing[0][:100]!r}")
        operands: list[Any] = [self.values[name] for name in node.input]
        if not any(isinstance(operand, Activation) for operand in operands):
            if node.op_type not in FOLDABLE:
                raise ValueError("its operands are constants")
            return self.file.fold(node, operands)
        if node.op_type not in OPERATORS:
            raise ValueError("its operands must be constants")
        if self._normalizes_pixels(node, operands):
            return [self.pixels]
        name = self._label(node_name(node))
        prepared = Node(
            node.op_type,
            name,
            operands,
            node_attributes(node),
            self.file.opset,
            len(node.output),
            self.file.spend,
            lambda suffix: self._label(f"{name}_{suffix}"),
        )
        results = OPERATORS[node.op_type](prepared)
        return results if isinstance(results, list) else [results]

    def _label(self, name: str) -> str:
        """A layer name that Keras takes, not used yet even in other case, as some file systems do not tell cases."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:80] or "layer"
        unique, number = name, 2
        while unique.lower() in self.names:
            unique, number = f"{name}_{number}", number + 1
        self.names.add(unique.lower())
        return unique

    def _normalizes_pixels(self, node: "onnx.NodeProto", operands: list[Any]) -> bool:
        """Take a node that only scales or shifts the input's channels into the first layer."""
        if node.op_type not in ("Add", "Sub", "Mul", "Div", "BatchNormalization") or len(node.output) != 1:
            return False
        place = next(index for index, operand in enumerate(operands) if isinstance(operand, Activation))
        constants = [operand for operand in operands if not isinstance(operand, Activation)]
        x = operands[place]
        is_only_use = self.uses[node.input[place]] == 1
        if x.tensor is not self.pixels.tensor or not is_only_use or len(constants) != len(operands) - 1:
            return False
        change = channel_change(node, x, constants, place)
        if change is None or not all(np.isfinite(values).all() for values in change):
            return False
        self.scale, self.offset = self.scale * change[0], self.offset * change[0] + change[1]
        self.normalizes, self.pixels = True, x
        return True

    def _features(self) -> tuple[str, "keras.KerasTensor"]:
        shapes = []
        for name in self.file.outputs:
            value = self.values.get(name)
            if isinstance(value, Activation) and value.batch_axis == 0 and value.tensor is not self.pixels.tensor:
                shapes.append(value.shape)
                if 1 < np.prod(value.shape) == max(value.shape) <= MAX_FEATURES:
                    return name, self._vector(value)
        raise ValueError(f"must give one vector of features for each image. Received: {shapes[:5]}")

    def _vector(self, value: Activation) -> "keras.KerasTensor":
        from keras import layers

        if value.rank == 2:
            return value.tensor
        return layers.Reshape((int(np.prod(value.shape)),), name=self._label("vector"))(value.tensor)


def _operator(node: "onnx.NodeProto") -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
