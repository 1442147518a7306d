"""The kinds of heads for a folder of people."""

import numpy as np
import pytest
from support import gaussian_people

from utils.cli import InputError
from utils.heads.choice import are_confused, candidate_kinds, check_kind, confused_share
from utils.heads.plain import CONSTANTS, TYPICAL

EXTRACTOR = next(iter(CONSTANTS))  # dlib's, without --flip


def unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_candidates_follow_the_extractor_and_the_people():
    few, many = (gaussian_people(people, 3, dimension=16) for people in (12, 60))
    assert candidate_kinds(EXTRACTOR, *few) == ("distance",)
    assert candidate_kinds(EXTRACTOR, *many) == ("distance", "plda")
    assert candidate_kinds("toy-16-abc", *few) == ("dense",)  # what its cosines mean is not known
    assert candidate_kinds("toy-16-abc", *many) == ("cosine", "plda")
    assert candidate_kinds("face-16-abc", unit(few[0]), few[1]) == ("cosine",)
    assert candidate_kinds("face-16-abc", unit(many[0]), many[1]) == ("cosine", "plda")
    assert candidate_kinds(None, unit(many[0]), np.arange(180)) == ("cosine",)  # one photo of each


def test_people_who_look_alike_to_the_network_are_noticed():
    matrix, labels = gaussian_people(12, 5, dimension=128)
    dlib = CONSTANTS[EXTRACTOR]
    assert confused_share(matrix * 0.05, labels, dlib) == 0 and not are_confused(matrix * 0.05, labels, dlib)
    # Drawings, for example, are all nearer than the faces of two people.
    assert confused_share(matrix * 0.01, labels, dlib) == 1 and are_confused(matrix * 0.01, labels, dlib)
    assert not are_confused(matrix[:20] * 0.01, labels[:20], dlib)  # four people do not show it
    assert not are_confused(matrix[::5] * 0.01, labels[::5], dlib)  # nor do single photos
    assert confused_share(matrix, labels, TYPICAL) < 0.2 and confused_share(matrix + 3, labels, TYPICAL) == 1


def test_kinds_that_cannot_be_fitted_are_refused():
    matrix, labels = gaussian_people(12, 3, dimension=16)
    check_kind("cosine", "face-16-abc", unit(matrix), labels)
    check_kind("distance", EXTRACTOR, matrix, labels)
    check_kind("cosine", "toy-16-abc", *gaussian_people(20, 3, dimension=16))
    with pytest.raises(InputError, match=r"people with several photos\. Received: 12"):
        check_kind("cosine", "toy-16-abc", matrix, labels)
    with pytest.raises(InputError, match="only dlib's extractor"):
        check_kind("distance", "toy-16-abc", matrix, labels)
    with pytest.raises(InputError, match="two people"):
        check_kind("plda", EXTRACTOR, matrix[:3], labels[:3])
