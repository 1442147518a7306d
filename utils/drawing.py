"""What is drawn onto a picture: boxes, names and a status line, in place, on RGB uint8 (H, W, 3)."""

import functools

import cv2
import numpy as np

# A pair that color-blind people tell apart: Okabe and Ito, "Color Universal Design" (2008).
KNOWN_COLOR, KNOWN_TEXT = (0, 114, 178), (255, 255, 255)
UNKNOWN_COLOR, UNKNOWN_TEXT = (230, 159, 0), (0, 0, 0)


@functools.cache
def _font():
    return cv2.FontFace("sans")  # built into OpenCV 5; it knows all of Unicode's common scripts


def text_height(image: np.ndarray) -> int:
    """The size of text in pixels that is read at arm's length on an image of this size."""
    return max(14, round(min(image.shape[:2]) / 26))


def line_thickness(image: np.ndarray) -> int:
    """The thickness of a box's lines in pixels that suits the text."""
    return max(2, text_height(image) // 8)


def draw_label(image: np.ndarray, text: str, left: int, bottom: int, color, text_color, size: int) -> None:
    """Write text of a size in pixels on a filled bar whose lower left corner is given, moved inside the image."""
    width = cv2.getTextSize(image.shape[1::-1], text, (0, 0), _font(), size, 600)[2]
    pad = size // 3
    left = max(0, min(left, image.shape[1] - width - 2 * pad))
    bottom = max(size + 2 * pad, min(bottom, image.shape[0]))
    cv2.rectangle(image, (left, bottom - size - 2 * pad), (left + width + 2 * pad, bottom), color, cv2.FILLED)
    cv2.putText(image, text, (left + pad, bottom - pad - size // 5), text_color, _font(), size, 600)


def draw_face(image: np.ndarray, box: tuple[int, int, int, int], name: str | None, score: float) -> None:
    """Draw a face's box and, above it, its name and probability; an unknown face's box is only its corners."""
    x, y, w, _ = box
    draw_plain_face(image, box, good=name is not None)
    # In a crowd, small faces get small labels, so that they cover less of their neighbours.
    size = min(text_height(image), max(12, w // 4))
    thickness = line_thickness(image)
    if name is None:
        draw_label(image, "unknown", x, y - thickness, UNKNOWN_COLOR, UNKNOWN_TEXT, size)
    else:
        # A rounded "100 %" would claim a certainty that no comparison of faces has.
        draw_label(image, f"{name}  {min(score, 0.99):.0%}", x, y - thickness, KNOWN_COLOR, KNOWN_TEXT, size)


def draw_plain_face(image: np.ndarray, box: tuple[int, int, int, int], good: bool) -> None:
    """Draw a box without a name: whole where the face will do, only its corners where not."""
    thickness = line_thickness(image)
    x, y, w, h = box
    if good:
        cv2.rectangle(image, (x, y), (x + w, y + h), KNOWN_COLOR, thickness, cv2.LINE_AA)
    else:
        _draw_corners(image, box, UNKNOWN_COLOR, thickness)


def _draw_corners(image, box, color, thickness: int) -> None:
    x, y, w, h = box
    arm = max(4, min(w, h) // 4)
    for corner_x, step_x in ((x, arm), (x + w, -arm)):
        for corner_y, step_y in ((y, arm), (y + h, -arm)):
            ends = ((corner_x + step_x, corner_y), (corner_x, corner_y + step_y))
            for end in ends:
                cv2.line(image, (corner_x, corner_y), end, color, thickness, cv2.LINE_AA)


def draw_status(image: np.ndarray, text: str) -> None:
    """Write a line at the bottom of the image: keys, counts, rates."""
    draw_label(image, text, 0, image.shape[0], (30, 30, 30), (235, 235, 235), text_height(image))


def draw_inset(image: np.ndarray, inset: np.ndarray) -> None:
    """Show a small RGB uint8 picture in the upper right corner, a fifth of the image high."""
    side = image.shape[0] // 5
    if side < image.shape[1]:
        small = cv2.resize(inset, (side, side), interpolation=cv2.INTER_AREA)
        image[:side, -side:] = small
        cv2.rectangle(image, (image.shape[1] - side, 0), (image.shape[1] - 1, side), (255, 255, 255), 1)
