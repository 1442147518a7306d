"""Draw the answer of a comparison: both sides, the faces that were compared, and the probability."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.cli import counted
from utils.faces.alignment import crop_square
from utils.figures import DIFFERENT_PEOPLE_COLOR, GRAY, SAME_PERSON_COLOR, write_figure
from utils.media.images import read_image, resize_chip
from utils.recognition.photo_comparison import Comparison, PhotoFace, Side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_CHIPS = 9  # of a folder
CHIP_SIZE = 150  # pixels
MAX_NAME_LENGTH = 45  # characters


def draw_answer(sides: list[Side], comparison: Comparison, threshold: float, path: Path) -> None:
    """Draw the two sides next to each other: a photo with boxes around its faces, a folder as its first chips."""
    from matplotlib.figure import Figure

    same = comparison.probability > threshold
    color = SAME_PERSON_COLOR if same else DIFFERENT_PEOPLE_COLOR
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    figure.suptitle("The same person" if same else "Different people", fontsize=20, fontweight="bold", color=color)
    figure.supxlabel(
        f"probability {comparison.probability:.4f}, accepted above {threshold:.4f}; distance {comparison.distance:.3f}",
        fontsize=12,
    )
    compared = (comparison.first_faces, comparison.second_faces)
    for axes, side, faces in zip(figure.subplots(1, 2), sides, compared, strict=True):
        axes.set_axis_off()
        axes.set_title(_title(side, len(faces)), fontsize=11)
        if side.path.is_dir():
            axes.imshow(_chip_grid(faces))
        else:
            _draw_photo(axes, side, faces[0], color)
    write_figure(figure, path, private=True)


def _title(side: Side, faces: int) -> str:
    name = side.path.resolve().name
    shown = name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"
    return f"{shown}: {counted(faces, 'face')}" if side.path.is_dir() else shown


def _draw_photo(axes: "Axes", side: Side, compared: PhotoFace, color: str) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(read_image(side.path))
    for (candidate,) in side.candidates:
        x, y, w, h = candidate.face.box
        edge_color, width = (color, 3) if candidate is compared else (GRAY, 1.5)
        axes.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=edge_color, linewidth=width))


def _chip_grid(faces: list[PhotoFace]) -> np.ndarray:
    """The first chips in a square grid, RGB uint8."""
    chips = [resize_chip(crop_square(face.chip), CHIP_SIZE) for face in faces[:MAX_CHIPS]]
    columns = int(np.ceil(np.sqrt(len(chips))))
    rows = -(-len(chips) // columns)
    grid = np.full((rows * CHIP_SIZE, columns * CHIP_SIZE, 3), 255, np.uint8)
    for index, chip in enumerate(chips):
        top, left = (CHIP_SIZE * part for part in divmod(index, columns))
        grid[top : top + CHIP_SIZE, left : left + CHIP_SIZE] = chip
    return grid
