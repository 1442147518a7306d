"""Tell a face from what only looks like one to RetinaFace, and find out which way up it is.

RetinaFace also finds faces that are turned, but places the five points of an upright face in them: a face that
is upside down gets its eyes on the chin. Its score stays high, so a second search of a small crop, turned four
ways, decides. The limits were chosen on 12 selfies at 24 angles each, and on 240 upright faces in photos.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from utils.faces.alignment import RETINAFACE_CHIP_POINTS, Face, similarity_transform, warp_chip
from utils.faces.boxes import clip_box
from utils.faces.retinaface import detect_retinaface, load_retinaface

MAX_ROLL = 50  # degrees: beyond 45, one of four directions is nearer to upright
EXACT_ROLL = 35  # degrees: RetinaFace's points are as exact as in an upright face, in all 60 selfies turned by up to 30
MIN_EYE_TO_MOUTH = 0.15  # of the crop square; 0.36 in a frontal face, and never less than this in 207 faces of a film
SLACK = 0.05  # of the crop square: in profile the eyes coincide, and so do the corners of the mouth
CROP_SIZE = 192  # pixels of the crop that is searched again, 2 ms each
SMALL_CROP_SIZE = 128  # the same, 1 ms, of a face beside one that is sure: people in a photo are the same way up
CROP_RATIO = 2.0  # the crop's side, in longer sides of the face's box
MIN_CROP_SCORE = 0.5  # 0-1, of the best direction; below it, of 1,200 photos, only hands, gaps and cut faces
MIN_TURNED_SCORE = 0.8  # of a face that was turned upright: 673 of 673 faces have it, 5 of 9 dogs and folds do
SURE_CROP_SCORE = 0.99  # 0-1: with SURE_DISAGREEMENT, 90 % of the upright faces are sure, and none of 31 wrong ones
SURE_SMALL_CROP_SCORE = 0.95  # the same, in a small crop
UPRIGHT_BONUS = 0.4  # log odds; 170 upright faces of photos and a film exceed their other directions by 0.85 or more
SURE_MARGIN = 2.5  # log odds between the two likeliest of four directions; below it the diagonals are searched too
MAX_DISAGREEMENT = 0.25  # of the eye distance in a frontal face: mean distance between two searches' points
SURE_DISAGREEMENT = 0.2  # the same, with which a high score needs no other direction


def roll_degrees(landmarks: np.ndarray) -> float:
    """How far RetinaFace's points (5, 2) are turned clockwise against those of an upright face, in degrees."""
    return transform_roll(similarity_transform(landmarks, RETINAFACE_CHIP_POINTS))


def transform_roll(transform: np.ndarray) -> float:
    """How far a transform (2, 3) to an upright face turns the image counterclockwise, in degrees."""
    return math.degrees(math.atan2(-transform[1, 0], transform[0, 0]))


def looks_upright(landmarks: np.ndarray, transform: np.ndarray) -> bool:
    """Whether five points (5, 2) lie as in a face whose head is tilted by at most MAX_ROLL.

    A necessary condition that costs next to nothing. transform: from the image to the crop square, (2, 3).
    """
    if abs(transform_roll(transform)) > MAX_ROLL:
        return False
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    eyes, mouth = (left_eye[1] + right_eye[1]) / 2, (left_mouth[1] + right_mouth[1]) / 2
    uncrossed = left_eye[0] <= right_eye[0] + SLACK and left_mouth[0] <= right_mouth[0] + SLACK
    between = eyes - SLACK < nose[1] < mouth + SLACK and mouth - eyes > MIN_EYE_TO_MOUTH
    eyes_above = max(left_eye[1], right_eye[1]) < min(left_mouth[1], right_mouth[1])
    return bool(uncrossed and between and eyes_above)


@dataclass(frozen=True)
class TurnedView:
    """What a search finds in a crop around a face, turned by some angle."""

    angle: float  # degrees, clockwise, by which the crop was turned
    score: float  # RetinaFace's, 0-1
    roll: float  # of the face in the turned crop, degrees
    upright: bool  # whether it looks upright there
    landmarks: np.ndarray  # in the image, float32 (5, 2)
    center: np.ndarray  # of the box in the image, (2,)
    size: np.ndarray  # width and height of the box in the turned crop, in pixels of the image, (2,)

    @property
    def log_odds(self) -> float:
        """Of the score, with the bonus of the direction in which photos are usually held."""
        bounded = min(self.score, 1 - 1e-6)
        return math.log(bounded / (1 - bounded)) + (UPRIGHT_BONUS if self.angle == 0 else 0)


