"""Feature matrices load from pickles of every origin; hostile and damaged ones are refused."""

import base64
import os
import pickle
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pytest
from hostile_pickles import ARRAY, HOSTILE_PICKLES, MATRIX, Hostile, state
from hypothesis import HealthCheck, given, settings

import compute_mean
from utils.features.feature_files import feature_path
from utils.features.safe_pickle import unpickle_matrix

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


def test_the_parts_of_the_corpus_are_a_good_pickle():
    np.testing.assert_array_equal(unpickle_matrix(b"\x80\x02" + ARRAY + state() + b"."), MATRIX)
    np.testing.assert_array_equal(pickle.loads(b"\x80\x02" + ARRAY + state() + b".", encoding="latin1"), MATRIX)


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE_PICKLES)
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_the_hostile_corpus_is_refused(name):
    data = HOSTILE_PICKLES[name]
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as refusal:
            unpickle_matrix(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(refusal.value)) < 200 and str(refusal.value).isprintable()
    assert peak < (1 << 20) + 5 * len(data)


@pytest.mark.parametrize("data", [PYTHON2_PROTOCOL0, PYTHON2_PROTOCOL2])
def test_files_of_python_2_load(data):
    np.testing.assert_array_equal(unpickle_matrix(data), MATRIX)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_protocol_loads(protocol, dtype, order):
    for matrix in (MATRIX, np.arange(128, dtype=np.float32).reshape(1, 128), np.float32([[3]])):
        loaded = unpickle_matrix(pickle.dumps(matrix.astype(dtype, order=order), protocol))
        np.testing.assert_array_equal(loaded, matrix)
        assert loaded.dtype == np.float32 and loaded.flags.writeable and loaded.flags.c_contiguous


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_large_and_strided_matrices_load(protocol):
    matrix = np.random.default_rng(0).standard_normal((3000, 130)).astype(np.float32)
    for part in (matrix, matrix[::2, 1:129]):
        np.testing.assert_array_equal(unpickle_matrix(pickle.dumps(part, protocol)), part)


@pytest.mark.hostile
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


@pytest.mark.hostile
@pytest.mark.parametrize(
    "content",
    [
        MATRIX[0],
        MATRIX.astype(int),
        MATRIX.astype(np.longdouble),
        MATRIX.astype(complex),
        np.empty((0, 3), np.float32),
        np.array([["a"]], object),
        [1.0],
        "text",
    ],
    ids=["row", "integers", "long doubles", "complex", "empty", "objects", "list", "text"],
)
def test_anything_but_a_float_matrix_is_refused(content):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(ValueError):
            unpickle_matrix(pickle.dumps(content, protocol))


@pytest.mark.hostile
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -3.5e38])
def test_numbers_beyond_float32_are_refused(value):
    with pytest.raises(ValueError, match="not finite in float32"):
        unpickle_matrix(pickle.dumps(np.array([[value, 1.0]]), 2))


def test_truncated_pickles_are_refused():
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(MATRIX, protocol)
        for size in range(len(data)):
            with pytest.raises(ValueError):
                unpickle_matrix(data[:size])


SEEDS = [
    pickle.dumps(MATRIX.astype(dtype, order=order), protocol)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    for dtype in ("<f2", "<f4", ">f8")
    for order in "CF"
] + [PYTHON2_PROTOCOL0, PYTHON2_PROTOCOL2]
PARTS = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"b", b"R", b"(", b"t", b")", b"\x86" * 20, b"j\xff\xff\xff\x0f", b"r\xff\xff\xff\x7f", b"\x94"]),
    st.sampled_from([seed[start : start + 30] for seed in SEEDS for start in range(0, len(seed), 30)]),
)
# Where to cut, how many bytes to drop there, and what to put in their place.
EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 8), PARTS), min_size=1, max_size=8)


@pytest.mark.slow
@settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(seed=st.sampled_from(SEEDS), edits=EDITS)
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_altered_pickles_are_a_matrix_or_refused(seed, edits):
    data = seed
    for position, dropped, part in edits:
        position %= len(data) + 1
        data = data[:position] + part + data[position + dropped :]
    try:
        matrix = unpickle_matrix(data)
    except ValueError:
        return
    assert matrix.dtype == np.float32 and matrix.ndim == 2 and matrix.size and np.isfinite(matrix).all()
