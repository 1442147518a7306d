"""PLDA, the two-covariance model: faces scatter around their person, people around the mean of all people.

Ioffe, "Probabilistic Linear Discriminant Analysis" (2006); the model with two full covariances and its
log likelihood ratio as a quadratic form: Brümmer and de Villiers, "The Speaker Partitioning Problem" (2010).
"""

from dataclasses import dataclass

import numpy as np

from utils.heads.pairs import Features

# At least this share of the covariance within people is replaced by a sphere of the same size: faces are not Gaussian,
# and a sample says least about its thinnest directions.
WITHIN_SHRINKAGE = 0.4
MAX_PHOTOS = 10  # photos of one person that count towards the scatter within people; more are weighted down
MAX_DIMENSIONS = 256  # of the projection
MAX_VALUES = 1 << 22  # of the matrix, in memory at a time


@dataclass(frozen=True)
class Plda:
    """The log likelihood ratio of "same person" to "different people" for two faces a, b (D,).

    With p(x) = (x − mean) @ projection it is p(a)·p(b) + (p(a)² + p(b)²)·square_weights + constant.
    """

    mean: np.ndarray  # (D,)
    projection: np.ndarray  # (D, K)
    square_weights: np.ndarray  # (K,)
    constant: float


def fit_plda(matrix: Features, labels: np.ndarray, rows: np.ndarray | None = None) -> Plda:
    """Fit the model to rows, int (r,), of features (n, D) of people (n,); see `estimate_covariances`."""
    return make_plda(*estimate_covariances(matrix, labels, rows))


def estimate_covariances(
    matrix: Features, labels: np.ndarray, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean (D,) of the people and the covariances (D, D) within and between them, both shrunk.

    Only a block of the matrix is in memory at a time. Raises ValueError unless there are two people, one of them with
    two faces.

    rows: int (r,), those of the features (n, D) of people (n,) to take; None for all.
    """
    rows = np.arange(len(labels)) if rows is None else rows
    _, person, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(f"PLDA needs two people, one of them with two faces. Received: {counts.tolist()}")
    means = np.zeros((len(counts), matrix.shape[1]))
    for part in _blocks(len(rows), matrix.shape[1]):
        np.add.at(means, person[part], matrix[rows[part]])
    means /= counts[:, None]
    center = means.mean(axis=0)  # each person counts once, however many photos there are
    several = counts[person] > 1
    within = _within_covariance(matrix, rows[several], means, person[several], counts)
    return center, within, _between_covariance(means - center, within, counts)


def _blocks(rows: int, width: int) -> list[slice]:
    step = max(1, MAX_VALUES // width)
    return [slice(start, start + step) for start in range(0, rows, step)]


def make_plda(center: np.ndarray, within: np.ndarray, between: np.ndarray) -> Plda:
    """The log likelihood ratio for a mean (D,) and two covariances (D, D), which are diagonalized together."""
    values, vectors = np.linalg.eigh(within)
    whitening = vectors / np.sqrt(values)
    psi, vectors = np.linalg.eigh(whitening.T @ between @ whitening)
    largest = np.argsort(psi)[::-1][:MAX_DIMENSIONS]
    psi, projection = np.maximum(psi[largest], 1e-6), (whitening @ vectors)[:, largest]

    # In these axes a face is the sum of its person, with variance ψ, and a deviation, with variance 1. So a + b has
    # variance 4ψ + 2 for the same person and 2ψ + 2 for different people, and a − b has 2 and 2ψ + 2.
    plus = (1 / (psi + 1) - 1 / (2 * psi + 1)) / 4
    minus = (1 - 1 / (psi + 1)) / 4
    constant = float(np.sum(np.log(psi + 1) - np.log(2 * psi + 1) / 2))
    # (a + b)²·plus − (a − b)²·minus, multiplied out; the factor of a·b goes into the projection.
    cross = 2 * (plus + minus)
    return Plda(center, projection * np.sqrt(cross), (plus - minus) / cross, constant)


def _within_covariance(
    matrix: Features, rows: np.ndarray, means: np.ndarray, person: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    # A person with n photos has n − 1 degrees of freedom; at most MAX_PHOTOS − 1 of them count.
    weights = np.minimum(counts - 1, MAX_PHOTOS - 1) / np.maximum(counts - 1, 1)
    scatter, lengths = np.zeros((matrix.shape[1],) * 2), np.zeros(len(rows))
    for part in _blocks(len(rows), matrix.shape[1]):
        residuals = matrix[rows[part]] - means[person[part]]
        residuals *= np.sqrt(weights[person[part]])[:, None]
        scatter += residuals.T @ residuals
        lengths[part] = np.square(residuals).sum(axis=1)
    covariance = scatter / (weights * (counts - 1)).sum()
    return _shrink(covariance, max(WITHIN_SHRINKAGE, _shrinkage(scatter, lengths)))


def _between_covariance(deviations: np.ndarray, within: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # A person's mean still contains 1/n of the scatter of their n photos.
    scatter = deviations.T @ deviations
    spread = scatter / (len(deviations) - 1) - within * np.mean(1 / counts)
    values, vectors = np.linalg.eigh(spread)
    positive = (vectors * np.maximum(values, 0)) @ vectors.T
    return _shrink(positive, _shrinkage(scatter, np.square(deviations).sum(axis=1)))


def _shrink(covariance: np.ndarray, share: float) -> np.ndarray:
    sphere = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    # The last term keeps the inverse finite if all faces of each person are identical.
    return (1 - share) * covariance + share * sphere + 1e-12 * np.eye(len(covariance))


def _shrinkage(scatter: np.ndarray, lengths: np.ndarray) -> float:
    """The share of the sphere by Ledoit and Wolf (2004): more of it, the fewer rows there are for the dimensions.

    scatter, lengths: the sum of the rows' outer products (D, D) and their squared lengths (n,).
    """
    rows, dimension = len(lengths), len(scatter)
    square = (scatter**2).sum() / rows**2
    distance = square - np.trace(scatter / rows) ** 2 / dimension  # from the sphere
    noise = min((np.mean(lengths**2) - square) / rows, distance)
    return float(noise / distance) if noise > 0 else 0.0
