"""Finding faces: a picture in, its Faces out, best first."""

import functools
from collections.abc import Callable

import cv2
import numpy as np

from utils.faces.alignment import DLIB_CHIP_POINTS, RETINAFACE_CHIP_POINTS, Face, similarity_transform
from utils.faces.boxes import clip_box, covers_middle
from utils.faces.dlib_hog import detect_dlib, dlib_landmarks
from utils.faces.retinaface import detect_retinaface, load_retinaface

MIN_SCORE = 0.8  # of RetinaFace, 0-1
DETECTION_SIZE = 1280  # pixels; by default, longer images are searched in a smaller copy and cropped from the original
MIN_PIXELS = 24  # of a face's longer side, from which RetinaFace finds it reliably
SIDE_RATIO = 0.5  # a face smaller than this share of the largest one's height is a passer-by
Detector = Callable[[np.ndarray], list["Face"]]


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
        most = MIN_PIXELS * max(image.shape[:2]) / DETECTION_SIZE
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


def _unaligned(face: Face) -> Face:
    """The same face with the original recipe's crop: its box, made square, and no rotation."""
    x, y, w, h = face.box
    side = max(w, h)
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    transform = np.array([[1 / side, 0, -left / side], [0, 1 / side, -top / side]])
    return Face(face.box, face.score, face.landmarks, transform)


def main_faces(faces: list[Face]) -> list[Face]:
    """The faces that count, largest first: those at least half as high as the largest (SIDE_RATIO)."""
    largest = max((face.box[3] for face in faces), default=0)
    counted = [face for face in faces if face.box[3] >= SIDE_RATIO * largest]
    return sorted(counted, key=lambda face: face.box[3], reverse=True)
