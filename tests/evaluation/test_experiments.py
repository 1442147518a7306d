"""Evaluation: figures against scikit-learn and brute force, protocols that must not leak, and the script."""

import json
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import evaluate
from utils.cli import InputError
from utils.evaluation import experiments
from utils.evaluation.identification import (
    NEAREST,
    Watchlist,
    WatchlistLimits,
    measure_identification,
    run_trials,
    sample_watchlist,
    score_people,
)
from utils.evaluation.pairs import (
    Pairs,
    image_rows,
    match_pairs,
    read_pairs,
    sample_pairs,
    stranger_label,
    with_strangers,
)
from utils.evaluation.protocols import (
    HEAD,
    cross_fitted_thresholds,
    cross_validate,
    disjoint_pairs,
    fold_accuracies,
    plain_scores,
)
from utils.evaluation.score_rules import RULES, rank_by_person
from utils.features.feature_files import FeatureSet, save_person
from utils.heads.head import load_head, save_head
from utils.media.images import write_image
from utils.metrics import (
    best_threshold,
    calibration_bins,
    calibration_error,
    people_multiplicities,
    resampled_rocs,
    roc,
)
from utils.recognition.gallery import person_scores


@pytest.fixture
def scored():
    """Scores with ties, truth and weights of 400 pairs."""
    rng = np.random.default_rng(0)
    same = rng.random(400) < 0.4
    scores = np.round(rng.normal(same * 1.5, 1), 1)
    return scores, same, rng.integers(1, 5, 400).astype(float)


def test_the_curve_is_scikit_learns_and_weights_mean_repetition(scored):
    scores, same, weights = scored
    curve = roc(scores, same, weights)
    assert curve.auc == pytest.approx(roc_auc_score(same, scores, sample_weight=weights))
    often = np.repeat(np.arange(400), weights.astype(int))
    for target in (0.001, 0.01, 0.1, 0.5):
        tars = [
            (scores[often] >= t)[same[often]].mean()
            for t in np.r_[np.unique(scores), 99]
            if (scores[often] >= t)[~same[often]].mean() <= target
        ]
        assert curve.tar_at(target) == pytest.approx(max(tars))
    with pytest.raises(ValueError, match="one kind"):
        roc(scores, np.ones(400, bool))


def test_the_equal_error_rate_of_two_normal_distributions():
    rng = np.random.default_rng(1)
    scores = np.r_[rng.normal(1, 1, 20_000), rng.normal(-1, 1, 20_000)]
    assert roc(scores, np.arange(40_000) < 20_000).eer == pytest.approx(0.15866, abs=0.005)  # Φ(−1)


def test_resampled_curves_are_those_of_repeated_pairs(scored):
    scores, same, weights = scored
    rng = np.random.default_rng(2)
    times = [rng.integers(0, 3, 400) for _ in range(5)]
    curves = list(resampled_rocs(scores, same, weights, iter([np.ones(400, int), *times])))
    for curve, drawn in zip(curves, [np.ones(400, int), *times], strict=True):
        often = np.repeat(np.arange(400), drawn)
        expected = roc(scores[often], same[often], weights[often])
        assert (curve.auc, curve.eer) == pytest.approx((expected.auc, expected.eer))
        assert curve.tar_at(0.05) == pytest.approx(expected.tar_at(0.05))
    assert not list(resampled_rocs(scores, same, weights, iter([np.zeros(400, int)])))  # nobody was drawn


def test_a_resampling_draws_people_and_not_pairs():
    people = np.array([[3, 3], [3, 3], [5, 5], [3, 5], [5, 9], [3, 9]])
    for times in people_multiplicities(people, 50, np.random.default_rng(3)):
        three, five = times[0], times[2]
        assert times[1] == three and times[3] == three * five
        nine = 3 - three - five
        assert times[4] == five * nine and times[5] == three * nine


