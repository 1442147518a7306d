"""Pairs, statistics, thresholds and the head: against brute force, scikit-learn and the original recipe."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support import ROOT

import train
from utils.cli import InputError
from utils.features.feature_files import FeatureSet, load_features, save_person
from utils.features.normalization import Normalization
from utils.files import read_json
from utils.heads.head import Head, head_path, load_head, save_head
from utils.heads.models import create_model, dense_similarity
from utils.heads.pairs import all_negative_pairs, negative_pairs, positive_pairs, split_people
from utils.heads.threshold import choose_threshold
from utils.keras_models import save_model
from utils.metrics import verification_figures

LABELS = np.array([0, 1, 0, 2, 1, 0, 3])


def test_every_face_meets_every_other_of_its_person_once():
    expected = {(i, j) for i in range(7) for j in range(i + 1, 7) if LABELS[i] == LABELS[j]}
    pairs = positive_pairs(LABELS)
    assert pairs.dtype == np.int32 and len(pairs) == len(expected) == 4
    assert {tuple(sorted(pair)) for pair in pairs.tolist()} == expected


def test_negatives_are_of_two_people():
    rng = np.random.default_rng(0)
    pairs = negative_pairs(LABELS, 1000, rng)
    assert pairs.shape == (1000, 2) and (LABELS[pairs[:, 0]] != LABELS[pairs[:, 1]]).all()
    assert len({tuple(pair) for pair in np.sort(pairs).tolist()}) == 17  # all there are, out of 21 pairs
    with pytest.raises(ValueError, match="two people"):
        negative_pairs(np.zeros(5, int), 10, rng)
    every = all_negative_pairs(LABELS, 17, rng)
    assert len(every) == 17 and len({tuple(sorted(pair)) for pair in every.tolist()}) == 17
    assert len(all_negative_pairs(LABELS, 16, rng)) == 16


def test_held_out_people_are_not_trained_on():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(40), rng.integers(1, 6, 40))
    rows, held = split_people(labels, 0.2, 5, rng)
    assert sorted(np.r_[rows, held]) == list(range(len(labels)))
    assert not set(labels[rows]) & set(labels[held])
    assert len(set(labels[held])) == pytest.approx(8, abs=1)
    few = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4])
    assert len(split_people(few, 0.2, 5, rng)[1]) == 0
    assert len(set(few[split_people(few, 0.2, 4, rng)[1]])) >= 2
    assert len(split_people(labels, 0, 5, rng)[1]) == 0


def test_the_threshold_keeps_the_false_accept_rate():
    rng = np.random.default_rng(3)
    impostors = 0.5 + 0.5 * rng.random(20_000)
    for far in (0.1, 0.01, 0.001):
        threshold, supported = choose_threshold(impostors, far, 20_000)
        assert (impostors > threshold).mean() <= far < (impostors > threshold - 0.001).mean() + 1e-4 + far / 10
        assert supported == far
    assert choose_threshold(np.full(10_000, 0.1), 0.01, 10_000) == (0.5, 0.01)
    assert choose_threshold(np.full(3, 0.9), 1.0, 3) == (0.9, 1.0)
    # Too few for the rate: all of them are cleared, and it is said what they do support.
    assert choose_threshold(np.array([0.1, 0.95, 0.3, 0.2]), 0.001, 4) == (0.95, 0.25)
    assert choose_threshold(np.array([0.1, 0.2]), 0.001, 2) == (0.8, 0.5)
    # Many photos of two people are still one pair of people.
    assert choose_threshold(np.full(1600, 0.1), 0.001, 1) == (0.8, 1.0)
    with pytest.raises(ValueError, match="none"):
        choose_threshold(np.empty(0), 0.1, 1)


def test_verification_figures():
    rng = np.random.default_rng(4)
    same, different = rng.normal(1, 1, 3000), rng.normal(-1, 1, 4000)
    figures = verification_figures(same, different, (-same, -different), 0.0, 9)
    truth = np.r_[np.ones(3000), np.zeros(4000)]
    assert figures.auc == figures.euclidean_auc == roc_auc_score(truth, np.r_[same, different])
    assert figures.eer == pytest.approx(0.1587, abs=0.01)  # Φ(−1)
    assert figures.far == pytest.approx(0.1587, abs=0.02) and figures.tar == pytest.approx(0.8413, abs=0.02)
    assert figures.accuracy == pytest.approx((figures.tar + 1 - figures.far) / 2)


def test_the_head_is_the_original_recipes():
    from keras import layers

    model = create_model()
    assert model.input_shape == (None, 2048) and model.output_shape == (None, 1)
    kinds = [(type(layer), getattr(layer, "units", getattr(layer, "rate", None))) for layer in model.layers[1:]]
    assert kinds == [
        (layers.Dense, 512),
        (layers.Dropout, 0.5),
        (layers.Dense, 256),
        (layers.Dropout, 0.3),
        (layers.Dense, 32),
        (layers.Dense, 1),
        (layers.Activation, None),
    ]
    assert [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")] == [
        *["linear"] * 4,
        "sigmoid",
    ]


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(5)
    return rng.normal(size=(2, 20, 6)).astype(np.float32)


def test_normalization_and_difference_are_inside(batches, tmp_path):
    head = create_model((6,))
    a, b = batches
    plain = Head(dense_similarity(head), {})
    expected = head.predict_on_batch(np.abs(a - b))[:, 0]
    np.testing.assert_allclose(plain.score_pairs(a, b), expected, rtol=1e-5)
    np.testing.assert_allclose(plain.score_pairs(b, a), expected, rtol=1e-5)
    statistics = Normalization(0.3, 2.5, 20, np.zeros(6), np.ones(6), None)
    similarity = dense_similarity(head, statistics)
    normalized = [(x - 0.3) / 2.5 for x in (a, b)]
    expected = head.predict_on_batch(np.abs(normalized[0] - normalized[1]))[:, 0]
    save_head(tmp_path / "similarity.keras", similarity, {"threshold": 0.7, "extractor": "one-6-abc"})
    loaded = load_head(tmp_path)
    np.testing.assert_allclose(loaded.score_pairs(a, b), expected, rtol=1e-5)
    assert (loaded.threshold, loaded.extractor, loaded.dimension) == (0.7, "one-6-abc", 6)
    grid = loaded.score_gallery(a[:3], b)
    assert grid.shape == (3, 20)
    np.testing.assert_allclose(grid[1], loaded.score_pairs(np.repeat(a[1:2], 20, axis=0), b), rtol=1e-5)
    with pytest.raises(InputError, match="its own normalization"):
        load_head(tmp_path, statistics)


@pytest.mark.parametrize("name", ["old.h5", "old.keras"])
def test_a_one_input_head_of_the_original_recipe_loads(batches, tmp_path, name):
    head = create_model((6,))
    save_model(head, tmp_path / name)
    a, b = batches
    loaded = load_head(tmp_path / "old")
    np.testing.assert_allclose(loaded.score_pairs(a, b), head.predict_on_batch(np.abs(a - b))[:, 0], rtol=1e-5)
    assert (loaded.threshold, loaded.min_votes) == (0.8, 0.85)
    statistics = Normalization(0.3, 2.5, 20, np.zeros(6), np.ones(6), None)
    expected = head.predict_on_batch(np.abs(a - b) / 2.5)[:, 0]
    np.testing.assert_allclose(load_head(tmp_path / name, statistics).score_pairs(a, b), expected, rtol=1e-5)


def test_heads_are_found_by_folder_file_and_bare_name(tmp_path):
    similarity = dense_similarity(create_model((3,)))
    assert head_path(tmp_path / "folder/") == tmp_path / "folder" / "similarity.keras"
    assert head_path(tmp_path / "mine.keras") == tmp_path / "mine.keras"
    save_head(head_path(tmp_path / "folder"), similarity, {"threshold": 0.6})
    save_head(head_path(tmp_path / "mine.keras"), similarity, {"threshold": 0.7})
    found = [
        load_head(tmp_path / name).threshold for name in ("folder", "folder/similarity.keras", "mine", "mine.keras")
    ]
    assert found == [0.6, 0.6, 0.7, 0.7]
    with pytest.raises(InputError, match="no model at"):
        load_head(tmp_path / "nothing")


def test_what_is_no_head_is_refused(extractor_path):
    with pytest.raises(InputError, match="similarity head maps"):
        load_head(extractor_path)


def synthetic(folder, people: int, images: int, seed: int = 0, dimension: int = 16) -> FeatureSet:
    """Features of people who are easy to tell apart, saved as extract_features.py does."""
    rng = np.random.default_rng(seed)
    for person in range(people):
        matrix = rng.normal(size=dimension) + 0.1 * rng.normal(size=(images, dimension))
        save_person(folder, f"p{person:03}", matrix, [[f"{i}.png", 1, 1] for i in range(images)], "toy-16-abc", 0)
    return load_features(folder)


def test_training_learns_and_the_file_says_how_well(tmp_path, capsys):
    features = synthetic(tmp_path / "features", people=40, images=5)
    line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head"), "-e", "15", "-n", "0", "--far", "0.01"]
    line += ["--head", "dense"]
    assert train.main(line) == 0
    assert "AUC" in capsys.readouterr().out
    content = read_json(tmp_path / "head" / "similarity.json")
    assert content["held_out"]["auc"] > 0.99 and content["held_out"]["people"] == 8
    assert content["held_out"]["far"] <= 0.01 and content["held_out"]["tar"] > 0.9
    assert content["extractor"] == "toy-16-abc" and content["dimension"] == 16
    assert content["training"]["epochs"] == 15 and len(content["held_out_people"]) == 8
    assert (tmp_path / "head" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    # The figures are those of the saved file, on the people that it names.
    head = load_head(tmp_path / "head")
    held = np.isin(features.labels, [features.names.index(name) for name in content["held_out_people"]])
    labels, matrix = features.labels[held], features.matrix[held]
    pairs = positive_pairs(labels)
    scores = head.score_pairs(matrix[pairs[:, 0]], matrix[pairs[:, 1]])
    assert (scores > head.threshold).mean() == pytest.approx(content["held_out"]["tar"])


def test_same_seed_same_head(tmp_path):
    synthetic(tmp_path / "features", people=6, images=3)
    weights = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / name), "-e", "2", "--seed", seed]
        assert train.main(line) == 0
        weights.append(load_head(tmp_path / name).model.get_weights())
    assert all(np.array_equal(x, y) for x, y in zip(weights[0], weights[1], strict=True))
    assert not np.array_equal(weights[0][0], weights[2][0])


def test_normalized_training_needs_and_uses_the_statistics(tmp_path, capsys):
    import compute_mean

    synthetic(tmp_path, people=3, images=3)
    line = ["--features_path", str(tmp_path), "--output_model", str(tmp_path / "h.keras"), "--epochs", "1"]
    line += ["--head", "dense"]
    assert train.main([*line, "--normaliza", "1"]) == 2
    assert "run compute_mean.py" in capsys.readouterr().err
    assert compute_mean.main(["--features_path", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    whole = load_features(tmp_path).matrix
    assert f"mean {whole.mean():.6f}"[:-1] in out and "9 × 16" in out
    assert train.main([*line, "--normalize", "1"]) == 0
    front = load_head(tmp_path / "h.keras").model.get_layer("twin").get_layer("normalization")
    assert front.scale == pytest.approx(1 / whole.std(), rel=1e-5)


def test_extreme_shares_leave_people_on_both_sides(tmp_path):
    features = synthetic(tmp_path / "features", people=5, images=2)
    for share in (0.01, 0.5, 0.9):
        rows, held = split_people(features.labels, share, 5, np.random.default_rng(0))
        assert len(set(features.labels[rows])) >= 2 and len(set(features.labels[held])) >= 2
    line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head"), "-e", "1"]
    assert train.main([*line, "--holdout", "0.9", "--far", "0.5"]) == 0


def test_ctrl_c_keeps_the_best_epoch(tmp_path):
    import signal
    import subprocess
    import sys

    synthetic(tmp_path / "features", people=60, images=12)
    words = ["-f", tmp_path / "features", "-o", tmp_path / "head", "-e", "1000", "--patience", "1000"]
    words += ["--head", "dense"]
    command = [sys.executable, "-u", "train.py", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("Epoch 3/"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert load_head(tmp_path / "head").dimension == 16
    assert read_json(tmp_path / "head" / "similarity.json")["held_out"]["auc"] > 0.9


@pytest.mark.parametrize(
    "entry",
    [
        {"threshold": None},
        {"threshold": "high"},
        {"threshold": float("nan")},
        {"threshold": 2},
        {"min_votes": [1]},
        {"min_votes": True},
        {"extractor": ["x"]},
    ],
)
def test_odd_descriptions_are_refused(tmp_path, entry):
    save_head(tmp_path / "similarity.keras", dense_similarity(create_model((3,))), entry)
    with pytest.raises(InputError, match=r"Received: "):
        load_head(tmp_path)


@pytest.mark.parametrize(("people", "images", "part"), [(1, 5, "two people"), (4, 1, "two images")])
def test_too_little_to_train_on_is_one_line(tmp_path, capsys, people, images, part):
    synthetic(tmp_path, people, images)
    assert train.main(["-f", str(tmp_path), "-o", str(tmp_path / "head")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and part in error
    assert not (tmp_path / "head").exists()


def test_few_people_train_without_a_hold_out(tmp_path, capsys):
    synthetic(tmp_path, people=3, images=4)
    assert train.main(["-f", str(tmp_path), "-o", str(tmp_path / "head"), "-e", "2"]) == 0
    assert "nobody is held out" in capsys.readouterr().err
    content = read_json(tmp_path / "head" / "similarity.json")
    assert content["threshold"] == 0.8 and content["held_out"] is None
