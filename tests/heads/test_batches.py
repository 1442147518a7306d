"""Balanced batches."""

import numpy as np
import pytest

from utils.heads.batches import PEOPLE, padded, pair_batches, sample_balanced_rows
from utils.heads.pairs import STRANGER_LABEL


def test_batches_are_balanced_over_people():
    rng = np.random.default_rng(5)
    labels = np.r_[np.zeros(500, int), np.repeat(np.arange(1, 41), 3), np.arange(41, 300), np.full(20, STRANGER_LABEL)]
    rows = np.arange(len(labels))
    for _ in range(5):
        batch = sample_balanced_rows(labels, rows, rng)
        assert len(set(batch.tolist())) == len(batch) == 2 * 41 + PEOPLE
        several = labels[batch[: 2 * 41]]
        assert (np.bincount(several) == 2).all() and len(np.bincount(several)) == 41
        assert set(labels[batch[2 * 41 :]]) <= {STRANGER_LABEL, *range(41, 300)}


@pytest.mark.slow
def test_batches_hold_the_features_of_their_pairs():
    matrix = np.arange(20, dtype=np.float32).reshape(10, 2)
    epochs = iter([(np.array([[0, 1], [2, 3], [4, 5]]), np.ones((3, 1))), (np.array([[8, 9]]), np.zeros((1, 1)))])
    batches = pair_batches(matrix, lambda: next(epochs), batch_size=2)
    (first, second), truth = batches[1]
    assert len(batches) == 2 and truth.tolist() == [[1]]
    np.testing.assert_array_equal([first, second], [matrix[4:5], matrix[5:6]])
    batches.on_epoch_end()
    assert len(batches) == 1 and batches[0][1].tolist() == [[0]]


@pytest.mark.slow
def test_rows_that_fill_up_a_batch_do_not_count():
    pairs = np.arange(10).reshape(5, 2), np.ones((5, 1), np.float32)
    batches = pair_batches(np.ones((10, 3), np.float32), lambda: pairs, batch_size=5, fixed=True)
    (first, second), truth, weights = padded(batches, 4)[0]
    assert first.shape == second.shape == (8, 3) and len(truth) == 8 and weights.tolist() == [1] * 5 + [0] * 3
    (first, _), labels = padded(batches, 4, label=-2)[0]
    assert len(first) == 8 and labels[:, 0].tolist() == [1] * 5 + [-2] * 3
    assert padded(batches, 0) is padded(batches, 1) is batches
