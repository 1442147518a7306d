"""Exported networks and their descriptions: what is read, and how foreign, damaged and hostile ones are refused."""

import json

import numpy as np
import pytest
from exported_networks import DIMENSION, FINGERPRINT, RULE, SIZE, describe, write_extractor, write_head

from utils.cli import InputError
from utils.exported import EXTRACTOR, HEAD, MAX_DESCRIPTION, description_path, load_exported
from utils.features.extractor import load_extractor
from utils.heads.head import load_head


def test_an_extractor_is_read_from_its_files(tmp_path):
    extractor = load_extractor(write_extractor(tmp_path))
    assert (extractor.size, extractor.dimension, extractor.fingerprint) == (SIZE, DIMENSION, FINGERPRINT)
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[:16, 16:, 1] = 100
    features = extractor.embed_inputs([image, image // 2])
    np.testing.assert_allclose(features, [[0] * 5 + [value] + [0] * 6 for value in (100, 50)])


def test_a_head_is_read_from_its_files(tmp_path):
    head = load_head(write_head(tmp_path))
    assert (head.dimension, head.threshold, head.extractor, head.min_votes) == (DIMENSION, 0.7, FINGERPRINT, None)
    a, b = np.random.default_rng(0).normal(size=(2, 7, DIMENSION)).astype(np.float32)
    expected = 1 / (1 + np.exp(np.abs(a[:, None] - b).sum(2) - 5))
    np.testing.assert_allclose(head.score_gallery(a, b), expected, atol=1e-6)
    np.testing.assert_allclose(head.score_pairs(a, b), np.diag(expected), atol=1e-6)


def refused(path, match: str, kind: str = EXTRACTOR) -> None:
    with pytest.raises(InputError, match=match):
        load_extractor(path) if kind == EXTRACTOR else load_head(path)


@pytest.mark.bad_input
def test_a_foreign_network_is_refused_with_the_way_out(tmp_path):
    path = write_extractor(tmp_path)
    description_path(path).unlink()
    refused(path, rf"no description.*network\.py --backbone {path}")
    (tmp_path / "net.tflite").write_bytes(b"TFL3")
    refused(tmp_path / "net.tflite", "export for these scripts with export.py --format onnx or openvino")
    refused(tmp_path / "missing.onnx", "there is no file")
    (tmp_path / "net.xml").write_text("<net/>")
    refused(tmp_path / "net.xml", r"there is no file .*net\.bin")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"siamese_faces": "head"}, "must describe the file of the extractor"),
        ({"version": 2}, "another version"),
        ({"sha256": "0" * 64}, "describes another file"),
        ({"crop_points": [[0, 0]] * 5}, "damaged"),
        ({"crop_points": "words"}, "damaged"),
        ({"size": "many"}, "damaged"),
        ({"size": 10**400}, "has not the shapes"),
        ({"dimension": 11}, "has not the shapes"),
    ],
)
def test_a_damaged_description_is_one_error(tmp_path, changes, match):
    refused(write_extractor(tmp_path, **changes), match)


@pytest.mark.bad_input
def test_descriptions_that_are_none(tmp_path):
    path = write_extractor(tmp_path)
    for content in (b"", b"[]", b"{", b"\xff\xfe", b'{"siamese_faces": NaN}', b"[" * 100_000):
        description_path(path).write_bytes(content)
        refused(path, r"extractor\.onnx\.json")
    description_path(path).write_bytes(b" " * (MAX_DESCRIPTION + 1))
    refused(path, "bytes")


@pytest.mark.hostile
def test_a_network_that_openvino_cannot_run(tmp_path):
    path = write_extractor(tmp_path)
    data = path.read_bytes()
    content = json.loads(description_path(path).read_text())
    for damaged in (b"", b"ONNX", data[:100], data[:-20], b"\0" * 1000):
        path.write_bytes(damaged)
        describe(path, EXTRACTOR, **{key: content[key] for key in ("size", "dimension", "fingerprint", "crop_points")})
        refused(path, "extractor.onnx")


@pytest.mark.bad_input
def test_a_head_of_another_shape_or_rule(tmp_path):
    refused(write_head(tmp_path, head=RULE | {"threshold": 7}), "threshold", HEAD)
    refused(write_head(tmp_path, head=RULE | {"dimension": 7}), "another head", HEAD)
    refused(write_head(tmp_path, head=["rule"]), "damaged", HEAD)
    refused(write_extractor(tmp_path), "must describe the file of the head", HEAD)
    extractor = write_extractor(tmp_path)
    refused(describe(extractor, HEAD, head=RULE), "a similarity head maps two", HEAD)
    refused(describe(write_head(tmp_path), EXTRACTOR), "damaged")


def test_keras_cannot_run_an_exported_network(tmp_path):
    with pytest.raises(InputError, match="--engine keras"):
        load_extractor(write_extractor(tmp_path), engine="keras")


def test_an_exported_network_keeps_its_batch(tmp_path):
    network, description = load_exported(write_extractor(tmp_path), EXTRACTOR)
    assert description["fingerprint"] == FINGERPRINT and network.inputs == [(None, SIZE, SIZE, 3)]
