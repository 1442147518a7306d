"""dlib's face recognition ResNet, rebuilt in Keras: a reader of its weights file and the model.

The reader needs neither dlib nor TensorFlow. File format and architecture follow dlib's own
`dlib/serialize.h`, `dlib/dnn/` and `examples/dnn_face_recognition_ex.cpp` (`anet_type`).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.files import package_file

PACKAGE = "face_recognition_models"
WEIGHTS_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
WEIGHTS_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"

INPUT_SIZE = 150  # pixels; the only size that the network was trained at
FEATURES = 128

# (filters of the stage, blocks in it, whether its first block halves the image), input side first
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))

_LAYER_COUNTS = {"con": 29, "affine": 29, "relu": 29, "add_prev": 14, "avg_pool": 5, "max_pool": 1, "fc": 1}


@dataclass(frozen=True)
class DlibWeights:
    """What the file holds, convolutions in the order in which an image meets them.

    kernels: 29 float32 (rows, columns, in, out), each followed by its affine layer's
    gammas and betas: float32 (out,). biases: of the convolutions, float32 (out,).
    dense: float32 (256, 128). mean_rgb: float32 (3,), in 0-255.
    """

    kernels: list[np.ndarray]
    biases: list[np.ndarray]
    gammas: list[np.ndarray]
    betas: list[np.ndarray]
    dense: np.ndarray
    mean_rgb: np.ndarray


class _Stream:
    """dlib's serialization primitives, read from bytes. Every method raises ValueError on bad data."""

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        chunk = self.data[self.position : self.position + count]
        if len(chunk) != count:
            raise ValueError(f"the file ends too early: {count} bytes wanted at offset {self.position}")
        self.position += count
        return chunk

    def integer(self) -> int:
        control = self.take(1)[0]
        size = control & 0x0F
        if not 1 <= size <= 8 or control & 0x70:
            raise ValueError(f"no integer at offset {self.position - 1}. Received: byte {control:#04x}")
        magnitude = int.from_bytes(self.take(size), "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> list[int]:
        return [self.integer() for _ in range(count)]

    def expect(self, value: int, meaning: str) -> None:
        found = self.integer()
        if found != value:
            raise ValueError(f"expected {meaning} {value} at offset {self.position}. Received: {found}")

    def string(self) -> str:
        size = self.integer()
        if not 0 <= size <= 256:
            raise ValueError(f"no layer name at offset {self.position}. Received: length {size}")
        return self.take(size).decode("ascii", "replace")

    def boolean(self) -> bool:
        character = self.take(1)
        if character not in (b"0", b"1"):
            raise ValueError(f"no boolean at offset {self.position - 1}. Received: {character!r}")
        return character == b"1"

    def real(self) -> float:
        mantissa, exponent = self.integers(2)
        if exponent >= 32000:  # dlib's special values
            return {32000: math.inf, 32001: -math.inf}.get(exponent, math.nan)
        try:
            return math.ldexp(mantissa, exponent)
        except OverflowError:
            raise ValueError(f"no real number before offset {self.position}") from None

    def tensor(self) -> np.ndarray:
        """A float32 array (n, k, rows, columns)."""
        self.expect(2, "tensor version")
        shape = self.integers(4)
        # Sizes are checked before any memory is asked for: a damaged file must not exhaust it.
        if min(shape) < 0 or math.prod(shape) * 4 > len(self.data) - self.position:
            raise ValueError(f"impossible tensor shape before offset {self.position}. Received: {shape}")
        values = np.frombuffer(self.take(math.prod(shape) * 4), dtype="<f4")
        return values.reshape(shape).astype(np.float32)

    def alias_tensor(self) -> None:
        self.expect(1, "alias tensor version")
        self.integers(4)


def find_dlib_weights() -> Path:
    """The weights file inside the pip package, checked by its sha256. Raises InputError."""
    return package_file(PACKAGE, WEIGHTS_FILE, WEIGHTS_SHA256)


def read_dlib_weights(data: bytes) -> DlibWeights:
    """Parse the bytes of `dlib_face_recognition_resnet_model_v1.dat` or of a retrained sister.

    Raises ValueError for a truncated or foreign file, and for one whose layers are not those of
    this network. Altered numbers in an intact structure are caught by the sha256 of
    `find_dlib_weights`, and here only where they are not finite.
    """
    stream = _Stream(data)
    _read_header(stream)
    mean_rgb = _read_input_layer(stream)
    layers = _read_layers(stream)
    if stream.position != len(data):
        raise ValueError(f"{len(data) - stream.position} bytes are left over after the last layer")
    counts = {kind: sum(kind == found for found, _ in layers) for kind in _LAYER_COUNTS}
    if counts != _LAYER_COUNTS:
        raise ValueError(f"expected the layers {_LAYER_COUNTS}. Received: {counts}")
    return _collect(layers, mean_rgb)


def _read_header(stream: _Stream) -> None:
    stream.expect(1, "file version")
    name = stream.string()
    if name != "loss_metric_2":
        raise ValueError(f"expected dlib's loss_metric_2 network. Received: {name[:40]!r}")
    stream.real(), stream.real()  # margin and distance threshold of the loss
    # One version number per nested layer, outermost first; the input layer's name ends the row.
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
    total = sum(_LAYER_COUNTS.values())
    layers = []
    for index in range(total):
        layers.append(_read_details(stream))
        # Training state follows: three booleans, then x_grad, cached_output and params_grad.
        for _ in range(3):
            stream.boolean()
        for _ in range(3):
            stream.tensor()
        if index == 0:  # the innermost layer alone ends with an integer
            stream.integer()
    return layers


def _read_details(stream: _Stream) -> tuple[str, dict]:
    name = stream.string()
    if name in ("con_4", "con_5", "con_6"):
        details = {"params": stream.tensor(), "shape": stream.integers(7)}
        stream.alias_tensor(), stream.alias_tensor()
        _ = [stream.real() for _ in range(4)]  # learning rate and weight decay multipliers
        for _ in range(int(name[-1]) - 4):  # con_5 adds use_bias, con_6 also use_relu
            stream.boolean()
        return "con", details
    if name in ("affine_", "affine_2"):
        details = {"params": stream.tensor()}
        stream.alias_tensor(), stream.alias_tensor()
        stream.expect(0, "affine mode (per channel)")
        if name == "affine_2":
            stream.boolean()
        return "affine", details
    if name in ("fc_2", "fc_3"):
        details = {"shape": stream.integers(2), "params": stream.tensor()}
        stream.alias_tensor(), stream.alias_tensor()
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
    filters = [channels for channels, _, _ in _convolution_plan()]
    kernels, biases = [], []
    for (kind, details), (count, channels, size) in zip(
        [layer for layer in layers if layer[0] == "con"], _convolution_plan(), strict=True
    ):
        values = details["params"].ravel()
        weights = count * channels * size * size
        if details["shape"][:3] != [count, size, size] or values.size != weights + count:
            raise ValueError(f"unexpected {kind} layer. Received: shape {details['shape']}, {values.size} values")
        # dlib keeps filters as (out, in, rows, columns); Keras wants (rows, columns, in, out).
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
    """(filters, input channels, kernel size) of the 29 convolutions, input side first."""
    plan = [(32, 3, 7)]
    channels = 32
    for filters, blocks, _ in STAGES:
        for _ in range(blocks):
            plan += [(filters, channels, 3), (filters, filters, 3)]
            channels = filters
    return plan


def build_dlib_network(weights: DlibWeights | None, input_name: str, preprocessing_name: str):
    """The network as a functional Keras model: RGB 0-255 (N, 150, 150, 3) → float32 (N, 128).

    Every affine layer is folded into the convolution before it. `weights` None leaves Keras'
    random initial values. Built-in layers only, so that the saved file opens in any Keras.
    """
    from keras import Input, Model, layers

    convolutions = iter(_folded_convolutions(weights)) if weights else None

    def convolve(x, filters: int, size: int, stride: int, name: str):
        # dlib pads stride 1 by (k - 1) / 2 and stride 2 not at all.
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
    """[kernel, bias] of each convolution with γ·(conv + bias) + β multiplied out."""
    return [
        [kernel * gamma, bias * gamma + beta]
        for kernel, bias, gamma, beta in zip(
            weights.kernels, weights.biases, weights.gammas, weights.betas, strict=True
        )
    ]


def _residual_block(x, filters: int, halves: bool, convolve, name: str):
    from keras import layers

    y = convolve(x, filters, 3, 2 if halves else 1, f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = convolve(y, filters, 3, 1, f"{name}_conv2")
    if halves:
        x = layers.AveragePooling2D(2, 2, name=f"{name}_skip_pool")(x)
        x, y = _pad_to_match(x, y, name)
    x = layers.Add(name=f"{name}_add")([y, x])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _pad_to_match(x, y, name: str):
    """Zero-pad the smaller side in rows, columns (bottom and right) and channels, as add_prev does."""
    from keras import layers

    def pad(tensor, other, branch: str):
        rows, columns, channels = (max(0, o - t) for t, o in zip(tensor.shape[1:], other.shape[1:], strict=True))
        if rows or columns:
            tensor = layers.ZeroPadding2D(((0, rows), (0, columns)), name=f"{name}_{branch}_pad")(tensor)
        if channels:
            # Told "channels_first", the layer pads the last two axes: here columns (by 0) and channels.
            tensor = layers.ZeroPadding2D(
                ((0, 0), (0, channels)), data_format="channels_first", name=f"{name}_{branch}_channels"
            )(tensor)
        return tensor

    return pad(x, y, "skip"), pad(y, x, "main")
