"""The labels of faces, which stay in sight: clear of the bars at the top and bottom, and of each other.

Pictures are RGB uint8 (H, W, 3), and drawn on in place.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from utils.display.drawing import (
    KNOWN_COLOR,
    UNKNOWN_COLOR,
    Box,
    Color,
    draw_panel,
    draw_text,
    line_thickness,
    text_height,
)
from utils.display.text import fit_text, text_width

KNOWN_TEXT, UNKNOWN_TEXT = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Label:
    """What is written beside a face."""

    box: Box  # of the face
    text: str
    aside: str  # smaller, behind the text
    color: Color  # of the bar
    text_color: Color


def name_label(box: Box, name: str | None, score: float, number: int | None = None, star: bool = False) -> Label:
    """The label with a face's name and probability.

    number: the key that chooses the face, if there is one. star: mark a name that no strangers of its kind support.
    """
    before = "" if number is None else f"{number}  "
    if name is None:
        return Label(box, f"{before}unknown", "", UNKNOWN_COLOR, UNKNOWN_TEXT)
    # A rounded "100 %" would claim a certainty that comparing faces cannot give.
    return Label(box, f"{before}{name}", f"{min(score, 0.99):.0%}{'*' if star else ''}", KNOWN_COLOR, KNOWN_TEXT)


def draw_labels(image: np.ndarray, labels: Iterable[Label], top: int = 0, bottom: int | None = None) -> list[Box]:
    """Draw labels within the rows from `top` to `bottom`, which bars leave free. The first have the first choice.

    Returns their places.
    """
    taken: list[Box] = []
    for label in labels:
        # Small faces in a crowd get small labels, which cover less of their neighbors.
        size = min(text_height(image), max(12, label.box[2] // 4))
        taken.append(_draw_label(image, label, size, top, image.shape[0] if bottom is None else bottom, taken))
    return taken


def _draw_label(image: np.ndarray, label: Label, size: int, top: int, bottom: int, taken: list[Box]) -> Box:
    """Draw a text and a smaller aside on a filled bar. Returns the bar's place."""
    pad, gap = size // 3, size // 2 if label.aside else 0
    small = max(10, round(0.82 * size))
    beside = text_width(label.aside, small) + gap + 2 * pad
    text = fit_text(label.text, size, image.shape[1] - beside)
    width, height = text_width(text, size) + beside, round(1.5 * size)
    if bottom - top < height:  # the bars leave no room
        top, bottom = 0, image.shape[0]
    edge = line_thickness(image) // 2 + 1
    left = max(0, min(label.box[0] - edge, image.shape[1] - width))
    y = _free_row(label.box, (left, width, height), edge, (top, bottom - height), taken)
    draw_panel(image, left, y, width, height, label.color, 1.0)
    shift = draw_text(image, text, left + pad, y, size, label.text_color)
    draw_text(image, label.aside, left + pad + shift + gap, y + round(0.9 * (size - small)), small, label.text_color)
    return left, y, width, height


def _free_row(box: Box, bar: tuple[int, int, int], edge: int, rows: tuple[int, int], taken: list[Box]) -> int:
    """The first row of a bar: above its box, else below it, else inside, else the nearest row that is free.

    bar: left, width, height. edge: of the box, in pixels. rows: the first and the last one allowed.
    """
    left, width, height = bar
    first, last = rows
    above, below = box[1] - height - edge, box[1] + box[3] + edge
    inside = [box[1] + edge, below - height - 2 * edge]
    nearest = sorted(range(first, last + 1, max(height // 2, 1)), key=lambda y: abs(y - above))
    for y in (above, below, *inside, *nearest):
        if first <= y <= last and not any(_overlap((left, y, width, height), other) for other in taken):
            return y
    return max(first, min(above, last))


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
