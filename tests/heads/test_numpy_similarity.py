"""Heads by NumPy: their file, and what it refuses. Their probabilities are compared in test_keras_similarity.py."""

import io

import numpy as np
import pytest

from utils.heads.numpy_similarity import NumpySimilarity, arrays_path, read_arrays, write_arrays

PLDA = NumpySimilarity(
    "product", 2, 2.0, -1.0, np.arange(9, dtype=np.float32).reshape(3, 3), np.arange(4, dtype=np.float32)
)


@pytest.fixture
def head(tmp_path):
    path = tmp_path / "similarity.keras"
    path.write_bytes(b"what Keras wrote")
    write_arrays(path, PLDA)
    return path


def test_a_head_is_read_as_it_was_written(head):
    found = read_arrays(head)
    assert all(np.array_equal(vars(found)[key], value) for key, value in vars(PLDA).items())
    a, b = np.float32([[1, 2]]), np.float32([[3, 1]])
    p, q = (np.array(x) @ PLDA.projection[:2] + PLDA.projection[2] for x in (a[0], b[0]))
    logit = 2 * (p @ q + (p**2 + q**2) @ [0, 1, 2] + 2 * 3) - 1
    assert np.float32(1 / (1 + np.exp(-min(logit, 80)))) == found.score_rows(found.project(a), found.project(b))


def test_the_stamp_tells_the_head_from_others(head):
    head.write_bytes(b"what Keras wrote later")
    assert read_arrays(head) is None


def replaced(head, **arrays) -> bytes:
    with np.load(arrays_path(head)) as file:
        content = {key: value for key, value in {**file, **arrays}.items() if value is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


@pytest.mark.hostile
@pytest.mark.parametrize(
    "arrays",
    [
        {"projection": np.zeros((3, 4), np.float32)},
        {"projection": np.float32(1)},
        {"projection": np.full((3, 3), np.nan, np.float32)},
        {"weights": np.array([{}], object)},
        {"weights": np.array(["a"] * 4)},
        {"weights": np.zeros(1 << 27, np.float32)},
        {"weights": None},
        {"scale": np.float64(np.inf)},
        {"scale": np.zeros(2)},
        {"dimension": np.int64(0)},
        {"dimension": np.float64(2.5)},
        {"measure": np.array("angle")},
        {"measure": np.int64(3)},
        {"more": np.zeros(1)},
        {"stamp": None},
    ],
    ids=str,
)
def test_odd_arrays_are_not_read(head, arrays):
    arrays_path(head).write_bytes(replaced(head, **arrays))
    assert read_arrays(head) is None
