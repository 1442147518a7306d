"""Renders a line of text as a mask, whatever script a name is written in; masks are cached.

OpenCV 5 brings a fast font with Latin, Greek, Cyrillic, Chinese, Japanese and Korean. It can neither join
letters nor write from right to left, so Arabic, Hebrew, Devanagari, Thai and emoji are rendered by Pillow,
with the font that matplotlib ships (DejaVu: no Indic scripts, no Thai) or else the system font that has most
of the letters. A character that no font has becomes "?" or an empty box.
"""

import functools
import importlib.util
import unicodedata
from pathlib import Path

import cv2
import numpy as np

WEIGHT = 600  # of OpenCV's variable font, 100-900: semi-bold
HEIGHT, BASELINE = 1.5, 1.1  # of a mask, in text sizes; capital letters are in its middle


def text_mask(text: str, size: int) -> np.ndarray:
    """A line of text as coverage, uint8 (round(1.5 * size), width in pixels), read-only. size: in pixels."""
    return _mask(clean(text), int(size))


def text_width(text: str, size: int) -> int:
    """The width of a line of text. Both in pixels."""
    return text_mask(text, size).shape[1] if text else 0


def fit_text(text: str, size: int, width: int) -> str:
    """The text if it fits into a width in pixels, otherwise its beginning and "…"."""
    if text_width(text, size) <= width:
        return text
    return text[: _fitting(text, size, width, "…")].rstrip() + "…"


def wrap_text(text: str, size: int, width: int, max_lines: int) -> list[str]:
    """Break a text into lines no wider than a width in pixels. A text too long for max_lines ends in "…".

    Lines break at spaces; a word wider than a line, such as a path, is broken anywhere.
    """
    lines: list[str] = []
    rest = text.rstrip()
    while len(lines) < max_lines - 1 and text_width(rest, size) > width:
        end = _fitting(rest, size, width)
        line = rest[:end] if rest[end].isspace() else rest[:end].rpartition(" ")[0] or rest[: max(end, 1)]
        lines.append(line.rstrip())
        rest = rest[len(line) :].lstrip()
    return [*lines, fit_text(rest, size, width)]


def _fitting(text: str, size: int, width: int, end: str = "") -> int:
    """How many leading characters fit into a width in pixels, followed by `end`."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle].rstrip() + end, size) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def clean(text: str) -> str:
    """A text in composed form (NFC) on one line: control and line characters become spaces, undecodable bytes "?"."""
    text = unicodedata.normalize("NFC", text).replace("\ufe0f", "")  # the request for a color emoji
    replacements = {"Cc": " ", "Zl": " ", "Zp": " ", "Cs": "?"}
    return "".join(replacements.get(unicodedata.category(char), char) for char in text)


@functools.lru_cache(maxsize=1024)
def _mask(text: str, size: int) -> np.ndarray:
    font = _font_file(text)
    mask = _draw_built_in(text, size) if font is None else _draw_with_pillow(text, size, font)
    mask.flags.writeable = False
    return mask


@functools.cache
def _built_in() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _draw_built_in(text: str, size: int) -> np.ndarray:
    left, _, width, _ = cv2.getTextSize((1, 1), text, (0, 0), _built_in(), size, WEIGHT)
    mask = np.zeros((round(HEIGHT * size), max(width + max(-left, 0), 1)), np.uint8)
    cv2.putText(mask, text, (max(-left, 0), round(BASELINE * size)), 255, _built_in(), size, WEIGHT)
    return mask


def _draw_with_pillow(text: str, size: int, path: str) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    # Pillow's default layout engine is Raqm if installed: it joins letters and writes from right to left.
    font = ImageFont.truetype(path, size)
    left, _, right, _ = font.getbbox(text, anchor="ls")
    image = Image.new("L", (max(right - left, 1), round(HEIGHT * size)))
    ImageDraw.Draw(image).text((-left, round(BASELINE * size)), text, 255, font, anchor="ls")
    return np.array(image)


@functools.lru_cache(maxsize=1024)
def _font_file(text: str) -> str | None:
    """The font file that has most of a text's characters; None for OpenCV's own font, which is preferred."""
    best, most = None, sum(_is_simple(char) and _is_built_in(char) for char in text)
    if most < len(text):
        for path in _font_files():
            count = sum(ord(char) in _characters(path) for char in text)
            if count > most:
                best, most = path, count
            if most == len(text):
                break
    return best


def _is_simple(char: str) -> bool:
    """Whether a character stands alone and runs from left to right: not a combining mark, not Hebrew or Arabic."""
    return unicodedata.category(char)[0] != "M" and unicodedata.bidirectional(char) not in ("R", "AL")


@functools.lru_cache(maxsize=4096)
def _is_built_in(char: str) -> bool:
    """Whether OpenCV's own font has a character; it draws "?" for all others."""
    return char == "?" or not np.array_equal(_draw_built_in(char, 20), _draw_built_in("?", 20))


@functools.cache
def _font_files() -> list[str]:
    """The bold font of matplotlib, then all system fonts. None without matplotlib, which reads what fonts have."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    from matplotlib.font_manager import findSystemFonts

    package = importlib.util.find_spec("matplotlib").submodule_search_locations[0]
    bundled = Path(package, "mpl-data", "fonts", "ttf", "DejaVuSans-Bold.ttf")
    return [str(bundled), *sorted(findSystemFonts())]


@functools.lru_cache(maxsize=4096)
def _characters(path: str) -> frozenset[int]:
    """The characters that a font file has outlines for; empty if it is unreadable or a bitmap font."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()
