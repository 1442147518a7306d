"""Draws faces, names, messages and keys on a picture, in place; pictures are RGB uint8 (H, W, 3).

Everything scales with the picture, so it reads the same on a webcam's 640×480 and on 4K. Mirror a picture
before drawing on it, so that text stays readable.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from utils.display.text import fit_text, text_mask, text_width, wrap_text
from utils.figures import BLUE, ORANGE, SKY_BLUE, VERMILION

Color = tuple[int, int, int]  # red, green, blue, 0-255
Box = tuple[int, int, int, int]  # x, y, width, height in pixels


def rgb(color: str) -> Color:
    """A color written as #rrggbb."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


# Color alone carries no meaning: a face that is unknown or not good enough gets corners instead of a box,
# and a warning says what is wrong.
KNOWN_COLOR, UNKNOWN_COLOR = rgb(BLUE), rgb(ORANGE)
WARNING_COLOR, KEY_COLOR = rgb(VERMILION), rgb(SKY_BLUE)
PANEL_COLOR, PANEL_TEXT, PANEL_HINT = (18, 20, 24), (245, 245, 245), (172, 180, 190)
PANEL_OPACITY = 0.72  # behind all text except labels, 0-1
MAX_MESSAGE_LINES = 3


def text_height(image: np.ndarray) -> int:
    """The text size in pixels that can be read at arm's length on an image of this size."""
    return max(14, round(min(image.shape[:2]) / 26))


