"""Faster networks: the same features with folded normalizations, and similar ones in bfloat16."""

import numpy as np
import pytest

from utils.features.extractor import load_extractor
from utils.features.inference import cpu_slow_reason, inference_model
from utils.networks.backbones import build_extractor


def randomize(model, seed: int = 0) -> None:
    """Give normalizations random statistics and convolutions random biases. Fresh ones have no effect."""
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


def assert_same_features(model, fast, size: int, rtol: float = 1e-5) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8)
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(fast.predict_on_batch(images), expected, rtol=0, atol=rtol * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layer", "size"), [("resnet50", "activation_46", 224), ("mobilenetv2", None, 96)])
def test_folding_changes_no_feature(name, layer, size):
    model = build_extractor(name, layer, "avg", None if size == 224 else size, "none")
    randomize(model)
    fast = inference_model(model)
    assert normalizations(model) > 40 and normalizations(fast) == 0
    assert_same_features(model, fast, size)


def small_network(shape: str):
    """A convolution and a normalization that can be folded (chain, sequential) or must not be (the others)."""
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
def test_only_foldable_normalizations_are_folded(shape):
    model = small_network(shape)
    randomize(model)
    fast = inference_model(model)
    assert normalizations(fast) == (0 if shape in ("chain", "sequential") else 1)
    assert_same_features(model, fast, 8)


@pytest.mark.slow
def test_a_factor_for_all_channels_becomes_one_for_each():
    from keras import Input, Model, layers

    image = Input((8, 8, 3), name="rgb_0_255")
    scaled = layers.Rescaling(1 / 256, offset=[-0.4, -0.5, -0.6], name="preprocessing")(image)
    model = Model(image, layers.GlobalAveragePooling2D()(scaled))
    fast = inference_model(model)
    assert fast.get_layer("preprocessing").scale == [1 / 256] * 3
    assert_same_features(model, fast, 8)


def test_bfloat16_is_close_and_keeps_the_fingerprint(extractor_path):
    chips = list(np.random.default_rng(2).integers(0, 256, (4, 150, 150, 3), np.uint8))
    exact, half = (load_extractor(extractor_path, precision) for precision in ("float32", "bfloat16"))
    distance = np.linalg.norm(exact.embed(chips) - half.embed(chips), axis=1)
    assert half.embed(chips).dtype == np.float32
    assert 1e-4 < distance.max() < 0.02  # a different result; descriptors have a length of about 1.4
    assert half.fingerprint == exact.fingerprint


@pytest.mark.parametrize(
    ("features", "reason"), [("fpu avx2", "no bfloat16"), ("fpu avx512_bf16", None), ("fpu amx_bf16 bf16", None)]
)
def test_slow_bfloat16_depends_on_the_cpu(tmp_path, features, reason):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags : {features}")
    actual = cpu_slow_reason("linux", cpuinfo)
    assert actual is None if reason is None else reason in actual
    assert "cannot be determined" in cpu_slow_reason("darwin", cpuinfo)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="float16"):
        inference_model(small_network("chain"), "float16")
