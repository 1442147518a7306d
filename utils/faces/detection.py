"""Find the faces in an image."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import cv2
import numpy as np

from utils.faces.alignment import DLIB_CHIP_POINTS, RETINAFACE_CHIP_POINTS, Face, similarity_transform
from utils.faces.boxes import clip_box, covers_center
from utils.faces.dlib_hog import detect_dlib, dlib_landmarks
from utils.faces.plausibility import confirm_face, looks_upright
from utils.faces.retinaface import RetinaFace, detect_retinaface, load_retinaface

MIN_SCORE = 0.8  # of RetinaFace, 0-1
DETECTION_SIZE = 1280  # pixels of the longer side: by default, larger images are searched in a copy of this size
RELIABLE_SIZE = 24  # pixels of a face's longer side, from which RetinaFace finds it reliably
MAIN_FACE_RATIO = 0.5  # of the largest face's height: smaller faces are passers-by
CUT_FACTOR = 0.5  # what a face that the image's border cuts counts, against a whole one
Detector = Callable[[np.ndarray], list[Face]]
AnyFace = TypeVar("AnyFace", bound=Face)


def load_detector(
    name: str = "retinaface",
    min_size: int = 20,
    align: bool = True,
    search_size: int = DETECTION_SIZE,
    min_score: float = MIN_SCORE,
    threads: int = 0,
    precision: str = "float32",
) -> Detector:
    """Make a function from an RGB uint8 image (H, W, 3) to its list of Faces, best first.

    It is made for the frames of cameras and videos: for photos see `load_photo_search`, which is more thorough.
    Several threads may call the function at once.

    Args:
        name: "retinaface" or "dlib".
        min_size: pixels; faces with a shorter side below it are dropped.
        align: whether chips are upright; otherwise they are the box, made square.
        search_size: pixels; an image with a longer side is searched in a copy of this size. Above
            DETECTION_SIZE, RetinaFace searches a copy of DETECTION_SIZE as well.
        min_score: RetinaFace's least score, 0-1. dlib's scores have no such scale.
        threads: RetinaFace's threads for one image, 0 for one per processor core. dlib uses one.
        precision: one of `utils.cli.PRECISIONS`, of RetinaFace's first search.
    """
    if name == "retinaface":
        network = load_retinaface(threads, precision)  # now, before several threads try to at once
        find = functools.partial(find_retinaface, search_size=search_size, min_score=min_score, network=network)
    else:
        find = functools.partial(find_dlib, search_size=search_size)

    def detect(image: np.ndarray) -> list[Face]:
        found = find(image)
        if name == "retinaface":
            found = [face for face in (_upright_face(image, face, threads) for face in found) if face]
        faces = [face for face in found if min(face.box[2:]) >= min_size]
        return faces if align else [unaligned(face) for face in faces]

    return detect


def _upright_face(image: np.ndarray, face: Face, threads: int) -> Face | None:
    """A face whose points look upright, as it is, at a cost of 20 µs; any other is searched again in a crop.

    Of 207 faces in a film with profiles, none is searched again. Turned faces that look upright all the same, as
    some do that are upside down, are not noticed here.
    """
    if looks_upright(face.landmarks, face.transform):
        return face
    return confirm_face(image, face, threads)


def find_retinaface(image: np.ndarray, search_size: int, min_score: float, network: RetinaFace) -> list[Face]:
    """RetinaFace's faces in an RGB uint8 image (H, W, 3), best first; see `load_detector` for the other arguments."""

    def search(size: int) -> list[Face]:
        small, scale = shrink_to_search(image, size)
        boxes, scores, landmarks = detect_retinaface(small, min_score, network)
        return [
            make_face(image, box / scale, score, points / scale, RETINAFACE_CHIP_POINTS)
            for box, score, points in zip(boxes, scores, landmarks, strict=True)
        ]

    return search_copies(image, search_size, min_score, search)


