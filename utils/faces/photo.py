"""Find and cut faces in photos of any size: search a small copy, decode the full photo only if a chip needs it."""

import functools
from dataclasses import replace

import numpy as np

from utils.faces.alignment import Face, chip_transform, warp_chip
from utils.faces.boxes import clip_box
from utils.faces.detection import Detector
from utils.faces.photo_search import PhotoFaces, PhotoSearch, searched_length
from utils.media.images import decode_image, jpeg_size


class Photo:
    """One photo, decoded from its file's bytes only as far as needed."""

    def __init__(self, data: bytes, search_size: int):
        """Decode a copy to search. Raises ValueError if the photo cannot be decoded.

        A JPEG is decoded at a half, a quarter or an eighth of its size if that leaves at least `search_size`
        pixels on the longer side of what is searched at once, which is up to three times as fast. Other
        formats are decoded in full.
        """
        self.data = data
        size_wh = jpeg_size(data)
        shrink = next(
            (factor for factor in (8, 4, 2) if size_wh and searched_length(size_wh) >= factor * search_size), 1
        )
        self.small = decode_image(data, shrink)  # RGB uint8 (h, w, 3)
        small_wh = self.small.shape[1::-1]
        if shrink == 1:
            size_wh = small_wh
        elif (size_wh[0] > size_wh[1]) != (small_wh[0] > small_wh[1]):  # EXIF turned it by 90°
            size_wh = size_wh[::-1]
        self.size_wh = size_wh  # of the full photo, in pixels
        self.scale = np.divide(size_wh, small_wh)  # from the copy to the full photo: 1, or about `shrink`

    @functools.cached_property
    def full(self) -> np.ndarray:
        """The full photo, RGB uint8 (H, W, 3), decoded on first use."""
        return self.small if (self.scale == 1).all() else decode_image(self.data)

    def search(self, search: PhotoSearch) -> PhotoFaces:
        """Find faces in the small copy; they are returned in pixels of the full photo."""
        found = search.search(self.small)
        return PhotoFaces(self.size_wh, [self._to_full(face) for face in found.faces], found.doubtful)

    def faces(self, detect: Detector) -> list[Face]:
        """Find faces in the small copy; they are returned in pixels of the full photo."""
        return [self._to_full(face) for face in detect(self.small)]

    def _to_full(self, face: Face) -> Face:
        if (self.scale == 1).all():
            return face
        box = clip_box(np.array(face.box) * np.tile(self.scale, 2), self.size_wh[::-1])
        landmarks = ((face.landmarks + 0.5) * self.scale - 0.5).astype(np.float32)
        return replace(face, box=box, landmarks=landmarks, transform=_rescale(face.transform, self.scale))

    def chip(self, face: Face) -> np.ndarray:
        """Cut out a face's chip, RGB uint8 (S, S, 3), from the small copy if that has enough pixels."""
        transform, size = chip_transform(face)
        in_small = _rescale(transform, 1 / self.scale)
        side = 1 / np.hypot(*in_small[:, 0])  # of the chip, in pixels of the small copy
        if side < size:
            return warp_chip(self.full, transform, size)
        return warp_chip(self.small, in_small, size)


def _rescale(transform: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Adapt a transform (2, 3) from an image's pixels to the same image made `scale` (x, y) times as large."""
    linear = transform[:, :2] / scale
    # Coordinates are those of pixel centers, so x in one image is (x + ½)·scale − ½ in the other.
    return np.column_stack([linear, transform[:, 2] + linear @ (0.5 - scale / 2)])