def line_thickness(image: np.ndarray) -> int:
    """The line thickness of boxes in pixels that goes with the text."""
    return max(2, text_height(image) // 8)


def mirror(image: np.ndarray, boxes: list[Box]) -> tuple[np.ndarray, list[Box]]:
    """A left-right mirrored copy of an image, and its boxes mirrored to match."""
    width = image.shape[1]
    return cv2.flip(image, 1), [(width - x - w, y, w, h) for x, y, w, h in boxes]


def draw_text(image: np.ndarray, text: str, left: int, top: int, size: int, color: Color) -> int:
    """Write a line of text, `size` pixels large and 1.5 times as high, cut at the border. Returns its width."""
    mask = text_mask(text, size)
    _paint(image, mask, left, top, color)
    return mask.shape[1]


def draw_panel(image: np.ndarray, left: int, top: int, width: int, height: int, color: Color, opacity: float) -> None:
    """Lay a rectangle with round corners over the image. opacity: 0-1; below 1 the image shows through."""
    width, height = max(width, 2), max(height, 2)  # on a tiny picture there may be no room for the panel
    radius = min(text_height(image) // 3, width // 2, height // 2)
    bottom = top + height
    _tint(image[max(top + radius, 0) : max(bottom - radius, 0), max(left, 0) : max(left + width, 0)], color, opacity)
    # Only the top and bottom strips, which have the corners, need a mask.
    strip = np.zeros((radius, width), np.uint8)
    cv2.rectangle(strip, (radius, 0), (width - 1 - radius, radius), 255, cv2.FILLED)
    for x in (radius, width - 1 - radius):
        cv2.circle(strip, (x, radius), radius, 255, cv2.FILLED, cv2.LINE_AA)
    _paint(image, strip, left, top, color, opacity)
    _paint(image, strip[::-1], left, bottom - radius, color, opacity)


def _tint(region: np.ndarray, color: Color, opacity: float) -> None:
    if region.size:
        table = np.arange(256)[:, None] * (1 - opacity) + np.multiply(color, opacity)
        region[:] = cv2.LUT(region, np.round(table).astype(np.uint8)[None])


def _paint(image: np.ndarray, mask: np.ndarray, left: int, top: int, color: Color, opacity: float = 1.0) -> None:
    """Blend a color into the image by a uint8 mask (h, w), which may extend beyond the image."""
    height, width = mask.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + width, image.shape[1]), min(top + height, image.shape[0])
    if x0 < x1 and y0 < y1:
        region = image[y0:y1, x0:x1]
        weight = mask[y0 - top : y1 - top, x0 - left : x1 - left] * np.float32(opacity / 255)
        ink = np.full_like(region, color)
        region[:] = cv2.blendLinear(ink, np.ascontiguousarray(region), weight, 1 - weight)


def draw_plain_face(image: np.ndarray, box: Box, good: bool, chosen: bool = False) -> None:
    """Draw a box without a name: all of it if the face is good enough, otherwise only the corners.

    chosen: with a bright frame around it.
    """
    thickness = line_thickness(image)
    if chosen:
        margin = 2 * thickness
        around = (box[0] - margin, box[1] - margin, box[2] + 2 * margin, box[3] + 2 * margin)
        _draw_outline(image, around, (255, 255, 255), 2 * thickness, None)
    color = KNOWN_COLOR if good else UNKNOWN_COLOR
    arm = None if good else max(4, min(box[2:]) // 4)
    _draw_outline(image, box, (0, 0, 0), thickness + 2 * max(1, thickness // 3), arm)
    _draw_outline(image, box, color, thickness, arm)


def _draw_outline(image: np.ndarray, box: Box, color: Color, thickness: int, arm: int | None) -> None:
    """Draw a box, or only its corners with arms of so many pixels."""
    x, y, w, h = box
    if arm is None:
        cv2.rectangle(image, (x, y), (x + w, y + h), color, thickness, cv2.LINE_AA)
        return
    for corner_x, step_x in ((x, arm), (x + w, -arm)):
        for corner_y, step_y in ((y, arm), (y + h, -arm)):
            for end in ((corner_x + step_x, corner_y), (corner_x, corner_y + step_y)):
                cv2.line(image, (corner_x, corner_y), end, color, thickness, cv2.LINE_AA)


def draw_status(
    image: np.ndarray, text: str, aside: str = "", keys: Sequence[tuple[str, str]] = (), widest: str = ""
) -> int:
    """Write along the bottom: a text at the left, then keys, and an aside at the right. Returns the height in pixels.

    Keys that do not fit between text and aside move to lines of their own below. If even these have no room,
    the last keys are left out.

    Args:
        text: what the window is about.
        aside: figures such as rate and latency.
        keys: pairs of a key and what it does.
        widest: the widest aside to come. Room for it is reserved, so that nothing moves when figures change.
    """
    size = text_height(image)
    pad, line, width = size // 2, round(1.5 * size), image.shape[1]
    aside = fit_text(aside, size, width - 2 * pad)
    right = width - pad - max(text_width(aside, size), text_width(widest, size))
    text = fit_text(text, size, right - 2 * pad)
    left = pad + (text_width(text, size) + 2 * pad if text else 0)
    lines, below = _key_lines(keys, size, right - pad - left), 0
    if keys and lines != [list(keys)]:
        lines = _key_lines(keys, size, width - 2 * pad)[: image.shape[0] // (3 * line)]
        below = len(lines)
    height = round(1.7 * size) + line * below
    top = image.shape[0] - height
    _tint(image[max(top, 0) :], PANEL_COLOR, PANEL_OPACITY)
    top += size // 10
    draw_text(image, aside, right, top, size, PANEL_HINT)
    draw_text(image, text, pad, top, size, PANEL_TEXT)
    for number, key_line in enumerate(lines, start=1):
        x, y = (pad, top + number * line) if below else (left, top)
        for key, meaning in key_line:
            x += draw_text(image, key, x, y, size, KEY_COLOR) + size // 3
            x += draw_text(image, meaning, x, y, size, PANEL_TEXT) + 2 * pad
    return height


def _key_lines(keys: Sequence[tuple[str, str]], size: int, width: int) -> list[list[tuple[str, str]]]:
    """Distribute keys over as few lines as possible; a key that is wider than a line is left out."""
    lines: list[list[tuple[str, str]]] = []
    used = width
    for key, meaning in keys:
        needed = text_width(key, size) + size // 3 + text_width(meaning, size)
        if needed > width:
            continue
        if used + needed > width:
            lines.append([])
            used = 0
        lines[-1].append((key, meaning))
        used += needed + 2 * (size // 2)
    return lines


def draw_message(image: np.ndarray, text: str, warning: bool = False, progress: float | None = None) -> int:
    """Write a message on a bar at the top. Returns the first row below it.

    progress: 0-1, drawn as a line below the text; None for no line.
    """
    size = round(1.15 * text_height(image))
    pad, row = size, round(1.35 * size)
    lines = wrap_text(text, size, image.shape[1] - 4 * pad, MAX_MESSAGE_LINES)
    width, height = max(text_width(line, size) for line in lines) + 2 * pad, round(0.65 * size) + row * len(lines)
    left, top = (image.shape[1] - width) // 2, size // 2
    color = WARNING_COLOR if warning else PANEL_COLOR
    draw_panel(image, left, top, width, height, color, 0.92 if warning else PANEL_OPACITY)
    for number, line in enumerate(lines):
        draw_text(image, line, left + pad, top + size // 4 + number * row, size, (255, 255, 255))
    if progress is not None:
        line = max(3, size // 6)
        done = round((width - 2 * pad) * min(max(progress, 0.0), 1.0))
        y = top + height - line
        cv2.rectangle(image, (left + pad, y - line), (left + width - pad, y - 1), (80, 86, 94), cv2.FILLED)
        if done:
            cv2.rectangle(image, (left + pad, y - line), (left + pad + done, y - 1), KEY_COLOR, cv2.FILLED)
    return top + height


def draw_entry(image: np.ndarray, prompt: str, typed: str, hint: str = "Enter: done    Esc: cancel") -> int:
    """Draw a text field with a caret, a prompt above and a hint below. Returns its first row.

    It lies near the bottom, above the status line, so that it does not cover the face to be named.
    """
    size = round(1.25 * text_height(image))
    small = text_height(image)
    pad = size
    width = min(image.shape[1] - 2 * pad, 20 * size)
    height = round(6.4 * size)
    left, top = (image.shape[1] - width) // 2, image.shape[0] - height - round(2.3 * small)
    draw_panel(image, left, top, width, height, PANEL_COLOR, 0.86)
    inside = width - 2 * pad
    draw_text(image, fit_text(prompt, small, inside), left + pad, top + round(0.5 * size), small, PANEL_TEXT)
    field = top + round(2.2 * size)
    draw_panel(image, left + pad, field, inside, round(1.9 * size), (250, 250, 250), 1.0)
    # A long text shows its end, where typing goes on.
    while typed and text_width(typed, size) > inside - size:
        typed = typed[1:]
    end = left + pad + size // 2 + draw_text(image, typed, left + pad + size // 2, field + size // 5, size, (0, 0, 0))
    caret = max(2, size // 10)
    start = (end + caret, field + round(0.4 * size))
    cv2.rectangle(image, start, (start[0] + caret - 1, field + round(1.5 * size)), KNOWN_COLOR, cv2.FILLED)
    draw_text(image, fit_text(hint, small, inside), left + pad, top + round(4.6 * size), small, PANEL_HINT)
    return top


def draw_help(image: np.ndarray, keys: Sequence[tuple[str, str]]) -> None:
    """Draw a panel in the middle that lists keys and what they do, one a line."""
    size = text_height(image)
    pad, row = size, round(1.75 * size)
    room = image.shape[0] - 2 * size - 2 * pad
    size = min(size, max(10, round(size * room / (row * len(keys)))))  # many keys get smaller text, so that all fit
    row = round(1.75 * size)
    column = max(text_width(key, size) for key, _ in keys) + 2 * size
    width = min(column + max(text_width(meaning, size) for _, meaning in keys) + 2 * pad, image.shape[1])
    height = row * len(keys) + 2 * pad
    left, top = (image.shape[1] - width) // 2, (image.shape[0] - height) // 2
    draw_panel(image, left, top, width, height, PANEL_COLOR, 0.86)
    for index, (key, meaning) in enumerate(keys):
        y = top + pad + index * row
        draw_text(image, key, left + pad, y, size, KEY_COLOR)
        meaning = fit_text(meaning, size, width - column - 2 * pad)
        draw_text(image, meaning, left + pad + column, y, size, PANEL_TEXT)


def draw_countdown(image: np.ndarray, text: str, right: bool = False) -> None:
    """Write a number that can be read from across a room, at the left or right: the face is in the middle."""
    size = min(image.shape[:2]) // 3
    mask = text_mask(text, size)
    left = round(image.shape[1] * (0.85 if right else 0.15)) - mask.shape[1] // 2
    top = round(image.shape[0] * 0.36) - mask.shape[0] // 2
    edge = max(2, size // 40)
    for dx, dy in ((edge, edge), (edge, -edge), (-edge, edge), (-edge, -edge)):
        _paint(image, mask, left + dx, top + dy, (0, 0, 0))
    _paint(image, mask, left, top, (255, 255, 255))


def draw_inset(image: np.ndarray, inset: np.ndarray, above: int) -> None:
    """Show an RGB uint8 image at the lower right, a fifth of the picture high. above: height of the status line."""
    side, margin = image.shape[0] // 5, text_height(image) // 2
    bottom, right = image.shape[0] - above - margin, image.shape[1] - margin
    if side < right and 0 < side < bottom:
        small = cv2.resize(inset, (side, side), interpolation=cv2.INTER_AREA)
        image[bottom - side : bottom, right - side : right] = small
        edge = line_thickness(image) // 2
        cv2.rectangle(image, (right - side, bottom - side), (right - 1, bottom - 1), PANEL_TEXT, edge)
