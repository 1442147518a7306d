"""Pairs: what a pairs file says, and that sampled pairs count all people the same."""

from itertools import combinations

import numpy as np
import pytest
from support import toy_features

from utils.cli import InputError
from utils.evaluation.pairs import image_rows, match_pairs, read_pairs, sample_pairs, stranger_label, with_strangers
from utils.features.feature_files import FeatureSet


def write_pairs(path, *lines: str):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_pairs_files_are_read_and_matched(tmp_path):
    lines = ["2\t1", "ada b\t1\t2", "ada b\t1\tcem\t12", "cem\t2\t12", "cem\t2\tdoe_x\t1"]
    pairs = read_pairs(write_pairs(tmp_path / "pairs.txt", *lines))
    assert [(p.line_number, p.fold) for p in pairs] == [(2, 0), (3, 0), (4, 1), (5, 1)]
    assert pairs[0].images == (("ada b", 1), ("ada b", 2)) and pairs[3].images == (("cem", 2), ("doe_x", 1))
    images = [("ada b", "ada b_0001.jpg"), ("ada b", "ada b_0002_jpg.png"), ("cem", "cem_0002.jpg")]
    rows = image_rows([*images, ("cem", "cem_0012.png"), ("cem", "notes.png"), ("doe_x", ""), ("doe_x", "doe_x_a.png")])
    assert rows == {("ada b", 1): 0, ("ada b", 2): 1, ("cem", 2): 2, ("cem", 12): 3}
    found, missing = match_pairs(pairs, rows, np.array([0, 0, 1, 1, 1, 2, 2]))
    assert found.rows.tolist() == [[0, 1], [0, 3], [2, 3]] and found.same.tolist() == [True, False, True]
    assert found.people.tolist() == [[0, 0], [0, 1], [1, 1]] and found.folds.tolist() == [0, 0, 1]
    assert missing == ["line 5: no features of doe_x_0001"]
    single = read_pairs(write_pairs(tmp_path / "one.txt", "1", "", "a 1 2", "a 1 b 1"))
    assert [pair.fold for pair in single] == [0, 0] and single[1].line_number == 4


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        ([""], "empty"),
        (["a 1 2"], "line 1: expected the number of folds"),
        (["0 3", "a 1 2"], "line 1: expected the number of folds"),
        (["2 1", "a 1 2", "a 1 b 2"], "line 1: 2 folds of 2 × 1 pairs make 4 lines, but the file has 2"),
        (["1", "a 1 x", "a 1 b 2"], "line 2: expected NAME n m"),
        (["1", "a 1 2", "a 1 b"], "line 3: expected NAME n m"),
        (["1", "a 1 2", "a 1 b 2 c 3"], "line 3: expected NAME n m"),
        (["1", "a 1 2", "a\t1\t\t2"], "line 3: expected NAME n m"),
        (["1", "a 1 1", "a 1 b 2"], "line 2: an image is paired with itself"),
        (["9999999999999 1", "a 1 2"], "line 1"),
        (["9" * 5000, "a 1 2"], "line 1: expected the number of folds"),
        (["1", "a 1 " + "9" * 5000, "a 1 b 2"], "line 2: expected NAME n m"),
    ],
)
def test_errors_in_pairs_files_name_the_line(tmp_path, lines, part):
    with pytest.raises(InputError, match=r"pairs\.txt") as caught:
        read_pairs(write_pairs(tmp_path / "pairs.txt", *lines))
    assert part in str(caught.value)
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        read_pairs(tmp_path / "pairs.txt")


@pytest.mark.slow
def test_people_count_the_same_in_sampled_pairs():
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(30), np.r_[60, rng.integers(1, 6, 29)])
    rows = rng.permutation(len(labels))[:-3]
    pairs = sample_pairs(labels, rows, rng)
    assert set(pairs.rows.ravel()) <= set(rows) and (labels[pairs.rows] == pairs.people).all()
    assert (pairs.same == (pairs.people[:, 0] == pairs.people[:, 1])).all()
    assert len({tuple(sorted(pair)) for pair in pairs.rows.tolist()}) == len(pairs)
    who = [tuple(sorted(pair)) for pair in pairs.people.tolist()]
    total = {key: sum(w for k, w in zip(who, pairs.weights, strict=True) if k == key) for key in set(who)}
    assert all(weight == pytest.approx(1) for weight in total.values())
    present = np.unique(labels[rows])
    assert {key for key in total if key[0] != key[1]} == set(combinations(present.tolist(), 2))
    assert who.count((0, 0)) == 20
    # Nobody is in two folds, and a pair of two folds is in none.
    fold_of = {}
    for people, fold in zip(pairs.people.tolist(), pairs.folds.tolist(), strict=True):
        for person in people if fold >= 0 else ():
            assert fold_of.setdefault(person, fold) == fold
    assert set(fold_of.values()) == set(range(10))
    several = np.bincount(labels[rows]) > 1
    assert all(pairs.same[pairs.folds == fold].any() for fold in range(10)) and several.sum() >= 10


def test_two_strangers_never_make_a_pair():
    features = toy_features(10, 3)
    strangers = np.full((6, 4), 0.5, np.float32)
    features = FeatureSet(features.matrix, features.labels, features.names, None, ["x.png"] * 30, strangers)
    everybody = with_strangers(features)
    assert stranger_label(everybody.names) == 10 and everybody.names[10:] == [f"_strangers/{n}" for n in range(1, 7)]
    pairs = sample_pairs(everybody.labels, np.arange(36), np.random.default_rng(6), 10)
    is_stranger = pairs.people >= 10
    with_stranger = is_stranger.any(axis=1)
    assert with_stranger.sum() == 30 * 6 and not pairs.same[with_stranger].any() and not is_stranger.all(axis=1).any()
    assert len(pairs) == 30 * 6 + 10 * 3 + 45 * 9


def test_many_pairs_are_sampled_people_first():
    labels = np.r_[np.zeros(600, int), np.arange(1, 600)]
    pairs = sample_pairs(labels, np.arange(len(labels)), np.random.default_rng(6))
    different = pairs.people[~pairs.same]
    assert len(different) == 200_000 and (different[:, 0] != different[:, 1]).all()
    assert (different == 0).any(axis=1).mean() == pytest.approx(2 / 600, rel=0.2)
    few = sample_pairs(np.array([0, 0, 1]), np.arange(3), np.random.default_rng(6))
    assert few.same.tolist() == [True, False, False] and few.folds.tolist() == [-1, -1, -1]
