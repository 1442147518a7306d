"""dlib's face recognition ResNet in Keras: read its weights file and build the model.

Reading needs neither dlib nor TensorFlow. File format and architecture follow dlib's own
`dlib/serialize.h`, `dlib/dnn/` and `examples/dnn_face_recognition_ex.cpp` (`anet_type`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.faces.dlib_hog import RECOGNIZER_FILE, RECOGNIZER_SHA256
from utils.files import package_file

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

PACKAGE = "face_recognition_models"
INPUT_SIZE = 150  # pixels; the network was trained at this size only
FEATURES = 128

# (filters, blocks, whether the first block halves the image) of each stage, from input to output
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))

_LAYER_COUNTS = {"con": 29, "affine": 29, "relu": 29, "add_prev": 14, "avg_pool": 5, "max_pool": 1, "fc": 1}


@dataclass(frozen=True)
class DlibWeights:
    """What the file holds. All arrays are float32; the 29 convolutions are in order from input to output."""

    kernels: list[np.ndarray]  # (rows, columns, in, out)
    biases: list[np.ndarray]  # (out,)
    gammas: list[np.ndarray]  # (out,), of the affine layer after each convolution
    betas: list[np.ndarray]  # (out,)
    dense: np.ndarray  # (256, 128)
    mean_rgb: np.ndarray  # (3,), 0-255


class _Stream:
    """Reads dlib's serialized primitives from bytes. Every method raises ValueError for bad data."""

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def read(self, count: int) -> bytes:
        chunk = self.data[self.position : self.position + count]
        if len(chunk) != count:
            raise ValueError(f"the file ends too early: expected {count} bytes at offset {self.position}")
        self.position += count
        return chunk

    def integer(self) -> int:
        control = self.read(1)[0]
        size = control & 0x0F
        if not 1 <= size <= 8 or control & 0x70:
            raise ValueError(f"expected an integer at offset {self.position - 1}. Received: byte {control:#04x}")
        magnitude = int.from_bytes(self.read(size), "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> list[int]:
        return [self.integer() for _ in range(count)]

    def expect(self, value: int, meaning: str) -> None:
        actual = self.integer()
        if actual != value:
            raise ValueError(f"expected {meaning} {value} at offset {self.position}. Received: {actual}")

    def string(self) -> str:
        size = self.integer()
        if not 0 <= size <= 256:
            raise ValueError(f"expected a layer name at offset {self.position}. Received: length {size}")
        return self.read(size).decode("ascii", "replace")

    def boolean(self) -> bool:
        character = self.read(1)
        if character not in (b"0", b"1"):
            raise ValueError(f"expected a boolean at offset {self.position - 1}. Received: {character!r}")
        return character == b"1"

    def real(self) -> float:
        mantissa, exponent = self.integers(2)
        if exponent >= 32000:  # dlib's special values
            return {32000: math.inf, 32001: -math.inf}.get(exponent, math.nan)
        try:
            return math.ldexp(mantissa, exponent)
        except OverflowError:
            raise ValueError(f"expected a real number before offset {self.position}") from None

    def tensor(self) -> np.ndarray:
        """A float32 array (n, k, rows, columns)."""
        self.expect(2, "tensor version")
        shape = self.integers(4)
        # Check the size before allocating, so that a damaged file cannot exhaust the memory.
        if min(shape) < 0 or math.prod(shape) * 4 > len(self.data) - self.position:
            raise ValueError(f"impossible tensor shape before offset {self.position}. Received: {shape}")
        values = np.frombuffer(self.read(math.prod(shape) * 4), dtype="<f4")
        return values.reshape(shape).astype(np.float32)

    def alias_tensors(self) -> None:
        """Skip the two alias tensors of a layer, for its weights and its biases."""
        for _ in range(2):
            self.expect(1, "alias tensor version")
            self.integers(4)


def find_dlib_weights() -> Path:
    """The weights file of the installed package, checked by its sha256. Raises InputError."""
    return package_file(PACKAGE, RECOGNIZER_FILE, RECOGNIZER_SHA256)


def read_dlib_weights(data: bytes) -> DlibWeights:
    """Parse the content of `dlib_face_recognition_resnet_model_v1.dat`, or of a retrained network like it.

    Raises ValueError for a truncated or foreign file, for other layers than this network's, and for
    numbers that are not finite. Other altered numbers are caught only by the sha256 in
    `find_dlib_weights`.
    """
    stream = _Stream(data)
    _read_header(stream)
    mean_rgb = _read_input_layer(stream)
    layers = _read_layers(stream)
    if stream.position != len(data):
        raise ValueError(f"{len(data) - stream.position} bytes are left over after the last layer")
    counts = {kind: sum(kind == other for other, _ in layers) for kind in _LAYER_COUNTS}
    if counts != _LAYER_COUNTS:
        raise ValueError(f"expected the layers {_LAYER_COUNTS}. Received: {counts}")
    return _collect(layers, mean_rgb)


def _read_header(stream: _Stream) -> None:
    stream.expect(1, "file version")
    name = stream.string()
    if name != "loss_metric_2":
        raise ValueError(f"expected dlib's loss_metric_2 network. Received: {name[:40]!r}")
    stream.real(), stream.real()  # margin and distance threshold of the loss
    # One version number per nested layer, outermost first, up to the input layer's name.
    marker = b"\x01\x15input_rgb_image"
    end = stream.data.find(marker, stream.position, stream.position + 4096)
    if end < 0:
        raise ValueError("expected an RGB image input layer. Received: none")
    while stream.position < end:
        stream.integer()


def _read_input_layer(stream: _Stream) -> np.ndarray:
    name = stream.string()
    if name != "input_rgb_image_sized":
        raise ValueError(f"expected the input layer input_rgb_image_sized. Received: {name[:40]!r}")
    mean_rgb = np.array([stream.real() for _ in range(3)], np.float32)
    size = stream.integers(2)
    if size != [INPUT_SIZE, INPUT_SIZE]:
        raise ValueError(f"expected {INPUT_SIZE}×{INPUT_SIZE} px input. Received: {size}")
    return mean_rgb


def _read_layers(stream: _Stream) -> list[tuple[str, dict]]:
    """(kind, parameters) of every layer, in the order of the file."""
    total = sum(_LAYER_COUNTS.values())
    layers = []
    for index in range(total):
        layers.append(_read_layer(stream))
        # The training state follows: three booleans, then x_grad, cached_output and params_grad.
        for _ in range(3):
            stream.boolean()
        for _ in range(3):
            stream.tensor()
        if index == 0:  # only the innermost layer ends with an integer
            stream.integer()
    return layers


def _read_layer(stream: _Stream) -> tuple[str, dict]:
    name = stream.string()
    if name in ("con_4", "con_5", "con_6"):
        details = {"params": stream.tensor(), "shape": stream.integers(7)}
        stream.alias_tensors()
        _ = [stream.real() for _ in range(4)]  # learning rate and weight decay multipliers
        for _ in range(int(name[-1]) - 4):  # con_5 adds use_bias, con_6 also use_relu
            stream.boolean()
        return "con", details
    if name in ("affine_", "affine_2"):
        details = {"params": stream.tensor()}
        stream.alias_tensors()
        stream.expect(0, "affine mode (per channel)")
        if name == "affine_2":
            stream.boolean()
        return "affine", details
    if name in ("fc_2", "fc_3"):
        details = {"shape": stream.integers(2), "params": stream.tensor()}
        stream.alias_tensors()
        stream.expect(1, "fully connected layer without bias: mode")
        _ = [stream.real() for _ in range(4)]
        if name == "fc_3":
            stream.boolean()
        return "fc", details
    if name in ("max_pool_2", "avg_pool_2"):
        return name[:-2], {"shape": stream.integers(6)}
    if name == "relu_2":
        stream.boolean()
        return "relu", {}
    if name in ("relu_", "add_prev_"):
        return name[:-1], {}
    raise ValueError(f"unknown layer before offset {stream.position}. Received: {name[:40]!r}")


def _collect(layers: list[tuple[str, dict]], mean_rgb: np.ndarray) -> DlibWeights:
    """Check the shapes of all layers and gather their weights. Raises ValueError."""
    filters = [channels for channels, _, _ in _convolution_plan()]
    kernels, biases = [], []
    for (kind, details), (count, channels, size) in zip(
        [layer for layer in layers if layer[0] == "con"], _convolution_plan(), strict=True
    ):
        values = details["params"].ravel()
        weights = count * channels * size * size
        if details["shape"][:3] != [count, size, size] or values.size != weights + count:
            raise ValueError(f"unexpected {kind} layer. Received: shape {details['shape']}, {values.size} values")
        # dlib stores filters as (out, in, rows, columns), Keras as (rows, columns, in, out).
        kernels.append(values[:weights].reshape(count, channels, size, size).transpose(2, 3, 1, 0))
        biases.append(values[weights:])
    affines = [details["params"].ravel() for kind, details in layers if kind == "affine"]
    if [a.size for a in affines] != [2 * count for count in filters]:
        raise ValueError(f"unexpected affine layers. Received: sizes {[a.size for a in affines]}")
    dense = next(details["params"] for kind, details in layers if kind == "fc")
    if dense.size != filters[-1] * FEATURES:
        raise ValueError(f"expected {filters[-1]}×{FEATURES} dense weights. Received: {dense.size} values")
    if not all(np.isfinite(a).all() for a in [*kernels, *biases, *affines, dense, mean_rgb]):
        raise ValueError("the file holds numbers that are not finite")
    return DlibWeights(
        kernels=kernels,
        biases=biases,
        gammas=[a[: a.size // 2] for a in affines],
        betas=[a[a.size // 2 :] for a in affines],
        dense=dense.reshape(filters[-1], FEATURES),
        mean_rgb=mean_rgb,
    )


def _convolution_plan() -> list[tuple[int, int, int]]:
    """(filters, input channels, kernel size) of the 29 convolutions, from input to output."""
    plan = [(32, 3, 7)]
    channels = 32
    for filters, blocks, _ in STAGES:
        for _ in range(blocks):
            plan += [(filters, channels, 3), (filters, filters, 3)]
            channels = filters
    return plan


def build_dlib_network(weights: DlibWeights | None, input_name: str, preprocessing_name: str) -> "keras.Model":
    """Build the network as a functional Keras model: RGB 0-255 (N, 150, 150, 3) → float32 (N, 128).

    Every affine layer is folded into the convolution before it. Without weights, Keras' random initial
    values stay. All layers are built in, so the saved file opens in any Keras.
    """
    from keras import Input, Model, layers

    convolutions = iter(_folded_convolutions(weights)) if weights else None

    def convolve(x: "KerasTensor", filters: int, size: int, stride: int, name: str) -> "KerasTensor":
        # dlib pads by (k - 1) / 2 at stride 1, and not at all at stride 2.
        layer = layers.Conv2D(filters, size, stride, padding="same" if stride == 1 else "valid", name=name)
        x = layer(x)
        if convolutions:
            layer.set_weights(next(convolutions))
        return x

    mean = weights.mean_rgb if weights else np.array([122.782, 117.001, 104.298], np.float32)
    image = Input((INPUT_SIZE, INPUT_SIZE, 3), name=input_name)
    x = layers.Rescaling(1 / 256, offset=(-mean / 256).tolist(), name=preprocessing_name)(image)
    x = convolve(x, 32, 7, 2, "stem_conv")
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, (filters, blocks, halves) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            x = _residual_block(x, filters, halves and block == 1, convolve, name)
    x = layers.GlobalAveragePooling2D(name="pooling")(x)
    dense = layers.Dense(FEATURES, use_bias=False, name="descriptor")
    x = dense(x)
    if weights:
        dense.set_weights([weights.dense])
    return Model(image, x, name="dlib_face_resnet")


def _folded_convolutions(weights: DlibWeights) -> list[list[np.ndarray]]:
    """[kernel, bias] of each convolution, with γ·(conv + bias) + β multiplied out."""
    return [
        [kernel * gamma, bias * gamma + beta]
        for kernel, bias, gamma, beta in zip(
            weights.kernels, weights.biases, weights.gammas, weights.betas, strict=True
        )
    ]


def _residual_block(
    x: "KerasTensor", filters: int, halves: bool, convolve: Callable[..., "KerasTensor"], name: str
) -> "KerasTensor":
    from keras import layers

    y = convolve(x, filters, 3, 2 if halves else 1, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = convolve(y, filters, 3, 1, f"{name}_conv2")
    if halves:
        x = layers.AveragePooling2D(2, 2, name=f"{name}_skip_pool")(x)
        x, y = _pad_to_match(x, y, name)
    x = layers.Add(name=f"{name}_add")([y, x])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _pad_to_match(x: "KerasTensor", y: "KerasTensor", name: str) -> tuple["KerasTensor", "KerasTensor"]:
    """Zero-pad each tensor to the larger rows, columns (bottom and right) and channels, as dlib's add_prev does."""
    from keras import layers

    def pad(tensor: "KerasTensor", other: "KerasTensor", branch: str) -> "KerasTensor":
        rows, columns, channels = (max(0, o - t) for t, o in zip(tensor.shape[1:], other.shape[1:], strict=True))
        if rows or columns:
            tensor = layers.ZeroPadding2D(((0, rows), (0, columns)), name=f"{name}_{branch}_pad")(tensor)
        if channels:
            # With "channels_first" the layer pads the last two axes, which here are columns (by 0) and channels.
            tensor = layers.ZeroPadding2D(
                ((0, 0), (0, channels)), data_format="channels_first", name=f"{name}_{branch}_channels"
            )(tensor)
        return tensor

    return pad(x, y, "skip"), pad(y, x, "main")
