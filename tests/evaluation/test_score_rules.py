"""The rules that make a score for a person, against the live rule and brute force."""

import numpy as np

from utils.evaluation.score_rules import RULES, rank_by_person
from utils.recognition.gallery import person_scores


def test_rules_follow_their_definitions():
    rng = np.random.default_rng(10)
    counts = np.array([3, 1, 5, 4, 2])
    scores = rng.random((7, 15)).astype(np.float32)
    ranked = rank_by_person(scores, counts)
    ends = np.cumsum(counts)
    found = {name: rule(ranked, counts) for name, rule in RULES.items()}
    np.testing.assert_array_equal(found["vote of half"], person_scores(scores, ends, 0.5))
    np.testing.assert_array_equal(found["original vote"], person_scores(scores, ends, 0.85))
    np.testing.assert_array_equal(found["best"], person_scores(scores, ends, 0.0))
    for person, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        own = scores[:, start:end].astype(float)
        np.testing.assert_allclose(found["mean"][:, person], own.mean(1), rtol=1e-5)
        for name, part in (("mean log odds", own), ("best 2, log odds", np.sort(own)[:, ::-1][:, :2])):
            odds = np.exp(np.log(part / (1 - part)).mean(1))
            np.testing.assert_allclose(found[name][:, person], odds / (1 + odds), rtol=1e-4)