def test_the_best_threshold_parts_the_pairs_as_well_as_any(scored):
    scores, same, weights = scored
    found = best_threshold(scores, same, weights)

    def accuracy(threshold):
        right = (scores > threshold) == same
        return np.average(right[same], weights=weights[same]) + np.average(right[~same], weights=weights[~same])

    assert accuracy(found) == pytest.approx(max(accuracy(t) for t in np.unique(scores) - 0.05))
    assert best_threshold(np.array([0.0, 1.0]), np.array([False, True])) == 0.5


def test_calibration_error_is_the_definition_with_balanced_kinds():
    rng = np.random.default_rng(4)
    probabilities = rng.random(40_000)
    same = rng.random(40_000) < probabilities
    ones = np.ones(40_000)
    assert calibration_error(probabilities, same, ones) < 0.015
    assert calibration_error(probabilities**3, same, ones) > 0.1
    # Twice as many different pairs say nothing else: the kinds count the same.
    often = np.repeat(np.arange(40_000), np.where(same, 1, 2))
    again = calibration_error(probabilities[often], same[often], np.ones(len(often)))
    assert again == pytest.approx(calibration_error(probabilities, same, ones))
    small, truth = np.array([0.0, 0.05, 1.0, 0.98, 0.5]), np.array([False, True, True, True, False])
    # Same pairs weigh 1/6 each, different ones 1/4: the bins hold 0 and 0.05, 0.5, and 0.98 and 1.
    expected = abs(0.05 / 6 - 1 / 6) + abs(0.5 / 4 - 0) + abs(1.98 / 6 - 2 / 6)
    assert calibration_error(small, truth, np.ones(5)) == pytest.approx(expected)
    assert calibration_bins(small, truth, np.ones(5))[2].sum() == pytest.approx(1)


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
    ],
)
def test_bad_pairs_files_are_one_line_that_names_the_line(tmp_path, lines, part):
    with pytest.raises(InputError, match=r"pairs\.txt") as caught:
        read_pairs(write_pairs(tmp_path / "pairs.txt", *lines))
    assert part in str(caught.value)
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        read_pairs(tmp_path / "pairs.txt")


def test_everybody_counts_the_same_in_drawn_pairs():
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


def test_strangers_are_impostors_and_never_meet_each_other():
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


def test_many_pairs_are_drawn_people_first():
    labels = np.r_[np.zeros(600, int), np.arange(1, 600)]
    pairs = sample_pairs(labels, np.arange(len(labels)), np.random.default_rng(6))
    different = pairs.people[~pairs.same]
    assert len(different) == 200_000 and (different[:, 0] != different[:, 1]).all()
    assert (different == 0).any(axis=1).mean() == pytest.approx(2 / 600, rel=0.2)
    few = sample_pairs(np.array([0, 0, 1]), np.arange(3), np.random.default_rng(6))
    assert few.same.tolist() == [True, False, False] and few.folds.tolist() == [-1, -1, -1]


def toy_features(people: int, photos: int, dimension: int = 4, seed: int = 0) -> FeatureSet:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(people, dimension)).repeat(photos, axis=0)
    matrix = (centers + 0.3 * rng.normal(size=centers.shape)).astype(np.float32)
    return FeatureSet(matrix, np.arange(people).repeat(photos), [f"p{i}" for i in range(people)], None)


def test_thresholds_come_from_pairs_without_the_folds_people():
    features = toy_features(40, 3)
    pairs = sample_pairs(features.labels, np.arange(120), np.random.default_rng(7))
    scores = plain_scores(features.matrix, pairs.rows)["Euclidean"]
    honest = cross_fitted_thresholds(scores, pairs)
    assert sorted(honest) == list(range(10))
    for fold in range(10):
        people = np.unique(pairs.people[pairs.folds == fold])
        used = pairs.people[disjoint_pairs(pairs, fold)]
        assert len(used) and not np.isin(used, people).any()
        # Whatever the fold's people score, in pairs with others too, does not move its threshold.
        spoilt = np.where(np.isin(pairs.people, people).any(axis=1), 1e3 * ~pairs.same, scores)
        assert cross_fitted_thresholds(spoilt, pairs)[fold] == honest[fold]
    assert fold_accuracies(scores, pairs, honest).mean() > 0.8


