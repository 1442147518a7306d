"""Whether a face is good enough to keep, and if not, why: in words for the person before the camera.

Faces that are too small, dark, blurred or turned away make a gallery worse, and so do twenty that
look alike. Everything here is a pure function of one image and one `Face`, of either detector.

The limits were chosen on 94 large faces of photos and on copies of them that were spoiled on purpose:
the figures beside them say by how much that moves dlib's descriptor in the median, where two photos of
one person are 0.32 apart anyway. 85 of the 94 pass; 7 are turned away and 2 are not sharp.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from utils.faces.alignment import (
    DLIB_CHIP_POINTS,
    PADDING,
    RETINAFACE_CHIP_POINTS,
    Face,
    similarity_transform,
    warp_chip,
)

MIN_FACE_SIZE = 80  # pixels, the box's shorter side; 0.07 at 80, 0.11 at 60, 0.18 at 40
MIN_SHARPNESS = 0.0035  # see sharpness(); a Gaussian blur of 3 px of 224 (0.24) fails half, of 4 (0.33) 96 %
MIN_HIGHLIGHT = 75  # gray levels, 0-255, that the brightest tenth of a face reaches at least; 0.20 below
MAX_CLIPPED = 0.1  # share of a face's pixels that are white; 0.23 where this is passed
MAX_YAW, MAX_PITCH, MAX_ROLL = 35, 30, 30  # degrees; dlib's HOG, which sees no others, is spared the pitch
MIN_THUMBNAIL_DISTANCE = 0.25  # see thumbnail_distance(); noise alone makes 0.1, a head turned by 5 degrees 0.25

# Reasons that callers treat apart: a face in part, and one that is good but has been saved already.
OUT_OF_FRAME = "move into the frame"
TOO_SIMILAR = "like the last one"

PATCH_SIZE = 112  # pixels: what the five points place on every face alike, whatever crop is saved
MARGIN = PATCH_SIZE // 5  # of the patch that may show hair, ears or the room
WHITE = 245  # gray levels, 0-255: a camera clips from about here
FULL_SIZE = 150  # pixels of a face beyond which no extractor of ours sees more

# How far the tip (RetinaFace) or the base (dlib) of the nose stands before the eyes, in distances of
# the eyes, and where it is in a frontal face: as a share of the way from eyes to mouth, or where there
# is no mouth (dlib) in distances of the eyes. Pitch is nearly linear in that place, so much a degree.
RETINAFACE_NOSE, RETINAFACE_LEVEL, RETINAFACE_STEP = 0.42, 0.58, 0.006
DLIB_NOSE, DLIB_LEVEL, DLIB_STEP = 0.35, 0.77, 0.006


class Pose(NamedTuple):
    """Where a head is turned, in degrees, as seen in the image: + is right (yaw, roll) and up (pitch)."""

    yaw: float
    pitch: float
    roll: float


def head_pose(landmarks: np.ndarray) -> Pose:
    """Roughly where a head is turned, from either detector's five points (5, 2) in pixels.

    A proxy, not a measurement: the nose moves against the eyes as the head turns. On drawn people of
    known pose it is right within about 7 degrees up to 30, but one's own nose shifts pitch by up to 10,
    with dlib's points, which have no mouth, by 15.
    """
    points = np.asarray(landmarks, float)
    if has_dlib_points(points):
        left, right, nose, mouth = points[2:4].mean(0), points[:2].mean(0), points[4], None
        protrusion = DLIB_NOSE
    else:
        left, right, nose, mouth = points[0], points[1], points[2], points[3:].mean(0)
        protrusion = RETINAFACE_NOSE
    across = right - left
    distance = max(float(np.hypot(*across)), 1e-6)  # a profile's eyes coincide
    across /= distance
    down, middle = np.array([-across[1], across[0]]), (left + right) / 2
    # The distance of the eyes shrinks with the cosine of yaw, the nose moves with its sine.
    yaw = math.atan2((nose - middle) @ across / distance, protrusion)
    drop = (nose - middle) @ down / distance
    if mouth is None:
        pitch = (DLIB_LEVEL - drop * math.cos(yaw)) / DLIB_STEP
    else:
        length = max((mouth - middle) @ down / distance, 0.2)
        pitch = (RETINAFACE_LEVEL - drop / length) / RETINAFACE_STEP
    roll = math.degrees(math.atan2(across[1], across[0]))
    return Pose(math.degrees(yaw), float(np.clip(pitch, -90, 90)), roll)


def has_dlib_points(landmarks: np.ndarray) -> bool:
    """Whether five points are dlib's (eye corners and nose), not RetinaFace's (eyes, nose, mouth).

    dlib's first four are on one line; of RetinaFace's, even in profile, no four are.
    """
    four = np.asarray(landmarks, float)[:4]
    longest, shortest = np.linalg.svd(four - four.mean(0), compute_uv=False)
    return bool(shortest < 0.12 * longest)  # dlib's stay below 0.08, RetinaFace's above 0.2


def face_transform(landmarks: np.ndarray) -> np.ndarray:
    """From the image's pixels to the aligned chip's unit square, float64 (2, 3), whatever crop is saved."""
    template = DLIB_CHIP_POINTS if has_dlib_points(landmarks) else RETINAFACE_CHIP_POINTS
    return similarity_transform(landmarks, template)


def is_whole(image: np.ndarray, landmarks: np.ndarray) -> bool:
    """Whether a face, from brows to chin, is inside its image (H, W, 3)."""
    inner = PADDING / (1 + 2 * PADDING)  # the chip without its padding
    square = np.array([[x, y] for x in (inner, 1 - inner) for y in (inner, 1 - inner)])
    inverse = cv2.invertAffineTransform(face_transform(landmarks))
    corners = square @ inverse[:, :2].T + inverse[:, 2]
    return bool((corners >= 0).all() and (corners <= image.shape[1::-1]).all())


def face_patch(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The middle of a face in gray levels, float32 (P, P): eyes, nose and mouth, upright and in one size."""
    patch = warp_chip(image, face_transform(landmarks), PATCH_SIZE)
    gray = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return gray[MARGIN:-MARGIN, MARGIN:-MARGIN]


