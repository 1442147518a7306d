"""Boxes: clipped to their image, and their overlaps."""

import numpy as np
import pytest

from utils.faces.boxes import clip_box, intersection_over_union, overlap_matrix


def test_boxes_are_clipped():
    assert clip_box((-10.4, 5.6, 30, 500), (100, 50, 3)) == (0, 6, 20, 94)
    assert intersection_over_union((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert intersection_over_union((0, 0, 10, 10), (20, 0, 10, 10)) == 0


def test_overlaps_are_those_of_single_boxes():
    rng = np.random.default_rng(0)
    first, second = (np.c_[rng.integers(0, 60, (n, 2)), rng.integers(0, 40, (n, 2))] for n in (12, 9))
    expected = [[intersection_over_union(tuple(a), tuple(b)) for b in second.tolist()] for a in first.tolist()]
    assert overlap_matrix(first, second) == pytest.approx(np.array(expected), abs=1e-12)
    assert overlap_matrix(np.empty((0, 4)), second).shape == (0, 9)
