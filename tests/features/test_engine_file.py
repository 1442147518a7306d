"""The engine's file: made once, made again when it does not fit, and never a reason to stop."""

import json
import re
import shutil

import numpy as np
import pytest
from hostile_models import tiny_model

from utils.cli import InputError
from utils.faces.crops import CROP_POINTS
from utils.features import engine_file
from utils.features.engine_file import EngineFileError, engine_path, load_engine_file, make_engine_file
from utils.features.extractor import load_extractor
from utils.features.keras_extractor import save_extractor
from utils.files import sha256

IMAGES = np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def made_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "tiny.keras"
    save_extractor(tiny_model(), path, CROP_POINTS["dlib"])
    make_engine_file(path, tiny_model(), CROP_POINTS["dlib"])
    return path


@pytest.fixture
def model_path(made_path, tmp_path):
    """A tiny extractor with its engine's file."""
    for path in (made_path, engine_path(made_path)):
        shutil.copy(path, tmp_path)
    return tmp_path / made_path.name


def altered_header(data: bytes, **changes: object) -> bytes:
    """An engine's file with another header and a checksum that fits it."""
    _, header, rest = data.split(b"\n", 2)
    content = json.dumps({**json.loads(header), **changes}).encode() + b"\n" + rest
    return sha256(content).encode() + b"\n" + content


def remade(model_path, capsys) -> str:
    """Load an extractor whose engine's file must be made again, twice. Returns what the first run says."""
    capsys.readouterr()
    extractor = load_extractor(model_path)
    assert extractor.engine == "openvino"
    err = capsys.readouterr().err
    assert err.startswith("note: making ") and err.count("\n") == 1
    np.testing.assert_array_equal(load_extractor(model_path).embed_inputs(IMAGES), extractor.embed_inputs(IMAGES))
    assert capsys.readouterr().err == ""
    return err


@pytest.mark.slow
def test_a_missing_file_is_made(model_path, capsys):
    engine_path(model_path).unlink()
    assert "tiny.keras.openvino, with which later runs need no TensorFlow" in remade(model_path, capsys)


@pytest.mark.slow
def test_the_file_follows_its_model(model_path, capsys):
    before = load_extractor(model_path)
    save_extractor(tiny_model(0.25), model_path, CROP_POINTS["arcface"])
    assert "because tiny.keras has changed" in remade(model_path, capsys)
    after = load_extractor(model_path)
    assert after.fingerprint != before.fingerprint
    np.testing.assert_array_equal(after.crop_points, CROP_POINTS["arcface"])
    np.testing.assert_allclose(2 * after.embed_inputs(IMAGES), before.embed_inputs(IMAGES), rtol=1e-6)


DAMAGE = {
    "empty": lambda data: b"",
    "no line": lambda data: b"x" * 40,
    "text": lambda data: b"not an engine\n" * 100,
    "cut off": lambda data: data[:-1],
    "bit": lambda data: data[:400] + bytes([data[400] ^ 1]) + data[401:],
    "fingerprint": lambda data: data.replace(b"tiny-4-", b"tony-4-"),
    "other version": lambda data: altered_header(data, format=0),
    "no crop": lambda data: altered_header(data, crop_points=[[0, 0]]),
    "no fingerprint": lambda data: altered_header(data, crop_points=None),
    "other size": lambda data: altered_header(data, size=9),
    "other weights": lambda data: altered_header(data, weights=7),
    "weights outside": lambda data: altered_header(data, weights=1 << 40),
    "weights missing": lambda data: altered_header(data, weights="many"),
    "graph": lambda data: altered_header(re.sub(rb'type="(Convolution)"', b'type="Conv0lution"', data)),
    "custom operation": lambda data: altered_header(data.replace(b'"opset1"', b'"hostil"')),
    "offset": lambda data: altered_header(re.sub(rb'offset="[0-9]', b'offset="9', data)),
}


@pytest.mark.hostile
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_refused(model_path, kind):
    path = engine_path(model_path)
    data = path.read_bytes()
    path.write_bytes(DAMAGE[kind](data))
    assert path.read_bytes() != data
    with pytest.raises(EngineFileError, match=r"making .*tiny\.keras\.openvino again, because"):
        load_engine_file(model_path, "float32")


@pytest.mark.hostile
@pytest.mark.slow
def test_a_damaged_file_is_made_again(model_path, capsys):
    engine_path(model_path).write_bytes(b"damaged")
    assert "because it is damaged" in remade(model_path, capsys)


@pytest.mark.fault
@pytest.mark.slow
def test_a_file_that_cannot_be_written_is_a_warning(model_path, capsys):
    engine_path(model_path).unlink()
    engine_path(model_path).mkdir()  # which also keeps root from writing
    capsys.readouterr()
    extractor = load_extractor(model_path)
    assert extractor.engine == "openvino" and extractor.embed_inputs(IMAGES).shape == (5, 4)
    note, warning = capsys.readouterr().err.splitlines()
    assert note.startswith("note: making") and "cannot be read" in note
    assert warning.startswith("warning: ") and "every run has to load TensorFlow" in warning


@pytest.mark.slow
def test_what_openvino_computes_wrongly_runs_on_keras(model_path, monkeypatch, capsys):
    engine_path(model_path).unlink()
    monkeypatch.setattr(engine_file, "MAX_DIFFERENCE", -1)
    assert load_extractor(model_path).engine == "keras"
    assert "runs on Keras" in capsys.readouterr().err
    assert not engine_path(model_path).exists()
    with pytest.raises(InputError, match="cannot run on OpenVINO: its features differ from Keras'"):
        load_extractor(model_path, engine="openvino")
