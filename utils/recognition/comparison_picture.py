"""The picture of a verification: both sides, the faces that were compared, and the answer."""

from pathlib import Path

import numpy as np

from utils.cli import counted
from utils.figures import DIFFERENT_PEOPLE_COLOR, GRAY, SAME_PERSON_COLOR, write_figure
from utils.media.images import read_image, resize_chip
from utils.recognition.photo_comparison import Comparison, FoundFace, Side

MAX_CHIPS = 9  # of a folder
CHIP = 150  # pixels
MAX_NAME_LENGTH = 45  # characters


def draw_answer(sides: list[Side], comparison: Comparison, threshold: float, path: Path) -> None:
    """Draw the two sides side by side: a photo with its faces' boxes, a folder as its first chips."""
    from matplotlib.figure import Figure

    same = comparison.probability > threshold
    color = SAME_PERSON_COLOR if same else DIFFERENT_PEOPLE_COLOR
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    figure.suptitle("The same person" if same else "Different people", fontsize=20, fontweight="bold", color=color)
    figure.supxlabel(
        f"probability {comparison.probability:.4f}, accepted above {threshold:.4f}; distance {comparison.distance:.3f}",
        fontsize=12,
    )
    both = zip(figure.subplots(1, 2), sides, (comparison.first, comparison.second), strict=True)
    for axes, side, faces in both:
        axes.set_axis_off()
        axes.set_title(_title(side, len(faces)), fontsize=11)
        if side.path.is_dir():
            axes.imshow(_chip_grid(faces))
        else:
            _draw_photo(axes, side, faces[0], color)
    write_figure(figure, path)


def _title(side: Side, faces: int) -> str:
    name = side.path.resolve().name
    shown = name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"
    return f"{shown}: {counted(faces, 'face')}" if side.path.is_dir() else shown


def _draw_photo(axes, side: Side, chosen: FoundFace, color: str) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(read_image(side.path))
    for (found,) in side.candidates:
        x, y, w, h = found.face.box
        style = {"edgecolor": color, "linewidth": 3} if found is chosen else {"edgecolor": GRAY, "linewidth": 1.5}
        axes.add_patch(Rectangle((x, y), w, h, fill=False, **style))


def _chip_grid(faces: list[FoundFace]) -> np.ndarray:
    chips = [resize_chip(found.chip, CHIP) for found in faces[:MAX_CHIPS]]
    columns = int(np.ceil(np.sqrt(len(chips))))
    rows = -(-len(chips) // columns)
    grid = np.full((rows * CHIP, columns * CHIP, 3), 255, np.uint8)
    for index, chip in enumerate(chips):
        top, left = (CHIP * part for part in divmod(index, columns))
        grid[top : top + CHIP, left : left + CHIP] = chip
    return grid
