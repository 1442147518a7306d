"""The heads: PLDA against Gaussian densities, gallery against pairs, calibration against scikit-learn, few people."""

import numpy as np
import pytest
from support import assert_one_error_line, run_script

import train
from utils.features.backbones import build_extractor
from utils.features.extractor import load_extractor, model_fingerprint
from utils.features.feature_files import STRANGERS, FeatureSet, load_features, save_person
from utils.files import read_json
from utils.heads.batches import PEOPLE, sample_balanced_rows
from utils.heads.calibration import ScoredPairs, expected_calibration_error, fit_logistic
from utils.heads.choice import confused_share, suitable_head
from utils.heads.distance import CONSTANTS
from utils.heads.head import Head, load_head, save_head
from utils.heads.models import create_model, dense_similarity, distance_similarity, plda_similarity, rescale_logit
from utils.heads.options import TrainingOptions
from utils.heads.pairs import STRANGER_LABEL, capped_rows
from utils.heads.plda import estimate_covariances, fit_plda, make_plda
from utils.heads.threshold import bootstrap_operating_point, thresholds_by_rate
from utils.heads.training import all_pairs_loss, fit_head
from utils.log_odds import MAX_THRESHOLD_LOG_ODDS, logits, probabilities
from utils.recognition.gallery import Gallery, person_scores

EXTRACTOR = next(iter(CONSTANTS))  # dlib's, without --flip


def gaussian_people(people: int, photos: int, dimension: int = 12, seed: int = 0, spread: float = 0.5):
    """Features whose scatter within people has directions of very different width, and their labels."""
    rng = np.random.default_rng(seed)
    widths = spread * np.geomspace(0.2, 3, dimension)
    labels = np.repeat(np.arange(people), photos)
    matrix = rng.normal(size=(people, dimension))[labels] + rng.normal(size=(len(labels), dimension)) * widths
    return matrix.astype(np.float32), labels


def ratio(plda, a, b):
    a, b = ((x - plda.mean) @ plda.projection for x in (a, b))
    return (a * b).sum(1) + (a**2 + b**2) @ plda.square_weights + plda.constant


def test_plda_is_the_ratio_of_two_gaussian_densities():
    rng = np.random.default_rng(1)
    center, dimension = rng.normal(size=4), 4
    within, between = (f @ f.T + 0.1 * np.eye(dimension) for f in rng.normal(size=(2, dimension, dimension)))
    a, b = rng.normal(size=(2, 50, dimension))

    def log_density(x, covariance):
        return -(np.einsum("ni,ij,nj->n", x, np.linalg.inv(covariance), x) + np.linalg.slogdet(covariance)[1]) / 2

    total = within + between
    together = np.block([[total, between], [between, total]])
    expected = log_density(np.hstack([a - center, b - center]), together)
    expected -= log_density(a - center, total) + log_density(b - center, total)
    np.testing.assert_allclose(ratio(make_plda(center, within, between), a, b), expected, rtol=1e-6)


def test_covariances_are_those_that_the_faces_were_drawn_from():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(3000), rng.integers(1, 5, 3000))
    scatter = np.diag([1.0, 2.0, 1.5])
    matrix = 5 + rng.normal(size=(3000, 3))[labels] * 2 + rng.normal(size=(len(labels), 3)) @ np.sqrt(scatter)
    center, within, between = estimate_covariances(matrix, labels)
    np.testing.assert_allclose(center, 5, atol=0.15)
    np.testing.assert_allclose(between, 4 * np.eye(3), atol=0.4)
    np.testing.assert_allclose(within, 0.6 * scatter + 0.4 * 1.5 * np.eye(3), atol=0.1)  # WITHIN_SHRINKAGE
    with pytest.raises(ValueError, match="two people"):
        fit_plda(matrix[:1], labels[:1])