class KnowsItsPeople:
    """A head that knows whom it was trained on by heart, and nothing else."""

    threshold = 0.5

    def __init__(self, features: FeatureSet, rows: np.ndarray):
        self.person = {features.matrix[row].tobytes(): int(features.labels[row]) for row in rows}

    def score_rows(self, matrix, rows):
        known = [
            (self.person.get(matrix[a].tobytes(), "?"), self.person.get(matrix[b].tobytes(), "!")) for a, b in rows
        ]
        return np.array([0.9 if x == y else 0.1 for x, y in known], np.float32)


def folds_of_people(features: FeatureSet, people_a_fold: int) -> Pairs:
    pairs = sample_pairs(features.labels, np.arange(len(features.labels)), np.random.default_rng(8))
    folds = pairs.people // people_a_fold
    chosen = folds[:, 0] == folds[:, 1]
    return Pairs(*(getattr(pairs, name)[chosen] for name in ("rows", "people", "same", "weights")), folds[chosen, 0])


def test_cross_validation_never_trains_on_the_people_of_the_tested_fold():
    features = toy_features(40, 3)
    pairs = folds_of_people(features, 4)
    given = []

    def fit(rows):
        given.append(rows)
        return KnowsItsPeople(features, rows), rows[:0]

    judged = cross_validate(features, pairs, fit, np.random.default_rng(9))
    for fold, rows in enumerate(given):
        tested = np.unique(pairs.people[pairs.folds == fold])
        assert not np.isin(features.labels[rows], tested).any()
        assert sorted(rows) == np.flatnonzero(~np.isin(features.labels, tested)).tolist()  # and on everybody else
    # Memory is worth nothing on unknown people, and everything if one of them leaks.
    assert (judged.scores[HEAD] == np.float32(0.1)).all()
    assert fold_accuracies(judged.scores[HEAD], pairs, judged.fold_thresholds[HEAD]).mean() == 0.5
    leaky = cross_validate(features, pairs, lambda _: fit(np.arange(120)), np.random.default_rng(9))
    assert fold_accuracies(leaky.scores[HEAD], pairs, leaky.fold_thresholds[HEAD]).mean() == 1.0


def test_a_folds_threshold_comes_from_rows_that_the_fit_held_out():
    features = toy_features(40, 3)
    pairs = folds_of_people(features, 4)
    seen = []

    class Distance:
        threshold = 0.5

        def score_rows(self, matrix, rows):
            seen.append({row.tobytes() for row in matrix[rows.ravel()]})
            return np.exp(-np.linalg.norm(matrix[rows[:, 0]] - matrix[rows[:, 1]], axis=1))

    judged = cross_validate(features, pairs, lambda rows: (Distance(), rows[:30]), np.random.default_rng(9))
    assert len(seen) == 20  # a fold: its pairs, and the held-out people's
    for fold in range(10):
        tested = np.flatnonzero(np.isin(features.labels, pairs.people[pairs.folds == fold]))
        assert seen[2 * fold] == {features.matrix[row].tobytes() for row in tested}
        assert not seen[2 * fold] & seen[2 * fold + 1] and len(seen[2 * fold + 1]) == 30
    assert fold_accuracies(judged.scores[HEAD], pairs, judged.fold_thresholds[HEAD]).mean() > 0.8


def test_rules_are_what_they_say():
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


