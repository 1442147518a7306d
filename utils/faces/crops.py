"""What part of a face each extractor sees: cut its crop out of a chip.

An extractor was trained on crops in which RetinaFace's five points lie at fixed positions: left eye, right eye,
nose, left and right corner of the mouth, as seen in the image. Its file carries these positions.
"""

import numpy as np

from utils.faces.alignment import (
    CHIP_SIZE,
    RETINAFACE_CHIP_POINTS,
    SQUARE_LEFT,
    SQUARE_SIZE,
    SQUARE_TOP,
    crop_square,
    similarity_transform,
    warp_chip,
)
from utils.media.images import resize_chip

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
    return bool(np.abs(points - CROP_POINTS["dlib"]).max() < 1e-6)


def cut_crop(image: np.ndarray, points: np.ndarray, size: int) -> np.ndarray:
    """Cut the crop with these five points (5, 2) out of a chip, RGB uint8; returns (size, size, 3).

    A chip of earlier versions shows the crop square only; what else belongs to the crop repeats its edge. Any other
    image is somebody's own crop, or an unaligned face, and is taken whole.
    """
    is_chip = image.shape[:2] == (CHIP_SIZE, CHIP_SIZE)
    if is_dlib_crop(points):
        return resize_chip(crop_square(image), size)
    if not (is_chip or is_narrow(image)):
        return resize_chip(image, size)
    transform = similarity_transform(CROP_POINTS["dlib"], points)  # from the crop square
    transform[:, :2] /= SQUARE_SIZE
    if is_chip:
        transform[:, 2] -= transform[:, :2] @ (SQUARE_LEFT, SQUARE_TOP)
    return warp_chip(image, transform, size)


def is_narrow(image: np.ndarray) -> bool:
    """Whether an image (H, W, 3) has the size of a chip of earlier versions, which is the crop square alone."""
    return image.shape[:2] == (SQUARE_SIZE, SQUARE_SIZE)


def fits_narrow(points: np.ndarray) -> bool:
    """Whether chips of earlier versions show the whole crop with these five points (5, 2)."""
    to_square = similarity_transform(points, CROP_POINTS["dlib"])
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ to_square[:, :2].T + to_square[:, 2]
    pixel = 1 / SQUARE_SIZE
    return bool((corners > -pixel).all() and (corners < 1 + pixel).all())
