"""Other Keras backends: extractor and head give the same results as on TensorFlow.

Each backend runs in its own process, because Keras loads only one per process. JAX comes with
requirements-dev.txt; PyTorch is tested if it is installed.
"""

import importlib.util
import os

import numpy as np
import pytest
from support import ROOT, assert_one_error_line, run_script

from utils.features.extractor import load_extractor
from utils.heads.head import load_head

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from utils.features.extractor import load_extractor
from utils.heads.head import Head
from utils.heads.keras_similarity import KerasSimilarity
from utils.keras_models import import_keras, load_model
extractor, head, data = sys.argv[1:]
inputs = np.load(data)
features = load_extractor(extractor).embed(list(inputs["chips"]))
half = load_extractor(extractor, precision="bfloat16").embed(list(inputs["chips"]))
scores = Head(KerasSimilarity(load_model(Path(head, "similarity.keras"))), {}).score_pairs(inputs["a"], inputs["b"])
backend = import_keras().backend.backend()
np.savez(data, features=features, half=half, scores=scores, backend=backend)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_agree_with_tensorflow(backend, suite, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    rng = np.random.default_rng(0)
    chips = rng.integers(0, 256, (5, 224, 224, 3), np.uint8)
    a, b = rng.normal(0, 0.1, (2, 40, 128)).astype(np.float32)
    np.savez(tmp_path / "data.npz", chips=chips, a=a, b=b)
    words = (suite["extractor"], suite["head"], tmp_path / "data.npz")
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    result = run_script("-c", PROGRAM, *words, env=env)
    assert result.returncode == 0, result.stderr
    results = np.load(tmp_path / "data.npz")
    assert results["backend"] == backend
    expected = load_extractor(suite["extractor"]).embed(list(chips))
    np.testing.assert_allclose(results["features"], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(results["scores"], load_head(suite["head"]).score_pairs(a, b), rtol=0, atol=1e-4)
    assert np.linalg.norm(results["half"] - expected, axis=1).max() < 0.02


def test_an_unknown_backend_is_one_line(suite, tmp_path):
    words = ("-p", suite["faces"], "-m", suite["extractor"], "-f", tmp_path / "features")
    result = run_script("extract_features.py", *words, env={**os.environ, "KERAS_BACKEND": "nonsense"})
    assert_one_error_line(result, "Keras cannot start", "nonsense")
