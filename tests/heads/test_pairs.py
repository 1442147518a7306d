"""Pairs of rows and held-out people, against brute force."""

import numpy as np
import pytest

from utils.heads.pairs import (
    STRANGER_LABEL,
    StackedRows,
    all_negative_pairs,
    all_positive_pairs,
    capped_rows,
    negative_pairs,
    positive_pairs,
    split_people,
)

LABELS = np.array([0, 1, 0, 2, 1, 0, 3])


def test_every_face_meets_every_other_of_its_person_once():
    expected = {(i, j) for i in range(7) for j in range(i + 1, 7) if LABELS[i] == LABELS[j]}
    pairs = positive_pairs(LABELS)
    assert pairs.dtype == np.int32 and len(pairs) == len(expected) == 4
    assert {tuple(sorted(pair)) for pair in pairs.tolist()} == expected


def test_of_too_many_same_person_pairs_random_ones_are_taken():
    labels = np.r_[np.repeat(np.arange(30), np.arange(30)), np.full(50, STRANGER_LABEL), np.zeros(20, int)]
    every, rng = positive_pairs(labels), np.random.default_rng(2)
    np.testing.assert_array_equal(all_positive_pairs(labels, len(every), rng), every)
    some = np.sort(all_positive_pairs(labels, len(every) - 1, rng))
    assert some.dtype == np.int32 and len(some) == len(every) - 1
    assert {tuple(pair) for pair in some.tolist()} < {tuple(pair) for pair in np.sort(every).tolist()}
    # Every pair is equally likely, so people with many photos have their share.
    people = np.bincount(labels[all_positive_pairs(labels * 1, 4000, rng)[:, 0]]) / 4000
    np.testing.assert_allclose(people, np.bincount(labels[every[:, 0]]) / len(every), atol=0.02)


def test_rows_of_two_matrices_are_numbered_through():
    first, second = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    stacked, rows = StackedRows(first, second[:4]), np.array([9, 0, 6, 5, 0])
    np.testing.assert_array_equal(stacked[rows], np.concatenate([first, second])[rows])
    assert stacked.shape == (10, 3) and StackedRows(first, second[:0])[rows[[1, 3]]].shape == (2, 3)


def test_negative_pairs_are_of_two_people():
    rng = np.random.default_rng(0)
    pairs = negative_pairs(LABELS, 1000, rng)
    assert pairs.shape == (1000, 2) and (LABELS[pairs[:, 0]] != LABELS[pairs[:, 1]]).all()
    assert len({tuple(pair) for pair in np.sort(pairs).tolist()}) == 17  # all there are, out of 21 pairs
    with pytest.raises(ValueError, match="two people"):
        negative_pairs(np.zeros(5, int), 10, rng)
    every = all_negative_pairs(LABELS, 17, rng)
    assert len(every) == 17 and len({tuple(sorted(pair)) for pair in every.tolist()}) == 17
    assert len(all_negative_pairs(LABELS, 16, rng)) == 16


def test_held_out_people_are_not_trained_on():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(40), rng.integers(1, 6, 40))
    rows, held = split_people(labels, 0.2, 5, rng)
    assert sorted(np.r_[rows, held]) == list(range(len(labels)))
    assert not set(labels[rows]) & set(labels[held])
    assert len(set(labels[held])) == pytest.approx(8, abs=1)
    few = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4])
    assert len(split_people(few, 0.2, 5, rng)[1]) == 0
    assert len(set(few[split_people(few, 0.2, 4, rng)[1]])) >= 2
    assert len(split_people(labels, 0, 5, rng)[1]) == 0


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_extreme_shares_leave_people_on_both_sides(share):
    labels = np.repeat(np.arange(5), 2)
    rows, held = split_people(labels, share, 5, np.random.default_rng(0))
    assert len(set(labels[rows])) >= 2 and len(set(labels[held])) >= 2


def test_people_with_many_photos_are_capped():
    labels = np.r_[np.zeros(500, int), np.repeat(np.arange(1, 41), 3)]
    rows = capped_rows(labels, 10, np.random.default_rng(5))
    assert np.bincount(labels[rows]).tolist() == [10] + [3] * 40
    assert (np.diff(rows) > 0).all()
    few = capped_rows(labels, 10, np.random.default_rng(5), max_people=7)
    assert len(set(labels[few])) == 7 and len(few) in (21, 28) and (np.diff(few) > 0).all()
