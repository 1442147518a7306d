"""Statistics of features, gathered in one pass, and the normalization that is made of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.features.feature_files import PersonFeatures
from utils.files import read_json, write_json

FILE_NAME = "normalization.json"


@dataclass(frozen=True)
class Normalization:
    """Statistics of a set of features.

    mean, std: over all numbers, as the original recipe has them. count: feature vectors seen.
    dimension_mean, dimension_std: float64 (D,). extractor: whose features, a fingerprint or None.
    """

    mean: float
    std: float
    count: int
    dimension_mean: np.ndarray
    dimension_std: np.ndarray
    extractor: str | None


def gather_statistics(people: Iterable[PersonFeatures]) -> Normalization:
    """Statistics of people's features, of which one at a time is in memory. Raises ValueError for none.

    Means and squared deviations are merged by the pairwise update of Chan, Golub and LeVeque,
    "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).
    """
    count, mean, squares, extractor = 0, 0.0, 0.0, None
    for person in people:
        extractor = person.manifest.extractor if person.manifest else extractor
        matrix = person.matrix.astype(np.float64)
        rows = len(matrix)
        matrix_mean = matrix.mean(axis=0)
        delta = matrix_mean - mean
        total = count + rows
        squares = squares + ((matrix - matrix_mean) ** 2).sum(axis=0) + delta**2 * (count * rows / total)
        mean = mean + delta * (rows / total)
        count = total
    if not count:
        raise ValueError("no features to gather statistics of. Received: no people")
    variance = squares / count
    # All numbers together spread within the dimensions and between the dimensions' means.
    overall = np.sqrt(variance.mean() + mean.var())
    return Normalization(float(mean.mean()), float(overall), count, mean, np.sqrt(variance), extractor)


def save_normalization(folder: Path, statistics: Normalization) -> Path:
    """Write `normalization.json` into a features folder; returns its path."""
    path = Path(folder) / FILE_NAME
    content = {
        "mean": statistics.mean,
        "std": statistics.std,
        "count": statistics.count,
        "extractor": statistics.extractor,
        "dimension_mean": statistics.dimension_mean.tolist(),
        "dimension_std": statistics.dimension_std.tolist(),
    }
    write_json(path, content)
    return path


def load_normalization(folder: Path, dimension: int, extractor: str | None) -> Normalization:
    """Read `normalization.json` of a features folder with D = dimension. Raises InputError."""
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        raise InputError(f"--normalize 1 needs {path}: run compute_mean.py --features_path {folder}")
    content = read_json(path)
    try:
        statistics = Normalization(
            mean=float(content["mean"]),
            std=float(content["std"]),
            count=int(content["count"]),
            dimension_mean=np.array(content["dimension_mean"], float),
            dimension_std=np.array(content["dimension_std"], float),
            extractor=content["extractor"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise InputError(f"{path} is not what compute_mean.py writes: {exc!r}") from None
    if not np.isfinite([statistics.mean, statistics.std]).all() or not statistics.std > 0:
        raise InputError(f"{path} is not what compute_mean.py writes: mean {statistics.mean}, std {statistics.std}")
    if statistics.dimension_mean.shape != (dimension,):
        raise InputError(
            f"{path} has {statistics.dimension_mean.size} dimensions, the features {dimension}: run compute_mean.py"
        )
    if extractor and statistics.extractor and extractor != statistics.extractor:
        raise InputError(
            f"{path} is of extractor {statistics.extractor}, the features are of {extractor}: run compute_mean.py"
        )
    return statistics