def test_nobody_is_enrolled_and_a_stranger():
    labels = np.r_[np.arange(60).repeat(3), 100 + np.arange(40)]
    rows = np.arange(len(labels))[5:]
    watchlist = sample_watchlist(labels, rows, WatchlistLimits(50, 45, 2), np.random.default_rng(11))
    used = np.concatenate([watchlist.gallery, watchlist.probes, watchlist.strangers])
    assert len(set(used)) == len(used) and set(used) <= set(rows)
    assert watchlist.people == 50 and len(watchlist.strangers) == 45 and watchlist.counts.max() == 2
    np.testing.assert_array_equal(labels[watchlist.gallery], labels[watchlist.probes].repeat(watchlist.counts))
    assert not set(labels[watchlist.strangers]) & set(labels[watchlist.probes])
    everybody = sample_watchlist(
        np.arange(7).repeat(5), np.arange(35), WatchlistLimits(1000, 1000, 5), np.random.default_rng(11)
    )
    assert (everybody.people, len(everybody.strangers)) == (3, 4)
    for alone in (np.zeros(5, int), np.arange(5)):
        with pytest.raises(InputError, match="at least two photos"):
            sample_watchlist(alone, np.arange(5), WatchlistLimits(10, 10, 5), np.random.default_rng(11))


class Closeness:
    """A head that is a function of the distance."""

    threshold, min_votes = 0.7, 0.5

    def score_gallery(self, probes, gallery):
        return np.exp(-np.linalg.norm(probes[:, None] - gallery[None], axis=2))


def test_identification_is_counted_as_by_hand():
    features = toy_features(300, 3, dimension=5, seed=3)
    watchlist = sample_watchlist(
        features.labels, np.arange(900), WatchlistLimits(100, 200, 5), np.random.default_rng(12)
    )
    head = Closeness()
    scores = score_people(head, features.matrix, watchlist)
    near = score_people(head, features.matrix, watchlist)[NEAREST]
    np.testing.assert_allclose(np.exp(near), scores["best"], rtol=1e-4)
    person = features.matrix[watchlist.gallery[: watchlist.counts[0]]].mean(0)
    by_mean = np.exp(-np.linalg.norm(features.matrix[watchlist.strangers] - person, axis=1))
    np.testing.assert_allclose(scores["mean features"][100:, 0], by_mean, rtol=1e-4)
    best = scores["best"].astype(float)
    for size in (10, 30, 100):
        found = measure_identification(scores, size, 0.7, 20, 0)["best"]
        galleries = [range(start, start + size) for start in range(0, 100 - size + 1, size)]
        strangers = np.array([[max(best[100 + s, g]) for g in galleries] for s in range(200)])
        allowed = sorted(strangers.ravel())[::-1][int(0.01 * strangers.size)]
        hits, named, firsts = [], [], []
        for gallery in galleries:
            for probe in gallery:
                likest = max(gallery, key=lambda person: best[probe, person])
                firsts.append(likest == probe)
                hits.append(likest == probe and best[probe, likest] > allowed)
                named.append((likest == probe, best[probe, likest] > 0.7))
        assert found.rank1.value == pytest.approx(np.mean(firsts))
        assert found.dir[0.01].value == pytest.approx(np.mean(hits))
        assert found.dir[0.01].low <= found.dir[0.01].value <= found.dir[0.01].high
        assert found.dir[0.001].value is None  # 200 strangers cannot show it
        assert found.named["strangers"].value == pytest.approx((strangers > 0.7).mean())
        assert found.named["right"].value == pytest.approx(np.mean([right and over for right, over in named]))
        assert found.named["wrong"].value == pytest.approx(np.mean([over and not right for right, over in named]))
    assert run_trials(best, 30).stranger_scores.shape == (200, 3)


def test_blocks_of_probes_make_no_difference():
    features = toy_features(30, 4)
    rows = np.arange(120).reshape(30, 4)
    watchlist = Watchlist(rows[:20, 1:].ravel(), np.full(20, 3), rows[:20, 0], rows[20:, 0])
    head = Closeness()
    whole = score_people(head, features.matrix, watchlist)
    for name, scores in score_people(head, features.matrix, watchlist, max_scores=1).items():
        np.testing.assert_allclose(scores, whole[name], rtol=1e-6)


