"""Photos of any size: a small copy is searched for faces, and a face is cut from as many pixels as its chip needs."""

import functools

import numpy as np

from utils.faces.alignment import CHIP_SIZE, Face, warp_chip
from utils.faces.boxes import clip_box
from utils.faces.detection import Detector
from utils.media.images import decode_image, jpeg_size


class Photo:
    """One photo, from its file's bytes. Raises ValueError where it cannot be decoded.

    size_wh: its full width and height in pixels. small: RGB uint8 (h, w, 3). A JPEG is decoded at a half,
    a quarter or an eighth of its size as long as that leaves `search_size` pixels on its longer side, which
    is up to three times as quick as decoding all of it; whatever else there is comes in full.
    """

    def __init__(self, data: bytes, search_size: int):
        self.data = data
        size_wh = jpeg_size(data)
        shrink = next((factor for factor in (8, 4, 2) if size_wh and max(size_wh) >= factor * search_size), 1)
        self.small = decode_image(data, shrink)
        small_wh = self.small.shape[1::-1]
        if shrink == 1:
            size_wh = small_wh
        elif (size_wh[0] > size_wh[1]) != (small_wh[0] > small_wh[1]):  # its EXIF turned it
            size_wh = size_wh[::-1]
        self.size_wh = size_wh
        self.scale = np.divide(size_wh, small_wh)  # 1, or about `shrink`

    @functools.cached_property
    def full(self) -> np.ndarray:
        """The photo in all its pixels, RGB uint8 (H, W, 3), decoded when first asked for."""
        return self.small if (self.scale == 1).all() else decode_image(self.data)

    def faces(self, detect: Detector) -> list[Face]:
        """The faces that a detector finds in the small copy, in pixels of the full photo."""
        return [self._enlarged(face) for face in detect(self.small)]

    def _enlarged(self, face: Face) -> Face:
        if (self.scale == 1).all():
            return face
        box = clip_box(np.array(face.box) * np.tile(self.scale, 2), self.size_wh[::-1])
        landmarks = ((face.landmarks + 0.5) * self.scale - 0.5).astype(np.float32)
        return Face(box, face.score, landmarks, _rescale(face.transform, self.scale))

    def chip(self, face: Face, size: int = CHIP_SIZE) -> np.ndarray:
        """A face of `faces` as RGB uint8 (size, size, 3), from the small copy where that has pixels enough."""
        in_small = _rescale(face.transform, 1 / self.scale)
        side = 1 / np.hypot(*in_small[:, 0])  # of the chip's square, in pixels of the small copy
        if side < size:
            return warp_chip(self.full, face.transform, size)
        return warp_chip(self.small, in_small, size)


def _rescale(transform: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """A transform (2, 3) from an image's pixels, for that image made `scale` (x, y) times as large."""
    linear = transform[:, :2] / scale
    # What lies at x in the one lies at (x + ½)·scale − ½ in the other: a pixel's middle is its place.
    return np.column_stack([linear, transform[:, 2] + linear @ (0.5 - scale / 2)])
