"""PLDA as the two-covariance model: faces scatter around their person, people around everybody's mean.

Ioffe, "Probabilistic Linear Discriminant Analysis" (2006); the model with two full covariances and its
log likelihood ratio as a quadratic form: Brümmer and de Villiers, "The Speaker Partitioning Problem" (2010).
"""

from dataclasses import dataclass

import numpy as np

# Share of each covariance that is replaced by a sphere of the same size, at least: faces are not
# Gaussian, and what a sample says about its thinnest directions is the least to be trusted.
WITHIN_SHRINKAGE = 0.4
MAX_PHOTOS = 10  # of a person count towards the scatter within people; more are weighted down to that
MAX_DIMENSIONS = 256  # of the projection


@dataclass(frozen=True)
class Plda:
    """A log likelihood ratio of "same person" to "different people" for two faces a, b (D,).

    With p(x) = (x − mean) @ projection it is p(a)·p(b) + (p(a)² + p(b)²)·own + constant.
    mean (D,), projection (D, K), own (K,).
    """

    mean: np.ndarray
    projection: np.ndarray
    own: np.ndarray
    constant: float


def fit_plda(matrix: np.ndarray, labels: np.ndarray) -> Plda:
    """Estimate the model on features (n, D) of people (n,).

    Raises ValueError unless there are two people, one of them with two faces.
    """
    return make_plda(*estimate_covariances(matrix, labels))


def estimate_covariances(matrix: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The center (D,) of the people, and the covariances (D, D) within and between them, both shrunk."""
    _, person, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        raise ValueError(f"PLDA needs two people, one of them with two faces. Received: {counts.tolist()}")
    means = np.zeros((len(counts), matrix.shape[1]))
    np.add.at(means, person, matrix)
    means /= counts[:, None]
    center = means.mean(axis=0)  # of the people, however many photos each has
    within = _within_covariance(matrix, means, person, counts)
    return center, within, _between_covariance(means - center, within, counts)


def make_plda(center: np.ndarray, within: np.ndarray, between: np.ndarray) -> Plda:
    """The log likelihood ratio of a center (D,) and two covariances (D, D), which are diagonalised together."""
    values, vectors = np.linalg.eigh(within)
    whitening = vectors / np.sqrt(values)
    psi, vectors = np.linalg.eigh(whitening.T @ between @ whitening)
    keep = np.argsort(psi)[::-1][:MAX_DIMENSIONS]
    psi, projection = np.maximum(psi[keep], 1e-6), (whitening @ vectors)[:, keep]

    # In these axes a face is its person, of variance ψ, and a deviation of variance 1. So a + b has variance
    # 4ψ + 2 if they are one person's and 2ψ + 2 if not, and a − b has 2 and 2ψ + 2.
    plus = (1 / (psi + 1) - 1 / (2 * psi + 1)) / 4
    minus = (1 - 1 / (psi + 1)) / 4
    constant = float(np.sum(np.log(psi + 1) - np.log(2 * psi + 1) / 2))
    # (a + b)²·plus − (a − b)²·minus, multiplied out; the factor of a·b goes into the axes.
    cross = 2 * (plus + minus)
    return Plda(center, projection * np.sqrt(cross), (plus - minus) / cross, constant)


def _within_covariance(matrix, means, person, counts) -> np.ndarray:
    # A person of n photos has n − 1 degrees of freedom, of which MAX_PHOTOS − 1 count at most.
    weights = np.minimum(counts - 1, MAX_PHOTOS - 1) / np.maximum(counts - 1, 1)
    several = counts[person] > 1
    residuals = matrix[several] - means[person[several]]
    residuals *= np.sqrt(weights[person[several]])[:, None]
    covariance = residuals.T @ residuals / (weights * (counts - 1)).sum()
    return _shrink(covariance, max(WITHIN_SHRINKAGE, _shrinkage(residuals)))


def _between_covariance(deviations, within, counts) -> np.ndarray:
    # A person's mean still has the scatter of the photos that it is a mean of.
    spread = deviations.T @ deviations / (len(deviations) - 1) - within * np.mean(1 / counts)
    values, vectors = np.linalg.eigh(spread)
    positive = (vectors * np.maximum(values, 0)) @ vectors.T
    return _shrink(positive, _shrinkage(deviations))


def _shrink(covariance: np.ndarray, share: float) -> np.ndarray:
    sphere = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    # The last term keeps the inverse finite where all faces of each person are the same.
    return (1 - share) * covariance + share * sphere + 1e-12 * np.eye(len(covariance))


def _shrinkage(rows: np.ndarray) -> float:
    """Ledoit and Wolf's share (2004): the fewer rows for the dimensions, the more of the sphere."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    return float(ledoit_wolf_shrinkage(rows, assume_centered=True))
