"""Find the faces of a photo: of any size, turned any way, in long panoramas too, and only what is a face.

A camera's frame is searched once. A photo is worth more: around each face that is not sure it is searched once
more, in a small copy as well if there may be a close-up, in overlapping tiles if it is long, and turned if nothing
is found and a small copy shows a face when it is turned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.cli import counted
from utils.faces.agreement import SearchedFace, find_measured, is_sure
from utils.faces.alignment import Face
from utils.faces.boxes import Box, clip_box, covers_center, overlap_matrix
from utils.faces.detection import (
    DETECTION_SIZE,
    MIN_SCORE,
    RELIABLE_SIZE,
    AnyFace,
    find_dlib,
    shrink_to_search,
    unaligned,
)
from utils.faces.plausibility import MAX_ROLL, confirm_face, looks_upright, transform_roll
from utils.faces.retinaface import MAX_OVERLAP, load_retinaface

CLOSE_UP_SIZE = 240  # pixels of the small copy: 36 of 36 close-ups are right with 240, 320 and 480, 35 without it
CLOSE_UP_SHARE = 0.4  # of the photo's longer side, from which a face is taken from the small copy
# Pixels of the searched copy, too: the first search is right about faces of this size, and what it finds of them is
# what it finds in the frames of a camera.
CLOSE_UP_SIDE = 300
HINT_SIDE = 200  # the same, from which an unsure face may be a part of a larger one
LONG_RATIO = 2.5  # of a photo's sides, from which it is searched in tiles; 2.33 is a wide screen
TURNED_SIZE = 400  # pixels of the longer side of the copy that tells whether a photo is turned
TURNED_SCORE = 0.95  # 0-1, of a face there: small and tilted faces have more, and less than SURE_SCORE
TILE_RATIO = 2  # a tile's length in shorter sides of the photo; tiles overlap by one, so each face is whole in one


@dataclass(frozen=True)
class PhotoFaces:
    """What a search found in one photo."""

    size_wh: tuple[int, int]  # of the photo, in pixels
    faces: list[Face]  # best first
    doubtful: int  # what looked like a face at first, but at a second glance from no direction

    def large_enough(self, min_size: int) -> list[Face]:
        """The faces whose shorter side has at least `min_size` pixels, best first."""
        return [face for face in self.faces if min(face.box[2:]) >= min_size]

    def why_none(self, min_size: int) -> str:
        """Why no face is large enough, in words."""
        if self.faces:
            sizes = sorted(min(face.box[2:]) for face in self.faces)
            span = f"{sizes[0]} px is" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} px are"
            return f"no face found: {counted(len(sizes), 'face')} of {span} smaller than --min_size {min_size}"
        if self.doubtful:
            return f"no face found: {counted(self.doubtful, 'candidate')} looked like no whole face from any direction"
        return "no face found"


@dataclass(frozen=True)
class PhotoSearch:
    """Finds the faces of RGB uint8 images (H, W, 3) thoroughly. Several threads may use it at once."""

    detector: str  # "retinaface" or "dlib"
    align: bool  # whether chips are upright; otherwise they are the box, made square
    search_size: int  # pixels; a longer image is searched in a copy of this size, or a long one in tiles
    threads: int  # RetinaFace's for one image, 0 for one per processor core
    min_size: int = 1  # pixels; what is called as a `Detector` drops faces with a shorter side below it

    def __call__(self, image: np.ndarray) -> list[Face]:
        """The large enough faces of an image, best first: as a `Detector`."""
        return self.search(image).large_enough(self.min_size)

    def search(self, image: np.ndarray) -> PhotoFaces:
        """Find the faces of an image, and count what only looked like one."""
        faces: list[Face] = []
        rejected: list[Box] = []  # what is no face from any direction
        for quarters in range(4):
            # dlib needs all pixels: it finds no face below 80 px.
            if quarters and self.detector == "retinaface" and not self._shows_face(image, quarters):
                continue
            turned = np.ascontiguousarray(np.rot90(image, quarters))
            found = [face for face in self._find(turned) if not _is_among(face, quarters, image.shape, rejected)]
            unsure = [face for face in found if not _is_settled(face)]
            beside_sure = len(unsure) < len(found)
            confirmed = [(face, confirm_face(turned, face, self.threads, beside_sure)) for face in unsure]
            rejected += [_turn_back(face, quarters, image.shape).box for face, upright in confirmed if upright is None]
            upright_faces = [*filter(_is_settled, found), *(upright for _, upright in confirmed if upright)]
            faces = without_doubles([*faces, *(_turn_back(face, quarters, image.shape) for face in upright_faces)])
            if not quarters and any(is_upright(face) and max(face.box[2:]) >= RELIABLE_SIZE for face in faces):
                break  # the photo is not turned
        best_first = sorted(faces if self.align else map(unaligned, faces), key=lambda face: -face.score)
        return PhotoFaces((image.shape[1], image.shape[0]), best_first, len(rejected))

    def _shows_face(self, image: np.ndarray, quarters: int) -> bool:
        """Whether a small copy of an image, turned by 90° × `quarters`, may show an upright face."""
        size = min(TURNED_SIZE, self.search_size)
        longer, searched = max(image.shape[:2]), searched_length(image.shape[:2])
        copy, _ = shrink_to_search(image, round(longer * min(1.0, size / searched)))
        turned = np.ascontiguousarray(np.rot90(copy, quarters))
        found = search_tiles(turned, size, lambda tile: find_measured(tile, tile, size, self.threads))
        return any(face.score >= TURNED_SCORE and looks_upright(face.landmarks, face.transform) for face in found)

    def _find(self, image: np.ndarray) -> list[Face]:
        """What looks like an upright face in an image."""
        if self.detector == "dlib":
            return search_tiles(image, self.search_size, lambda tile: find_dlib(tile, self.search_size))
        copy, scale = shrink_to_search(image, self.search_size)

        def find(tile: np.ndarray) -> list[SearchedFace]:
            return find_measured(tile, copy if tile is image else tile, self.search_size, self.threads)

        seen = search_tiles(image, self.search_size, find)
        found = [face for face in seen if face.score > MIN_SCORE]  # the others are hints
        longer = max(image.shape[:2])
        min_side = max(CLOSE_UP_SHARE * longer, CLOSE_UP_SIDE / scale)
        if longer > min_side and may_show_close_up(seen, HINT_SIDE / scale):
            in_small = find_measured(image, copy, CLOSE_UP_SIZE, self.threads)
            found = merge_close_ups(found, [face for face in in_small if face.score > MIN_SCORE], min_side)
        return list(found)


def _is_settled(face: Face) -> bool:
    """Whether a face needs no second search. dlib finds upright faces only."""
    return not isinstance(face, SearchedFace) or is_sure(face)


def _is_among(face: Face, quarters: int, image_shape: tuple[int, ...], rejected: list[Box]) -> bool:
    """Whether an unsure face of an image turned by 90° × `quarters` is one of those that were rejected."""
    if not rejected or _is_settled(face):
        return False
    box = _turn_back(face, quarters, image_shape).box
    return bool(overlap_matrix(np.array(box), np.array(rejected)).max() > MAX_OVERLAP)


def is_upright(face: Face) -> bool:
    """Whether a face's chip is cut without turning it by more than MAX_ROLL."""
    return abs(transform_roll(face.transform)) <= MAX_ROLL


