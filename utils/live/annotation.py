"""Draws recognized faces on frames and photos, which are RGB uint8 (H, W, 3)."""

from dataclasses import replace

import numpy as np

from utils.display import drawing
from utils.display.labels import draw_labels, name_label
from utils.recognition.recognizer import NamedFace


def annotate(image: np.ndarray, faces: list[NamedFace]) -> np.ndarray:
    """A copy of an image with boxes, names and scores drawn on it."""
    picture = image.copy()
    draw_boxes(picture, faces)
    draw_names(picture, faces)
    return picture


def mirror(image: np.ndarray, faces: list[NamedFace]) -> tuple[np.ndarray, list[NamedFace]]:
    """A left-right mirrored copy of an image, and its faces mirrored to match."""
    picture, boxes = drawing.mirror(image, [face.box for face in faces])
    return picture, [replace(face, box=box) for face, box in zip(faces, boxes, strict=True)]


def draw_boxes(picture: np.ndarray, faces: list[NamedFace], chosen: int | None = None) -> None:
    """Draw the boxes, those of large faces, which are in front, last. chosen: the track id of a face to point out."""
    for face in sorted(faces, key=face_area):
        drawing.draw_plain_face(picture, face.box, face.name is not None, chosen=face.track_id == chosen is not None)


def draw_names(
    picture: np.ndarray, faces: list[NamedFace], top: int = 0, bottom: int | None = None, numbered: bool = False
) -> None:
    """Draw the labels within the rows from `top` to `bottom`. numbered: with the number of each face, from 1."""
    labels = [
        (face, name_label(face.box, face.name, face.score, number if numbered else None, face.kind_known is False))
        for number, face in enumerate(faces, start=1)
    ]
    # Large faces have the first choice of a place; while faces move, it must not change, so there the oldest have it.
    labels.sort(key=lambda pair: (0 if numbered else pair[0].track_id or 0, -face_area(pair[0])))
    draw_labels(picture, (label for _, label in labels), top, bottom)


def face_area(face: NamedFace) -> int:
    """The area of a face's box in pixels."""
    return face.box[2] * face.box[3]
