"""What part of a face each extractor sees: the five points of its crop.

An extractor was trained on crops in which RetinaFace's five points lie at fixed positions: left eye, right eye,
nose, left and right corner of the mouth, as seen in the image. Its file carries these positions.
"""

import numpy as np

from utils.faces.alignment import RETINAFACE_CHIP_POINTS

# In a crop of side 1. ArcFace's are those that InsightFace's networks and most others since are trained with, given
# in pixels of 112: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (2019).
CROP_POINTS = {
    "dlib": RETINAFACE_CHIP_POINTS,
    "arcface": np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    / 112,
}

MAX_OUTSIDE = 1.0  # crop sides by which a point may lie outside a crop: even a crop of one eye has them nearer
MIN_DISTANCE = 0.02  # crop sides from left to right, and from the eyes to the mouth: what is smaller is no face's crop


def are_crop_points(points: np.ndarray) -> bool:
    """Whether an array holds the five points (5, 2) of an upright face in a crop of side 1."""
    if points.shape != (5, 2) or not np.isfinite(points).all():
        return False
    left_eye, right_eye, _, left_mouth, right_mouth = points
    inside = (points >= -MAX_OUTSIDE).all() and (points <= 1 + MAX_OUTSIDE).all()
    uncrossed = min(right_eye[0] - left_eye[0], right_mouth[0] - left_mouth[0]) >= MIN_DISTANCE
    upright = min(left_mouth[1], right_mouth[1]) - max(left_eye[1], right_eye[1]) >= MIN_DISTANCE
    return bool(inside and uncrossed and upright)


def is_dlib_crop(points: np.ndarray) -> bool:
    """Whether five points (5, 2) are those of dlib's crop."""
    return np.allclose(points, CROP_POINTS["dlib"], rtol=0, atol=1e-6)
