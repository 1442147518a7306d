"""Backbones: cut layers, preprocessing, mirror images, weights, errors."""

import os
import sys

import numpy as np
import pytest
from support import assert_one_error_line, run_script

import network
from utils.features.extractor import keras_extractor, load_extractor
from utils.keras_models import save_model
from utils.networks import backbones
from utils.networks.backbones import build_extractor, find_layer, with_flip


@pytest.fixture(scope="module")
def resnet():
    return build_extractor("resnet50", "activation_46", "avg", None, "none")


# (side, channels) of the activations of ResNet50 at 224 px in Keras 2.1.6, in its numbering, as printed by
# [(l.name, l.output_shape) for l in ResNet50(weights=None).layers if l.name.startswith("activation")]
KERAS_2_ACTIVATIONS = [
    *[(112, 64)],
    *[(56, 64), (56, 64), (56, 256)] * 3,
    *[(28, 128), (28, 128), (28, 512)] * 4,
    *[(14, 256), (14, 256), (14, 1024)] * 6,
    *[(7, 512), (7, 512), (7, 2048)] * 3,
]


@pytest.mark.slow
def test_activation_n_is_the_layer_old_keras_numbered_n(resnet):
    """Old Keras numbered activations from 1 as it built them. Number 46 ends the second block of the last stage."""
    from keras import applications

    whole = applications.ResNet50(weights=None)
    assert len(KERAS_2_ACTIVATIONS) == 49
    for number, (side, channels) in enumerate(KERAS_2_ACTIVATIONS, start=1):
        assert find_layer(whole, f"activation_{number}").output.shape == (None, side, side, channels)
    cut = find_layer(whole, "activation_46")
    assert cut.name == "conv5_block2_out" and cut.output.shape == (None, 7, 7, 2048)
    assert resnet.input_shape == (None, 224, 224, 3) and resnet.output_shape == (None, 2048)
    assert resnet.layers[-1].input.shape == (None, 7, 7, 2048)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["dlib", "resnet50"])
def test_flip_averages_with_the_mirror_image(backbone, tmp_path):
    path, chips = tmp_path / "flip.keras", np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), np.uint8)
    options = (
        ("dlib", None, "avg", None, "pretrained") if backbone == "dlib" else ("resnet50", None, "avg", 150, "none")
    )
    plain = build_extractor(*options)
    save_model(with_flip(plain), path)
    flipped, plain = load_extractor(path), keras_extractor(plain)
    assert flipped.fingerprint != plain.fingerprint and "_flip-" in flipped.fingerprint
    expected = (plain.embed(chips) + plain.embed(chips[:, :, ::-1])) / 2
    np.testing.assert_allclose(flipped.embed(chips), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(flipped.embed(chips[:, :, ::-1]), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_old_and_new_layer_names_give_the_same_features(resnet):
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    old = resnet.predict_on_batch(image)
    new = build_extractor("resnet50", "conv5_block2_out", "avg", None, "none")
    new.set_weights(resnet.get_weights())
    np.testing.assert_array_equal(new.predict_on_batch(image), old)


@pytest.mark.slow
def test_pooling_and_input_size():
    flat = build_extractor("mobilenetv2", "block_1_expand_relu", "none", 96, "none")
    assert flat.output_shape == (None, 48 * 48 * 96)
    assert build_extractor("mobilenetv2", None, "max", 96, "none").output_shape == (None, 1280)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "DenseNet121", "EfficientNetB0", "VGG16"])
def test_preprocessing_equals_that_of_keras(name):
    from keras import Model, applications

    model = build_extractor(name.lower(), None, "avg", 64, "none")
    front = Model(model.input, model.get_layer("preprocessing").output)
    image = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    own = sys.modules[getattr(applications, name).__module__].preprocess_input
    np.testing.assert_allclose(front.predict_on_batch(image), own(image.copy()), rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_weights_from_a_file(tmp_path):
    from keras import applications

    original = applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3), pooling="avg")
    path = tmp_path / "mine.weights.h5"
    original.save_weights(path)
    model = build_extractor("mobilenetv2", None, "avg", 96, str(path))
    image = np.random.default_rng(2).integers(0, 256, (2, 96, 96, 3), np.uint8)
    expected = original.predict_on_batch(applications.mobilenet_v2.preprocess_input(image.astype(np.float32)))
    np.testing.assert_allclose(model.predict_on_batch(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV2"])
def test_features_equal_those_of_the_network_itself(name, monkeypatch):
    """Even if Keras builds a network differently with its ImageNet weights than without (EfficientNet)."""
    from keras import Model, applications, layers

    build = getattr(applications, name)
    plain = build(include_top=False, weights=None, input_shape=(64, 64, 3))
    # One more layer, as EfficientNet has near its input when built with ImageNet weights.
    source = Model(plain.input, layers.Rescaling(0.5, name="more")(plain.output), name=plain.name)
    monkeypatch.setattr(backbones, "_pretrained", lambda *_: source)
    model = build_extractor(name, None, "avg", 64, "pretrained")
    image = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    own = sys.modules[build.__module__].preprocess_input(image.copy())
    expected = source.predict_on_batch(own).mean(axis=(1, 2))
    np.testing.assert_allclose(model.predict_on_batch(image), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--backbone", "nonsense"], ["--backbone", "resnet50", "nonsense"]),
        (["--weights", "none", "--layer", "activation_50"], ["activation_49"]),
        (["--backbone", "dlib", "--input_size", "224"], ["150"]),
        (["--weights", "missing.h5"], ["missing.h5"]),
        (["--backbone", "dlib", "--flip", "1", "--model", "m.h5"], ["m.h5", ".keras"]),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, words, parts, capsys):
    assert network.main(["--output", str(tmp_path), "--model", "m", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    for part in parts:
        assert part in error
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_failed_download_names_the_ways_on(tmp_path):
    # With a proxy on a closed port no download can start.
    blocked = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path)}
    env = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"} | blocked
    result = run_script("network.py", "--output", tmp_path, "--model", "m", env=env)
    assert_one_error_line(result, "downloaded", "--weights FILE", "--backbone dlib")