def sharpness(patch: np.ndarray) -> float:
    """How sharp a gray patch (P, P) is: 0 is flat, real photos in focus have 0.004 to 0.02.

    The variance of the second derivative: Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy" (2000), relative to the patch's own variance, so that light and contrast cancel. Across
    and along are taken apart and the weaker counts, since a movement blurs one direction only; a face's
    lines across (brows, eyes, mouth) have twice the variance of those along.
    """
    smooth = cv2.GaussianBlur(patch, (0, 0), 1.0)  # takes away most of the sensor's noise
    across = smooth[:, 2:] - 2 * smooth[:, 1:-1] + smooth[:, :-2]
    along = smooth[2:] - 2 * smooth[1:-1] + smooth[:-2]
    return float(min(across.var(), along.var() / 2) / (smooth.var() + 1))


class Brightness(NamedTuple):
    """How light a face is."""

    highlight: float  # gray level, 0-255, that the brightest tenth reaches
    clipped: float  # share of white pixels, 0-1


def brightness(patch: np.ndarray) -> Brightness:
    """Measure how light a gray patch (P, P) is.

    The mean would not do: dark skin in good light has the same mean as pale skin in bad light.
    """
    return Brightness(float(np.percentile(patch, 90)), float((patch > WHITE).mean()))


def thumbnail(chip: np.ndarray) -> np.ndarray:
    """What is compared to tell whether two RGB uint8 chips (S, S, 3) look alike: float32 (144,)."""
    gray = cv2.resize(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY), (16, 16), interpolation=cv2.INTER_AREA)
    middle = gray[2:-2, 2:-2].astype(np.float32).ravel()
    return (middle - middle.mean()) / (middle.std() + 4)


def thumbnail_distance(first: np.ndarray, second: np.ndarray) -> float:
    """How different two thumbnails look: 0 not at all; 0.8 in the median of one person's photos."""
    return float(np.sqrt(np.mean((first - second) ** 2)))


def rejection_reason(image: np.ndarray, face: Face, chip: np.ndarray, saved: Sequence[np.ndarray] = ()) -> str | None:
    """What the person could do about a face that is not good enough to keep; None where it is.

    image: RGB uint8 (H, W, 3). chip: the face's own, RGB uint8 (S, S, 3). saved: the thumbnails of the
    chips that were kept so far; what looks like one of them is not kept again.
    """
    if not is_whole(image, face.landmarks):
        return OUT_OF_FRAME
    if min(face.box[2:]) < MIN_FACE_SIZE:
        return "come closer"
    patch = face_patch(image, face.landmarks)
    light = brightness(patch)
    if light.highlight < MIN_HIGHLIGHT:
        return "too dark"
    if light.clipped > MAX_CLIPPED:
        return "too bright"
    pose = head_pose(face.landmarks)
    # Whose nose is long looks down to dlib's points; a detector of frontal faces has judged already.
    nods = abs(pose.pitch) > MAX_PITCH and not has_dlib_points(face.landmarks)
    if abs(pose.yaw) > MAX_YAW or nods:
        return "turn to the camera"
    if abs(pose.roll) > MAX_ROLL:
        return "hold your head upright"
    if sharpness(patch) < MIN_SHARPNESS:
        return "hold still"
    new = thumbnail(chip)
    if any(thumbnail_distance(new, old) < MIN_THUMBNAIL_DISTANCE for old in saved):
        return TOO_SIMILAR
    return None


def quality(image: np.ndarray, face: Face) -> float:
    """How well a face can be recognized, 0-1: it grows with size, sharpness and frontality.

    For choosing between views of one face. A factor for each: the size up to FULL_SIZE, a sharpness
    that is worth half at MIN_SHARPNESS, and the share of the face that is turned to the camera.
    """
    size = min(1.0, min(face.box[2:]) / FULL_SIZE)
    sharp = sharpness(face_patch(image, face.landmarks))
    pose = head_pose(face.landmarks)
    frontal = max(0.0, math.cos(math.radians(pose.yaw)) * math.cos(math.radians(pose.pitch)))
    return size * frontal * sharp / (sharp + MIN_SHARPNESS)