def view_turned(
    image: np.ndarray, center: np.ndarray, side: float, angle: float, threads: int = 0, size: int = CROP_SIZE
) -> TurnedView | None:
    """Search a square crop around `center` (2,) of an RGB uint8 image (H, W, 3), turned clockwise by `angle` degrees.

    side: of the face, in pixels; size: of the crop. Returns None if there is no face in the middle of the crop.
    """
    turn = math.radians(angle)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation / (CROP_RATIO * side)
    transform = np.column_stack([linear, 0.5 - linear @ center])
    crop = warp_chip(image, transform, size)
    boxes, scores, landmarks = detect_retinaface(crop, 0.1, load_retinaface(threads))
    centers = boxes[:, :2] + boxes[:, 2:] / 2
    near = np.hypot(*(centers - size / 2).T) < size / CROP_RATIO / 2
    if not near.any():
        return None
    best = int(np.flatnonzero(near)[0])
    points = landmarks[best]
    to_square = similarity_transform(points, RETINAFACE_CHIP_POINTS)
    scale = CROP_RATIO * side / size
    back = (np.vstack([points, centers[best]]) - size / 2) @ rotation * scale + center
    return TurnedView(
        angle, float(scores[best]), transform_roll(to_square), looks_upright(points, to_square),
        back[:5].astype(np.float32), back[5], boxes[best, 2:] * scale,
    )  # fmt: skip


def disagreement(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance between two searches' points (5, 2), in eye distances of a frontal face of that size."""
    transform = similarity_transform(first, RETINAFACE_CHIP_POINTS)
    eye_distance = np.ptp(RETINAFACE_CHIP_POINTS[:2, 0]) / max(np.hypot(*transform[:, 0]), 1e-9)
    return float(np.hypot(*(first - second).T).mean() / max(eye_distance, 1e-9))


def confirm_face(image: np.ndarray, face: Face, threads: int = 0, beside_sure: bool = False) -> Face | None:
    """Search again around one of RetinaFace's faces in an RGB uint8 image (H, W, 3).

    Returns the face itself if it is upright; the same face with a box, points and a transform that turns it
    upright if it is not; None if no direction shows a face. Costs one small search for most upright faces, and
    four or more for the others. beside_sure: whether another face of the image surely is one, and upright.
    """
    x, y, w, h = face.box
    center, side = np.array([x + w / 2, y + h / 2]), max(w, h, 1)
    exact = looks_upright(face.landmarks, face.transform) and abs(transform_roll(face.transform)) <= EXACT_ROLL
    size, sure_score = (SMALL_CROP_SIZE, SURE_SMALL_CROP_SCORE) if beside_sure else (CROP_SIZE, SURE_CROP_SCORE)
    upright = view_turned(image, center, side, 0, threads, size)
    apart = disagreement(face.landmarks, upright.landmarks) if upright else math.inf
    if exact and upright and upright.score >= sure_score and apart < SURE_DISAGREEMENT:
        return face
    views = [upright, *(view_turned(image, center, side, angle, threads) for angle in (90, 180, 270))]
    if not any(view and view.score >= MIN_CROP_SCORE for view in views):  # a tilted face is seen from two sides
        return None
    views = _upright_first(views)
    if len(views) != 1 and (len(views) < 2 or views[0].log_odds - views[1].log_odds < SURE_MARGIN):
        diagonal = [view_turned(image, center, side, angle, threads) for angle in (45, 135, 225, 315)]
        views = _upright_first([*views, *diagonal])
    if not views or views[0].score < MIN_CROP_SCORE:
        return None
    stays = exact and views[0] is upright and apart < MAX_DISAGREEMENT
    return face if stays else _turn_upright(image, views[0], face.score, threads)


def _upright_first(views: Iterable[TurnedView | None]) -> list[TurnedView]:
    """The views that look upright, the likeliest one first."""
    return sorted((view for view in views if view and view.upright), key=lambda view: -view.log_odds)


def _turn_upright(image: np.ndarray, view: TurnedView, score: float, threads: int) -> Face | None:
    """The face of a view, searched once more in a crop in which it is upright; None if that shows another one."""
    angle = view.angle - view.roll
    final = view_turned(image, view.center, float(view.size.max()), angle, threads)
    if final is None or not final.upright or final.score < MIN_TURNED_SCORE:
        return None
    if disagreement(view.landmarks, final.landmarks) > 2 * MAX_DISAGREEMENT:  # points of a tilted face are less exact
        return None
    # A face is about an ellipse: this is the upright box around a turned one.
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    width, height = final.size
    size = np.hypot([width * cosine, width * sine], [height * sine, height * cosine])
    box = clip_box([*(final.center - size / 2), *size], image.shape)
    return Face(box, score, final.landmarks, similarity_transform(final.landmarks, RETINAFACE_CHIP_POINTS))
