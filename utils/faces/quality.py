"""Decide whether a face is good enough to save, and if not, tell the person in front of the camera why.

Faces that are too small, too dark, blurred or turned away make a gallery worse, and so do twenty that
look alike. Everything here is a pure function of one image and one `Face` of either detector.

The limits were chosen on 94 large faces in photos, and on copies degraded on purpose. The figures beside
them are how far the degradation moves dlib's descriptor (median); two photos of one person are 0.32 apart
in any case. Of the 94 faces, 85 pass, 7 are turned away and 2 are not sharp.
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
    crop_square,
    similarity_transform,
    warp_chip,
)

MIN_FACE_SIZE = 80  # pixels of the box's shorter side; 0.07 at 80, 0.11 at 60, 0.18 at 40
MIN_SHARPNESS = 0.0035  # see sharpness(); rejects half at a Gaussian blur of 3 px of 224 (0.24), 96 % at 4 px (0.33)
MIN_HIGHLIGHT = 75  # gray level, 0-255, of the brightest tenth of a face; 0.20 below
MAX_CLIPPED = 0.1  # share of white pixels in a face, 0-1; 0.23 above
MAX_YAW, MAX_PITCH, MAX_ROLL = 35, 30, 30  # degrees; pitch is not checked with dlib's points
MIN_THUMBNAIL_DISTANCE = 0.25  # see thumbnail_distance(); noise alone gives 0.1, turning the head by 5 degrees 0.25

# Reasons that callers need to know: the face is cut off, or it is good but looks like a saved one.
OUT_OF_FRAME = "move into the frame"
TOO_SIMILAR = "like the last one"

PATCH_SIZE = 112  # pixels of the aligned face that sharpness and brightness are measured on
MARGIN = PATCH_SIZE // 5  # pixels on each side of the patch that may show hair, ears or the background
WHITE = 245  # gray level, 0-255, from which a camera clips
FULL_SIZE = 150  # pixels of a face; no extractor here uses more

# The point on the nose, its tip for RetinaFace and its base for dlib. NOSE is how far it protrudes in front
# of the eyes, in eye distances. LEVEL is how far below the eyes it is in a frontal face: as a share of the
# way to the mouth, or for dlib, which has no mouth, in eye distances. LEVEL changes by STEP per degree of pitch.
RETINAFACE_NOSE, RETINAFACE_LEVEL, RETINAFACE_STEP = 0.42, 0.58, 0.006
DLIB_NOSE, DLIB_LEVEL, DLIB_STEP = 0.35, 0.77, 0.006


class Pose(NamedTuple):
    """Which way a head is turned, in degrees, as seen in the image."""

    yaw: float  # positive to the right
    pitch: float  # positive upward
    roll: float  # positive to the right


def head_pose(landmarks: np.ndarray) -> Pose:
    """Estimate a head's pose from either detector's five points (5, 2) in pixels.

    A rough proxy: it uses how the nose moves relative to the eyes as the head turns. On drawn people of
    known pose it is right to about 7 degrees, for turns up to 30. The shape of a person's nose shifts pitch
    by up to 10 degrees, or 15 with dlib's points, which have no mouth.
    """
    points = np.asarray(landmarks, float)
    if has_dlib_points(points):
        left, right, nose, mouth = points[2:4].mean(0), points[:2].mean(0), points[4], None
        protrusion = DLIB_NOSE
    else:
        left, right, nose, mouth = points[0], points[1], points[2], points[3:].mean(0)
        protrusion = RETINAFACE_NOSE
    across = right - left
    distance = max(float(np.hypot(*across)), 1e-6)  # in profile the eyes coincide
    across /= distance
    down, middle = np.array([-across[1], across[0]]), (left + right) / 2
    # The eye distance shrinks with the cosine of yaw, and the nose shifts with its sine.
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
    """Whether five points are dlib's (eye corners, nose) rather than RetinaFace's (eyes, nose, mouth corners).

    dlib's first four points lie on a line; RetinaFace's do not, even in profile.
    """
    four = np.asarray(landmarks, float)[:4]
    longest, shortest = np.linalg.svd(four - four.mean(0), compute_uv=False)
    return bool(shortest < 0.12 * longest)  # dlib's ratio stays below 0.08, RetinaFace's above 0.2


def face_transform(landmarks: np.ndarray) -> np.ndarray:
    """The transform from the image to the upright crop square of side 1, float64 (2, 3), even of an unaligned face."""
    template = DLIB_CHIP_POINTS if has_dlib_points(landmarks) else RETINAFACE_CHIP_POINTS
    return similarity_transform(landmarks, template)


def is_whole(image: np.ndarray, landmarks: np.ndarray) -> bool:
    """Whether a face is inside its image (H, W, 3) from brows to chin."""
    inner = PADDING / (1 + 2 * PADDING)  # the unpadded part of the crop square
    square = np.array([[x, y] for x in (inner, 1 - inner) for y in (inner, 1 - inner)])
    inverse = cv2.invertAffineTransform(face_transform(landmarks))
    corners = square @ inverse[:, :2].T + inverse[:, 2]
    return bool((corners >= 0).all() and (corners <= image.shape[1::-1]).all())


def face_patch(image: np.ndarray, face: Face) -> np.ndarray:
    """The middle of a face (eyes, nose and mouth) in gray levels, float32 (P, P), upright and of fixed size."""
    transform = face.transform if face.aligned else face_transform(face.landmarks)
    patch = warp_chip(image, transform, PATCH_SIZE, gray=True)
    return patch[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.float32)


def sharpness(patch: np.ndarray) -> float:
    """Measure how sharp a gray patch (P, P) is: 0 if flat, 0.004 to 0.02 in real photos in focus.

    The variance of the second derivative (Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy", 2000), relative to the patch's own variance, so that light and contrast cancel out. The two
    directions are measured separately and the weaker one counts, since motion blurs one direction only. A
    face's horizontal lines (brows, eyes, mouth) have twice the variance of its vertical ones.
    """
    smooth = cv2.GaussianBlur(patch, (0, 0), 1.0)  # removes most sensor noise
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
    """Reduce an RGB uint8 chip or crop square (S, S, 3) to 12×12 normalized gray levels, to compare looks.

    Returns float32 (144,).
    """
    square = cv2.cvtColor(crop_square(chip), cv2.COLOR_RGB2GRAY)
    gray = cv2.resize(square, (16, 16), interpolation=cv2.INTER_AREA)
    middle = gray[2:-2, 2:-2].astype(np.float32).ravel()
    return (middle - middle.mean()) / (middle.std() + 4)


def thumbnail_distance(first: np.ndarray, second: np.ndarray) -> float:
    """How different two thumbnails look: 0 if equal; 0.8 is the median for two photos of one person."""
    return float(np.sqrt(np.mean((first - second) ** 2)))


def rejection_reason(
    image: np.ndarray, face: Face, chip: np.ndarray, saved_thumbnails: Sequence[np.ndarray] = ()
) -> str | None:
    """Why a face is not good enough to save, in words for the person in front of the camera; None if it is good.

    Args:
        image: RGB uint8 (H, W, 3).
        face: a face in it.
        chip: the face's chip, RGB uint8 (S, S, 3).
        saved_thumbnails: of the chips saved so far. A face that looks like one of them is rejected.
    """
    if not is_whole(image, face.landmarks):
        return OUT_OF_FRAME
    if min(face.box[2:]) < MIN_FACE_SIZE:
        return "come closer"
    patch = face_patch(image, face)
    light = brightness(patch)
    if light.highlight < MIN_HIGHLIGHT:
        return "too dark"
    if light.clipped > MAX_CLIPPED:
        return "too bright"
    pose = head_pose(face.landmarks)
    # By dlib's points a long nose looks like a lowered head, but its HOG finds only frontal faces anyway.
    nods = abs(pose.pitch) > MAX_PITCH and not has_dlib_points(face.landmarks)
    if abs(pose.yaw) > MAX_YAW or nods:
        return "turn to the camera"
    if abs(pose.roll) > MAX_ROLL:
        return "hold your head upright"
    if sharpness(patch) < MIN_SHARPNESS:
        return "hold still"
    new = thumbnail(chip)
    if any(thumbnail_distance(new, old) < MIN_THUMBNAIL_DISTANCE for old in saved_thumbnails):
        return TOO_SIMILAR
    return None


def quality(image: np.ndarray, face: Face) -> float:
    """How well a face can be recognized, 0-1, to choose between views of the same face.

    The product of three factors: size, up to FULL_SIZE; sharpness, which is worth ½ at MIN_SHARPNESS; and
    how frontal the face is, as the cosines of yaw and pitch.
    """
    size = min(1.0, min(face.box[2:]) / FULL_SIZE)
    sharp = sharpness(face_patch(image, face))
    pose = head_pose(face.landmarks)
    frontal = max(0.0, math.cos(math.radians(pose.yaw)) * math.cos(math.radians(pose.pitch)))
    return size * frontal * sharp / (sharp + MIN_SHARPNESS)
