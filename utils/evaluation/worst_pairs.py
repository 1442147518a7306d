"""The pairs that a head judged worst, as a picture with names."""

from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.evaluation.pairs import Pairs
from utils.evaluation.protocols import HEAD, PairScores
from utils.features.feature_files import FeatureSet
from utils.figures import save_figure
from utils.media.images import read_image, resize_chip

WORST = 10  # of each kind
COLUMNS = 5
PHOTO = 224  # pixels, as large as a photo is shown


def worst_pairs(scores: np.ndarray, pairs: Pairs, most: int = WORST) -> tuple[np.ndarray, np.ndarray]:
    """The different pairs of the highest and the same pairs of the lowest scores, indices, one for the same people."""
    worst = []
    for kind, sign in ((~pairs.same, -1), (pairs.same, 1)):
        candidates = np.flatnonzero(kind)
        candidates = candidates[np.argsort(sign * scores[candidates], kind="stable")]
        who = np.sort(pairs.people[candidates], axis=1)
        _, first = np.unique(who, axis=0, return_index=True)
        worst.append(candidates[np.sort(first)[:most]])
    return worst[0], worst[1]


def draw_worst_pairs(features: FeatureSet, pairs: Pairs, judged: PairScores, faces_path: Path, path: Path) -> None:
    """Show the pairs that the head errs on, or comes closest to it. faces_path: the faces that the features are of.

    A photo that is not there, or cannot be read, is shown as a gray field.
    """
    from matplotlib.figure import Figure

    scores = judged.scores[HEAD]
    titles = ("Different people of the highest probabilities", "The same person at the lowest probabilities")
    worst = dict(zip(titles, worst_pairs(scores, pairs), strict=True))
    rows = [max(1, -(-len(chosen) // COLUMNS)) for chosen in worst.values()]
    figure = Figure(figsize=(15, 2.15 * sum(rows) + 0.4 * len(rows)), layout="constrained")
    blocks = figure.subfigures(len(rows), 1, height_ratios=rows)
    for block, (title, chosen), height in zip(blocks, worst.items(), rows, strict=True):
        block.suptitle(title, fontsize=14, fontweight="bold")
        cells = block.subplots(height, COLUMNS, squeeze=False).ravel()
        for cell in cells:
            cell.set_axis_off()
        for cell, index in zip(cells, chosen, strict=False):
            accepted = "accepted" if scores[index] > judged.own_thresholds[index] else "not accepted"
            cell.set_title(f"{scores[index]:.4f}, {accepted}", fontsize=10)
            _draw_pair(cell, features, pairs.rows[index], faces_path)
    save_figure(figure, path)


def _draw_pair(cell, features: FeatureSet, rows: np.ndarray, faces_path: Path) -> None:
    people = [features.names[label] for label in features.labels[rows]]
    images = [features.images[row] for row in rows]
    both = zip(people, images, strict=True)
    cell.imshow(np.hstack([_photo(faces_path / person / image if image else None) for person, image in both]))
    for side, (person, image) in enumerate(zip(people, images, strict=True)):
        which = Path(image).stem.removeprefix(person).lstrip("_")
        cell.text(PHOTO * (side + 0.5), PHOTO + 8, f"{person}\n{which}", ha="center", va="top", fontsize=8)


def _photo(path: Path | None) -> np.ndarray:
    gray = np.full((PHOTO, PHOTO, 3), 200, np.uint8)
    if path is None:
        return gray
    try:
        return resize_chip(read_image(path), PHOTO)
    except (InputError, OSError):
        return gray
