"""The similarity heads as Keras models: two feature batches (n, D), (n, D) in, probabilities (n, 1) out.

Each has a twin, called on both faces, and an energy, which compares the twin's two outputs:

  plda      project both faces; logit = ⟨a, b⟩ + self_term(a) + self_term(b), initialized from the two-covariance model
  dense     |a − b| through the original recipe's network
  cosine    both faces scaled to length 1; logit = scale · ⟨a, b⟩ + offset
  distance  the Euclidean distance, scaled

All are symmetric and consist of built-in layers and operations. All end in a layer "logit" with one unit and a
sigmoid, so calibration only changes the two weights of that layer.
"""

from typing import TYPE_CHECKING

import numpy as np

from utils.features.normalization import Normalization
from utils.heads.plda import Plda

if TYPE_CHECKING:
    import keras

TWIN, ENERGY, LOGIT, PROBABILITY = "twin", "energy", "logit", "probability"


def create_model(inputs: tuple[int] = (2048,)) -> "keras.Model":
    """The original recipe's head, from |a − b| (n, D) to probabilities (n, 1). Change it as you like."""
    from keras import Input, Model, layers

    difference = Input(inputs, name="difference")
    x = layers.Dense(512, name="dense_512")(difference)
    x = layers.Dropout(0.5, name="dropout_512")(x)
    x = layers.Dense(256, name="dense_256")(x)
    x = layers.Dropout(0.3, name="dropout_256")(x)
    x = layers.Dense(32, name="dense_32")(x)
    x = layers.Dense(1, name=LOGIT)(x)
    x = layers.Activation("sigmoid", name=PROBABILITY)(x)
    return Model(difference, x, name="head")


def dense_similarity(head: "keras.Model", normalization: Normalization | None = None) -> "keras.Model":
    """Put the two inputs, the normalization and |a − b| in front of a head.

    head: a Keras model from differences (n, D) to probabilities (n, 1), such as `create_model` returns.
    """
    from keras import Input, Model, layers, ops

    dimension = head.inputs[0].shape[1]
    vector = Input((dimension,), name="features")
    twin = Model(vector, _normalize(vector, normalization), name=TWIN)
    first, second = (Input((dimension,), name=name) for name in ("first", "second"))
    difference = layers.Activation("linear", name="difference")(ops.absolute(ops.subtract(first, second)))
    return _pair_model(twin, Model([first, second], head(difference), name=ENERGY))


def plda_similarity(plda: Plda) -> "keras.Model":
    """The two-covariance model as trainable layers; its logits are the log likelihood ratios.

    Multiplied out, PLDA's quadratic form is an inner product of the two faces and one term for each face by itself.
    The twin returns both as one vector (n, K + 1), so comparing two faces costs little more than a scalar product.
    """
    from keras import Input, Model, layers

    dimension, width = plda.projection.shape
    vector = Input((dimension,), name="features")
    projected = layers.Dense(width, name="projection")(vector)
    self_term = layers.Dense(1, name="self_term")(layers.Multiply(name="square")([projected, projected]))
    twin = Model(vector, layers.Concatenate(name="vector_and_self_term")([projected, self_term]), name=TWIN)
    twin.get_layer("projection").set_weights([plda.projection, -plda.mean @ plda.projection])
    twin.get_layer("self_term").set_weights([plda.square_weights[:, None], np.array([plda.constant / 2])])

    first, second = (Input((width + 1,), name=name) for name in ("first", "second"))
    product = layers.Dot(axes=1, name="product")([first[:, :width], second[:, :width]])
    total = layers.Add(name="log_likelihood_ratio")([product, first[:, width:], second[:, width:]])
    energy = Model([first, second], _probability(total), name=ENERGY)
    energy.get_layer(LOGIT).set_weights([np.ones((1, 1)), np.zeros(1)])
    return _pair_model(twin, energy)


def cosine_similarity(dimension: int, scale: float, offset: float) -> "keras.Model":
    """The cosine c of the angle between two faces as a head: logit = scale · c + offset."""
    from keras import Input, Model, layers

    vector = Input((dimension,), name="features")
    twin = Model(vector, layers.UnitNormalization(name="unit_length")(vector), name=TWIN)
    first, second = (Input((dimension,), name=name) for name in ("first", "second"))
    cosine = layers.Dot(axes=1, name="cosine")([first, second])
    energy = Model([first, second], _probability(cosine), name=ENERGY)
    energy.get_layer(LOGIT).set_weights([np.array([[scale]]), np.array([offset])])
    return _pair_model(twin, energy)


def distance_similarity(dimension: int, scale: float, offset: float) -> "keras.Model":
    """The Euclidean distance d as a head: logit = offset − scale · d."""
    from keras import Input, Model, layers, ops

    vector = Input((dimension,), name="features")
    twin = Model(vector, _normalize(vector, None), name=TWIN)
    first, second = (Input((dimension,), name=name) for name in ("first", "second"))
    distance = ops.sqrt(ops.sum(ops.square(ops.subtract(first, second)), axis=1, keepdims=True))
    distance = layers.Activation("linear", name="distance")(distance)
    energy = Model([first, second], _probability(distance), name=ENERGY)
    energy.get_layer(LOGIT).set_weights([np.array([[-scale]]), np.array([offset])])
    return _pair_model(twin, energy)


def all_pairs_logits(similarity: "keras.Model", vectors: "keras.KerasTensor") -> "keras.KerasTensor":
    """Symbolic logits (n, n) of all pairs of n symbolic feature vectors (n, D), by the layers of a PLDA head."""
    from keras import ops

    twin, energy = similarity.get_layer(TWIN), similarity.get_layer(ENERGY)
    projected = twin(vectors)
    vector, self_term = projected[:, :-1], projected[:, -1:]
    # Not `+ self_term`: where n is known, Keras 3.15 takes this column for a bias and adds it along the rows.
    total = ops.matmul(vector, ops.transpose(vector)) - ops.negative(self_term) + ops.transpose(self_term)
    return ops.squeeze(energy.get_layer(LOGIT)(ops.expand_dims(total, -1)), -1)


def rescale_logit(similarity: "keras.Model", scale: float, offset: float) -> None:
    """Replace a head's logit by scale · logit + offset, in place, by changing the weights of its last layer."""
    layer = _find_layer(similarity, LOGIT)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * scale, bias * scale + offset])


def _find_layer(model: "keras.Model", name: str) -> "keras.layers.Layer | None":
    for layer in model.layers:
        found = _find_layer(layer, name) if hasattr(layer, "layers") else layer if layer.name == name else None
        if found is not None:
            return found
    return None


def _normalize(vector: "keras.KerasTensor", normalization: Normalization | None) -> "keras.KerasTensor":
    from keras import layers

    if normalization is None:
        return layers.Activation("linear", name="as_is")(vector)
    # The z-score of the original recipe: (x − mean) / std, with one mean and std for all dimensions.
    scale, offset = 1 / normalization.std, -normalization.mean / normalization.std
    return layers.Rescaling(scale, offset=offset, name="normalization")(vector)


def _probability(logit: "keras.KerasTensor") -> "keras.KerasTensor":
    from keras import layers

    return layers.Activation("sigmoid", name=PROBABILITY)(layers.Dense(1, name=LOGIT)(logit))


def _pair_model(twin: "keras.Model", energy: "keras.Model") -> "keras.Model":
    from keras import Input, Model

    first, second = (Input(twin.input_shape[1:], name=name) for name in ("features_a", "features_b"))
    return Model([first, second], energy([twin(first), twin(second)]), name="similarity")
