"""Extractors from ONNX files of each kind equal their files; what cannot be rebuilt is one line."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_networks import SIZE, WRITERS, GraphWriter, reference_features, write_ir_resnet

import network
from utils.faces.crops import CROP_POINTS
from utils.features.extractor import load_extractor

pytestmark = pytest.mark.slow


def build(folder, path, *words) -> int:
    line = ["-o", str(folder), "-m", "m", "--print_model", "0", "--backbone", str(path), *map(str, words)]
    return network.main(line)


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_features_equal_the_files(kind, tmp_path, capsys):
    path = WRITERS[kind](tmp_path / f"my {kind}.onnx")
    assert build(tmp_path, path) == 0
    printed = capsys.readouterr().out
    assert "its rebuilt network agree" in printed and f"{SIZE} px" in printed and f"(my_{kind}-" in printed
    images = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
    pixels = images.astype(np.float32)
    expected = reference_features(path, pixels if kind == "ghostnet" else (pixels - 127.5) / 127.5)
    extractor = load_extractor(tmp_path / "m")  # in safe mode
    np.testing.assert_array_equal(extractor.crop_points, CROP_POINTS["arcface"])
    np.testing.assert_allclose(extractor.embed(images), expected, rtol=0, atol=1e-4)


def test_flags_say_what_the_file_does_not(tmp_path, capsys):
    """An open size, BGR, numbers by color, a mirror image and another crop."""
    path = write_ir_resnet(tmp_path / "net.onnx", 0)
    model = onnx.load(path)
    for dim in model.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_param = "?"
    onnx.save(model, path)
    words = ["--layout", "nchw", "--input_size", SIZE, "--channels", "bgr", "--mean", "123,117,104", "--crop", "dlib"]
    assert build(tmp_path, path, *words, "--scale", "1/58,1/57,1/56", "--flip", 1) == 0
    assert "BGR" in capsys.readouterr().out
    images = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    values = ((images - np.float32([123, 117, 104])) / np.float32([58, 57, 56]))[..., ::-1]
    rows = [reference_features(write_ir_resnet(path, 1), v) for v in (values, values[:, :, ::-1])]
    expected = sum(rows) / np.linalg.norm(sum(rows), axis=1, keepdims=True)
    extractor = load_extractor(tmp_path / "m")
    np.testing.assert_array_equal(extractor.crop_points, CROP_POINTS["dlib"])
    np.testing.assert_allclose(extractor.embed(images), expected, rtol=0, atol=1e-4)


def test_a_network_can_be_cut_and_pooled(tmp_path):
    path = write_ir_resnet(tmp_path / "net.onnx")
    assert build(tmp_path, path, "--layer", "Add_11", "--pooling", "max") == 0
    extractor = load_extractor(tmp_path / "m")
    assert extractor.dimension == 12 and extractor.fingerprint.startswith("net_Add_11_max-12-")


def unknown_operators(path):
    g = GraphWriter(13)
    x = g.op("Sign", g.op("LpPool", "image", kernel_shape=[2, 2]))
    return g.finish(path, g.op("GlobalAveragePool", x), [1, 3, SIZE, SIZE], 3)


def foreign_operator(path):
    g = GraphWriter(13)
    x = g.op("FusedConv", "image", domain="com.microsoft")
    return g.finish(path, g.op("GlobalAveragePool", x), [1, 3, SIZE, SIZE], 3)


def wrong_kernel(path):
    g = GraphWriter(13)
    return g.finish(path, g.op("Conv", "image", g.random(4, 5, 3, 3), name="stem"), [1, 3, SIZE, SIZE], 4)


def mixed_images(path):
    g = GraphWriter(13)
    x = g.op("Reshape", "image", g.constant(np.array([3 * SIZE, SIZE])), name="mixer")
    return g.finish(path, x, [1, 3, SIZE, SIZE], SIZE)


def weights_elsewhere(path):
    g = GraphWriter(13)
    g.finish(path, g.op("GlobalAveragePool", g.conv("image", 3, 64)), [1, 3, SIZE, SIZE], 64)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def huge_constant(path):
    g = GraphWriter(13)
    many = g.op("ConstantOfShape", g.constant(np.array([1, 3, 200_000, 200_000])), name="bomb")
    x = g.op("Add", "image", g.op("ReduceMax", many))
    return g.finish(path, g.op("GlobalAveragePool", x), [1, 3, SIZE, SIZE], 3)


def huge_result(path):
    g = GraphWriter(13)
    x = g.op("Expand", "image", g.constant(np.array([1, 3, SIZE, SIZE])))
    x = g.op("Pad", x, g.constant(np.array([0, 0, 4000, 4000] * 2)), name="bomb")
    return g.finish(path, g.op("GlobalAveragePool", x), [1, 3, SIZE, SIZE], 3)


def endless_weight(path):
    g = GraphWriter(13)
    x, kernel = g.conv("image", 3, 500, 1, pads=[0] * 4), g.random(500, 500, 1, 1)
    for _ in range(400):
        x = g.op("Conv", x, kernel)
    return g.finish(path, g.op("GlobalAveragePool", x), [1, 3, SIZE, SIZE], 500)


def a_loop(path):
    g = GraphWriter(13)
    body = helper.make_graph([], "body", [], [])
    x = g.op("Loop", g.constant(np.array([1])), g.constant(np.array([True])), "image", body=body)
    return g.finish(path, x, [1, 3, SIZE, SIZE], 3)


def two_inputs(path):
    g = GraphWriter(13)
    g.finish(path, g.op("GlobalAveragePool", g.op("Add", "image", "more")), [1, 3, SIZE, SIZE], 3)
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    onnx.save(model, path)
    return path


def a_classifier_of_text(path):
    g = GraphWriter(13)
    return g.finish(path, g.op("MatMul", "image", g.random(8, 3)), [1, 8], 3)


def a_segmentation(path):
    g = GraphWriter(13)
    return g.finish(path, g.conv("image", 3, 4), [1, 3, SIZE, SIZE], 4)


def batches_of_eight(path):
    g = GraphWriter(13)
    return g.finish(path, g.op("GlobalAveragePool", "image"), [8, 3, SIZE, SIZE], 3)


def saved_for_training(path):
    g = GraphWriter(15)
    x = g.op("BatchNormalization", g.conv("image", 3, 4), *[g.random(4, low=0.5) for _ in range(4)], training_mode=1)
    return g.finish(path, g.op("GlobalAveragePool", x), [1, 3, SIZE, SIZE], 4)


def not_finite(path):
    g = GraphWriter(13)
    x = g.op("Conv", "image", g.constant(np.full((4, 3, 3, 3), np.nan, np.float32)), name="stem")
    return g.finish(path, g.op("GlobalAveragePool", x), [1, 3, SIZE, SIZE], 4)


def nothing(path):
    path.write_bytes(b"")
    return path


def a_photo(path):
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    return path


def half_a_file(path):
    data = write_ir_resnet(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


REFUSED = {
    unknown_operators: "operators that are not known here: LpPool, Sign",
    foreign_operator: "com.microsoft.FusedConv",
    wrong_kernel: "Conv stem: a kernel of shape (4, 5, 3, 3)",
    mixed_images: "Reshape mixer: it mixes the images of a batch",
    weights_elsewhere: "keeps its weights in another file",
    huge_constant: "ConstantOfShape bomb: it cannot be computed: its constants would take far more memory",
    huge_result: "Pad bomb: its result is too large",
    endless_weight: "its constants would take far more memory than the file",
    a_loop: "operators that are not known here: Loop",
    two_inputs: "must have one input, the image",
    a_classifier_of_text: "must take images",
    a_segmentation: "must give one vector of features for each image",
    batches_of_eight: "takes batches of 8 images only",
    saved_for_training: "saved for training",
    not_finite: "Conv stem: operand 1 contains numbers that are not finite",
    nothing: "is not an ONNX",
    a_photo: "is not an ONNX file",
    half_a_file: "is not an ONNX file, or it is damaged",
}


@pytest.mark.parametrize("write", REFUSED, ids=lambda write: write.__name__)
def test_what_cannot_be_rebuilt_is_one_line(write, tmp_path, capsys):
    path = write(tmp_path / "file.onnx")
    assert build(tmp_path / "models", path) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path} ") and error.count("\n") == 1
    assert REFUSED[write] in error
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--input_size", "64"], "which must be square and of --input_size"),
        (["--layout", "nhwc"], "it must take 3 channels"),
        (["--weights", "other.h5"], "has its own weights"),
        (["--layer", "nonsense"], "nonsense is not in this network"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(words, part, tmp_path, capsys):
    assert build(tmp_path / "models", write_ir_resnet(tmp_path / "net.onnx"), *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and part in error


def test_a_network_that_was_rebuilt_wrongly_is_refused(tmp_path, capsys, monkeypatch):
    from utils.networks import onnx_extractor

    monkeypatch.setattr(onnx_extractor, "MAX_DIFFERENCE", 0)
    assert build(tmp_path / "models", write_ir_resnet(tmp_path / "net.onnx")) == 2
    assert "was rebuilt wrongly" in capsys.readouterr().err
