"""PLDA, the two-covariance model: faces scatter around their person, people around the mean of all people.

Ioffe, "Probabilistic Linear Discriminant Analysis" (2006); the model with two full covariances and its
log likelihood ratio as a quadratic form: Brümmer and de Villiers, "The Speaker Partitioning Problem" (2010).
"""

from dataclasses import dataclass

import numpy as np

# At least this share of the covariance within people is replaced by a sphere of the same size: faces are not Gaussian,
# and a sample says least about its thinnest directions.
WITHIN_SHRINKAGE = 0.4
MAX_PHOTOS = 10  # photos of one person that count towards the scatter within people; more are weighted down
MAX_DIMENSIONS = 256  # of the projection


@dataclass(frozen=True)
class Plda:
    """The log likelihood ratio of "same person" to "different people" for two faces a, b (D,).

    With p(x) = (x − mean) @ projection it is p(a)·p(b) + (p(a)² + p(b)²)·square_weights + constant.
    """

    mean: np.ndarray  # (D,)
    projection: np.ndarray  # (D, K)
    square_weights: np.ndarray  # (K,)
    constant: float


def fit_plda(matrix: np.ndarray, labels: np.ndarray) -> Plda:
    """Fit the model to features (n, D) of people (n,).

    Raises ValueError unless there are two people, one of them with two faces.
    """
    return make_plda(*estimate_covariances(matrix, labels))


def estimate_covariances(matrix: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean (D,) of the people and the covariances (D, D) within and between them, both shrunk."""
    _, person, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(f"PLDA needs two people, one of them with two faces. Received: {counts.tolist()}")
    means = np.zeros((len(counts), matrix.shape[1]))
    np.add.at(means, person, matrix)
    means /= counts[:, None]
    center = means.mean(axis=0)  # each person counts once, however many photos there are
    within = _within_covariance(matrix, means, person, counts)
    return center, within, _between_covariance(means - center, within, counts)


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


def _within_covariance(matrix: np.ndarray, means: np.ndarray, person: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # A person with n photos has n − 1 degrees of freedom; at most MAX_PHOTOS − 1 of them count.
    weights = np.minimum(counts - 1, MAX_PHOTOS - 1) / np.maximum(counts - 1, 1)
    several = counts[person] > 1
    residuals = matrix[several] - means[person[several]]
    residuals *= np.sqrt(weights[person[several]])[:, None]
    covariance = residuals.T @ residuals / (weights * (counts - 1)).sum()
    return _shrink(covariance, max(WITHIN_SHRINKAGE, _shrinkage(residuals)))


def _between_covariance(deviations: np.ndarray, within: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # A person's mean still contains 1/n of the scatter of their n photos.
    spread = deviations.T @ deviations / (len(deviations) - 1) - within * np.mean(1 / counts)
    values, vectors = np.linalg.eigh(spread)
    positive = (vectors * np.maximum(values, 0)) @ vectors.T
    return _shrink(positive, _shrinkage(deviations))


def _shrink(covariance: np.ndarray, share: float) -> np.ndarray:
    sphere = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    # The last term keeps the inverse finite if all faces of each person are identical.
    return (1 - share) * covariance + share * sphere + 1e-12 * np.eye(len(covariance))


def _shrinkage(rows: np.ndarray) -> float:
    """The share of the sphere by Ledoit and Wolf (2004): more of it, the fewer rows there are for the dimensions."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    return float(ledoit_wolf_shrinkage(rows, assume_centered=True))