def heads() -> dict:
    matrix, labels = gaussian_people(30, 4)
    return {
        "plda": plda_similarity(fit_plda(matrix, labels)),
        "dense": dense_similarity(create_model((12,))),
        "distance": distance_similarity(12, 3.0, 4.0),
    }


@pytest.mark.parametrize("kind", ["plda", "dense", "distance"])
def test_a_head_is_symmetric_and_a_gallery_is_the_same_as_its_pairs(kind, tmp_path):
    matrix, _ = gaussian_people(30, 4, seed=3)
    save_head(tmp_path / "similarity.keras", heads()[kind], {})
    head = load_head(tmp_path)  # in Keras' safe mode
    a, b = matrix[:40], matrix[40:80]
    scores = head.score_pairs(a, b)
    np.testing.assert_allclose(head.score_pairs(b, a), scores, rtol=1e-4, atol=1e-6)
    grid = head.score_gallery(a, b)
    assert grid.shape == (40, 40) and grid.dtype == np.float32
    np.testing.assert_allclose(np.diag(grid), scores, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(head.score_gallery(a[:3], b), grid[:3], rtol=1e-4, atol=1e-6)
    assert head.score_gallery(a, b[:0]).shape == (40, 0)
    rescale_logit(head.model, 0.5, -1.0)
    inside = np.abs(logits(scores)) < 12
    np.testing.assert_allclose(logits(head.score_pairs(a, b))[inside], 0.5 * logits(scores)[inside] - 1, atol=0.05)


def test_the_layers_are_the_model():
    matrix, labels = gaussian_people(30, 4)
    plda = fit_plda(matrix, labels)
    a, b = matrix[:60], matrix[60:]
    found = logits(Head(plda_similarity(plda), {}).score_pairs(a, b))
    expected = np.clip(ratio(plda, a, b), -16, 16)
    np.testing.assert_allclose(found[np.abs(expected) < 8], expected[np.abs(expected) < 8], atol=2e-3)
    near = Head(distance_similarity(12, 3.0, 4.0), {}).score_pairs(a, b)
    np.testing.assert_allclose(logits(near), np.clip(4 - 3 * np.linalg.norm(a - b, axis=1), -16, 16), atol=1e-3)


def test_the_loss_counts_every_pair_of_a_batch_but_those_of_strangers():
    labels = np.array([0, 0, 1, 1, 1, 2, STRANGER_LABEL, STRANGER_LABEL])
    values = np.random.default_rng(4).normal(size=(8, 8)).astype(np.float32)
    same, different = [], []
    for i in range(8):
        for j in range(8):
            value = values[i, j] + np.log(0.1 / 0.9)
            if labels[i] != labels[j]:
                different.append(np.log1p(np.exp(value)))
            elif i != j and labels[i] != STRANGER_LABEL:
                same.append(np.log1p(np.exp(-value)))
    assert len(same) == 8 and len(different) == 64 - 8 - 8 - 2
    found = float(all_pairs_loss(labels[:, None], values))
    assert found == pytest.approx(np.mean(same) + 9 * np.mean(different), rel=1e-5)


def test_batches_are_balanced_over_people():
    rng = np.random.default_rng(5)
    labels = np.r_[np.zeros(500, int), np.repeat(np.arange(1, 41), 3), np.arange(41, 300), np.full(20, STRANGER_LABEL)]
    rows = np.arange(len(labels))
    for _ in range(5):
        batch = sample_balanced_rows(labels, rows, rng)
        assert len(set(batch.tolist())) == len(batch) == 2 * 41 + PEOPLE
        several = labels[batch[: 2 * 41]]
        assert (np.bincount(several) == 2).all() and len(np.bincount(several)) == 41
        assert set(labels[batch[2 * 41 :]]) <= {STRANGER_LABEL, *range(41, 300)}
    capped = capped_rows(labels[:620], 10, rng)
    assert np.bincount(labels[capped]).tolist() == [10] + [3] * 40
    assert (np.diff(capped) > 0).all()


def test_calibration_is_balanced_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)
    same, different = rng.normal(3, 2, 4000), rng.normal(-4, 3, 20_000)
    scale, offset = fit_logistic(same, different)
    reference = LogisticRegression(C=1e6, class_weight="balanced", tol=1e-8).fit(
        np.r_[same, different][:, None], np.r_[np.ones(4000), np.zeros(20_000)]
    )
    assert scale == pytest.approx(reference.coef_[0, 0], rel=0.01)
    assert offset == pytest.approx(reference.intercept_[0], abs=0.01)
    probabilities = [1 / (1 + np.exp(-(scale * x + offset))) for x in (same, different)]
    assert expected_calibration_error(*probabilities) < 0.02 < expected_calibration_error(np.ones(9), np.ones(9))
    # Told apart perfectly, or the wrong way round: still finite and rising.
    for pair in ((np.ones(5), -np.ones(5)), (-np.ones(5), np.ones(5)), (np.zeros(3), np.zeros(3))):
        scale, offset = fit_logistic(*pair)
        assert np.isfinite([scale, offset]).all() and scale > 0


