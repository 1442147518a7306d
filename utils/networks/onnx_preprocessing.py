"""What happens to the pixels before an ONNX file's own graph, and what the graph itself does to them first."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.networks.onnx_file import node_attributes
from utils.networks.onnx_graph import IMAGE, Activation

if TYPE_CHECKING:
    import onnx


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


def channel_change(
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
