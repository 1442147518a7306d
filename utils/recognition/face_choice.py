"""Of several faces in each of a person's photos, choose the person's own: the one that the photos have in common."""

from collections.abc import Sequence

import numpy as np

# A face's distance from the other photos is the mean over them of the distance to the nearest face there.
MAX_RATIO = 0.7  # of the nearest face's distance to the second nearest's; above it the choice is unsure
MAX_SPREAD = 1.5  # of a face's distance, in medians of all photos' nearest faces; above it nobody is the person


def choose_own_faces(features: Sequence[np.ndarray]) -> list[int | None]:
    """Choose one face in each photo of a person.

    Args:
        features: of each photo's faces, (n, D), n at least 1.

    Returns an index for each photo; None where it is unsure: no other photo, two faces that are about as common
    (a couple that is in every photo together), or none that is common. A photo's only face is always chosen.
    """
    units = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9) for rows in features]
    distances = [_distances_to_others(units, index) for index in range(len(units))]
    if len(units) < 2:
        return [0 if len(rows) == 1 else None for rows in units]
    limit = MAX_SPREAD * float(np.median([values.min() for values in distances]))
    return [_choose(values, limit) for values in distances]


def _choose(distances: np.ndarray, limit: float) -> int | None:
    if len(distances) == 1:
        return 0
    nearest, second = np.argsort(distances)[:2]
    sure = distances[nearest] <= MAX_RATIO * distances[second] and distances[nearest] <= limit
    return int(nearest) if sure else None


def _distances_to_others(units: Sequence[np.ndarray], index: int) -> np.ndarray:
    """How far each face of a photo (n,) is from the person's other photos, on average."""
    others = [rows for number, rows in enumerate(units) if number != index]
    if not others:
        return np.zeros(len(units[index]))
    nearest = [np.linalg.norm(units[index][:, None] - rows[None], axis=2).min(axis=1) for rows in others]
    return np.mean(nearest, axis=0)
