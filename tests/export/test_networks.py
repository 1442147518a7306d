"""export.py: every format and precision comes back as the same network, and a wrong one is never left behind."""

import json

import numpy as np
import onnx
import pytest
from support import file_contents

import export
from utils.export import formats, parity
from utils.export.parity import compare_features
from utils.export.runtimes import run_exported
from utils.exported import SUFFIXES
from utils.faces.crops import CROP_POINTS
from utils.features.extractor import load_extractor
from utils.features.keras_extractor import save_extractor
from utils.heads.head import load_head, save_head
from utils.heads.models import cosine_similarity
from utils.media.images import write_image

pytestmark = pytest.mark.slow
SIZE, DIMENSION = 24, 16


def small_network():
    """An extractor with enough weights to be worth 16 bits."""
    from keras import Input, Model, layers, utils

    utils.set_random_seed(0)
    image = Input((SIZE, SIZE, 3), name="rgb_0_255")
    x = layers.Rescaling(1 / 127.5, -1, name="preprocessing")(image)
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="first")(x)
    x = layers.Conv2D(32, 3, strides=2, activation="relu", name="second")(x)
    x = layers.Dense(DIMENSION, name="features")(layers.Flatten(name="flat")(x))
    return Model(image, layers.UnitNormalization(name="unit_length")(x), name="small")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An extractor, a head for it, and a folder of faces: noise with large grains."""
    folder = tmp_path_factory.mktemp("models")
    save_extractor(small_network(), folder / "small.keras", CROP_POINTS["arcface"])
    extractor = load_extractor(folder / "small.keras", engine="keras")
    rule = {"threshold": 0.7, "extractor": extractor.fingerprint, "dimension": DIMENSION, "held_out_people": ["Ada"]}
    save_head(folder / "similarity.keras", cosine_similarity(DIMENSION, 9.0, -2.0), rule)
    for number, picture in enumerate(noise(70, seed=0)):
        write_image(folder / "faces" / f"p{number % 7}" / f"{number}.png", picture)
    return folder, extractor


def run_export(models, output, *words: object, head: bool = False) -> int:
    line = ["--model", models[0] / "small", "--output", output, *words]
    return export.main(list(map(str, line + (["--classification", models[0]] if head else []))))


def noise(count: int, seed: int = 1) -> np.ndarray:
    """Pictures with grains of 4 pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, SIZE // 4, SIZE // 4, 3), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


@pytest.mark.parametrize("precision", formats.PRECISIONS)
@pytest.mark.parametrize("network_format", SUFFIXES)
def test_an_exported_extractor_is_the_same_network(models, tmp_path, capsys, network_format, precision):
    faces = ["--faces_path", models[0] / "faces"] if precision == "int8" else []
    assert run_export(models, tmp_path, "--format", network_format, "--precision", precision, *faces) == 0
    assert "the cosine between them is" in capsys.readouterr().out
    path = tmp_path / f"extractor{SUFFIXES[network_format]}"
    description = json.loads((tmp_path / f"{path.name}.json").read_text())
    by_keras = models[1]
    assert description["fingerprint"] == by_keras.fingerprint and description["precision"] == precision
    assert description["size"] == SIZE and description["dimension"] == DIMENSION
    np.testing.assert_allclose(description["crop_points"], CROP_POINTS["arcface"])
    assert description["parity"]["drawn"] == (precision != "int8")
    expected, exported = by_keras.embed_inputs(noise(20)), run_exported(path, noise(20).astype(np.float32))
    least = {"float32": 1 - 1e-6, "float16": 0.999, "int8": 0.9}[precision]
    assert compare_features(expected, exported, True).mean_cosine > least
    if network_format != "litert":
        loaded = load_extractor(path)
        assert compare_features(expected, loaded.embed_inputs(noise(20)), True).mean_cosine > least
        np.testing.assert_allclose(loaded.crop_points, by_keras.crop_points)


def test_lower_precisions_are_smaller(models, tmp_path):
    sizes = []
    for precision in formats.PRECISIONS:
        run_export(models, tmp_path, "--precision", precision, "--faces_path", models[0] / "faces")
        sizes.append((tmp_path / "extractor.onnx").stat().st_size)
        onnx.checker.check_model(tmp_path / "extractor.onnx")
    assert sizes[0] > 1.5 * sizes[1] > 1.5 * sizes[2]


