"""A similarity head computed by NumPy, so that recognizing people does not wait for TensorFlow.

Every head of utils/heads/models.py is one measure of two faces, with logit = scale · measure + offset:

  product     ⟨a, b⟩ + self_term(a) + self_term(b) of the projected faces: PLDA
  cosine      of the angle between the faces
  distance    the Euclidean distance
  difference  ⟨|a − b|, weights⟩: dense, whose layers are linear

Its few numbers lie in `similarity.keras.npz` beside `similarity.keras`, with the SHA-256 of that file. It can be
deleted: it is made again from the head.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.files import file_sha256, write_bytes
from utils.log_odds import probabilities

MAX_FILE = 1 << 28  # bytes; PLDA of 2048 features has 2 MB
MAX_LOGIT = 80.0  # e⁸⁰ is still a float32
SHORTEST = 1e-12  # length of a vector that a cosine scales to 1, as Keras does


@dataclass(frozen=True)
class NumpySimilarity:
    """A head's function of two feature batches. Raises ValueError for arrays that do not fit together."""

    measure: str  # "product", "cosine", "distance" or "difference"
    dimension: int  # D
    scale: float
    offset: float
    # Of a product, float32 (D + 1, K): the last row is added.
    projection: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    # Of a product's squares, float32 (K + 1,): the last number is added. Of differences (D,).
    weights: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))

    def __post_init__(self):
        columns = self.projection.shape[-1]
        shapes = {
            "product": ((self.dimension + 1, columns), (columns + 1,)),
            "cosine": ((0, 0), (0,)),
            "distance": ((0, 0), (0,)),
            "difference": ((0, 0), (self.dimension,)),
        }
        arrays = self.projection, self.weights
        if self.dimension < 1 or shapes.get(self.measure) != tuple(array.shape for array in arrays):
            raise ValueError(f"not a head. Received: {self.measure}, {[array.shape for array in arrays]}")
        if not all(np.isfinite(array).all() for array in (*arrays, self.scale, self.offset)):
            raise ValueError("a head's numbers must be finite")

    def project(self, features: np.ndarray) -> np.ndarray:
        """The vectors that are compared, float32 (n, E), of features, float32 (n, D)."""
        if self.measure == "cosine":
            return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(SHORTEST))
        if self.measure == "product":
            projected = features @ self.projection[:-1] + self.projection[-1]
            self_term = np.square(projected) @ self.weights[:-1] + self.weights[-1]
            return np.column_stack([projected, self_term])
        return features

    def score_rows(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n,), of two batches from `project` (n, E), row by row."""
        if self.measure == "distance":
            return self._probabilities(np.linalg.norm(first - second, axis=1))
        if self.measure == "difference":
            return self._probabilities(np.abs(first - second) @ self.weights)
        if self.measure == "cosine":
            return self._probabilities(np.einsum("ij,ij->i", first, second))
        product = np.einsum("ij,ij->i", first[:, :-1], second[:, :-1])
        return self._probabilities(product + (first[:, -1] + second[:, -1]))

    def score_all(self, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
        """Probabilities, float32 (f, g), of every row of `first` (f, E) against every row of `second` (g, E).

        One matrix product instead of an array of pairs. None for differences, which have no such product.
        """
        if self.measure == "difference":
            return None
        if self.measure == "product":
            return self._probabilities(first[:, :-1] @ second[:, :-1].T + (first[:, -1:] + second[:, -1]))
        if self.measure == "cosine":
            return self._probabilities(first @ second.T)
        # In float64, because |a|² + |b|² − 2·a·b is a small difference of large numbers.
        a, b = first.astype(np.float64), second.astype(np.float64)
        squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        return self._probabilities(np.sqrt(np.maximum(squares, 0)))

    def product_vectors(self, projected: np.ndarray, gallery: bool) -> np.ndarray | None:
        """Vectors, float32 (n, F), of a batch from `project`, for the search for the best rows of a large gallery.

        The higher the inner product of a probe's vector and a gallery's (gallery: which of them), the higher is the
        probability. None for differences, which no such product can rank.
        """
        if self.measure == "difference":
            return None
        sign = np.float32(np.copysign(1, self.scale)) if gallery else np.float32(1)
        if self.measure == "cosine":
            return sign * projected
        vectors, terms = projected[:, :-1], projected[:, -1:]
        if self.measure == "distance":  # −|a − b|²/2 = ⟨a, b⟩ − |b|²/2 − |a|²/2, and the last is the same for all rows
            vectors, terms, sign = projected, -np.square(projected).sum(axis=1, keepdims=True) / 2, -sign
        return np.column_stack([sign * vectors, sign * terms] if gallery else [vectors, np.ones_like(terms)])

    def _probabilities(self, measured: np.ndarray) -> np.ndarray:
        return probabilities(np.clip(self.scale * measured + self.offset, -MAX_LOGIT, MAX_LOGIT))


def arrays_path(head: Path) -> Path:
    """The file with the numbers of the head in a `.keras` file."""
    return head.with_name(head.name + ".npz")


def write_arrays(head: Path, similarity: NumpySimilarity) -> None:
    """Write the numbers beside the `.keras` file of the same head, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, stamp=file_sha256(head), **vars(similarity))
    write_bytes(arrays_path(head), buffer.getvalue())


def read_arrays(head: Path) -> NumpySimilarity | None:
    """The head in a `.keras` file, from the numbers beside it. None if they are missing, damaged or another head's."""
    try:
        with np.load(io.BytesIO(arrays_path(head).read_bytes()), allow_pickle=False) as file:
            if sum(member.file_size for member in file.zip.infolist()) > MAX_FILE:
                return None
            content = {name: file[name] for name in file.files}
        if content.pop("stamp").item() != file_sha256(head):
            return None
        numbers = {key: content.pop(key).item() for key in ("measure", "dimension", "scale", "offset")}
        return NumpySimilarity(**numbers, **{key: array.astype(np.float32) for key, array in content.items()})
    except Exception:  # NumPy and zipfile raise many kinds of error for damaged files
        return None
