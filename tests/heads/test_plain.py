"""The constants of the plain heads."""

import numpy as np
import pytest

import network
from utils.cli import InputError
from utils.features.extractor import load_extractor
from utils.features.keras_extractor import model_fingerprint
from utils.heads.head import Head
from utils.heads.keras_similarity import similarity_of
from utils.heads.plain import (
    CONSTANTS,
    TYPICAL,
    PlainConstants,
    constants_of,
    plain_rule,
    plain_similarity,
    suitable_measure,
)
from utils.networks.backbones import build_extractor


@pytest.mark.parametrize("constants", CONSTANTS.values())
def test_stricter_rates_have_nearer_thresholds(constants):
    values = [constants.thresholds[rate] for rate in sorted(constants.thresholds)]
    assert values == sorted(values, reverse=constants.measure == "cosine")
    assert constants.threshold_for_far(0.001) == constants.thresholds[1e-3]
    assert constants.threshold_for_far(1e-9) == constants.thresholds[1e-6]
    nearest, farthest = {"cosine": (1, -0.2), "distance": (0.2, 1.0)}[constants.measure]
    assert constants.probability(nearest) > 0.999 and constants.probability(farthest) < 0.001
    assert 0.5 < constants.probability(constants.threshold_for_far(0.001)) < 0.999


def test_constants_are_for_the_extractors_of_network_py(extractor_path, tmp_path):
    flipped = model_fingerprint(build_extractor("dlib", None, "avg", None, "pretrained", flip=True))
    dlib = [name for name, constants in CONSTANTS.items() if constants.measure == "distance"]
    assert [load_extractor(extractor_path).fingerprint, flipped] == dlib
    assert network.main(f"--output {tmp_path} --model sface --print_model 0 --backbone sface".split()) == 0
    assert CONSTANTS[load_extractor(tmp_path / "sface").fingerprint] is TYPICAL


def test_the_measure_follows_the_extractor():
    matrix = np.random.default_rng(0).normal(size=(5, 8))
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    dlib = next(iter(CONSTANTS))
    assert suitable_measure(dlib, unit) == "distance" and suitable_measure(None, unit) == "cosine"
    assert suitable_measure("toy-8-abc", matrix) is None
    assert constants_of(dlib, "distance") is CONSTANTS[dlib] and constants_of(dlib, "cosine") is None
    with pytest.raises(InputError, match="only dlib's extractor"):
        constants_of("toy-8-abc", "distance")


@pytest.mark.parametrize("measure", ["cosine", "distance"])
def test_the_rule_accepts_what_the_constants_say(measure):
    sign = 1 if measure == "cosine" else -1
    constants = PlainConstants(measure, 10.0 * sign, -5.0 * sign, {1e-3: 0.5 + 0.1 * sign, 0.1: 0.5})
    head = Head(similarity_of(plain_similarity(2, constants)), plain_rule(constants, 1e-3))
    assert head.min_votes is None and head.far == 1e-3 and head.threshold_for(1000) > head.threshold
    angles = np.linspace(0, np.pi, 50)
    faces = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    values = {"cosine": faces[:, 0], "distance": np.linalg.norm(faces - faces[0], axis=1)}[measure]
    accepted = head.score_gallery(faces, faces[:1])[:, 0] > head.threshold
    np.testing.assert_array_equal(accepted, sign * values > sign * (0.5 + 0.1 * sign))
