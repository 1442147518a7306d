"""Extractors: parity with dlib and with Keras' own preprocessing, the cut layer, files, bad weights."""

import os
import re

import cv2
import numpy as np
import pytest
from support import assert_one_error_line, run_script

import network
from utils.cli import InputError
from utils.features.backbones import build_extractor, find_layer, with_flip
from utils.features.dlib_network import find_dlib_weights, read_dlib_weights
from utils.features.extractor import Extractor, load_extractor
from utils.keras_models import find_model, new_model_path, save_model


@pytest.fixture(scope="module")
def weights_data() -> bytes:
    return find_dlib_weights().read_bytes()


def dlib_descriptors(chips: np.ndarray) -> np.ndarray:
    import dlib

    reference = dlib.face_recognition_model_v1(str(find_dlib_weights()))
    return np.array([reference.compute_face_descriptor(np.ascontiguousarray(chip)) for chip in chips])


def test_descriptors_equal_dlibs_on_real_chips(real_data, extractor_path, tmp_path):
    paths = sorted((real_data / "johns").glob("*/*.jpg"))
    chips = np.stack([cv2.imread(str(path))[:, :, ::-1] for path in paths])
    assert len(chips) >= 50
    expected = dlib_descriptors(chips)
    loaded = load_extractor(extractor_path)
    np.testing.assert_allclose(loaded.embed(chips), expected, rtol=0, atol=1e-5)
    save_model(loaded.model, tmp_path / "again.h5")
    again = load_extractor(tmp_path / "again.h5")
    np.testing.assert_allclose(again.embed(chips), expected, rtol=0, atol=1e-5)
    assert again.fingerprint == loaded.fingerprint


def test_descriptors_equal_dlibs_on_noise(extractor_path):
    chips = np.random.default_rng(0).integers(0, 256, (5, 150, 150, 3), np.uint8)
    np.testing.assert_allclose(load_extractor(extractor_path).embed(chips), dlib_descriptors(chips), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [0, 1, 20, 100, 5000, 22_466_065])
def test_truncated_weights_are_refused(weights_data, size):
    with pytest.raises(ValueError, match=r"ends too early|expected|impossible tensor"):
        read_dlib_weights(weights_data[:size])


def test_longer_weights_are_refused(weights_data):
    with pytest.raises(ValueError, match="1 bytes are left over"):
        read_dlib_weights(weights_data + b"x")


@pytest.mark.parametrize(
    "part", [b"loss_metric_2", b"input_rgb_image_sized", b"con_4", b"affine_", b"add_prev_", b"fc_2"]
)
def test_altered_structure_is_refused(weights_data, part):
    altered = bytearray(weights_data)
    altered[weights_data.index(part) + len(part) - 1] ^= 0x02
    with pytest.raises(ValueError):
        read_dlib_weights(bytes(altered))


def test_altered_numbers_are_refused_by_the_checksum(weights_data, tmp_path, monkeypatch):
    # A flipped bit in a filter leaves the structure intact; only the sha256 sees it.
    altered = bytearray(weights_data)
    altered[len(altered) // 2] ^= 1
    package = tmp_path / "face_recognition_models"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / find_dlib_weights().name).write_bytes(altered)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="sha256"):
        find_dlib_weights()


def test_foreign_weights_are_refused(tmp_path, capsys):
    foreign = tmp_path / "foreign.dat"
    foreign.write_bytes(os.urandom(4096))
    line = ["--output", str(tmp_path), "--model", "m", "--backbone", "dlib", "--weights", str(foreign)]
    assert network.main(line) == 2
    assert re.fullmatch(r"error: .*foreign\.dat is not a dlib face recognition network: .*\n", capsys.readouterr().err)
    assert not (tmp_path / "m.keras").exists()


@pytest.fixture(scope="module")
def resnet():
    return build_extractor("resnet50", "activation_46", "avg", None, "none")


# The output shapes of Keras 2.1.6's ResNet50 at 224 px, by its numbering, as printed by
# [(l.name, l.output_shape) for l in ResNet50(weights=None).layers if l.name.startswith("activation")]
KERAS_2_ACTIVATIONS = [
    *[(112, 64)],
    *[(56, 64), (56, 64), (56, 256)] * 3,
    *[(28, 128), (28, 128), (28, 512)] * 4,
    *[(14, 256), (14, 256), (14, 1024)] * 6,
    *[(7, 512), (7, 512), (7, 2048)] * 3,
]


