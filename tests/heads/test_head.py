"""Heads as files and functions: scores, decision rules, formats and descriptions."""

import numpy as np
import pytest
from support import gaussian_people

from utils.cli import InputError
from utils.features.normalization import Normalization
from utils.heads.head import Head, head_path, is_own_head, load_head, save_head
from utils.heads.keras_similarity import KerasSimilarity, similarity_of
from utils.heads.models import (
    cosine_similarity,
    create_model,
    dense_similarity,
    distance_similarity,
    plda_similarity,
    rescale_logit,
)
from utils.heads.numpy_similarity import NumpySimilarity, arrays_path
from utils.heads.options import HEAD_KINDS
from utils.heads.plda import fit_plda
from utils.heads.threshold import thresholds_by_rate
from utils.keras_models import load_model, save_model
from utils.log_odds import MAX_THRESHOLD_LOG_ODDS, logits, probabilities


def heads() -> dict:
    matrix, labels = gaussian_people(30, 4)
    return {
        "plda": plda_similarity(fit_plda(matrix, labels)),
        "dense": dense_similarity(create_model((12,))),
        "cosine": cosine_similarity(12, 9.0, -2.0),
        "distance": distance_similarity(12, 3.0, 4.0),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_heads_are_symmetric_and_score_galleries_as_pairs(kind, tmp_path):
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
    model = load_model(tmp_path / "similarity.keras")
    rescale_logit(model, 0.5, -1.0)
    rescaled = logits(Head(similarity_of(model), {}).score_pairs(a, b))
    inside = np.abs(logits(scores)) < 12
    np.testing.assert_allclose(rescaled[inside], 0.5 * logits(scores)[inside] - 1, atol=0.05)


def test_threshold_rises_with_the_number_enrolled():
    impostors = probabilities(np.random.default_rng(8).normal(-6, 3.5, 100_000))  # similar to LFW's
    table = thresholds_by_rate(impostors, 1e-5)
    assert all((impostors > threshold).mean() <= rate for rate, threshold in table)
    description = {"threshold": 0.99, "far": 0.001, "thresholds": table, "min_votes": None}
    head = Head(NumpySimilarity("distance", 2, -1.0, 0.0), description)
    assert head.min_votes is None and head.far == 0.001
    assert head.threshold_for(1) == head.threshold_for(10) == 0.99
    rising = [head.threshold_for(people) for people in (10, 100, 1000, 10**6)]
    assert rising == sorted(rising) and rising[1] > 0.99
    assert (impostors > head.threshold_for(100)).mean() == pytest.approx(1e-4, rel=0.5)
    # With too few impostors for that rate the threshold is extrapolated beyond them, and accepts no more of them.
    short = thresholds_by_rate(impostors, 1e-3)
    few = Head(NumpySimilarity("distance", 2, -1.0, 0.0), description | {"thresholds": short})
    assert few.threshold_for(100) > short[-1][1]
    assert (impostors > few.threshold_for(100)).mean() <= 1e-4
    assert few.threshold_for(10**9) <= probabilities(MAX_THRESHOLD_LOG_ODDS)
    assert Head(NumpySimilarity("distance", 2, -1.0, 0.0), {"threshold": 0.7}).threshold_for(1000) == 0.7
    for odd in ({"thresholds": 3}, {"thresholds": [[0.1]]}, {"thresholds": [[0.1, 2]]}, {"far": "low"}):
        with pytest.raises(ValueError, match="Received"):
            Head(NumpySimilarity("distance", 2, -1.0, 0.0), odd)
    for key in ("thresholds", "threshold", "min_votes", "far", "dimension", "held_out_people", "extractor"):
        for odd_value in ({"a": [0] * 999}, 10**4000):  # a message repeats no screenful
            with pytest.raises(ValueError, match=r"Received.{,110}$"):
                Head(NumpySimilarity("distance", 2, -1.0, 0.0), {key: odd_value})


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(5)
    return rng.normal(size=(2, 20, 6)).astype(np.float32)


@pytest.mark.slow
def test_normalization_and_difference_are_inside(batches, tmp_path):
    head = create_model((6,))
    a, b = batches
    plain = Head(similarity_of(dense_similarity(head)), {})
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_other_models_are_refused(extractor_path):
    with pytest.raises(InputError, match="similarity head maps"):
        load_head(extractor_path)


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
def test_invalid_descriptions_are_refused(tmp_path, entry):
    save_head(tmp_path / "similarity.keras", dense_similarity(create_model((3,))), entry)
    with pytest.raises(InputError, match=r"Received: "):
        load_head(tmp_path)


def toy_head(scale: float = 1.0):
    return distance_similarity(3, scale, 0.0)


class Killed(BaseException):
    """Stands in for a kill: nothing after it runs."""


@pytest.mark.kill
@pytest.mark.parametrize("step", ["save_model", "write_json", "write_arrays"])
def test_a_crash_while_saving_leaves_one_whole_head(tmp_path, monkeypatch, capsys, step):
    path = tmp_path / "similarity.keras"
    save_head(path, toy_head(1), {"threshold": 0.6, "extractor": "old"})

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(f"utils.heads.head.{step}", die)
        save_head(path, toy_head(2), {"threshold": 0.7, "extractor": "new"})
    loaded = load_head(path)
    is_new = step != "save_model"
    assert (loaded.threshold, loaded.extractor) == ((0.7, "new") if is_new else (0.6, "old"))
    assert loaded.similarity.scale == pytest.approx(-2 if is_new else -1)
    told = capsys.readouterr().err
    assert ("describes another head" in told) == (step == "write_json")
    assert ("similarity.keras.npz again, because it does not fit similarity.keras" in told) == is_new
    save_head(path, toy_head(2), {"threshold": 0.7, "extractor": "new"})
    assert load_head(path).threshold == 0.7 and capsys.readouterr().err == ""


@pytest.mark.fault
def test_a_full_disk_keeps_the_head(tmp_path, monkeypatch):
    save_head(tmp_path / "similarity.keras", toy_head(), {"threshold": 0.6})
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("zipfile.ZipFile.writestr", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        save_head(tmp_path / "similarity.keras", toy_head(2), {"threshold": 0.7})
    assert load_head(tmp_path).threshold == 0.6
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "similarity.json",
        "similarity.keras",
        "similarity.keras.npz",
    ]


def test_the_description_is_inside_the_head(tmp_path):
    path = tmp_path / "similarity.keras"
    save_head(path, toy_head(), {"threshold": 0.6, "min_votes": None, "held_out_people": ["Jose\u0301"]})
    path.with_suffix(".json").unlink()
    head = load_head(tmp_path)
    assert head.threshold == 0.6 and head.min_votes is None and head.held_out_people == ["Jos\u00e9"]


def test_changes_of_the_readable_description_count(tmp_path):
    path = tmp_path / "similarity.json"
    save_head(path.with_suffix(".keras"), toy_head(), {"threshold": 0.6})
    path.write_text(path.read_text().replace("0.6", "0.65"))
    assert load_head(tmp_path).threshold == 0.65


def test_heads_of_earlier_versions(tmp_path):
    path = tmp_path / "similarity.keras"
    save_model(toy_head(), path)  # the description was only beside the head
    with pytest.raises(InputError, match=r"similarity\.keras has lost its description, similarity\.json.*train\.py"):
        load_head(tmp_path)
    assert is_own_head(path)  # so train.py may replace it
    path.with_suffix(".json").write_text('{"threshold": 0.7, "dimension": 3}')
    assert load_head(tmp_path).threshold == 0.7
    path.with_suffix(".json").write_text('{"threshold": 0.7, "dimension": 4}')
    with pytest.raises(InputError, match="description is another head's"):
        load_head(tmp_path)


def test_other_models_are_not_own_heads(tmp_path):
    save_model(create_model((6,)), tmp_path / "recipe.keras")
    save_model(create_model((6,)), tmp_path / "recipe.h5")
    (tmp_path / "text.keras").write_text("my notes")
    assert not any(is_own_head(path) for path in tmp_path.iterdir())


def test_heads_with_odd_numbers_are_neither_saved_nor_loaded(tmp_path):
    save_head(tmp_path / "similarity.keras", toy_head(), {"threshold": 0.6})
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="not finite"):
            save_head(tmp_path / "similarity.keras", toy_head(value), {"threshold": 0.7})
        toy_head(value).save(tmp_path / "odd.keras")
        with pytest.raises(InputError, match="not finite"):
            load_head(tmp_path / "odd.keras")
    assert load_head(tmp_path).threshold == 0.6
    for text in ("NaN", "1e999"):
        (tmp_path / "similarity.json").write_text(f'{{"threshold": {text}}}')
        with pytest.raises(InputError, match="not a finite number"):
            load_head(tmp_path)


