"""Extractors as Keras models: files without preprocessing, odd inputs, fingerprints, the crop."""

import numpy as np
import pytest

from utils.cli import InputError
from utils.faces.crops import CROP_POINTS
from utils.features.keras_extractor import (
    KerasNetwork,
    load_extractor_model,
    model_fingerprint,
    save_extractor,
)
from utils.keras_models import save_model


def test_a_model_without_preprocessing_gets_resnets(tmp_path):
    """The original recipe's scripts saved such models."""
    from keras import Input, Model, applications, layers

    image = Input((32, 32, 3), name="input_1")
    old = Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image)))
    save_model(old, tmp_path / "old.h5")
    pictures = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = old.predict_on_batch(applications.resnet50.preprocess_input(pictures.astype(np.float32)))
    np.testing.assert_allclose(
        KerasNetwork(load_extractor_model(tmp_path / "old.h5")[0])(pictures), expected, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("shape", [(32, 48, 3), (32, 32, 1), (None, None, 3), (32,)])
def test_models_for_other_than_square_images_are_refused(tmp_path, shape):
    from keras import Input, Model, layers

    x = Input(shape)
    y = layers.GlobalAveragePooling2D()(x) if len(shape) == 3 else layers.Dense(4)(x)
    save_model(Model(x, y), tmp_path / "odd.keras")
    with pytest.raises(InputError, match="square images"):
        load_extractor_model(tmp_path / "odd.keras")


def tiny_network(scale: float = 1):
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    x = layers.Rescaling(scale, name="preprocessing")(image)
    return Model(image, layers.GlobalAveragePooling2D(name="pooling")(x), name="same")


def test_another_network_has_another_fingerprint():
    one, same, other = (model_fingerprint(tiny_network(scale)) for scale in (0.5, 0.5, 0.25))
    assert one == same != other


@pytest.mark.fault
def test_a_backend_without_memory_raises_memory_error(monkeypatch):
    class ResourceExhaustedError(Exception):  # the name in TensorFlow
        pass

    def predict_on_batch(_):
        raise ResourceExhaustedError("OOM when allocating tensor")

    network = KerasNetwork(tiny_network())
    monkeypatch.setattr(network.model, "predict_on_batch", predict_on_batch)
    with pytest.raises(MemoryError):
        network(np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_files_carry_the_points_of_the_crop(tmp_path, name):
    path = tmp_path / name
    fingerprints = []
    for kind, points in CROP_POINTS.items():
        save_extractor(tiny_network(), path, points)
        model, crop_points = load_extractor_model(path)
        np.testing.assert_array_equal(crop_points, points)
        fingerprints.append(model_fingerprint(model, crop_points))
        assert fingerprints[-1] == model_fingerprint(tiny_network(), points), kind
    save_model(tiny_network(), path)  # as earlier versions did
    without, crop_points = load_extractor_model(path)
    np.testing.assert_array_equal(crop_points, CROP_POINTS["dlib"])
    assert model_fingerprint(without, crop_points) == fingerprints[0] != fingerprints[1]


ARCFACE = CROP_POINTS["arcface"].tolist()


@pytest.mark.parametrize(
    "points",
    [None, "dlib", {}, 5, ARCFACE[:4], [*ARCFACE[:4], [0.5]], [*ARCFACE[:4], ["a", 1]], ARCFACE[::-1],
     (100 * CROP_POINTS["arcface"]).tolist(), [[0.5, 0.5]] * 5, [*ARCFACE[:4], [1e999, 0.8]], [[None, 0.1]] * 5],
)  # fmt: skip
def test_damaged_points_of_the_crop_are_refused(tmp_path, points):
    path = tmp_path / "net.keras"
    save_model(tiny_network(), path, {"siamese_faces_extractor": {"crop_points": points}})
    with pytest.raises(InputError, match=r"net\.keras: its note about the crop is damaged"):
        load_extractor_model(path)
