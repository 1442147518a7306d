"""The gallery and its decision: the original recipe's rule, and one face per name."""

import numpy as np
import pytest

from utils.cli import InputError
from utils.features.feature_files import FeatureSet
from utils.log_odds import sigmoid
from utils.recognition.gallery import Gallery, check_same_extractor, decide, person_scores


def recipe_accepts(scores: np.ndarray, threshold: float, votes: float) -> bool:
    """The original recipe's rule, as it wrote it: len(result[result > 0.8]) > int(result.shape[0] * 0.85)."""
    return (scores > threshold).sum() > int(len(scores) * votes)


@pytest.mark.parametrize("votes", [0.0, 0.3, 0.5, 0.85, 0.99])
def test_a_person_clears_the_threshold_when_the_vote_does(votes):
    rng = np.random.default_rng(0)
    sizes = np.arange(1, 31)
    row_ends = np.cumsum(sizes)
    scores = rng.random((40, row_ends[-1])) ** 0.3
    combined = person_scores(scores, row_ends, votes)
    for person, (start, end) in enumerate(zip(np.r_[0, row_ends[:-1]], row_ends, strict=True)):
        for face in range(40):
            image_scores = scores[face, start:end].astype(np.float32)
            assert (combined[face, person] > 0.8) == recipe_accepts(image_scores, 0.8, votes)


def test_a_vote_of_all_images_uses_the_worst_image():
    scores = np.array([[0.9, 0.2, 0.7]])
    assert person_scores(scores, np.array([3]), 1.0) == pytest.approx(0.2)
    assert person_scores(scores, np.array([3]), 0.0) == pytest.approx(0.9)


def test_a_persons_score_is_the_mean_of_the_two_best_images():
    rng = np.random.default_rng(9)
    sizes = np.array([1, 2, 5, 3])
    row_ends, scores = np.cumsum(sizes), rng.random((6, sizes.sum()))
    combined = person_scores(scores, row_ends, None)
    for face in range(6):
        for person, end in enumerate(row_ends):
            best = np.sort(scores[face, end - sizes[person] : end])[-2:]
            log_odds = np.log(best / (1 - best)).mean()
            assert combined[face, person] == pytest.approx(sigmoid(log_odds), rel=1e-5)


def test_each_face_gets_one_name_and_each_name_one_face():
    scores = np.array(
        [
            [0.95, 0.96, 0.1],  # two candidates: the better one
            [0.10, 0.97, 0.1],  # the same person with a higher score: gets the name
            [0.70, 0.20, 0.1],  # below the threshold
            [0.99, 0.20, 0.1],
        ]
    )
    decisions = decide(scores, ["ada", "bea", "cem"], 0.8)
    assert [decision.name for decision in decisions] == [None, "bea", None, "ada"]
    assert [decision.score for decision in decisions] == pytest.approx([0.96, 0.97, 0.70, 0.99])


def test_of_equal_scores_one_face_gets_the_name():
    decisions = decide(np.full((3, 2), 0.9), ["ada", "bea"], 0.8)
    assert [decision.name for decision in decisions] == ["ada", None, None]


class FakeHead:
    """Scores by distance, and counts its calls."""

    def __init__(self, dimension: int = 2, extractor: str | None = None):
        self.calls, self.dimension, self.extractor = 0, dimension, extractor

    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.exp(-np.linalg.norm(probes[:, None] - gallery[None], axis=2))

    def threshold_for(self, people: int) -> float:
        return 0.5 + people / 100


def test_all_faces_are_scored_in_one_call():
    # The rows of the two people are mixed on purpose.
    features = FeatureSet(
        np.array([[0, 0], [9, 9], [0, 0.1], [9, 9.1]], np.float32), np.array([1, 0, 1, 0]), ["far", "near"], None
    )
    head = FakeHead()
    gallery = Gallery(features, head, threshold=0.8, min_votes=0.5)
    decisions = gallery.identify(np.array([[0, 0], [9, 9], [5, 5]], np.float32))
    assert [decision.name for decision in decisions] == ["near", "far", None]
    assert head.calls == 1
    assert gallery.identify(np.empty((0, 2), np.float32)) == []


def small_gallery(threshold: float | None = 0.8) -> Gallery:
    """Two people in the plane, two images each, mixed."""
    matrix = np.array([[0, 0], [9, 9], [0, 0.1], [9, 9.1]], np.float32)
    return Gallery(FeatureSet(matrix, np.array([1, 0, 1, 0]), ["far", "near"], None), FakeHead(), threshold, 0.5)