@pytest.fixture
def without_keras(monkeypatch):
    """Loading a model by Keras fails."""
    monkeypatch.setattr("utils.heads.head.load_model", lambda path: pytest.fail(f"Keras loads {path}"))


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "bytes", "of another head"])
def test_arrays_that_do_not_fit_are_made_again(tmp_path, capsys, damage, request):
    path, other = tmp_path / "similarity.keras", tmp_path / "other.keras"
    for file, scale in ((path, 1), (other, 2)):
        save_head(file, toy_head(scale), {"threshold": 0.6})
    arrays = arrays_path(path)
    whole = arrays.read_bytes()
    if damage == "missing":
        arrays.unlink()
    else:
        texts = {
            "empty": b"",
            "cut off": whole[:-100],
            "bytes": b"notes",
            "of another head": arrays_path(other).read_bytes(),
        }
        arrays.write_bytes(texts[damage])
    assert load_head(path).similarity.scale == -1
    reason = "for runs without TensorFlow" if damage == "missing" else "again, because it does not fit similarity.keras"
    assert capsys.readouterr().err == f"note: making {arrays} {reason}\n"
    assert arrays.read_bytes() == whole
    request.getfixturevalue("without_keras")
    assert load_head(path).similarity.scale == -1 and capsys.readouterr().err == ""


