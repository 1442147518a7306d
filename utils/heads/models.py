"""The similarity heads as Keras models: two feature batches (n, D), (n, D) in, probabilities (n, 1) out.

Each is a twin, called on both sides, and an energy, which compares what the twin made of them:

  plda      project both; logit = ⟨a, b⟩ + own(a) + own(b), which begins as the two-covariance model's
  dense     |a − b| through the original recipe's network
  distance  the Euclidean distance itself, scaled

All are symmetric, made of built-in layers and operations only, and end in a layer "logit" of one
unit and a sigmoid, so that calibration is a matter of that layer's two weights.
"""

import numpy as np

from utils.features.normalization import Normalization
from utils.heads.plda import Plda

TWIN, ENERGY, LOGIT, PROBABILITY = "twin", "energy", "logit", "probability"


def create_model(inputs=(2048,)):
    """The original recipe's head: |a − b| (n, D) → probability of "same person" (n, 1). Change it as you like."""
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


def dense_similarity(head, normalization: Normalization | None = None):
    """Put the two inputs, the normalization and |a − b| in front of a head.

    head: a Keras model from differences (n, D) to probabilities (n, 1), as `create_model` makes.
    """
    from keras import Input, Model, layers, ops

    dimension = head.inputs[0].shape[1]
    vector = Input((dimension,), name="features")
    twin = Model(vector, _normalize(vector, normalization), name=TWIN)
    first, second = (Input((dimension,), name=name) for name in ("first", "second"))
    difference = layers.Activation("linear", name="difference")(ops.absolute(ops.subtract(first, second)))
    return _pair_model(twin, Model([first, second], head(difference), name=ENERGY))


def plda_similarity(plda: Plda):
    """The two-covariance model as layers, all of them trainable; logits are its log likelihood ratios.

    Expanded, PLDA's quadratic form is an inner product and a term of each side's own. The twin gives
    both as one vector (n, K + 1), so that comparing two faces is hardly more than a scalar product.
    """
    from keras import Input, Model, layers

    dimension, width = plda.projection.shape
    vector = Input((dimension,), name="features")
    projected = layers.Dense(width, name="projection")(vector)
    own = layers.Dense(1, name="own")(layers.Multiply(name="square")([projected, projected]))
    twin = Model(vector, layers.Concatenate(name="vector_and_own")([projected, own]), name=TWIN)
    twin.get_layer("projection").set_weights([plda.projection, -plda.mean @ plda.projection])
    twin.get_layer("own").set_weights([plda.own[:, None], np.array([plda.constant / 2])])

    first, second = (Input((width + 1,), name=name) for name in ("first", "second"))
    product = layers.Dot(axes=1, name="product")([first[:, :width], second[:, :width]])
    total = layers.Add(name="log_likelihood_ratio")([product, first[:, width:], second[:, width:]])
    energy = Model([first, second], _probability(total), name=ENERGY)
    energy.get_layer(LOGIT).set_weights([np.ones((1, 1)), np.zeros(1)])
    return _pair_model(twin, energy)


def distance_similarity(dimension: int, scale: float, offset: float):
    """Euclidean distance d as a head: logit = offset − scale · d."""
    from keras import Input, Model, layers, ops

    vector = Input((dimension,), name="features")
    twin = Model(vector, _normalize(vector, None), name=TWIN)
    first, second = (Input((dimension,), name=name) for name in ("first", "second"))
    distance = ops.sqrt(ops.sum(ops.square(ops.subtract(first, second)), axis=1, keepdims=True))
    distance = layers.Activation("linear", name="distance")(distance)
    energy = Model([first, second], _probability(distance), name=ENERGY)
    energy.get_layer(LOGIT).set_weights([np.array([[-scale]]), np.array([offset])])
    return _pair_model(twin, energy)


def all_pairs_logits(similarity, vectors):
    """Symbolic logits (n, n) of every two of n symbolic feature vectors (n, D), through a PLDA head's own layers."""
    from keras import ops

    twin, energy = similarity.get_layer(TWIN), similarity.get_layer(ENERGY)
    projected = twin(vectors)
    vector, own = projected[:, :-1], projected[:, -1:]
    total = ops.matmul(vector, ops.transpose(vector)) + own + ops.transpose(own)
    return ops.squeeze(energy.get_layer(LOGIT)(ops.expand_dims(total, -1)), -1)


def rescale_logit(similarity, scale: float, offset: float) -> None:
    """Replace a head's logit by scale · logit + offset, which its last layer of weights absorbs."""
    layer = _find_layer(similarity, LOGIT)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * scale, bias * scale + offset])


def compare_all(energy, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """Every row of `first` (f, E) with every row of `second` (g, E) through an energy, (f, g), without making pairs.

    What takes a row of pairs apart is a matrix product for PLDA and for distances. None for other energies.
    """
    kinds = {layer.name for layer in energy.layers}
    if LOGIT not in kinds:  # a foreign energy, whatever its other layers are called
        return None
    if "product" in kinds:
        total = first[:, :-1] @ second[:, :-1].T + first[:, -1:] + second[:, -1]
    elif "distance" in kinds:
        # In float64, since |a|² + |b|² − 2·a·b is a small difference of large numbers.
        a, b = first.astype(np.float64), second.astype(np.float64)
        total = np.sqrt(np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0))
    else:
        return None
    kernel, bias = energy.get_layer(LOGIT).get_weights()
    logit = np.clip(kernel[0, 0] * total + bias[0], -80, 80)  # e⁸⁰ is still a float32
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def _find_layer(model, name: str):
    for layer in model.layers:
        found = _find_layer(layer, name) if hasattr(layer, "layers") else layer if layer.name == name else None
        if found is not None:
            return found
    return None


def _normalize(vector, normalization: Normalization | None):
    from keras import layers

    if normalization is None:
        return layers.Activation("linear", name="as_is")(vector)
    # The z-score of the original recipe: (x − mean) / std with one mean and std for all dimensions.
    scale, offset = 1 / normalization.std, -normalization.mean / normalization.std
    return layers.Rescaling(scale, offset=offset, name="normalization")(vector)


def _probability(logit):
    from keras import layers

    return layers.Activation("sigmoid", name=PROBABILITY)(layers.Dense(1, name=LOGIT)(logit))


def _pair_model(twin, energy):
    from keras import Input, Model

    first, second = (Input(twin.input_shape[1:], name=name) for name in ("features_a", "features_b"))
    return Model([first, second], energy([twin(first), twin(second)]), name="similarity")
