"""A similarity head computed by Keras: foreign heads, and any layers that NumPy does not know."""

from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.heads.exported_similarity import ExportedSimilarity, pair_dimension
from utils.heads.models import ENERGY, LOGIT, TWIN
from utils.heads.numpy_similarity import NumpySimilarity
from utils.keras_models import padded_batch_size

if TYPE_CHECKING:
    import keras

LINEAR = {"InputLayer", "Dropout", "Activation", "Dense"}  # kinds of layers in a dense head without hidden functions
# Between the probabilities of Keras and of NumPy. A processor's rounding makes 1e-6, a graphics card's with 10 bits of
# mantissa 1e-3; another function differs by more.
MAX_DIFFERENCE = 2e-3
COMPARED_PAIRS = 64


class KerasSimilarity:
    """A head's function of two feature batches, see NumpySimilarity. Raises InputError for any other model."""

    def __init__(self, model: "keras.Model"):
        shapes = [tuple(tensor.shape) for tensor in model.inputs or ()]
        outputs = [tuple(tensor.shape) for tensor in model.outputs or ()]
        self.dimension = pair_dimension(shapes, outputs, "; the original recipe's takes one batch")
        # Heads that train.py saved have two parts, so that a gallery has to be projected only once.
        parts = parts_of(model)
        self._twin, self._energy = (parts[TWIN], parts[ENERGY]) if parts else (None, model)

    def project(self, features: np.ndarray) -> np.ndarray:
        """See NumpySimilarity.project."""
        return features if self._twin is None else _predict(self._twin, [features])

    def score_rows(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See NumpySimilarity.score_rows."""
        return _predict(self._energy, [first, second])[:, 0]

    def score_all(self, first: np.ndarray, second: np.ndarray) -> None:
        """None: Keras computes pairs only."""


Similarity = NumpySimilarity | KerasSimilarity | ExportedSimilarity


def parts_of(model: "keras.Model") -> dict[str, "keras.Model"]:
    """The twin and the energy by name, of heads that train.py saved. Empty for others."""
    parts = {layer.name: layer for layer in model.layers if hasattr(layer, "layers")}
    return parts if {TWIN, ENERGY} <= parts.keys() else {}


@interrupts.deferred()
def _predict(model: "keras.Model", inputs: list[np.ndarray]) -> np.ndarray:
    # Padded to a power of two, because every new number of rows is compiled again.
    rows = len(inputs[0])
    padding = ((0, padded_batch_size(rows) - rows), (0, 0))
    padded = [np.pad(array, padding) for array in inputs]
    return model.predict_on_batch(padded if len(padded) > 1 else padded[0])[:rows]


def similarity_of(model: "keras.Model") -> Similarity:
    """A Keras model's function, by NumPy if it can compute it. Raises InputError if it is no head."""
    by_keras = KerasSimilarity(model)
    try:
        by_numpy = _translate(parts_of(model), by_keras.dimension)
    except Exception:  # a foreign model may have anything under the names of our layers
        return by_keras
    return by_numpy if _agree(by_numpy, by_keras) else by_keras


def _translate(parts: dict[str, "keras.Model"], dimension: int) -> NumpySimilarity:
    """What a head computes if its layers do what their names say. Raises many kinds of error for other layers."""
    twin, layers = parts[TWIN], {layer.name: layer for layer in parts[ENERGY].layers}
    inner = next((layer for layer in layers.values() if hasattr(layer, "layers")), None)
    if inner is not None:
        weights, offset = _multiply_out(inner.layers)
        weights *= abs(getattr(twin.layers[-1], "scale", 1.0))  # of a normalization, whose offset cancels out
        return NumpySimilarity("difference", dimension, 1.0, offset, weights=weights.ravel().astype(np.float32))
    measure = next(name for name in ("product", "cosine", "distance") if name in layers)
    scale, offset = (array.item() for array in layers[LOGIT].get_weights())
    if measure != "product":
        return NumpySimilarity(measure, dimension, scale, offset)
    # By their order, since earlier versions gave the second layer another name.
    projection, squares = (np.vstack(layer.get_weights()) for layer in twin.layers if layer.weights)
    return NumpySimilarity(measure, dimension, scale, offset, projection, squares.ravel())


def _multiply_out(layers: list["keras.Layer"]) -> tuple[np.ndarray, float]:
    """The weights (D, 1) and the offset of linear layers that end in a sigmoid. Raises ValueError for other layers."""
    functions = [layer.get_config().get("activation", "linear") for layer in layers]
    if {type(layer).__name__ for layer in layers} - LINEAR or functions != ["linear"] * (len(layers) - 1) + ["sigmoid"]:
        raise ValueError("layers that are not linear")
    weights, offset = np.ones((1, 1)), 0.0
    for kernel, bias in reversed([layer.get_weights() for layer in layers if layer.weights]):
        offset += (bias @ weights).item()
        weights = kernel @ weights
    return weights, offset


def _agree(one: Similarity, other: Similarity) -> bool:
    """Whether two heads give the same probabilities to pairs of random faces, from near to far."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(1e-3, 10, COMPARED_PAIRS)[:, None]
    first = rng.normal(0, rng.permutation(sizes), (COMPARED_PAIRS, one.dimension)).astype(np.float32)
    second = first + rng.normal(0, sizes, first.shape).astype(np.float32)
    scores = [head.score_rows(head.project(first), head.project(second)) for head in (one, other)]
    return bool(np.abs(scores[0] - scores[1]).max() <= MAX_DIFFERENCE)