@pytest.fixture
def enrolled(tmp_path):
    """A features folder in LFW's naming, 12 people of four photos and 12 of one, and a pairs file of two folds."""
    features = toy_features(24, 4, dimension=8, seed=1)
    for person in range(24):
        photos = 4 if person < 12 else 1
        images = [[f"p{person:02}_{n:04}.jpg", 1, 1] for n in range(1, photos + 1)]
        matrix = features.matrix[features.labels == person][:photos]
        save_person(tmp_path / "features", f"p{person:02}", matrix, images, "toy-8-abc", 0)
    lines = ["2\t12"]
    for fold in (0, 6):
        people = [f"p{person:02}" for person in range(fold, fold + 6)]
        lines += [f"{name}\t{n}\t{n + 1}" for name in people for n in (1, 3)]
        lines += [f"{a}\t{n}\t{b}\t{n}" for a, b in zip(people, people[1:] + people[:1], strict=True) for n in (1, 2)]
    write_pairs(tmp_path / "pairs.txt", *lines)
    return tmp_path


@pytest.fixture
def toy_head(tmp_path):
    """A head that says exp(−|a − b|²/8) or so, saved as train.py does; p00 to p07 and p12 to p19 were held out."""
    from keras import Input, Model, layers, ops

    a, b = Input((8,), name="features_a"), Input((8,), name="features_b")
    probability = ops.exp(-ops.sum(ops.square(a - b), axis=1, keepdims=True) / 8)
    held = [f"p{number:02}" for number in (*range(8), *range(12, 20))]
    description = {"extractor": "toy-8-abc", "threshold": 0.7, "min_votes": 0.5, "held_out_people": held}
    save_head(tmp_path / "head" / "similarity.keras", Model([a, b], layers.Identity()(probability)), description)
    return tmp_path / "head"


def run(*words) -> int:
    return evaluate.main([str(word) for word in words])


def test_held_out_people_are_verified_and_drawn(enrolled, toy_head, capsys):
    for person in ("p00", "p01"):
        write_image(enrolled / "faces" / person / f"{person}_0001.jpg", np.full((90, 90, 3), 120, np.uint8))
    out = enrolled / "report"
    words = ["-f", enrolled / "features", "-c", toy_head, "-o", out, "--faces_path", enrolled / "faces"]
    assert run(*words, "--bootstrap", 20) == 0
    printed = capsys.readouterr().out
    assert "head − Euclidean: AUC +0.0000 [+0.0000, +0.0000]" in printed
    assert "16 people held out by the head, 48 same and 732 different pairs" in printed
    for part in ("head ", "Euclidean ", "cosine ", "TAR at FAR 0.01", "expected calibration error", "own threshold"):
        assert part in printed
    for name in ("roc", "scores", "worst_pairs"):
        assert (out / f"{name}.svg").read_text().startswith("<?xml")
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG") and (
            out / f"{name}.png"
        ).stat().st_size > 10_000
    content = json.loads((out / "evaluation.json").read_text())
    # The toy head is a function of the distance: it ranks the pairs as the distance does.
    assert content["scorers"]["head"]["figures"]["auc"] == content["scorers"]["Euclidean"]["figures"]["auc"]
    assert content["scorers"]["head"]["gains"]["auc"]["value"] == 0
    assert content["scorers"]["head"]["accuracy"] > 0.8 and content["own_threshold"]["threshold"] == 0.7
    assert content["scorers"]["head"]["figures"]["tar_at_far_0.001"]["value"] is None  # 120 pairs of people
    people = (out / "people.csv").read_text().splitlines()
    assert len(people) == 17 and people[0].startswith("person,same_pairs,false_rejects,")


def test_json_is_all_that_is_printed_and_the_same_again(enrolled, toy_head, capsys):
    words = ["-f", enrolled / "features", "-c", toy_head, "--json", "--bootstrap", 10]
    printed = []
    for _ in range(2):
        assert run(*words) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] and json.loads(printed[0])["people"] == 16