def test_expected_calibration_error_by_hand():
    # Of the bin around 0.9 half the weight is of the same person, of the one around 0.1 a third.
    same, different = np.array([0.9, 0.1]), np.array([0.9, 0.1, 0.1, 0.1])
    expected = abs(0.25 * 0.1 - 0.125 * 0.9) + abs(0.25 * 0.9 - 0.375 * 0.1)
    assert expected_calibration_error(same, different) == pytest.approx(expected)


def test_intervals_are_wider_with_fewer_people():
    rng = np.random.default_rng(7)
    widths = []
    for people in (30, 300):
        bias = 0.5 * rng.normal(size=people)  # who is easily confused
        first, second = np.triu_indices(people, k=1)
        scores = 1 / (1 + np.exp(-(bias[first] + bias[second] + rng.normal(size=len(first)))))
        pairs = ScoredPairs(np.ones(1), scores, np.zeros(1, int), np.stack([first, second], axis=1))
        threshold = np.quantile(scores, 0.95)
        found = bootstrap_operating_point(pairs, threshold, 0.05, rng)
        low, high = found["threshold_interval"]
        assert low <= threshold <= high and found["far_interval"][0] <= 0.05 <= found["far_interval"][1]
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_the_threshold_rises_with_the_people_who_are_enrolled():
    impostors = probabilities(np.random.default_rng(8).normal(-6, 3.5, 100_000))  # much as LFW's
    table = thresholds_by_rate(impostors, 1e-5)
    assert all((impostors > threshold).mean() <= rate for rate, threshold in table)
    description = {"threshold": 0.99, "far": 0.001, "thresholds": table, "min_votes": None}
    head = Head(distance_similarity(2, 1.0, 0.0), description)
    assert head.min_votes is None and head.far == 0.001
    assert head.threshold_for(1) == head.threshold_for(10) == 0.99
    rising = [head.threshold_for(people) for people in (10, 100, 1000, 10**6)]
    assert rising == sorted(rising) and rising[1] > 0.99
    assert (impostors > head.threshold_for(100)).mean() == pytest.approx(1e-4, rel=0.5)
    # Of too few impostors for that rate, the threshold lies beyond all that they show, and lets no more through.
    few = Head(distance_similarity(2, 1.0, 0.0), description | {"thresholds": thresholds_by_rate(impostors, 1e-3)})
    assert few.threshold_for(100) > thresholds_by_rate(impostors, 1e-3)[-1][1]
    assert (impostors > few.threshold_for(100)).mean() <= 1e-4
    assert few.threshold_for(10**9) <= probabilities(MAX_THRESHOLD_LOG_ODDS)
    assert Head(distance_similarity(2, 1.0, 0.0), {"threshold": 0.7}).threshold_for(1000) == 0.7
    for odd in ({"thresholds": 3}, {"thresholds": [[0.1]]}, {"thresholds": [[0.1, 2]]}, {"far": "low"}):
        with pytest.raises(ValueError, match="Received"):
            Head(distance_similarity(2, 1.0, 0.0), odd)