def search_copies(
    image: np.ndarray, search_size: int, min_score: float, search: Callable[[int], list[AnyFace]]
) -> list[AnyFace]:
    """The faces of an image, best first, from a search in a copy of `search_size`, or also of DETECTION_SIZE.

    search: from the size of a copy, in pixels, to the faces found in it.
    """
    if min(search_size, max(image.shape[:2])) <= DETECTION_SIZE:
        return search(search_size)
    # RetinaFace's largest anchor has 512 px: in a larger face it sees a nostril, and in blurred folds of
    # cloth a face. So take from the full search only the faces that are too small for the small copy.
    large = search(DETECTION_SIZE)
    boxes = [face.box for face in large if face.score >= min_score]
    max_size = RELIABLE_SIZE * max(image.shape[:2]) / DETECTION_SIZE
    small = [face for face in search(search_size) if max(face.box[2:]) < max_size]
    small = [face for face in small if not any(covers_center(box, face.box) for box in boxes)]
    return sorted(large + small, key=lambda face: face.score, reverse=True)


def find_dlib(image: np.ndarray, search_size: int) -> list[Face]:
    """dlib's faces in an RGB uint8 image (H, W, 3), best first; see `load_detector` for the arguments."""
    small, scale = shrink_to_search(image, search_size)
    boxes, scores = detect_dlib(small)
    return [
        make_face(image, box / scale, score, dlib_landmarks(image, box / scale), DLIB_CHIP_POINTS)
        for box, score in zip(boxes, scores, strict=True)
    ]


def shrink_to_search(image: np.ndarray, search_size: int) -> tuple[np.ndarray, float]:
    """An image whose longer side is at most `search_size` pixels, and its scale, at most 1."""
    scale = min(1.0, search_size / max(image.shape[:2]))
    if scale == 1.0:
        return image, scale
    size_wh = [max(1, round(side * scale)) for side in image.shape[1::-1]]  # a panorama keeps at least one row
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), scale


def make_face(
    image: np.ndarray, box_xywh: np.ndarray, score: float, landmarks: np.ndarray, chip_points: np.ndarray
) -> Face:
    """A face of an image (H, W, 3). chip_points: where its five landmarks are in a chip of side 1, (5, 2)."""
    box = clip_box(box_xywh, image.shape)
    return Face(box, float(score), landmarks, similarity_transform(landmarks, chip_points))


def unaligned(face: Face) -> Face:
    """The same face with the original recipe's crop: its box, made square, without rotation."""
    x, y, w, h = face.box
    side = max(w, h)
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    transform = np.array([[1 / side, 0, -left / side], [0, 1 / side, -top / side]])
    return replace(face, transform=transform, aligned=False)


def main_faces(faces: list[Face], size_wh: Sequence[int] | None = None) -> list[Face]:
    """Put the face that the image is of first, and drop passers-by, less than half as high; the likeliest first.

    size_wh: of the image, in pixels. Without it only the height counts, as in front of a camera.
    """
    if size_wh is None:
        ranked = sorted(faces, key=lambda face: face.box[3], reverse=True)
    else:
        ranked = sorted(faces, key=lambda face: prominence(face, size_wh), reverse=True)
    return [face for face in ranked if face.box[3] >= MAIN_FACE_RATIO * ranked[0].box[3]]


def prominence(face: Face, size_wh: Sequence[int]) -> float:
    """How likely an image is of a face: its area in pixels, less beside the middle and for a face that is cut.

    Of LFW's 7,701 photos, whose person is in the middle, the tallest face is wrong in 100, this in 2.
    """
    (x, y, w, h), (width, height) = face.box, size_wh
    distances = np.array([(x + w / 2) / (width / 2) - 1, (y + h / 2) / (height / 2) - 1])
    is_cut = x <= 0 or y <= 0 or x + w >= width or y + h >= height
    return float(w * h * np.exp(-(distances @ distances)) * (CUT_FACTOR if is_cut else 1.0))
