"""Cut faces out of images as aligned chips: the one crop that all scripts share.

A detector turns an image into `Face`s. Each face carries a similarity transform that maps the image to its
*crop square*: an upright square with the eyes at fixed positions and 25 % padding (dlib's geometry). A *chip*, as it
is saved and held in memory, is a wider square around it, so that every extractor finds its own crop in it.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from utils.faces.boxes import Box
from utils.faces.dlib_hog import CHIP_POINTS, dlib_landmarks

CHIP_SIZE = 292  # pixels, on disk and in memory
# The crop square's part of a chip, in pixels: all that the chips of earlier versions show. ArcFace's crop begins a
# fifth of the crop square's side above it.
SQUARE_SIZE = 224
SQUARE_LEFT, SQUARE_TOP = 34, 58
# Pixels of an unaligned face. All extractors take it whole, so its size must not be a chip's, today's or an earlier
# one. For the original recipe's network, exactly four of its pixels become one.
UNALIGNED_SIZE = 448
PADDING = 0.25  # on each side, as a share of the unpadded chip's side

DLIB_CHIP_POINTS = (CHIP_POINTS + PADDING) / (1 + 2 * PADDING)

# RetinaFace's five points in a crop square of side 1: their mean positions in dlib's own chips.
RETINAFACE_CHIP_POINTS = np.array([[48.4, 44.6], [101.6, 44.6], [74.6, 79.0], [51.0, 99.2], [98.6, 99.2]]) / 150


@dataclass(frozen=True)
class Face:
    """One face in one image."""

    box: Box  # clipped to the image
    score: float  # the detector's confidence, on its own scale
    landmarks: np.ndarray  # the detector's five points, float32 (5, 2) in pixels
    transform: np.ndarray  # from the image's pixels to the crop square of side 1, float64 (2, 3)
    # Whether the crop square is upright; otherwise it is the original recipe's, the box made square.
    aligned: bool = field(default=True, kw_only=True)


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Find the rotation, scale and shift, float64 (2, 3), that best map points (n, 2) to target points (n, 2).

    Least squares without reflection: Umeyama, "Least-squares estimation of transformation parameters
    between two point patterns" (1991). In the plane this is the linear regression w = a·z + b of
    complex numbers.
    """
    z, w = (points[:, 0] + 1j * points[:, 1] for points in np.asarray([source, target], float))
    centered = z - z.mean()
    spread = max(float(np.sum(np.abs(centered) ** 2)), 1e-12)  # avoid dividing by 0 when all points coincide
    a = np.sum(np.conj(centered) * (w - w.mean())) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def face_chip(image: np.ndarray, face: Face) -> np.ndarray:
    """Cut a face out of its RGB uint8 image (H, W, 3) as an RGB uint8 chip (S, S, 3), see `chip_transform`."""
    return warp_chip(image, *chip_transform(face))


def chip_transform(face: Face) -> tuple[np.ndarray, int]:
    """The transform (2, 3) from an image's pixels to a face's chip of side 1, and the chip's side in pixels.

    The chip of an aligned face is an upright square around its crop square, that of an unaligned face is its crop
    square.
    """
    return (widen(face.transform), CHIP_SIZE) if face.aligned else (face.transform, UNALIGNED_SIZE)


def widen(transform: np.ndarray) -> np.ndarray:
    """Turn a transform (2, 3) to the crop square of side 1 into one to the chip of side 1."""
    wide = transform * (SQUARE_SIZE / CHIP_SIZE)
    wide[:, 2] += np.array([SQUARE_LEFT, SQUARE_TOP]) / CHIP_SIZE
    return wide


def crop_square(chip: np.ndarray) -> np.ndarray:
    """The crop square (s, s, 3) of a chip, as a view. Any other picture is one, and is returned whole."""
    if chip.shape[:2] != (CHIP_SIZE, CHIP_SIZE):
        return chip
    return chip[SQUARE_TOP : SQUARE_TOP + SQUARE_SIZE, SQUARE_LEFT : SQUARE_LEFT + SQUARE_SIZE]


def warp_chip(image: np.ndarray, transform: np.ndarray, size: int, gray: bool = False) -> np.ndarray:
    """Sample what `transform` (2, 3) maps to the unit square, as RGB uint8 (size, size, 3).

    Pixels beyond the image's border repeat its edge. gray: sample its gray levels, uint8 (size, size), in half the
    time.
    """
    left, top, right, bottom = _source_box(image, transform)
    region = image[top:bottom, left:right]
    if gray:
        region = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
    matrix = transform * size
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    # Bilinear sampling skips pixels when it shrinks more than twofold, so average them first.
    shrink = int(1 / max(math.hypot(matrix[0, 0], matrix[1, 0]), 1e-6))
    if shrink >= 2 and min(region.shape[:2]) >= shrink:
        rows, columns = (side // shrink for side in region.shape[:2])
        factors = np.array([region.shape[1] / columns, region.shape[0] / rows])
        region = cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)
        # Pixel i of the small region is the average around (i + ½)·factor − ½ of the large one.
        matrix[:, 2] += matrix[:, :2] @ (factors / 2 - 0.5)
        matrix[:, :2] *= factors
    return cv2.warpAffine(region, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _source_box(image: np.ndarray, transform: np.ndarray) -> tuple[int, int, int, int]:
    """The first column and row of an image (H, W, …) that its chip shows, and those behind the last.

    In Python's numbers, because NumPy takes three times as long for so few.
    """
    height, width = image.shape[:2]
    (a, b, x), (c, d, y) = cv2.invertAffineTransform(transform).tolist()
    xs, ys = (x, x + a, x + b, x + a + b), (y, y + c, y + d, y + c + d)  # of the chip's corners
    # Bilinear sampling reads at most two pixels beyond the chip.
    left, top = (min(max(math.floor(min(v)) - 2, 0), side - 1) for v, side in ((xs, width), (ys, height)))
    right = min(max(math.ceil(max(xs)) + 3, left + 1), width)
    bottom = min(max(math.ceil(max(ys)) + 3, top + 1), height)
    return left, top, right, bottom


def align_crop(crop: np.ndarray) -> np.ndarray:
    """Align an RGB uint8 crop (H, W, 3) that shows one face from edge to edge; returns a chip (S, S, 3).

    No detector runs: dlib places its five points on the whole crop. The crop is first padded to a
    square, scaled to 200 px and given a 50 px border, with its edge repeated, so that the face keeps
    its proportions and the chip's padding has pixels to show. What has a chip's size is one, and stays as it is.
    """
    if crop.shape[:2] == (CHIP_SIZE, CHIP_SIZE):
        return crop
    inner, border = 200, 50
    height, width = crop.shape[:2]
    top, left = max(0, width - height) // 2, max(0, height - width) // 2
    bottom, right = max(0, width - height) - top, max(0, height - width) - left
    square = cv2.copyMakeBorder(crop, top, bottom, left, right, cv2.BORDER_REPLICATE)
    shrinks = len(square) > inner
    scaled = cv2.resize(square, (inner, inner), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    bordered = cv2.copyMakeBorder(scaled, border, border, border, border, cv2.BORDER_REPLICATE)
    points = dlib_landmarks(bordered, (border, border, inner, inner))
    return warp_chip(bordered, widen(similarity_transform(points, DLIB_CHIP_POINTS)), CHIP_SIZE)