def test_activation_46_is_what_old_keras_numbered_so(resnet):
    """Old Keras counted its activations from 1 as it built them; number 46 ends the last stage's second block."""
    from keras import applications

    whole = applications.ResNet50(weights=None)
    assert len(KERAS_2_ACTIVATIONS) == 49
    for number, (side, channels) in enumerate(KERAS_2_ACTIVATIONS, start=1):
        assert find_layer(whole, f"activation_{number}").output.shape == (None, side, side, channels)
    cut = find_layer(whole, "activation_46")
    assert cut.name == "conv5_block2_out" and cut.output.shape == (None, 7, 7, 2048)
    assert resnet.input_shape == (None, 224, 224, 3) and resnet.output_shape == (None, 2048)
    assert resnet.layers[-1].input.shape == (None, 7, 7, 2048)


@pytest.mark.parametrize("backbone", ["dlib", "resnet50"])
def test_flip_takes_the_mean_with_the_mirror_image(backbone, tmp_path):
    path, chips = tmp_path / "flip.keras", np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), np.uint8)
    options = (
        ("dlib", None, "avg", None, "pretrained") if backbone == "dlib" else ("resnet50", None, "avg", 150, "none")
    )
    plain = build_extractor(*options)
    save_model(with_flip(plain), path)
    flipped, plain = load_extractor(path), Extractor(plain)
    assert flipped.fingerprint != plain.fingerprint and "_flip-" in flipped.fingerprint
    expected = (plain.embed(chips) + plain.embed(chips[:, :, ::-1])) / 2
    np.testing.assert_allclose(flipped.embed(chips), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(flipped.embed(chips[:, :, ::-1]), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_old_and_new_layer_names_give_the_same_features(resnet):
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    old = resnet.predict_on_batch(image)
    new = build_extractor("resnet50", "conv5_block2_out", "avg", None, "none")
    new.set_weights(resnet.get_weights())
    np.testing.assert_array_equal(new.predict_on_batch(image), old)


def test_pooling_and_input_size():
    flat = build_extractor("mobilenetv2", "block_1_expand_relu", "none", 96, "none")
    assert flat.output_shape == (None, 48 * 48 * 96)
    assert build_extractor("mobilenetv2", None, "max", 96, "none").output_shape == (None, 1280)


@pytest.mark.parametrize("name", ["MobileNetV2", "DenseNet121", "EfficientNetB0", "VGG16"])
def test_preprocessing_in_the_graph_is_the_networks_own(name):
    import sys

    from keras import Model, applications

    model = build_extractor(name.lower(), None, "avg", 64, "none")
    front = Model(model.input, model.get_layer("preprocessing").output)
    image = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    own = sys.modules[getattr(applications, name).__module__].preprocess_input
    np.testing.assert_allclose(front.predict_on_batch(image), own(image.copy()), rtol=1e-5, atol=1e-4)


def test_weights_from_a_file(tmp_path):
    from keras import applications

    original = applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3), pooling="avg")
    path = tmp_path / "mine.weights.h5"
    original.save_weights(path)
    model = build_extractor("mobilenetv2", None, "avg", 96, str(path))
    image = np.random.default_rng(2).integers(0, 256, (2, 96, 96, 3), np.uint8)
    expected = original.predict_on_batch(applications.mobilenet_v2.preprocess_input(image.astype(np.float32)))
    np.testing.assert_allclose(model.predict_on_batch(image), expected, rtol=1e-4, atol=1e-5)


def test_a_model_without_preprocessing_gets_resnets(tmp_path):
    """As the original recipe's own scripts saved one."""
    from keras import Input, Model, applications, layers

    image = Input((32, 32, 3), name="input_1")
    old = Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image)))
    save_model(old, tmp_path / "old.h5")
    pictures = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = old.predict_on_batch(applications.resnet50.preprocess_input(pictures.astype(np.float32)))
    np.testing.assert_allclose(load_extractor(tmp_path / "old").embed(pictures), expected, rtol=1e-5, atol=1e-4)


