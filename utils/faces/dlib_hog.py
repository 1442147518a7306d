"""dlib's HOG detector, 5-point landmarks and face descriptor, as arrays. No other module here imports dlib."""

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.files import package_file
from utils.media.images import resize_chip

if TYPE_CHECKING:
    import dlib

LANDMARKS_FILE = "models/shape_predictor_5_face_landmarks.dat"
RECOGNIZER_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
RECOGNIZER_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
RECOGNIZER_SIZE = 150  # pixels of the chip's side
LANDMARKS_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"

# The five points' positions in dlib's face chip, of side 1 and without padding: outer and inner corner of
# the eye on the right, the same on the left, base of the nose. From get_face_chip_details() in
# dlib/image_transforms/interpolation.h.
CHIP_POINTS = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)

# A dlib detector holds the image while it scans and releases Python's lock, so each thread needs its own.
_this_thread = threading.local()


@interrupts.deferred()
def _detector() -> "dlib.fhog_object_detector":
    import dlib

    if not hasattr(_this_thread, "detector"):
        _this_thread.detector = dlib.get_frontal_face_detector()
    return _this_thread.detector


@functools.cache
@interrupts.deferred()
def load_landmarks() -> "dlib.shape_predictor":
    """Load dlib's 5-point predictor, which all threads can share. Raises InputError for an unexpected file."""
    import dlib

    return dlib.shape_predictor(str(package_file("face_recognition_models", LANDMARKS_FILE, LANDMARKS_SHA256)))


def detect_dlib(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the frontal faces of an RGB uint8 image (H, W, 3), best first.

    Returns boxes, float32 (n, 4), x, y, w, h in pixels, which may cross the border, and scores,
    float32 (n,), above 0. Finds faces of at least 80 px.
    """
    rectangles, scores, _ = _detector().run(np.ascontiguousarray(image), 0, 0.0)  # no upsampling, scores above 0
    boxes = [(r.left(), r.top(), r.width(), r.height()) for r in rectangles]
    order = np.argsort(scores)[::-1]
    return np.array(boxes, np.float32).reshape(-1, 4)[order], np.array(scores, np.float32)[order]


@functools.cache
@interrupts.deferred()
def load_recognizer() -> "dlib.face_recognition_model_v1":
    """Load dlib's face recognition network, without Keras, in 0.2 s. Raises InputError for an unexpected file."""
    import dlib

    return dlib.face_recognition_model_v1(
        str(package_file("face_recognition_models", RECOGNIZER_FILE, RECOGNIZER_SHA256))
    )


def dlib_descriptor(square: np.ndarray) -> np.ndarray:
    """dlib's descriptor, float32 (128,), of a face's crop square, RGB uint8 (S, S, 3), in about 0.08 s.

    Two faces less than 0.6 apart are probably the same person's.
    """
    return np.array(load_recognizer().compute_face_descriptor(resize_chip(square, RECOGNIZER_SIZE)), np.float32)


def dlib_landmarks(image: np.ndarray, box: Sequence[float] | np.ndarray) -> np.ndarray:
    """Place dlib's five points, float32 (5, 2) in pixels, in a face's x, y, w, h box of an RGB uint8 image."""
    import dlib

    x, y, w, h = (round(float(value)) for value in box)
    shape = load_landmarks()(np.ascontiguousarray(image), dlib.rectangle(x, y, x + w - 1, y + h - 1))
    return np.array([(p.x, p.y) for p in shape.parts()], np.float32)
