"""Extractors on OpenVINO and on Keras: the same features, batches, memory, and what each loads."""

import numpy as np
import pytest
from hostile_models import tiny_model
from support import run_script

from utils.cli import InputError
from utils.faces.crops import CROP_POINTS
from utils.features.engine_file import ExtractorInfo
from utils.features.extractor import Extractor, load_extractor
from utils.features.keras_extractor import save_extractor

INFO = ExtractorInfo(8, 3, "mean-3-0123456789abcdef", CROP_POINTS["dlib"])


@pytest.mark.slow
def test_embedding_does_not_depend_on_the_batch(extractor_path):
    chips = np.random.default_rng(4).integers(0, 256, (35, 150, 150, 3), np.uint8)
    for engine in ("openvino", "keras"):
        extractor = load_extractor(extractor_path, engine=engine)
        assert extractor.engine == engine
        together = extractor.embed(chips)
        assert together.shape == (35, 128) and together.dtype == np.float32
        np.testing.assert_allclose(together[33], extractor.embed(chips[33:34])[0], rtol=0, atol=1e-5)
        assert extractor.embed([]).shape == (0, 128)


@pytest.mark.slow
def test_features_do_not_depend_on_how_a_batch_is_shared(extractor_path):
    inputs = np.random.default_rng(4).integers(0, 256, (35, 150, 150, 3), np.uint8)
    alone, shared = (load_extractor(extractor_path, engine="openvino", parts=parts) for parts in (1, 3))
    for count in (1, 2, 35):
        np.testing.assert_array_equal(shared.embed_inputs(inputs[:count]), alone.embed_inputs(inputs[:count]))


@pytest.mark.slow
@pytest.mark.parametrize("crop", CROP_POINTS)
@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_both_engines_are_the_same_extractor(tmp_path, name, crop):
    save_extractor(tiny_model(), tmp_path / name, CROP_POINTS[crop])
    images = np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), np.uint8)
    keras, *others = (load_extractor(tmp_path / name, engine=engine) for engine in ("keras", "openvino", "openvino"))
    for other in others:  # just made, and from its file
        assert other.engine == "openvino" and keras.engine == "keras"
        assert (other.size, other.dimension) == (keras.size, keras.dimension) == (8, 4)
        assert other.fingerprint == keras.fingerprint
        np.testing.assert_array_equal(other.crop_points, keras.crop_points)
        np.testing.assert_allclose(other.embed_inputs(images), keras.embed_inputs(images), rtol=1e-6)


@pytest.mark.parametrize(
    ("engine", "sizes", "padded"), [("keras", [8, 8, 4], [8] * 3), ("openvino", [8, 8, 3], [8, 8, 3])]
)
def test_keras_gets_batches_of_few_sizes(engine, sizes, padded):
    seen = []
    extractor = Extractor(INFO, lambda batch: seen.append(len(batch)) or batch.mean((1, 2)), engine, batch_size=8)
    images = np.random.default_rng(3).integers(0, 256, (19, 8, 8, 3), np.uint8)
    features = extractor.embed_inputs(images)
    assert seen == sizes
    seen.clear()
    np.testing.assert_allclose(extractor.embed_inputs(images, padded=8), features)
    np.testing.assert_allclose(features, images.mean((1, 2)), rtol=1e-6)
    assert seen == padded


@pytest.mark.fault
def test_a_lack_of_memory_is_one_line():
    def compute(_):
        raise MemoryError

    with pytest.raises(InputError, match="--batch_size"):
        Extractor(INFO, compute, "openvino").embed([np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.slow
def test_openvino_needs_no_tensorflow(extractor_path):
    program = (
        "import sys, numpy as np; from utils.features.extractor import load_extractor; "
        f"extractor = load_extractor({str(extractor_path)!r}); "
        "print(extractor.embed(np.zeros((1, 224, 224, 3), np.uint8)).shape); "
        "print([name for name in ('tensorflow', 'keras', 'h5py', 'onnx') if name in sys.modules])"
    )
    result = run_script("-c", program)
    assert result.stdout.splitlines() == ["(1, 128)", "[]"], result.stderr