def test_a_person_is_the_two_best_images_together():
    rng = np.random.default_rng(9)
    sizes = np.array([1, 2, 5, 3])
    ends, scores = np.cumsum(sizes), rng.random((6, sizes.sum()))
    found = person_scores(scores, ends, None)
    for face in range(6):
        for person, end in enumerate(ends):
            best = np.sort(scores[face, end - sizes[person] : end])[-2:]
            odds = np.log(best / (1 - best)).mean()
            assert found[face, person] == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5)


def test_training_beats_distance_on_people_it_never_saw():
    matrix, labels = gaussian_people(300, 4, dimension=16, spread=0.8)
    fitted = fit_head(matrix, labels, TrainingOptions(far=0.01), np.random.default_rng(0))
    assert fitted.figures.auc > fitted.figures.euclidean_auc + 0.01 and fitted.figures.people == 60
    assert not set(labels[fitted.held]) & set(np.delete(labels, fitted.held)) and len(fitted.held) == 240
    assert fitted.description["calibration"]["error_after"] < 0.03
    low, high = fitted.description["threshold_interval"]
    assert low <= fitted.head.threshold <= high and fitted.head.far == 0.01
    assert len(fitted.history["loss"]) == 15 and fitted.history["val_loss"][-1] < fitted.history["val_loss"][0]
    again = fit_head(matrix, labels, TrainingOptions(far=0.01), np.random.default_rng(0))
    pair = matrix[fitted.held[:100]], matrix[fitted.held[100:200]]
    np.testing.assert_array_equal(again.head.score_pairs(*pair), fitted.head.score_pairs(*pair))


def test_strangers_are_learned_to_be_nobody():
    matrix, labels = gaussian_people(120, 3, dimension=8)
    rng = np.random.default_rng(10)
    # They look like people of the folder in all that matters, and differ where people never do.
    strangers = matrix[rng.permutation(len(matrix))[:100]].copy()
    strangers[:, 0] += 1.5
    options = TrainingOptions(epochs=8, learning_rate=0.01, far=0.01)
    heads = [fit_head(matrix, labels, options, np.random.default_rng(0), others).head for others in (None, strangers)]
    scores = [head.score_gallery(strangers, matrix).max(axis=1).mean() for head in heads]
    assert scores[1] < scores[0]


def save_people(folder, matrix, labels, extractor: str) -> None:
    for person in np.unique(labels):
        rows = matrix[labels == person]
        save_person(folder, f"p{person:03}", rows, [[f"{i}.png", 1, 1] for i in range(len(rows))], extractor, 0)


def test_one_person_and_five_photos(tmp_path, capsys):
    rng = np.random.default_rng(11)
    center = rng.normal(size=128) / 9
    photos = (center + rng.normal(size=(6, 128)) * 0.02).astype(np.float32)
    save_people(tmp_path / "features", photos[:5], np.zeros(5, int), EXTRACTOR)
    save_person(tmp_path / "features", STRANGERS, photos[:1] + 0.2, [["s.png", 1, 1]], EXTRACTOR, 0)
    assert train.main(["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head")]) == 0
    captured = capsys.readouterr()
    assert "1 person is too few" in captured.err and "1 face of strangers" in captured.err
    assert "FAR 0.001 among other people" in captured.out
    content = read_json(tmp_path / "head" / "similarity.json")
    assert content["extractor"] == EXTRACTOR and content["head"] == "distance" and content["held_out_people"] == []
    assert not (tmp_path / "head" / "learning_curve.png").exists()
    head = load_head(tmp_path / "head")
    constants = CONSTANTS[EXTRACTOR]
    assert head.threshold == pytest.approx(constants.probability(constants.distance_for_far(0.001)))
    gallery = Gallery(load_features(tmp_path / "features"), head, head.threshold_for(1), head.min_votes)
    beyond = photos[5] + (0.6 * (direction := rng.normal(size=128)) / np.linalg.norm(direction))
    names = [decision.name for decision in gallery.decide(gallery.scores(np.stack([photos[5], beyond])))]
    assert names == ["p000", None]


