"""Boxes: clipping and overlap."""

import numpy as np
import pytest

from utils.faces.boxes import clip_box, intersection_over_union, overlap_matrix


def test_boxes_are_clipped():
    assert clip_box((-10.4, 5.6, 30, 500), (100, 50, 3)) == (0, 6, 20, 94)
    assert intersection_over_union((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert intersection_over_union((0, 0, 10, 10), (20, 0, 10, 10)) == 0


def test_overlaps_are_those_of_masks():
    rng = np.random.default_rng(0)
    first, second = (np.c_[rng.integers(0, 60, (n, 2)), rng.integers(1, 40, (n, 2))] for n in (12, 9))

    def mask(box: np.ndarray) -> np.ndarray:
        x, y, w, h = box
        pixels = np.zeros((100, 100), bool)
        pixels[y : y + h, x : x + w] = True
        return pixels

    expected = [[(mask(a) & mask(b)).sum() / (mask(a) | mask(b)).sum() for b in second] for a in first]
    assert overlap_matrix(first, second) == pytest.approx(np.array(expected), abs=1e-12)
    assert overlap_matrix(np.empty((0, 4)), second).shape == (0, 9)
    assert intersection_over_union((3, 3, 0, 5), (3, 3, 0, 5)) == 0  # boxes without area