@pytest.mark.fault
def test_arrays_that_cannot_be_written_cost_only_time(tmp_path, monkeypatch, capsys):
    save_head(tmp_path / "similarity.keras", toy_head(), {"threshold": 0.6})
    arrays_path(tmp_path / "similarity.keras").unlink()
    monkeypatch.setattr(
        "utils.heads.head.write_arrays", lambda *_: (_ for _ in ()).throw(OSError(30, "Read-only", "x"))
    )
    assert load_head(tmp_path).threshold == 0.6
    assert "cannot be written, so every run has to load TensorFlow: Read-only" in capsys.readouterr().err


def test_changed_layers_go_through_keras(tmp_path):
    from keras import Input, Model, layers

    difference = Input((3,))
    hidden = layers.Dense(4, "relu", kernel_initializer="ones")(difference)
    save_head(tmp_path / "similarity.keras", toy_head(), {})
    save_head(
        tmp_path / "similarity.keras", dense_similarity(Model(difference, layers.Dense(1, "sigmoid")(hidden))), {}
    )
    assert not arrays_path(tmp_path / "similarity.keras").exists()
    head = load_head(tmp_path)
    assert isinstance(head.similarity, KerasSimilarity) and head.score_pairs(np.eye(3), np.eye(3)) == pytest.approx(0.5)


def test_heads_of_the_original_recipe_leave_no_arrays(tmp_path, capsys):
    save_model(create_model((6,)), tmp_path / "recipe.keras")
    load_head(tmp_path / "recipe.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.keras"] and capsys.readouterr().err == ""