def test_only_the_heads_threshold_follows_the_people():
    for given, expected in ((None, [0.52, 0.53, 0.53, 0.53, 0.52]), (0.8, [0.8] * 5)):
        gallery = small_gallery(given)
        thresholds = [gallery.threshold]
        for change in (("add", "new", np.ones((2, 2))), ("add", "far", np.ones((1, 2))), ("remove", "new", 1)):
            getattr(gallery, change[0])(*change[1:])
            thresholds.append(gallery.threshold)
        gallery.remove("new", 1)
        assert [*thresholds, gallery.threshold] == pytest.approx(expected)
    # A face that does not clear the new threshold is unknown at once.
    gallery = small_gallery(None)
    probe = np.array([[0, 0.62]], np.float32)  # 0.54 from "near"
    assert gallery.identify(probe)[0].name == "near"
    for number in range(3):
        gallery.add(f"new {number}", np.full((1, 2), 50 + number))
    assert gallery.identify(probe)[0].name is None


def test_identify_decides_on_the_scores():
    gallery = small_gallery()
    probes = np.array([[0, 0], [9, 9], [5, 5]], np.float32)
    scores = gallery.scores(probes)
    assert scores.shape == (3, 2) and scores.dtype == np.float32
    assert gallery.decide(scores) == gallery.identify(probes)
    assert gallery.scores(np.empty((0, 2), np.float32)).shape == (0, 2)
    assert gallery.decide(np.empty((0, 2), np.float32)) == []


def test_people_can_be_added_and_removed_without_a_trace():
    gallery = small_gallery()
    probes = np.array([[0, 0], [9, 9], [5, 5], [-4, 4]], np.float32)
    before, names, matrix = gallery.scores(probes), list(gallery.names), gallery.matrix.copy()
    gallery.add("new", np.array([[5, 5], [5, 5.1]]))
    assert gallery.names == ["far", "near", "new"]
    assert [decision.name for decision in gallery.identify(probes)] == ["near", "far", "new", None]
    # More images of a known person are inserted between the rows of others.
    gallery.add("far", np.array([[-4, 4]] * 5))
    assert [decision.name for decision in gallery.identify(probes)] == ["near", None, "new", "far"]
    gallery.remove("far", 5)
    gallery.remove("new", 1)
    assert gallery.identify(probes)[2].name == "new"
    gallery.remove("new", 1)
    assert gallery.names == names
    np.testing.assert_array_equal(gallery.matrix, matrix)
    np.testing.assert_array_equal(gallery.scores(probes), before)


def test_rows_that_cannot_be_added_or_removed_are_errors():
    gallery = small_gallery()
    with pytest.raises(ValueError, match=r"\(n, 2\).*\(1, 3\)"):
        gallery.add("new", np.zeros((1, 3)))
    gallery.add("new", np.zeros((0, 2)))
    assert gallery.names == ["far", "near"]
    for name, count in (("far", 3), ("nobody", 1), ("near", -1)):
        with pytest.raises(ValueError, match="cannot remove rows"):
            gallery.remove(name, count)
    assert len(gallery.matrix) == 4


def test_in_an_empty_gallery_every_face_is_unknown():
    gallery = small_gallery()
    for name in ("far", "near"):
        gallery.remove(name, 2)
    assert gallery.names == []
    decisions = gallery.identify(np.zeros((2, 2), np.float32))
    assert [decision.name for decision in decisions] == [None, None]
    gallery.add("first", np.zeros((1, 2)))
    assert gallery.identify(np.zeros((1, 2), np.float32))[0].name == "first"


class FakeExtractor:
    def __init__(self, dimension: int, fingerprint: str):
        self.dimension, self.fingerprint = dimension, fingerprint


@pytest.mark.parametrize(
    ("stored", "head", "extractor", "named"),
    [
        ("one-2-a", FakeHead(2, "one-2-a"), FakeExtractor(2, "two-2-b"), ["one-2-a", "two-2-b"]),
        ("one-2-a", FakeHead(2, "two-2-b"), FakeExtractor(2, "one-2-a"), ["one-2-a", "two-2-b"]),
        (None, FakeHead(3), FakeExtractor(2, "one-2-a"), ["3 features", "2 features"]),
        (None, FakeHead(2), FakeExtractor(4, "one-4-a"), ["2 features", "one-4-a"]),
    ],
)
def test_a_mismatch_names_both_sides(stored, head, extractor, named):
    features = FeatureSet(np.zeros((1, 2), np.float32), np.zeros(1, int), ["ada"], stored)
    with pytest.raises(InputError) as caught:
        check_same_extractor(features, head, extractor)
    for part in named:
        assert part in str(caught.value)


def test_matching_features_head_and_extractor_pass():
    features = FeatureSet(np.zeros((1, 2), np.float32), np.zeros(1, int), ["ada"], None)
    check_same_extractor(features, FakeHead(2, None), FakeExtractor(2, "one-2-a"))
    features = FeatureSet(features.matrix, features.labels, features.names, "one-2-a")
    check_same_extractor(features, FakeHead(2, "one-2-a"), FakeExtractor(2, "one-2-a"))
