"""Heads by NumPy and by Keras: the same probabilities, and which head is computed by which."""

import numpy as np
import pytest
from support import gaussian_people

from utils.features.normalization import Normalization
from utils.heads.head import Head
from utils.heads.keras_similarity import KerasSimilarity, similarity_of
from utils.heads.models import (
    cosine_similarity,
    create_model,
    dense_similarity,
    distance_similarity,
    plda_similarity,
    rescale_logit,
)
from utils.heads.numpy_similarity import NumpySimilarity
from utils.heads.plda import fit_plda

STATISTICS = Normalization(0.3, 2.5, 20, np.zeros(12), np.ones(12), None)
MODELS = {
    "plda": lambda matrix, labels: plda_similarity(fit_plda(matrix, labels)),
    "dense": lambda *_: dense_similarity(create_model((12,))),
    "normalized dense": lambda *_: dense_similarity(create_model((12,)), STATISTICS),
    "cosine": lambda *_: cosine_similarity(12, 9.0, -2.0),
    "distance": lambda *_: distance_similarity(12, 3.0, 4.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_numpy_gives_the_probabilities_of_keras(kind):
    matrix, labels = gaussian_people(30, 4)
    matrix[7] = 0
    model = MODELS[kind](matrix, labels)
    rescale_logit(model, 0.7, 0.3)  # as a calibration does
    by_numpy, by_keras = Head(similarity_of(model), {}), Head(KerasSimilarity(model), {})
    assert isinstance(by_numpy.similarity, NumpySimilarity)
    a, b = matrix[:50], matrix[50:100]
    scores = by_numpy.score_pairs(a, b)
    assert scores.dtype == np.float32
    assert np.array_equal(by_numpy.score_pairs(b, a), scores)
    np.testing.assert_allclose(scores, by_keras.score_pairs(a, b), rtol=0, atol=1e-5)
    np.testing.assert_allclose(by_numpy.score_gallery(a, b), by_keras.score_gallery(a, b), rtol=0, atol=1e-5)
    rows = np.random.default_rng(0).integers(0, 120, (200, 2))
    np.testing.assert_allclose(by_numpy.score_rows(matrix, rows), by_keras.score_rows(matrix, rows), rtol=0, atol=1e-5)
    for head in (by_numpy, by_keras):
        assert head.score_gallery(a, b[:0]).shape == (50, 0) and len(head.score_pairs(a[:0], b[:0])) == 0


def test_a_layer_in_another_place_is_noticed():
    from keras import Input, Model, layers

    difference = Input((12,), name="difference")
    x = layers.Dense(12, name="dense_512")(difference)
    x = layers.Dense(1, name="logit")(layers.Add()([x, difference]))
    skipping = Model(difference, layers.Activation("sigmoid")(x))
    x = layers.Dense(12, name="dense_512")(difference)
    twice = Model(difference, layers.Dense(1, "sigmoid")(layers.Activation("tanh")(x)))
    for network in (skipping, twice):
        assert isinstance(similarity_of(dense_similarity(network)), KerasSimilarity)
