"""Finding and aligning faces: the one crop that every script uses.

A detector turns an image into `Face`s. Each carries a similarity transform that maps the image onto
its *chip*: an upright square with the eyes at fixed places and 25 % padding, dlib's geometry.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from utils.faces.boxes import covers_middle, clip_box
from utils.faces.dlib_hog import CHIP_POINTS, detect_dlib, dlib_landmarks
from utils.faces.retinaface import detect_retinaface, load_retinaface

CHIP_SIZE = 224  # pixels, on disk and in memory
PADDING = 0.25  # of the unpadded chip's side, on each side of it
MIN_SCORE = 0.8  # of RetinaFace, 0-1
DETECTION_SIZE = 1280  # pixels; by default, longer images are searched in a smaller copy and cropped from the original
LEAST_PIXELS = 24  # of a face's longer side, from which RetinaFace finds it reliably
SIDE_RATIO = 0.5  # a face smaller than this share of the largest one's height is a passer-by

# RetinaFace's five points in a padded chip of side 1: their mean places in dlib's own chips.
RETINAFACE_CHIP_POINTS = np.array([[48.4, 44.6], [101.6, 44.6], [74.6, 79.0], [51.0, 99.2], [98.6, 99.2]]) / 150
DLIB_CHIP_POINTS = (CHIP_POINTS + PADDING) / (1 + 2 * PADDING)

Detector = Callable[[np.ndarray], list["Face"]]


@dataclass(frozen=True)
class Face:
    """One face in one image.

    box: x, y, w, h in whole pixels, clipped to the image. score: the detector's own.
    landmarks: float32 (5, 2) in pixels, the detector's own five points.
    transform: float64 (2, 3), from the image's pixels to the chip's unit square.
    """

    box: tuple[int, int, int, int]
    score: float
    landmarks: np.ndarray
    transform: np.ndarray


def load_detector(
    name: str = "retinaface",
    min_size: int = 20,
    align: bool = True,
    search_size: int = DETECTION_SIZE,
    min_score: float = MIN_SCORE,
    threads: int = 0,
) -> Detector:
    """A function from an RGB uint8 image (H, W, 3) to its list of Faces, best first.

    search_size: pixels; an image whose longer side is longer is searched in a copy of that size. RetinaFace
    searches a copy of DETECTION_SIZE besides where the size is more than that.
    min_score: of RetinaFace, 0-1; dlib has no such scale. threads: of RetinaFace for one image, 0 for one
    a processor core; dlib uses one. The function may be called by several threads at once.
    """
    if name == "retinaface":
        load_retinaface(threads)  # here, before several threads ask for it at once
        find = functools.partial(_find_retinaface, search_size=search_size, min_score=min_score, threads=threads)
    else:
        find = functools.partial(_find_dlib, search_size=search_size)

    def detect(image: np.ndarray) -> list[Face]:
        faces = [face for face in find(image) if min(face.box[2:]) >= min_size]
        return faces if align else [_unaligned(face) for face in faces]

    return detect


def _find_retinaface(image: np.ndarray, search_size: int, min_score: float, threads: int) -> list[Face]:
    if min(search_size, max(image.shape[:2])) > DETECTION_SIZE:
        # Its largest anchor has 512 px: of larger faces it sees a nostril, and in blurred folds a face. So
        # what a smaller copy shows well enough is searched there, and only what is too small for it in full.
        large = _search_retinaface(image, DETECTION_SIZE, min_score, threads)
        most = LEAST_PIXELS * max(image.shape[:2]) / DETECTION_SIZE
        in_full = _search_retinaface(image, search_size, min_score, threads)
        small = [face for face in in_full if max(face.box[2:]) < most]
        small = [face for face in small if not any(covers_middle(other.box, face.box) for other in large)]
        return sorted(large + small, key=lambda face: face.score, reverse=True)
    return _search_retinaface(image, search_size, min_score, threads)


def _search_retinaface(image: np.ndarray, search_size: int, min_score: float, threads: int) -> list[Face]:
    small, scale = _shrink_to_search(image, search_size)
    boxes, scores, landmarks = detect_retinaface(small, min_score, threads)
    return [
        _make_face(image, box / scale, score, points / scale, RETINAFACE_CHIP_POINTS)
        for box, score, points in zip(boxes, scores, landmarks, strict=True)
    ]


def _find_dlib(image: np.ndarray, search_size: int) -> list[Face]:
    small, scale = _shrink_to_search(image, search_size)
    boxes, scores = detect_dlib(small)
    return [
        _make_face(image, box / scale, score, dlib_landmarks(image, box / scale), DLIB_CHIP_POINTS)
        for box, score in zip(boxes, scores, strict=True)
    ]


def _shrink_to_search(image: np.ndarray, search_size: int) -> tuple[np.ndarray, float]:
    scale = min(1.0, search_size / max(image.shape[:2]))
    if scale == 1.0:
        return image, scale
    # A panorama's short side must not vanish.
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def _make_face(image, box, score, landmarks, chip_points) -> Face:
    box = clip_box(box, image.shape)
    return Face(box, float(score), landmarks, similarity_transform(landmarks, chip_points))


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift, float64 (2, 3), that brings points (n, 2) nearest to a target (n, 2).

    Least squares without reflection: Umeyama, "Least-squares estimation of transformation parameters"
    (1991). In the plane it is the linear regression w = a·z + b of complex numbers.
    """
    z, w = (points[:, 0] + 1j * points[:, 1] for points in np.asarray([source, target], float))
    centered = z - z.mean()
    spread = max(float(np.sum(np.abs(centered) ** 2)), 1e-12)  # points that coincide must not divide by 0
    a = np.sum(np.conj(centered) * (w - w.mean())) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def _unaligned(face: Face) -> Face:
    """The same face with the original recipe's crop: its box, made square, and no rotation."""
    x, y, w, h = face.box
    side = max(w, h)
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    transform = np.array([[1 / side, 0, -left / side], [0, 1 / side, -top / side]])
    return Face(face.box, face.score, face.landmarks, transform)


