"""Matplotlib figures as files, and the palette that all of them share."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import visible
from utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colors that color-blind people can tell apart: Okabe and Ito, "Color Universal Design" (2008).
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY_BLUE, YELLOW, BLACK = "#e69f00", "#56b4e9", "#f0e442", "#000000"
GRAY = "#777777"  # for what matters less
CURVE_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE, YELLOW, BLACK, GRAY)
SAME_PERSON_COLOR, DIFFERENT_PEOPLE_COLOR = BLUE, VERMILION
DPI = 120
TICK_FORMULA = r"\mathdefault"  # is in every number that matplotlib itself writes as a formula


def save_figure(figure: "Figure", path: Path, private: bool = False) -> None:
    """Write a plot as the PNG file `path` and, beside it, as vector graphics (SVG). private: see `write_figure`."""
    for suffix in (".png", ".svg"):
        write_figure(figure, path.with_suffix(suffix), private)


def write_figure(figure: "Figure", path: Path, private: bool = False) -> None:
    """Write one file, atomically. The suffix selects the format. private: see `utils.files.atomic_path`."""
    from matplotlib import rc_context

    _show_texts_as_they_are(figure)
    # The same figure gives the same SVG: no random ids, no date.
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
    with atomic_path(path, private) as temporary, warnings.catch_warnings(), rc_context({"svg.hashsalt": path.stem}):
        # Names in scripts that matplotlib's font lacks are drawn as boxes, which needs no warning.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # beside a name of 200 letters
        figure.savefig(temporary, dpi=DPI, metadata=metadata)


def _show_texts_as_they_are(figure: "Figure") -> None:
    """Keep names from being read as formulas, and replace characters that no font and no SVG can hold."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        content = text.get_text()
        if "$" in content and TICK_FORMULA not in content:
            text.set_parse_math(False)
        lines = [visible(line).encode("utf-8", "backslashreplace").decode() for line in content.split("\n")]
        text.set_text("\n".join(lines))
