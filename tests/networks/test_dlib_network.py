"""The Keras rebuild gives dlib's descriptors; damaged and foreign weights are refused."""

import os
import re

import cv2
import numpy as np
import pytest

import network
from utils.features.extractor import load_extractor
from utils.features.keras_extractor import load_extractor_model
from utils.keras_models import save_model
from utils.networks.dlib_network import find_dlib_weights, read_dlib_weights


@pytest.fixture(scope="module")
def weights_data() -> bytes:
    return find_dlib_weights().read_bytes()


def dlib_descriptors(chips: np.ndarray) -> np.ndarray:
    import dlib

    reference = dlib.face_recognition_model_v1(str(find_dlib_weights()))
    return np.array([reference.compute_face_descriptor(np.ascontiguousarray(chip)) for chip in chips])


@pytest.mark.slow
def test_descriptors_equal_dlibs_on_real_chips(real_data, extractor_path, tmp_path):
    paths = sorted((real_data / "johns").glob("*/*.jpg"))
    chips = np.stack([cv2.imread(str(path))[:, :, ::-1] for path in paths])
    assert len(chips) >= 50
    expected = dlib_descriptors(chips)
    loaded = load_extractor(extractor_path)
    np.testing.assert_allclose(loaded.embed(chips), expected, rtol=0, atol=1e-5)
    save_model(load_extractor_model(extractor_path)[0], tmp_path / "again.h5")
    again = load_extractor(tmp_path / "again.h5")
    np.testing.assert_allclose(again.embed(chips), expected, rtol=0, atol=1e-5)
    assert again.fingerprint == loaded.fingerprint


@pytest.mark.slow
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
    # A flipped bit in a filter leaves the structure intact, so only the sha256 reveals it.
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
