"""The head models: PLDA layers against the formula, the original recipe's layers."""

import numpy as np
import pytest
from support import gaussian_people, log_likelihood_ratio

from utils.heads.head import Head
from utils.heads.keras_similarity import similarity_of
from utils.heads.models import (
    all_pairs_logits,
    cosine_similarity,
    create_model,
    distance_similarity,
    plda_similarity,
)
from utils.heads.plda import fit_plda
from utils.log_odds import logits


@pytest.mark.slow
def test_layers_compute_the_models_formula():
    matrix, labels = gaussian_people(30, 4)
    plda = fit_plda(matrix, labels)
    a, b = matrix[:60], matrix[60:]
    found = logits(Head(similarity_of(plda_similarity(plda)), {}).score_pairs(a, b))
    expected = np.clip(log_likelihood_ratio(plda, a, b), -16, 16)
    np.testing.assert_allclose(found[np.abs(expected) < 8], expected[np.abs(expected) < 8], atol=2e-3)
    near = Head(similarity_of(distance_similarity(12, 3.0, 4.0)), {}).score_pairs(a, b)
    np.testing.assert_allclose(logits(near), np.clip(4 - 3 * np.linalg.norm(a - b, axis=1), -16, 16), atol=1e-3)
    angle = Head(similarity_of(cosine_similarity(12, 9.0, -2.0)), {}).score_pairs(a, b)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(logits(angle), 9 * cosine - 2, atol=1e-3)


@pytest.mark.parametrize("known_count", [None, 30])
def test_logits_of_all_pairs_equal_the_formula(known_count):
    from keras import Input, Model

    matrix, labels = gaussian_people(10, 3)
    plda = fit_plda(matrix, labels)
    vectors = Input((12,), batch_size=known_count)
    found = Model(vectors, all_pairs_logits(plda_similarity(plda), vectors)).predict_on_batch(matrix)
    expected = log_likelihood_ratio(plda, np.repeat(matrix, 30, axis=0), np.tile(matrix, (30, 1)))
    np.testing.assert_allclose(found.ravel(), expected, atol=2e-3)


def test_the_head_is_the_original_recipes():
    from keras import layers

    model = create_model()
    assert model.input_shape == (None, 2048) and model.output_shape == (None, 1)
    kinds = [(type(layer), getattr(layer, "units", getattr(layer, "rate", None))) for layer in model.layers[1:]]
    assert kinds == [
        (layers.Dense, 512),
        (layers.Dropout, 0.5),
        (layers.Dense, 256),
        (layers.Dropout, 0.3),
        (layers.Dense, 32),
        (layers.Dense, 1),
        (layers.Activation, None),
    ]
    assert [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")] == [
        *["linear"] * 4,
        "sigmoid",
    ]
