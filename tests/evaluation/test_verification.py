"""Verification: the errors of each person, counted by hand."""

import numpy as np

from utils.evaluation.pairs import Pairs
from utils.evaluation.protocols import HEAD, PairScores
from utils.evaluation.verification import PersonErrors, errors_by_person


def test_errors_are_counted_for_both_people_of_a_pair():
    people = np.array([[0, 0], [1, 1], [0, 1], [0, 2]], np.int32)
    pairs = Pairs(people, people, people[:, 0] == people[:, 1], np.ones(4), np.full(4, -1))
    scores = {HEAD: np.array([0.9, 0.2, 0.3, 0.8], np.float32)}
    assert errors_by_person(PairScores(scores, {}, np.full(4, 0.5)), pairs, ["ada", "bea", "cem"]) == [
        PersonErrors("ada", 1, 0, 2, 1, "cem", 0.8),
        PersonErrors("bea", 1, 1, 1, 0, "ada", 0.3),
        PersonErrors("cem", 0, 0, 1, 1, "ada", 0.8),
    ]
