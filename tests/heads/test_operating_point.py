"""The operating point of very many people, against all pairs of all their faces."""

import numpy as np
import pytest
from support import gaussian_people

from utils.heads import operating_point
from utils.heads.head import Head
from utils.heads.numpy_similarity import NumpySimilarity
from utils.heads.operating_point import impostor_tail
from utils.heads.pairs import STRANGER_LABEL

WEIGHTS = np.full(8, -1, np.float32)  # of the difference of two faces


@pytest.mark.parametrize("measure", ["cosine", "difference"])
def test_the_tail_holds_the_highest_scores_of_all_pairs(monkeypatch, measure):
    matrix, labels = gaussian_people(120, 3, dimension=8)
    labels = np.where(labels < 10, STRANGER_LABEL, labels)
    weights = {"weights": WEIGHTS} if measure == "difference" else {}
    head, rng = Head(NumpySimilarity(measure, 8, 1.0, 0.0, **weights), {}), np.random.default_rng(0)
    assert impostor_tail(head, matrix, labels, rng) is None  # MAX_HELD_PAIRS show enough of so few
    for name, value in (("MANY_PAIRS", 0), ("TAIL_SHARE", 0.1), ("TAIL_BLOCK", 50)):
        monkeypatch.setattr(operating_point, name, value)
    tail = impostor_tail(head, matrix, labels, rng)
    first, second = np.triu_indices(len(labels), k=1)
    different = labels[first] != labels[second]  # two strangers may be the same person
    scores = head.score_pairs(matrix[first[different]], matrix[second[different]])
    assert tail.pairs == different.sum() and len(tail.scores) == int(0.1 * len(labels) ** 2 / 2)
    np.testing.assert_allclose(tail.scores, np.sort(scores)[::-1][: len(tail.scores)], rtol=1e-5)
