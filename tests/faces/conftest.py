"""Photos and embeddings for the tests of detection and alignment."""

import numpy as np
import pytest

from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [draw_selfie(sample_identity(300 + number), rng) for number in range(6)]


@pytest.fixture(scope="module")
def describe(extractor_path):
    from utils.features.extractor import load_extractor

    return load_extractor(extractor_path).embed