def face_chip(image: np.ndarray, face: Face, size: int = CHIP_SIZE) -> np.ndarray:
    """Cut a face out of its RGB uint8 image (H, W, 3) as an upright chip (size, size, 3)."""
    return warp_chip(image, face.transform, size)


def warp_chip(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Sample the unit square of `transform` (2, 3) as RGB uint8 (size, size, 3), edges replicated."""
    inverse = cv2.invertAffineTransform(transform)
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ inverse[:, :2].T + inverse[:, 2]
    height, width = image.shape[:2]
    # Two pixels of margin are all that bilinear sampling reads beyond the chip.
    left, top = np.clip(np.floor(corners.min(0)).astype(int) - 2, 0, [width - 1, height - 1])
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 3, [left + 1, top + 1], [width, height])
    region = image[top:bottom, left:right]
    matrix = transform * size
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    # Bilinear sampling skips pixels when it shrinks by more than two: average them beforehand.
    shrink = int(1 / max(np.hypot(*matrix[:, 0]), 1e-6))
    if shrink >= 2 and min(region.shape[:2]) >= shrink:
        rows, columns = (side // shrink for side in region.shape[:2])
        factors = np.array([region.shape[1] / columns, region.shape[0] / rows])
        region = cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)
        # Pixel i of the small region is the average around (i + ½)·factor − ½ of the large one.
        matrix[:, 2] += matrix[:, :2] @ (factors / 2 - 0.5)
        matrix[:, :2] *= factors
    return cv2.warpAffine(region, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def align_crop(crop: np.ndarray, size: int = CHIP_SIZE) -> np.ndarray:
    """The chip, RGB uint8 (size, size, 3), of a crop (H, W, 3) that shows one face from edge to edge.

    Nothing is searched: dlib's five points are placed on the crop's own rectangle. The crop is made
    square, brought to 200 px and given a 50 px border, all by repeating its edge, so that the face
    keeps its proportions and the chip's padding has pixels to show.
    """
    inner, border = 200, 50
    height, width = crop.shape[:2]
    top, left = max(0, width - height) // 2, max(0, height - width) // 2
    bottom, right = max(0, width - height) - top, max(0, height - width) - left
    square = cv2.copyMakeBorder(crop, top, bottom, left, right, cv2.BORDER_REPLICATE)
    shrinks = len(square) > inner
    scaled = cv2.resize(square, (inner, inner), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    bordered = cv2.copyMakeBorder(scaled, border, border, border, border, cv2.BORDER_REPLICATE)
    points = dlib_landmarks(bordered, (border, border, inner, inner))
    return warp_chip(bordered, similarity_transform(points, DLIB_CHIP_POINTS), size)


def main_faces(faces: list[Face]) -> list[Face]:
    """The faces that count, largest first: those at least half as high as the largest (SIDE_RATIO)."""
    largest = max((face.box[3] for face in faces), default=0)
    counted = [face for face in faces if face.box[3] >= SIDE_RATIO * largest]
    return sorted(counted, key=lambda face: face.box[3], reverse=True)