def test_names_with_and_without_extension(tmp_path, extractor_path):
    import shutil

    assert new_model_path(tmp_path / "model_name") == tmp_path / "model_name.keras"
    assert new_model_path(tmp_path / "v1.5") == tmp_path / "v1.5.keras"
    assert new_model_path(tmp_path / "model_name.h5") == tmp_path / "model_name.h5"
    with pytest.raises(InputError, match="no model at"):
        find_model(tmp_path / "nothing")
    model = load_extractor(extractor_path).model
    save_model(model, tmp_path / "there.h5")
    assert find_model(tmp_path / "there") == tmp_path / "there.h5"
    # Old Keras saved HDF5 under the name that it was given, without any extension.
    shutil.copy(tmp_path / "there.h5", tmp_path / "model_name")
    shutil.copy(extractor_path, tmp_path / "zipped")
    for name in ("there", "there.h5", "model_name", "zipped"):
        assert load_extractor(tmp_path / name).dimension == 128


@pytest.mark.parametrize("shape", [(32, 48, 3), (32, 32, 1), (None, None, 3), (32,)])
def test_what_takes_no_square_images_is_refused(tmp_path, shape):
    from keras import Input, Model, layers

    x = Input(shape)
    y = layers.GlobalAveragePooling2D()(x) if len(shape) == 3 else layers.Dense(4)(x)
    save_model(Model(x, y), tmp_path / "odd.keras")
    with pytest.raises(InputError, match="square images"):
        load_extractor(tmp_path / "odd")


@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV2"])
def test_features_are_those_of_the_network_itself(name, monkeypatch):
    """Also where Keras builds a network otherwise with its ImageNet weights than without (EfficientNet)."""
    import sys

    from keras import Model, applications, layers

    from utils.features import backbones

    build = getattr(applications, name)
    plain = build(include_top=False, weights=None, input_shape=(64, 64, 3))
    # As EfficientNet's ImageNet build does: a layer more, somewhere near the input.
    source = Model(plain.input, layers.Rescaling(0.5, name="more")(plain.output), name=plain.name)
    monkeypatch.setattr(backbones, "_pretrained", lambda *_: source)
    model = build_extractor(name, None, "avg", 64, "pretrained")
    image = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    own = sys.modules[build.__module__].preprocess_input(image.copy())
    expected = source.predict_on_batch(own).mean(axis=(1, 2))
    np.testing.assert_allclose(model.predict_on_batch(image), expected, rtol=1e-3, atol=1e-6)


def test_embedding_does_not_depend_on_the_batch(extractor_path):
    chips = np.random.default_rng(4).integers(0, 256, (35, 150, 150, 3), np.uint8)
    extractor = load_extractor(extractor_path)
    together = extractor.embed(chips)
    assert together.shape == (35, 128) and together.dtype == np.float32
    np.testing.assert_allclose(together[33], extractor.embed(chips[33:34])[0], rtol=0, atol=1e-5)
    assert extractor.embed([]).shape == (0, 128)


def test_another_network_has_another_fingerprint():
    from keras import Input, Model, layers

    def build(value: float):
        image = Input((8, 8, 3), name="rgb_0_255")
        x = layers.Rescaling(value, name="preprocessing")(image)
        return Extractor(Model(image, layers.GlobalAveragePooling2D(name="pooling")(x), name="same"))

    assert build(0.5).fingerprint == build(0.5).fingerprint != build(0.25).fingerprint


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


def test_no_network_names_the_ways_on(tmp_path):
    # A proxy on a closed port is a machine without a network; no download can begin.
    blocked = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path)}
    env = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"} | blocked
    result = run_script("network.py", "--output", tmp_path, "--model", "m", env=env)
    assert_one_error_line(result, "downloaded", "--weights FILE", "--backbone dlib")


def test_only_safe_models_load(tmp_path):
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    hostile = Model(image, layers.Lambda(lambda x: x[:, 0, 0])(image))
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"hostile{suffix}"
        hostile.save(path)
        with pytest.raises(InputError, match="loaded safely"):
            load_extractor(path)
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(InputError, match=r"text\.keras"):
        load_extractor(tmp_path / "text.keras")
