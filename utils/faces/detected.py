"""The faces of one frame, with what it takes to track them through later frames."""

from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np

from utils.faces.alignment import Face, warp_chip
from utils.faces.quality import quality, thumbnail
from utils.media.video import Frame

THUMBNAIL_SQUARE_SIZE = 32  # pixels of the crop square that a measured face's thumbnail is made from


@dataclass(frozen=True)
class MeasuredFace(Face):
    """A face with what a tracker compares from frame to frame."""

    quality: float  # how well it can be recognized, 0-1
    thumbnail: np.ndarray  # what it looks like, float32 (144,): see thumbnail_distance()


AnyFace = TypeVar("AnyFace", bound=Face)


@dataclass(frozen=True)
class DetectedFrame(Generic[AnyFace]):
    """One frame and its faces, before anything is known of earlier frames."""

    frame: Frame
    gray: np.ndarray  # the frame's small gray copy, uint8 (h, w), from which boxes are moved to later frames
    faces: list[AnyFace]  # best first


def measure_face(image: np.ndarray, face: Face) -> MeasuredFace:
    """Measure a face in its RGB uint8 image (H, W, 3): its quality and its thumbnail."""
    square = warp_chip(image, face.transform, THUMBNAIL_SQUARE_SIZE)
    known = {field.name: getattr(face, field.name) for field in fields(Face)}  # a subclass may know more
    return MeasuredFace(**known, quality=quality(image, face), thumbnail=thumbnail(square))