def test_pairs_without_features_are_named_and_counted(enrolled, toy_head, capsys):
    words = ["-f", enrolled / "features", "-c", toy_head, "--pairs", enrolled / "pairs.txt", "--bootstrap", 0]
    assert run(*words) == 0
    captured = capsys.readouterr()
    assert "24 same and 24 different pairs" in captured.out and captured.err.count("\n") == 1
    lines = (enrolled / "pairs.txt").read_text().replace("p03\t1\t2", "p03\t1\t9")
    (enrolled / "pairs.txt").write_text(lines)
    assert run(*words) == 0
    captured = capsys.readouterr()
    assert "23 same and 24 different pairs" in captured.out
    # A single fold has no others to take a threshold from.
    (enrolled / "one.txt").write_text("2\np01\t1\t2\np02\t1\t2\np01\t1\tp02\t1\np03\t1\tp02\t1\n")
    assert run(*words[:-3], enrolled / "one.txt", "--bootstrap", 0, "--json") == 0
    assert json.loads(capsys.readouterr().out)["scorers"]["head"]["accuracy"] is None
    assert "1 pair of" in captured.err and "line 8: no features of p03_0009" in captured.err


def test_strangers_and_known_people_are_identified(enrolled, toy_head, capsys):
    words = ["-f", enrolled / "features", "-c", toy_head, "--identification", "--gallery_sizes", 2, 5, 1000]
    assert run(*words, "-o", enrolled / "report", "--bootstrap", 10) == 0
    printed = capsys.readouterr().out
    assert (
        "8 people held out by the head enrolled with 24 photos; probes: one more photo of each, and one of each of 8 strangers"
        in printed
    )
    assert "4 galleries of 2" in printed and "1 gallery of 5" in printed and "1 gallery of 8" in printed
    assert (enrolled / "report" / "identification.png").stat().st_size > 10_000
    content = json.loads((enrolled / "report" / "evaluation.json").read_text())
    assert set(content["galleries"]) == {"2", "5", "8"} and NEAREST in content["galleries"]["8"]
    assert content["galleries"]["8"]["best"]["rank1"]["value"] > 0.5


def test_ctrl_c_ends_all_folds(enrolled, monkeypatch, capsys):
    """fit_head ends by itself at Ctrl-C, with what is learned so far: good for train.py, not for a fold of ten."""
    folds = []

    def interrupted(*_):
        folds.append(1)
        return SimpleNamespace(interrupted=True)

    monkeypatch.setattr(experiments, "fit_head", interrupted)
    assert run("-f", enrolled / "features", "--pairs", enrolled / "pairs.txt", "--cross_validate") == 130
    assert len(folds) == 1 and capsys.readouterr().err.endswith("interrupted\n")


def test_a_head_that_held_nobody_out_is_warned_of(enrolled, toy_head, capsys):
    save_head(toy_head / "similarity.keras", load_head(toy_head).model, {"extractor": "toy-8-abc"})
    assert run("-f", enrolled / "features", "-c", toy_head, "--bootstrap", 0) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("24 people, 72 same") and "the figures are too good" in captured.err


def test_of_two_people_little_can_be_said_and_that_is_said(enrolled, toy_head, capsys):
    save_head(toy_head / "similarity.keras", load_head(toy_head).model, {"held_out_people": ["p01", "p02"]})
    words = ["-f", enrolled / "features", "-c", toy_head, "-o", enrolled / "report", "--faces_path", enrolled]
    assert run(*words, "--bootstrap", 20) == 0
    assert "2 people held out by the head, 12 same and 16 different pairs" in capsys.readouterr().out
    scorer = json.loads((enrolled / "report" / "evaluation.json").read_text())["scorers"]["head"]
    assert scorer["accuracy"] is None and scorer["figures"]["tar_at_far_0.01"]["value"] is None
    assert (enrolled / "report" / "worst_pairs.png").stat().st_size > 10_000
    assert run(*words, "--identification") == 0
    assert "1 person held out by the head enrolled with 3 photos" in capsys.readouterr().out


