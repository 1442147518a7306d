"""Balanced batches."""

import numpy as np

from utils.heads.batches import PEOPLE, sample_balanced_rows
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
