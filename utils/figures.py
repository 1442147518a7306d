"""Matplotlib figures as files, and the colors that all of them share."""

import warnings
from pathlib import Path

from utils.files import atomic_path

# Colors that color-blind people tell apart: Okabe and Ito, "Color Universal Design" (2008).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
DPI = 120


def save_figure(figure, path: Path) -> None:
    """Write a matplotlib figure, atomically; the suffix chooses the format."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # A name in a script that matplotlib's font lacks is drawn as boxes, which says it.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(temporary, dpi=DPI)