@pytest.mark.parametrize("network_format", SUFFIXES)
def test_an_exported_head_gives_the_same_probabilities(models, tmp_path, network_format):
    assert run_export(models, tmp_path, "--format", network_format, head=True) == 0
    path, stored = tmp_path / f"head{SUFFIXES[network_format]}", load_head(models[0])
    a, b = np.random.default_rng(2).normal(size=(2, 6, DIMENSION)).astype(np.float32)
    np.testing.assert_allclose(run_exported(path, a, b)[:, 0], stored.score_pairs(a, b), atol=1e-5)
    description = (tmp_path / f"{path.name}.json").read_text()
    assert "Ada" not in description and json.loads(description)["head"]["threshold"] == 0.7
    if network_format != "litert":
        loaded = load_head(path)
        assert (loaded.threshold, loaded.extractor) == (0.7, stored.extractor)
        np.testing.assert_allclose(loaded.score_gallery(a, b), stored.score_gallery(a, b), atol=1e-5)


@pytest.mark.parametrize("tolerance", ["MAX_MOVED", "MAX_PROBABILITY_DIFFERENCE"])
def test_a_wrong_network_is_refused_and_the_old_one_stays(models, tmp_path, monkeypatch, capsys, tolerance):
    run_export(models, tmp_path, "--precision", "float16", head=True)
    before = file_contents(tmp_path)
    limit = {"float32": 0.0} if tolerance == "MAX_MOVED" else -1.0
    monkeypatch.setattr(parity, tolerance, limit)
    assert run_export(models, tmp_path, head=True) == 2
    assert "is refused: " in capsys.readouterr().err
    kept = ["extractor.onnx", "head.onnx"] if tolerance == "MAX_MOVED" else ["head.onnx"]
    after = file_contents(tmp_path)
    assert after.keys() == before.keys()
    assert all(after[path] == before[path] for path in before if path.name.removesuffix(".json") in kept)


@pytest.mark.bad_input
@pytest.mark.parametrize(("network_format", "package"), [("onnx", "tf2onnx"), ("litert", "ai_edge_litert")])
def test_a_missing_package_is_one_line_with_the_command(models, tmp_path, monkeypatch, capsys, network_format, package):
    find = formats.importlib.util.find_spec
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == package else find(name))
    assert run_export(models, tmp_path / "out", "--format", network_format) == 2
    err = capsys.readouterr().err
    assert package in err and "pip install -r requirements-export.txt" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.bad_input
def test_what_cannot_be_exported_is_one_line(models, tmp_path, capsys):
    folder = models[0]
    (tmp_path / "empty" / "ada").mkdir(parents=True)
    (tmp_path / "empty" / "ada" / "a.png").write_bytes(b"no picture")
    save_head(tmp_path / "other.keras", cosine_similarity(DIMENSION, 9.0, -2.0), {"extractor": "other-16-abc"})
    cases = [
        (["--precision", "int8"], "--faces_path"),
        (["--precision", "int8", "--faces_path", tmp_path / "empty"], "no picture of a face"),
        (["--faces_path", tmp_path / "missing"], "is not a folder"),
        (["--classification", tmp_path / "other.keras"], "other-16-abc"),
        (["--classification", folder / "small.keras"], "similarity head"),
        (["--model", folder / "similarity.keras"], "feature extractor"),
    ]
    for words, part in cases:
        assert run_export(models, tmp_path / "out", *words) == 2
        err = capsys.readouterr().err
        errors = [line for line in err.splitlines() if not line.startswith("warning:")]
        assert len(errors) == 1 and errors[0].startswith("error: ") and part in errors[0], err
    assert not list((tmp_path / "out").rglob("*"))


def test_few_faces_are_a_warning(models, tmp_path, capsys):
    faces = tmp_path / "faces"
    write_image(faces / "ada" / "a.png", noise(1)[0])
    (faces / "ada" / "b.jpg").write_bytes(b"no picture")
    words = ["--format", "openvino", "--precision", "int8", "--faces_path", faces]
    run_export(models, tmp_path / "out", *words)  # refused or not: one face is too few to say
    assert "only 1 face to quantize on" in capsys.readouterr().err
