"""A network made quick to run: the same features with the normalizations folded, and in bfloat16."""

import numpy as np
import pytest

from utils.cli import InputError
from utils.features.backbones import build_extractor
from utils.features.extractor import Extractor
from utils.features.inference import bfloat16_doubt, inference_model


def shake(model, seed: int = 0) -> None:
    """Give every normalization statistics, and every convolution biases, that matter; fresh ones do nothing."""
    from keras import layers

    rng = np.random.default_rng(seed)
    for layer in flat(model):
        values = layer.get_weights()
        if isinstance(layer, layers.BatchNormalization):
            values = [rng.uniform(0.5, 1.5, value.shape) for value in values]
        elif isinstance(layer, layers.Conv2D):
            values = [rng.uniform(-1, 1, value.shape) if value.ndim == 1 else value for value in values]
        layer.set_weights(values)


def flat(model):
    for layer in model.layers:
        yield from flat(layer) if hasattr(layer, "layers") else [layer]


def normalizations(model) -> int:
    from keras import layers

    return sum(isinstance(layer, layers.BatchNormalization) for layer in flat(model))


def assert_same(model, fast, size: int, rtol: float = 1e-5) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8)
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(fast.predict_on_batch(images), expected, rtol=0, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "layer", "size", "left"), [("resnet50", "activation_46", 224, 0), ("mobilenetv2", None, 96, 17)]
)
def test_folding_changes_no_feature(name, layer, size, left):
    """MobileNet's depthwise convolutions keep their normalizations: there is little to gain."""
    model = build_extractor(name, layer, "avg", None if size == 224 else size, "none")
    shake(model)
    fast = inference_model(model)
    assert normalizations(model) > 40 and normalizations(fast) == left
    assert_same(model, fast, size)


def small_network(shape: str):
    """A convolution and a normalization that may (chain, sequential) or must not (the rest) become one."""
    from keras import Input, Model, Sequential, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    convolution = layers.Conv2D(4, 3, activation="relu" if shape == "activated" else None)
    normalization = layers.BatchNormalization(axis=1 if shape == "rows" else -1, center=False)
    if shape == "sequential":
        inner = Sequential([layers.Input((8, 8, 3)), convolution, normalization])
        x = inner(image)
    else:
        y = convolution(image)
        x = normalization(y)
        if shape == "branch":
            x = layers.Add()([x, y])
        if shape == "twice":
            x = normalization(layers.ReLU()(x))
    return Model(image, layers.GlobalAveragePooling2D()(x), name=shape)


@pytest.mark.parametrize("shape", ["chain", "sequential", "activated", "rows", "branch", "twice"])
def test_only_what_may_be_folded_is(shape):
    model = small_network(shape)
    shake(model)
    fast = inference_model(model)
    assert normalizations(fast) == (0 if shape in ("chain", "sequential") else 1)
    assert_same(model, fast, 8)


def test_bfloat16_is_near_and_keeps_its_fingerprint(extractor_path):
    from utils.features.extractor import load_extractor

    chips = list(np.random.default_rng(2).integers(0, 256, (4, 150, 150, 3), np.uint8))
    exact, half = (load_extractor(extractor_path, precision) for precision in ("float32", "bfloat16"))
    distance = np.linalg.norm(exact.embed(chips) - half.embed(chips), axis=1)
    assert half.embed(chips).dtype == np.float32
    assert 1e-4 < distance.max() < 0.02  # it really computes otherwise, and descriptors have a length of 1.4
    assert half.fingerprint == exact.fingerprint


def test_doubts_about_bfloat16_follow_the_processor(monkeypatch):
    for flags, doubt in (("fpu avx2", "no bfloat16"), ("fpu avx512_bf16", None), ("fpu amx_bf16 bf16", None)):
        monkeypatch.setattr("utils.features.inference.on_accelerator", lambda: False)
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.setattr("pathlib.Path.read_text", lambda _, flags=flags: f"flags : {flags}")
        found = bfloat16_doubt()
        assert found is None if doubt is None else doubt in found


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="float16"):
        inference_model(small_network("chain"), "float16")


def test_a_network_without_memory_is_one_line(monkeypatch):
    class ResourceExhaustedError(Exception):  # named as TensorFlow names it
        pass

    def predict_on_batch(_):
        raise ResourceExhaustedError("OOM when allocating tensor")

    extractor = Extractor(small_network("chain"))
    monkeypatch.setattr(extractor.model, "predict_on_batch", predict_on_batch)
    with pytest.raises(InputError, match="--batch_size"):
        extractor.embed([np.zeros((8, 8, 3), np.uint8)])


def test_batches_are_padded_to_few_sizes():
    extractor = Extractor(small_network("chain"), batch_size=8)
    sizes = []
    predict = extractor.model.predict_on_batch
    extractor.model.predict_on_batch = lambda batch: sizes.append(len(batch)) or predict(batch)
    images = list(np.random.default_rng(3).integers(0, 256, (19, 8, 8, 3), np.uint8))
    features = extractor.embed(images)
    assert sizes == [8, 8, 4]
    sizes.clear()
    np.testing.assert_allclose(extractor.embed(images, padded=8), features, rtol=0, atol=1e-4)
    assert sizes == [8, 8, 8]
