"""Statistics of features, computed in one pass, and the file that train.py normalizes with."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError, cut, shown
from utils.features.feature_files import PersonFeatures
from utils.files import read_json, write_json
from utils.storage import as_path

NORMALIZATION_FILE = "normalization.json"


@dataclass(frozen=True)
class Normalization:
    """Statistics of a set of features."""

    mean: float  # over all numbers, as in the original recipe
    std: float
    count: int  # feature vectors
    dimension_mean: np.ndarray  # float64 (D,)
    dimension_std: np.ndarray  # float64 (D,)
    extractor: str | None  # fingerprint, None if unknown


def gather_statistics(people: Iterable[PersonFeatures]) -> Normalization:
    """Compute statistics over people's features, with one person in memory at a time.

    Means and squared deviations are merged by the pairwise update of Chan, Golub and LeVeque,
    "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979). Raises ValueError
    if there are no people.
    """
    count, extractor = 0, None
    mean = squares = np.zeros(1)
    for person in people:
        extractor = person.manifest.extractor if person.manifest else extractor
        matrix = person.matrix.astype(np.float64)
        size = len(matrix)
        matrix_mean = matrix.mean(axis=0)
        delta = matrix_mean - mean
        total = count + size
        squares = squares + ((matrix - matrix_mean) ** 2).sum(axis=0) + delta**2 * (count * size / total)
        mean = mean + delta * (size / total)
        count = total
    if not count:
        raise ValueError("statistics need features. Received: no people")
    variance = squares / count
    # Total variance = variance within the dimensions + variance between their means.
    std = np.sqrt(variance.mean() + mean.var())
    return Normalization(float(mean.mean()), float(std), count, mean, np.sqrt(variance), extractor)


def save_normalization(folder: Path, statistics: Normalization) -> Path:
    """Write `normalization.json` into a features folder. Returns its path."""
    path = as_path(folder) / NORMALIZATION_FILE
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
    """Read a features folder's `normalization.json` and check its D and extractor. Raises InputError."""
    path = as_path(folder) / NORMALIZATION_FILE
    if not path.is_file():
        raise InputError(f"--normalize 1 needs {path}: run compute_mean.py --features_path {folder}")
    statistics = _read_statistics(path)
    if statistics.dimension_mean.shape != (dimension,):
        raise InputError(
            f"{path} has {statistics.dimension_mean.size} dimensions, the features {dimension}: run compute_mean.py"
        )
    if extractor and statistics.extractor and extractor != statistics.extractor:
        raise InputError(
            f"{path} comes from extractor {cut(statistics.extractor)}, the features from {extractor}: "
            "run compute_mean.py"
        )
    return statistics


def _read_statistics(path: Path) -> Normalization:
    """The statistics in a file. Raises InputError for anything that compute_mean.py does not write."""
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
        raise InputError(f"{path} was not written by compute_mean.py: {shown(exc)}") from None
    if not isinstance(statistics.extractor, str | None) or statistics.count < 1:
        received = f"extractor {shown(statistics.extractor)}, count {cut(str(statistics.count))}"
        raise InputError(f"{path} was not written by compute_mean.py: {received}")
    means, stds = statistics.dimension_mean, statistics.dimension_std
    # A head computes with both numbers below, in float32.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scale = np.float64(1) / statistics.std
        used = np.array([statistics.mean, statistics.std, scale, statistics.mean * scale]).astype(np.float32)
    if not (np.isfinite(used).all() and used[1] > 0 and means.shape == stds.shape):
        raise InputError(f"{path} was not written by compute_mean.py: mean {statistics.mean}, std {statistics.std}")
    if not (np.isfinite(means).all() and np.isfinite(stds).all()):  # None becomes NaN
        raise InputError(f"{path} was not written by compute_mean.py: it holds numbers that are not finite")
    return statistics
