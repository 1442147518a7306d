"""Photos and embeddings for the tests of detection and alignment."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
    """Selfies of six drawn people, RGB uint8 (H, W, 3)."""
    rng = np.random.default_rng(2)
    return [draw_selfie(sample_identity(300 + number), rng) for number in range(6)]


@pytest.fixture(scope="session")
def embed(extractor_path: Path) -> Callable[[list[np.ndarray]], np.ndarray]:
    """Turns chips into dlib's descriptors, float32 (n, 128)."""
    from utils.features.extractor import load_extractor

    return load_extractor(extractor_path).embed