def load_photo_search(
    name: str = "retinaface",
    align: bool = True,
    search_size: int = DETECTION_SIZE,
    threads: int = 0,
    min_size: int = 1,
) -> PhotoSearch:
    """Make a search for photos. The arguments are those of `load_detector`."""
    if name == "retinaface":
        load_retinaface(threads)  # now, before several threads try to at once
    return PhotoSearch(name, align, search_size, threads, min_size)


def searched_length(size_wh: Sequence[int]) -> float:
    """The longer side of what is searched at once, in pixels of a photo of this size: less than a panorama's."""
    return min(max(size_wh), LONG_RATIO * min(size_wh))


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles start along a side of `length` pixels, so that they cover it and overlap by at least `overlap`."""
    if tile >= length:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]


def search_tiles(image: np.ndarray, search_size: int, find: Callable[[np.ndarray], list[AnyFace]]) -> list[AnyFace]:
    """Find the faces of an image, a long one in overlapping tiles, one after the other, so that memory is bounded.

    In a copy of 1,280 px, the faces of a panorama of 20,000 px would be 1/16 of their size.
    """
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    least = min(search_size, DETECTION_SIZE)
    if longer <= max(least, LONG_RATIO * shorter):
        return find(image)
    tile = max(TILE_RATIO * shorter, least)
    wide = image.shape[1] == longer
    faces: list[AnyFace] = []
    for start in tile_starts(longer, tile, shorter):
        part = image[:, start : start + tile] if wide else image[start : start + tile]
        for face in find(np.ascontiguousarray(part)):
            first, side = (face.box[0], face.box[2]) if wide else (face.box[1], face.box[3])
            # A face cut by the end of its tile is whole in the next one.
            if (first > 0 or start == 0) and (first + side < tile or start + tile >= longer):
                faces.append(_moved(face, (start, 0) if wide else (0, start)))
    return without_doubles(faces)


def may_show_close_up(seen: list[SearchedFace], min_side: float) -> bool:
    """Whether an image may show a face that is too large for the search that saw these faces and hints.

    It does not where all that is large is a sure face or inside of one. min_side: pixels, from which a face is large.
    """
    unsure = [face for face in seen if face.score <= MIN_SCORE or (max(face.box[2:]) >= min_side and not is_sure(face))]
    sure = [face.box for face in seen if is_sure(face)] if unsure else []
    return not all(any(covers_center(box, face.box) for box in sure) for face in unsure)


def merge_close_ups(found: list[SearchedFace], in_small: list[SearchedFace], min_side: float) -> list[SearchedFace]:
    """Take the large faces from the small copy and the others from the first search.

    RetinaFace's largest anchor has 512 px: in a larger face it sees several wrong ones. min_side: pixels, from
    which a face is large.
    """
    large = [face for face in in_small if max(face.box[2:]) >= min_side]
    inside = [any(covers_center(close_up.box, face.box) for close_up in large) for face in found]
    return [*large, *(face for face, covered in zip(found, inside, strict=True) if not covered)]


def without_doubles(faces: list[AnyFace]) -> list[AnyFace]:
    """Of faces that overlap by more than MAX_OVERLAP, only the best."""
    kept: list[AnyFace] = []
    for face in sorted(faces, key=lambda face: -face.score):
        others = np.array([other.box for other in kept])
        if not kept or overlap_matrix(np.array(face.box), others).max() <= MAX_OVERLAP:
            kept.append(face)
    return kept


def _moved(face: AnyFace, offset_xy: tuple[int, int]) -> AnyFace:
    """A face of a tile in pixels of the image that the tile starts in at `offset_xy`."""
    x, y, w, h = face.box
    transform = face.transform.copy()
    transform[:, 2] -= transform[:, :2] @ offset_xy
    landmarks = face.landmarks + np.array(offset_xy, np.float32)
    box = (x + offset_xy[0], y + offset_xy[1], w, h)
    return replace(face, box=box, landmarks=landmarks, transform=transform)


def _turn_back(face: Face, quarters: int, image_shape: tuple[int, ...]) -> Face:
    """A face of `np.rot90(image, quarters)` in pixels of the image, of shape (H, W, …)."""
    if not quarters:
        return face
    height, width = image_shape[:2]
    # rot90 turns counterclockwise: pixel (x, y) goes to (y, W − 1 − x).
    corner = {1: (width - 1, 0), 2: (width - 1, height - 1), 3: (0, height - 1)}[quarters]
    turn = {1: ((0, -1), (1, 0)), 2: ((-1, 0), (0, -1)), 3: ((0, 1), (-1, 0))}[quarters]
    matrix = np.array(turn, float)
    x, y, w, h = face.box
    ends = np.array([[x - 0.5, y - 0.5], [x + w - 0.5, y + h - 0.5]]) @ matrix.T + corner
    low, high = ends.min(0) + 0.5, ends.max(0) + 0.5
    linear = face.transform[:, :2] @ matrix.T  # the inverse of a rotation is its transpose
    transform = np.column_stack([linear, face.transform[:, 2] - linear @ corner])
    landmarks = (face.landmarks @ matrix.T + corner).astype(np.float32)
    box = clip_box([*low, *(high - low)], image_shape)
    return replace(face, box=box, landmarks=landmarks, transform=transform)
