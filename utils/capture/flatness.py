"""Tell a photo that is tilted before the camera from a head that turns.

Two views of a flat picture differ by a homography, whatever the angle (Hartley and Zisserman, "Multiple View Geometry
in Computer Vision", chapter 13). A head is not flat: when it turns, nose, cheeks and eyes move by different amounts.
So points of the face are followed from one view to the other, and those are counted that one homography explains.

Measured on 92 pairs of views of photos tilted by 20 to 45 degrees, with noise and compression, and on 207 pairs of
two filmed people who turn and nod: 95 % of the flat pairs are at or above MIN_EXPLAINED, and 11 % of the filmed ones,
mostly of small movements: these people have to move a little farther. This is no proof of life: a film on a screen
moves as its people did, and another photo is another view.
"""

from typing import NamedTuple

import cv2
import numpy as np

from utils.faces.alignment import warp_chip
from utils.faces.quality import face_transform

SIZE = 224  # pixels of the upright chip that points are followed in
MIN_EXPLAINED = 0.69  # share of the points that fit one homography
TOLERANCE = 1.5  # pixels of the chip
MAX_POINTS, MIN_POINTS = 150, 12  # points to follow; with fewer nothing can be said
WINDOW = 21  # pixels around a point that are compared
MIDDLE = (60, 70)  # half axes in pixels of the part of the face that is looked at


class View(NamedTuple):
    """A face in one frame."""

    gray: np.ndarray  # its upright chip, uint8 (SIZE, SIZE)
    points: np.ndarray  # its landmarks in it, float32 (5, 2)


def view_face(image: np.ndarray, landmarks: np.ndarray) -> View:
    """The view of a face in an RGB uint8 image (H, W, 3)."""
    transform = face_transform(landmarks)
    points = (np.asarray(landmarks, float) @ transform[:, :2].T + transform[:, 2]) * SIZE
    gray = cv2.cvtColor(warp_chip(image, transform, SIZE), cv2.COLOR_RGB2GRAY)
    return View(gray, points.astype(np.float32))


def is_flat(first: View, second: View) -> bool:
    """Whether two views of a face can be those of a flat picture of it."""
    corners = np.c_[first.points, np.ones(len(first.points))]
    affinity = np.linalg.lstsq(corners, second.points, rcond=None)[0].T
    start = cv2.warpAffine(first.gray, affinity, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    middle = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(middle, second.points.mean(0).astype(int).tolist(), MIDDLE, 0, 0, 360, 255, -1)
    points = cv2.goodFeaturesToTrack(start, MAX_POINTS, 0.005, 4, mask=middle, blockSize=5)
    if points is None or len(points) < MIN_POINTS:
        return False
    moved = _follow(start, second.gray, points)
    back = _follow(second.gray, start, moved)
    steady = np.linalg.norm(back - points, axis=(1, 2)) < 1  # pixels; a point that was followed leads back
    if steady.sum() < MIN_POINTS:
        return False
    homography, _ = cv2.findHomography(points[steady], moved[steady], cv2.RANSAC, TOLERANCE, maxIters=500)
    if homography is None:
        return False
    errors = np.linalg.norm(cv2.perspectiveTransform(points[steady], homography) - moved[steady], axis=(1, 2))
    return float((errors < TOLERANCE).sum() / len(points)) >= MIN_EXPLAINED


def _follow(first: np.ndarray, second: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where points (n, 1, 2) of one gray picture are in another; infinitely far away if they are lost."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, points, None, winSize=(WINDOW, WINDOW), maxLevel=3, criteria=criteria
    )
    return np.where(found[:, :, None] == 1, moved, np.float32(1e6))