def test_the_constants_are_of_the_extractors_that_network_py_builds(extractor_path):
    flipped = model_fingerprint(build_extractor("dlib", None, "avg", None, "pretrained", flip=True))
    assert [load_extractor(extractor_path).fingerprint, flipped] == list(CONSTANTS)
    for constants in CONSTANTS.values():
        distances = constants.distances
        assert [distances[rate] for rate in sorted(distances)] == sorted(distances.values())
        assert constants.distance_for_far(0.001) == distances[1e-3]
        assert constants.distance_for_far(1e-9) == distances[1e-6]
        assert constants.probability(0.4) > 0.99 and constants.probability(0.9) < 0.01


def test_another_extractors_few_people_get_no_distance_head(tmp_path):
    matrix, labels = gaussian_people(1, 5)
    save_people(tmp_path, matrix, labels, "toy-12-abc")
    for words in ([], ["--head", "distance"], ["--head", "plda"]):
        result = run_script("train.py", "-f", tmp_path, "-o", tmp_path / "head", *words)
        assert result.returncode == 2 and result.stderr.count("\n") == 1 and "dlib" in result.stderr
        assert not (tmp_path / "head").exists()


def test_people_choose_the_head():
    def folder(people, photos, extractor=EXTRACTOR, scale=0.05):
        matrix, labels = gaussian_people(people, photos, dimension=128)
        return FeatureSet(matrix * scale, labels, [str(label) for label in range(people)], extractor)

    assert suitable_head(folder(300, 3), 0.2, 0.001) == ("plda", None)
    assert suitable_head(folder(60, 3), 0.2, 0.02) == ("plda", None)
    assert suitable_head(folder(60, 3, "toy-128-abc"), 0.2, 0.001)[0] == "plda"
    assert suitable_head(folder(10, 3, "toy-128-abc"), 0.2, 0.001)[0] == "dense"
    few = folder(12, 5)
    assert confused_share(few, 0.5065) == 0 and suitable_head(few, 0.2, 0.001)[0] == "distance"
    assert suitable_head(few, 0.9, 0.5)[0] == suitable_head(folder(300, 3), 0.2, 1e-5)[0] == "distance"
    # Drawings, say: all nearer than two people's faces ever are.
    alike = folder(12, 5, scale=0.01)
    assert confused_share(alike, 0.5065) == 1
    kind, reason = suitable_head(alike, 0.2, 0.001)
    assert kind == "dense" and "100% of pairs" in reason


def test_an_extractor_is_not_overwritten_by_a_head(tmp_path):
    matrix, labels = gaussian_people(60, 3)
    save_people(tmp_path / "features", matrix, labels, "toy-12-abc")
    extractor = tmp_path / "dlib.keras"
    extractor.write_bytes(b"an extractor")
    result = run_script("train.py", "-f", tmp_path / "features", "-o", extractor)
    assert_one_error_line(result, "dlib.keras", "not a head")
    assert extractor.read_bytes() == b"an extractor"


def test_tensorboard_is_optional(tmp_path):
    from importlib.util import find_spec

    matrix, labels = gaussian_people(60, 3)
    save_people(tmp_path / "features", matrix, labels, "toy-12-abc")
    words = ["-f", tmp_path / "features", "-o", tmp_path / "head", "--logdir", tmp_path / "log", "--epochs", 2]
    result = run_script("train.py", *words)
    if find_spec("tensorboard") is None:
        assert result.returncode == 2 and result.stderr.count("\n") == 1 and "pip install tensorboard" in result.stderr
    else:
        assert result.returncode == 0 and any((tmp_path / "log").rglob("events*"))
