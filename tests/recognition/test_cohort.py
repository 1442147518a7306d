"""The cohort of strangers: nothing changes for faces of the head's own population, alike ones are normalized."""

from types import SimpleNamespace

import numpy as np
import pytest

from utils.cli import InputError
from utils.log_odds import logits, probabilities
from utils.recognition.cohort import Cohort, NormalizedHead, is_kind_known, subtract_excess

SCALE, OFFSET = 20.0, -6.0  # of the cosine


class CosineHead:
    """Log odds that are linear in the cosine, and impostors whose cosines are normal around 0 with deviation 0.1."""

    def project(self, features: np.ndarray) -> np.ndarray:
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    def score_projected(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return probabilities(SCALE * probes @ gallery.T + OFFSET)

    def impostor_log_odds(self, rate: float) -> float:
        from statistics import NormalDist

        return SCALE * NormalDist(0, 0.1).inv_cdf(1 - rate) + OFFSET


def faces(count: int, rng: np.random.Generator, alike: float = 0.0) -> np.ndarray:
    """Random unit vectors of 100 numbers, whose cosines have deviation 0.1 and mean `alike`."""
    rows = rng.standard_normal((count, 100)) / 10
    rows[:, 0] = np.sqrt(alike / (1 - alike)) if alike else rows[:, 0]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def excess_among(strangers: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """The excess (f,) of probes (f, 100) among strangers (s, 100)."""
    return Cohort(CosineHead(), len(strangers)).excess(CosineHead().score_projected(probes, strangers))


@pytest.mark.parametrize("count", [1, 5, 20, 300])
def test_people_like_the_heads_own_have_no_excess(count):
    rng = np.random.default_rng(count)
    excess = np.concatenate([excess_among(faces(count, rng), faces(20, rng)) for _ in range(50)])
    assert excess.shape == (1000,)
    assert abs(excess.mean()) < 0.03 * SCALE


def test_people_who_look_alike_have_an_excess():
    rng = np.random.default_rng(0)
    strangers = np.concatenate([faces(200, rng), faces(30, rng, alike=0.3)])
    alike, others = (excess_among(strangers, probes) for probes in (faces(50, rng, alike=0.3), faces(50, rng)))
    assert alike.mean() > 0.1 * SCALE and abs(others.mean()) < 0.02 * SCALE


def test_a_candidate_is_not_a_stranger():
    rng = np.random.default_rng(0)
    strangers, enrolled = faces(40, rng), faces(3, rng)
    probe = enrolled[1:2] + 0.02 * rng.standard_normal((1, 100)).astype(np.float32)
    scores = (CosineHead().score_projected(CosineHead().project(probe), people) for people in (strangers, enrolled))
    excess = Cohort(CosineHead(), 42).excess_by_candidate(*scores)
    assert excess.shape == (1, 3)
    alone = excess_among(np.concatenate([strangers, enrolled[[0, 2]]]), CosineHead().project(probe))
    assert excess[0, 1] == pytest.approx(alone[0])
    assert excess[0, 0] > excess[0, 1] + 0.1 * SCALE  # enrolled 1 is a stranger to the candidates 0 and 2


@pytest.mark.parametrize("count", [20, 50, 300])
def test_strangers_of_another_kind_are_noticed(count):
    rng = np.random.default_rng(count)
    strangers = faces(count, rng, alike=0.3)
    limit = Cohort(CosineHead(), count).min_excess
    assert limit < 0
    opposite = faces(200, rng)
    opposite[:, 0] = -0.5  # unlike the strangers
    shares = [(excess_among(strangers, faces(200, rng, alike=0.3)) < limit).mean()]
    shares.append((excess_among(strangers, CosineHead().project(opposite)) < limit).mean())
    own = [excess_among(faces(count, rng), faces(20, rng)) for _ in range(20)]
    assert shares[0] == 0 and shares[1] > 0.9 and (np.concatenate(own) < limit).mean() < 0.15


def test_several_observations_decide_together():
    assert is_kind_known([]) is None and is_kind_known([np.nan, np.nan]) is None
    assert is_kind_known([-1.0, 2.0, np.nan]) is True and is_kind_known([-2.0, 1.0]) is False


def test_nothing_is_ever_added():
    scores = np.array([[0.9, 0.5]], np.float32)
    assert subtract_excess(scores, np.array([[-3.0]]), np.array([1.0, 2.0])).tolist() == scores.tolist()
    lower = subtract_excess(scores, np.array([[1.0]]), np.array([1.0, 3.0]))
    assert lower.dtype == np.float32
    assert logits(lower) == pytest.approx(logits(scores) - [1.0, 2.0], abs=1e-5)


def test_a_head_that_knows_no_impostors_cannot_be_normalized():
    with pytest.raises(InputError, match="train the head again"):
        NormalizedHead(SimpleNamespace(knows_impostors=False), np.zeros((3, 4), np.float32))


@pytest.mark.slow
def test_pairs_and_galleries_are_normalized_alike():
    from utils.heads.head import Head
    from utils.heads.numpy_similarity import NumpySimilarity

    description = {"threshold": 0.9, "min_votes": None, "thresholds": [[0.001, 0.5], [0.5, 0.002]]}
    head = Head(NumpySimilarity("cosine", 100, SCALE, OFFSET), description)
    rng = np.random.default_rng(0)
    strangers, alike = faces(40, rng, alike=0.4), faces(6, rng, alike=0.4)
    normalized = NormalizedHead(head, strangers)
    assert (normalized.threshold, normalized.dimension) == (head.threshold, head.dimension)
    scores = normalized.score_gallery(alike[:2], alike[2:])
    assert (scores < head.score_gallery(alike[:2], alike[2:])).all()
    pairs = np.array([[a, b] for a in (0, 1) for b in (2, 3, 4, 5)])
    assert normalized.score_rows(alike, pairs).reshape(2, 4) == pytest.approx(scores, abs=1e-5)
    assert normalized.knows_kind(alike[:2], alike[2:]) and not normalized.knows_kind(-alike[:2], -alike[2:])
    excess = Cohort(head, 40).excess(head.score_gallery(alike, strangers))
    assert logits(scores) == pytest.approx(
        logits(head.score_gallery(alike[:2], alike[2:])) - (excess[:2, None] + excess[2:]) / 2, abs=1e-3
    )
