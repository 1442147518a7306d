"""Feature matrices load from pickles of every origin; hostile and damaged ones are refused."""

import base64
import os
import pickle

import numpy as np
import pytest

import compute_mean
from utils.features.feature_files import feature_path
from utils.features.safe_pickle import unpickle_matrix

MATRIX = np.array([[1.5, -2.25, 3.0], [0.5, 100.0, -7.0]], np.float32)

# MATRIX written by Python 2.7.18 with numpy 1.16.6: cPickle.dumps(matrix, 2), and cPickle.dumps(matrix)
# (protocol 0), which the original recipe calls.
PYTHON2_PROTOCOL2 = base64.b64decode(
    "gAJjbnVtcHkuY29yZS5tdWx0aWFycmF5Cl9yZWNvbnN0cnVjdApxAWNudW1weQpuZGFycmF5CnECSwCFVQFih1JxAyhLAUsCSwOGY251bXB5"
    "CmR0eXBlCnEEVQJmNEsASwGHUnEFKEsDVQE8Tk5OSv////9K/////0sAdGKJVRgAAMA/AAAQwAAAQEAAAAA/AADIQgAA4MB0Yi4="
)

PYTHON2_PROTOCOL0 = base64.b64decode(
    "Y251bXB5LmNvcmUubXVsdGlhcnJheQpfcmVjb25zdHJ1Y3QKcDEKKGNudW1weQpuZGFycmF5CnAyCihJMAp0UydiJwp0UnAzCihJMQooSTIK"
    "STMKdGNudW1weQpkdHlwZQpwNAooUydmNCcKSTAKSTEKdFJwNQooSTMKUyc8JwpOTk5JLTEKSS0xCkkwCnRiSTAwClMnXHgwMFx4MDBceGMw"
    "P1x4MDBceDAwXHgxMFx4YzBceDAwXHgwMEBAXHgwMFx4MDBceDAwP1x4MDBceDAwXHhjOEJceDAwXHgwMFx4ZTBceGMwJwp0Yi4="
)


class Hostile:
    """Is pickled as a call of any function. That is how a pickle runs code."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("data", [PYTHON2_PROTOCOL0, PYTHON2_PROTOCOL2])
def test_files_of_python_2_load(data):
    np.testing.assert_array_equal(unpickle_matrix(data), MATRIX)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_protocol_loads(protocol, dtype, order):
    loaded = unpickle_matrix(pickle.dumps(MATRIX.astype(dtype, order=order), protocol))
    np.testing.assert_array_equal(loaded, MATRIX)
    assert loaded.dtype == np.float32 and loaded.flags.writeable


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {marker}"),
        (eval, "open('{marker}', 'w')"),
        (exec, "open('{marker}', 'w')"),
        (np.load, "{marker}"),
        (getattr, np.ndarray, "tofile"),
        (np.ndarray, (1 << 50,)),
        (np.ndarray, (2, 3), "f4"),
        (np.core.multiarray._reconstruct if hasattr(np, "core") else np.ndarray, np.ndarray, (1 << 40,), b"b"),
    ],
    ids=lambda call: call[0].__name__,
)
@pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning")
def test_hostile_pickles_are_refused(call, tmp_path):
    marker = tmp_path / "code ran"
    arguments = [argument.format(marker=marker) if isinstance(argument, str) else argument for argument in call[1:]]
    for protocol in (0, 2, 5):
        for content in (Hostile(call[0], *arguments), [MATRIX, Hostile(call[0], *arguments)]):
            with pytest.raises(ValueError):
                unpickle_matrix(pickle.dumps(content, protocol))
    assert not marker.exists()


def test_a_hostile_feature_file_is_one_line(tmp_path, capsys):

    path = feature_path(tmp_path, "ada")
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Hostile(os.system, f"touch {tmp_path}/ran")))
    assert compute_mean.main(["--features_path", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "system" in error and str(path) in error
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        MATRIX[0],
        MATRIX.astype(int),
        np.empty((0, 3), np.float32),
        np.array([[np.nan, 1.0]], np.float32),
        np.array([["a"]], object),
        [1.0],
        "text",
    ],
    ids=["row", "integers", "empty", "nan", "objects", "list", "text"],
)
def test_anything_but_a_float_matrix_is_refused(content):
    with pytest.raises(ValueError):
        unpickle_matrix(pickle.dumps(content, 2))


def test_damaged_pickles_are_refused():
    data = pickle.dumps(MATRIX, 2)
    for size in range(len(data)):
        with pytest.raises(ValueError):
            unpickle_matrix(data[:size])
    rng = np.random.default_rng(0)
    for _ in range(500):  # whatever byte is altered, the result is a matrix or a ValueError
        altered = bytearray(data)
        altered[rng.integers(len(data))] = rng.integers(256)
        try:
            unpickle_matrix(bytes(altered))
        except ValueError:
            continue
