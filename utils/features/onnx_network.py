"""Any face network in an ONNX file as a Keras model, and how well the two agree."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.features import onnx_arithmetic, onnx_layers, onnx_shapes
from utils.features.onnx_file import FOLDABLE, OnnxFile, first_line, node_attributes, node_name
from utils.features.onnx_graph import IMAGE, Activation, Node
from utils.telemetry import disable_telemetry

if TYPE_CHECKING:
    import keras
    import onnx

OPERATORS: dict[str, Any] = onnx_layers.OPERATORS | onnx_arithmetic.OPERATORS | onnx_shapes.OPERATORS
LAYOUTS = {"nchw": (0, 2, 3, 1), "nhwc": (0, 1, 2, 3)}  # the ONNX axes in Keras' order
DEFAULT_SIZE = 112  # pixels, where neither the file nor the user says: nearly all face networks take it
MAX_FEATURES = 1 << 16
PARITY_IMAGES = 4


@dataclass(frozen=True)
class OnnxOptions:
    """What a file may not say about itself."""

    layout: str | None = None  # a key of LAYOUTS; None: what its input's shape says
    size: int | None = None  # pixels, the side of its input; None: what its input's shape says
    mean: tuple[float, ...] | None = None  # of the pixels, for R, G and B or one for all; None: see `Preprocessing`
    scale: tuple[float, ...] | None = None  # the same
    is_bgr: bool = False  # whether it expects blue first


@dataclass(frozen=True)
class Preprocessing:
    """What is done to RGB 0-255 before the file's own graph: (x − mean) · scale, and perhaps a swap to BGR.

    By default nothing if the file begins with its own, else what InsightFace does, (x − 127.5) / 127.5.
    """

    mean: np.ndarray  # float32 (3,), for R, G, B
    scale: np.ndarray  # float32 (3,)
    is_bgr: bool

    @classmethod
    def choose(cls, options: OnnxOptions, has_own: bool) -> "Preprocessing":
        mean, scale = ((0.0,), (1.0,)) if has_own else ((127.5,), (1 / 127.5,))
        return cls(_by_channel(options.mean or mean), _by_channel(options.scale or scale), options.is_bgr)

    def apply(self, images: np.ndarray) -> np.ndarray:
        """RGB 0-255 (N, S, S, 3) as the file expects it, float32, channels last."""
        values = (images.astype(np.float32) - self.mean) * self.scale
        return values[..., ::-1] if self.is_bgr else values

    def __str__(self) -> str:
        colors = f"{'BGR' if self.is_bgr else 'RGB'} from 0 to 255"
        if not self.mean.any() and (self.scale == 1).all():
            return colors
        mean, scale = (", ".join(f"{value:g}" for value in dict.fromkeys(v.tolist())) for v in (self.mean, self.scale))
        return f"(x − {mean}) · {scale} of {colors}"


def _by_channel(values: tuple[float, ...]) -> np.ndarray:
    return np.broadcast_to(np.array(values, np.float32), 3)


NO_OPTIONS = OnnxOptions()


@dataclass(frozen=True)
class OnnxNetwork:
    """A network that was rebuilt from a file."""

    file: OnnxFile
    model: "keras.Model"  # RGB 0-255 (N, S, S, 3) to the file's output, float32
    output: str  # the name of that output
    layout: str  # of the file's input, a key of LAYOUTS
    preprocessing: Preprocessing
    is_half: bool  # whether the file computes with 16 bits


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
    return OnnxNetwork(file, Model(pixels, features), output, layout, preprocessing, graph.is_half)


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
        change = _channel_change(node, x, constants, place)
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


def _channel_change(
    node: "onnx.NodeProto", x: Activation, constants: list[Any], place: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and offset float32 (3,) with which a node changes the input's channels. None if it does anything else."""
    if node.op_type == "BatchNormalization":
        attributes = node_attributes(node)
        if x.axes != IMAGE or attributes.get("training_mode") or any(np.shape(value) != (3,) for value in constants):
            return None
        gamma, beta, mean, variance = np.array(constants, np.float32)
        factor = gamma / np.sqrt(variance + np.float32(attributes.get("epsilon", 1e-5)))
        return factor, beta - mean * factor
    constant = np.asarray(constants[0], np.float32)
    if constant.ndim > x.rank:
        return None
    aligned = constant.reshape((1,) * (x.rank - constant.ndim) + constant.shape).transpose(x.axes)
    if aligned.shape[:3] != (1, 1, 1) or aligned.shape[3] not in (1, 3):
        return None
    values, one, zero = np.broadcast_to(aligned.ravel(), 3), np.ones(3, np.float32), np.zeros(3, np.float32)
    is_first = place == 1  # the constant is the first operand
    if node.op_type == "Add":
        return one, values
    if node.op_type == "Sub":
        return (-one, values) if is_first else (one, -values)
    if node.op_type == "Mul":
        return values, zero
    return None if is_first or not values.all() else (1 / values, zero)


def measure_parity(network: OnnxNetwork, seed: int = 0) -> float:
    """The largest difference between the network's features and the file's own, relative to the largest feature.

    The file's own are those of ONNX Runtime, on noise of several coarsenesses. Raises ValueError if it cannot run it.
    """
    images = parity_images(network.model.input_shape[1], np.random.default_rng(seed))
    expected = run_onnx(network, images)
    actual = np.asarray(network.model.predict_on_batch(images))
    if not (np.isfinite(expected).all() and np.isfinite(actual).all()):
        raise ValueError("gives numbers that are not finite")
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30))


def parity_images(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise, RGB uint8 (PARITY_IMAGES, size, size, 3), with grains of 1, 2, 4 and 8 pixels."""
    grains = [2**power for power in range(PARITY_IMAGES)]
    noise = [rng.integers(0, 256, (-(-size // grain),) * 2 + (3,), np.uint8) for grain in grains]
    return np.stack(
        [
            image.repeat(grain, axis=0).repeat(grain, axis=1)[:size, :size]
            for image, grain in zip(noise, grains, strict=True)
        ]
    )


def run_onnx(network: OnnxNetwork, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes from the file for RGB 0-255 (N, S, S, 3): float32 (N, D). Raises ValueError."""
    disable_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are exceptions, too
    values = network.preprocessing.apply(images)
    if network.layout == "nchw":
        values = values.transpose(0, 3, 1, 2)
    try:
        session = onnxruntime.InferenceSession(network.file.data, options, providers=["CPUExecutionProvider"])
        kind = np.float16 if session.get_inputs()[0].type == "tensor(float16)" else np.float32
        rows = [
            session.run([network.output], {network.file.input_name: np.ascontiguousarray(value[None], kind)})[0]
            for value in values  # one by one, since the file may take no more
        ]
    except Exception as exc:  # its exceptions share no base class but Exception
        raise ValueError(f"cannot be run by ONNX Runtime to compare with: {first_line(exc)}") from None
    return np.stack([np.asarray(row, np.float32).ravel() for row in rows])
