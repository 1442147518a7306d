"""Plots: which pairs count as the worst."""

import numpy as np

from utils.evaluation.pairs import Pairs
from utils.evaluation.plots import worst_pairs


def test_the_worst_pairs_show_each_two_people_once():
    people = np.array([[0, 1], [1, 0], [0, 2], [1, 2], [0, 0], [0, 0], [1, 1]], np.int32)
    pairs = Pairs(people, people, people[:, 0] == people[:, 1], np.ones(7), np.full(7, -1))
    different, same = worst_pairs(np.array([0.7, 0.9, 0.8, 0.1, 0.6, 0.2, 0.4]), pairs, most=2)
    assert different.tolist() == [1, 2] and same.tolist() == [5, 6]