def test_a_desk_of_drawn_people_is_evaluated(suite, tmp_path, capsys):
    words = ["-f", suite["features"], "-c", suite["head"], "-o", tmp_path, "--faces_path", suite["faces"]]
    assert run(*words, "--bootstrap", 20) == 0
    printed = capsys.readouterr().out  # whether few people are held out is train.py's choice
    assert "7 people, 70 same and 525" in printed or "2 people held out by the head, 20 same and 25" in printed
    assert json.loads((tmp_path / "evaluation.json").read_text())["scorers"]["head"]["figures"]["auc"]["value"] > 0.9


def test_strangers_of_the_folder_are_impostors(enrolled, toy_head, capsys):
    save_person(enrolled / "features", "_strangers", np.ones((5, 8), np.float32), [["a.png", 1, 1]] * 5, "toy-8-abc", 0)
    words = ["-f", enrolled / "features", "-c", toy_head, "--bootstrap", 0]
    assert run(*words) == 0
    captured = capsys.readouterr()
    assert "5 faces of strangers count as impostors" in captured.err
    assert "48 same and 932 different pairs" in captured.out  # 732, and each of 40 photos with each stranger
    assert run(*words, "--identification") == 0
    assert "each of 13 strangers" in capsys.readouterr().out


def test_cross_validation_trains_heads_and_leaves_no_file(enrolled, capsys, monkeypatch):
    monkeypatch.chdir(enrolled)
    before = sorted(enrolled.rglob("*"))
    words = ["-f", "features", "--pairs", "pairs.txt", "--cross_validate", "--bootstrap", 0, "--json"]
    assert run(*words, "--head", "plda") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["same_pairs"] == 24 and json.loads(printed)["scorers"]["head"]["accuracy"] > 0.6
    assert run(*words, "--head", "plda") == 0
    assert json.loads(printed) == json.loads(capsys.readouterr().out)
    assert run(*words, "--head", "distance") == 2
    assert "knows dlib's extractor only" in capsys.readouterr().err
    words = ["-f", "features", "--cross_validate", "--identification", "--gallery_sizes", 4, "--bootstrap", 0]
    assert run(*words) == 0
    assert "4 people enrolled" in capsys.readouterr().out
    assert sorted(enrolled.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "with --classification"),
        (["--cross_validate"], "--cross_validate needs --pairs"),
        (["--cross_validate", "-c", "head", "--pairs", "pairs.txt"], "leave out --classification"),
        (["--identification", "-c", "head", "--pairs", "pairs.txt"], "does not use --pairs"),
        (["-c", "missing"], "there is no model at"),
        (["-c", "head", "--pairs", "missing.txt"], "missing.txt"),
        (["-c", "head", "--pairs", "features"], "features"),
        (["-c", "head", "--pairs", "head/similarity.keras"], "not text"),
        (["-c", "head", "-o", "pairs.txt/x"], "a file is in the way"),
        (["-c", "head", "--faces_path", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_bad_input_is_one_line(enrolled, toy_head, capsys, monkeypatch, words, part):
    monkeypatch.chdir(enrolled)
    assert run("-f", "features", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and part in error


def test_foreign_heads_and_features_are_one_line(enrolled, toy_head, capsys):
    save_person(enrolled / "others", "ada", np.ones((3, 8), np.float32), [["a.png", 1, 1]] * 3, "other-8-def", 0)
    assert run("-f", enrolled / "others", "-c", toy_head) == 2
    error = capsys.readouterr().err
    assert "toy-8-abc" in error and "other-8-def" in error
    save_person(enrolled / "alone", "ada", np.ones((3, 8), np.float32), [["a.png", 1, 1]] * 3, "toy-8-abc", 0)
    assert run("-f", enrolled / "alone", "-c", toy_head) == 2
    assert "do not give pairs of both kinds" in capsys.readouterr().err.splitlines()[-1]
    assert run("-f", enrolled / "alone", "-c", toy_head, "--identification") == 2
    assert "and a stranger" in capsys.readouterr().err.splitlines()[-1]
    assert run("-f", enrolled / "nowhere", "-c", toy_head) == 2
