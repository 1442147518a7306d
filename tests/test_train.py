"""train.py from its command line: what it writes, says and refuses."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from support import DEADLINE, ROOT, assert_one_error_line, gaussian_people, run_script

import compute_mean
import train
from utils.cli import InputError
from utils.features.feature_files import STRANGERS, FeatureSet, load_features, save_person
from utils.files import read_json
from utils.heads import training
from utils.heads.head import load_head
from utils.heads.pairs import positive_pairs
from utils.heads.plain import CONSTANTS
from utils.keras_models import load_model, save_model
from utils.recognition.gallery import Gallery

EXTRACTOR = next(iter(CONSTANTS))  # dlib's, without --flip


def save_people(folder, matrix, labels, extractor: str) -> None:
    for person in np.unique(labels):
        rows = matrix[labels == person]
        save_person(folder, f"p{person:03}", rows, [[f"{i}.png", 1, 1] for i in range(len(rows))], extractor, 0)


def separable_people(folder, people: int, images: int, seed: int = 0, dimension: int = 16) -> FeatureSet:
    """Save features of people who are easy to tell apart, as extract_features.py does."""
    rng = np.random.default_rng(seed)
    for person in range(people):
        matrix = rng.normal(size=dimension) + 0.1 * rng.normal(size=(images, dimension))
        save_person(folder, f"p{person:03}", matrix, [[f"{i}.png", 1, 1] for i in range(images)], "toy-16-abc", 0)
    return load_features(folder)


@pytest.mark.slow
def test_training_learns_and_the_file_says_how_well(tmp_path, capsys):
    features = separable_people(tmp_path / "features", people=40, images=5)
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
    assert "<svg" in (tmp_path / "head" / "learning_curve.svg").read_text()
    # The saved head gives these figures, on the people that its file lists.
    head = load_head(tmp_path / "head")
    held = np.isin(features.labels, [features.names.index(name) for name in content["held_out_people"]])
    labels, matrix = features.labels[held], features.matrix[held]
    pairs = positive_pairs(labels)
    scores = head.score_pairs(matrix[pairs[:, 0]], matrix[pairs[:, 1]])
    assert (scores > head.threshold).mean() == pytest.approx(content["held_out"]["tar"])


@pytest.mark.slow
def test_same_seed_same_head(tmp_path):
    separable_people(tmp_path / "features", people=6, images=3)
    weights = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / name), "-e", "2", "--seed", seed]
        assert train.main(line) == 0
        weights.append(load_model(tmp_path / name / "similarity.keras").get_weights())
    assert all(np.array_equal(x, y) for x, y in zip(weights[0], weights[1], strict=True))
    assert not np.array_equal(weights[0][0], weights[2][0])


@pytest.mark.slow
def test_normalizing_needs_and_uses_the_statistics(tmp_path, capsys):
    separable_people(tmp_path, people=3, images=3)
    line = ["--features_path", str(tmp_path), "--output_model", str(tmp_path / "h.keras"), "--epochs", "1"]
    line += ["--head", "dense"]
    assert train.main([*line, "--normaliza", "1"]) == 2
    assert "run compute_mean.py" in capsys.readouterr().err
    assert compute_mean.main(["--features_path", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    whole = load_features(tmp_path).matrix
    assert f"mean {whole.mean():.6f}"[:-1] in out and "9 × 16" in out
    assert train.main([*line, "--normalize", "1"]) == 0
    front = load_model(tmp_path / "h.keras").get_layer("twin").get_layer("normalization")
    assert front.scale == pytest.approx(1 / whole.std(), rel=1e-5)


@pytest.mark.slow
def test_most_people_can_be_held_out(tmp_path):
    separable_people(tmp_path / "features", people=5, images=2)
    line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head"), "-e", "1"]
    assert train.main([*line, "--holdout", "0.9", "--far", "0.5"]) == 0


@pytest.mark.kill
@pytest.mark.slow
def test_ctrl_c_keeps_the_best_epoch(tmp_path):
    separable_people(tmp_path / "features", people=60, images=12)
    words = ["-f", tmp_path / "features", "-o", tmp_path / "head", "-e", "1000", "--patience", "1000"]
    words += ["--head", "dense"]
    command = [sys.executable, "-u", "train.py", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("Epoch 3/"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert load_head(tmp_path / "head").dimension == 16
    assert read_json(tmp_path / "head" / "similarity.json")["held_out"]["auc"] > 0.9


@pytest.mark.parametrize(("people", "images", "part"), [(1, 5, "two people"), (4, 1, "two images")])
def test_too_little_to_train_on_is_one_line(tmp_path, capsys, people, images, part):
    separable_people(tmp_path, people, images)
    assert train.main(["-f", str(tmp_path), "-o", str(tmp_path / "head")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and part in error
    assert not (tmp_path / "head").exists()


@pytest.mark.slow
def test_few_people_train_without_a_hold_out(tmp_path, capsys):
    separable_people(tmp_path, people=3, images=4)
    assert train.main(["-f", str(tmp_path), "-o", str(tmp_path / "head"), "-e", "2"]) == 0
    assert "nobody is held out" in capsys.readouterr().err
    content = read_json(tmp_path / "head" / "similarity.json")
    assert content["threshold"] == 0.8 and content["held_out"] is None


def test_one_person_with_five_photos_gets_a_head(tmp_path, capsys):
    rng = np.random.default_rng(11)
    center = rng.normal(size=128) / 9
    photos = (center + rng.normal(size=(6, 128)) * 0.02).astype(np.float32)
    save_people(tmp_path / "features", photos[:5], np.zeros(5, int), EXTRACTOR)
    save_person(tmp_path / "features", STRANGERS, photos[:1] + 0.2, [["s.png", 1, 1]], EXTRACTOR, 0)
    (tmp_path / "head").mkdir()
    for suffix in ("png", "svg"):
        (tmp_path / "head" / f"learning_curve.{suffix}").write_text("of the previous head")
    assert train.main(["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head")]) == 0
    captured = capsys.readouterr()
    assert "took distance: 1 person, 1 with several photos, are too few" in captured.out
    assert "FAR of 0.001 is among other people" in captured.out
    assert "with 1 face of strangers it accepts 0.00000" in captured.out and captured.err == ""
    content = read_json(tmp_path / "head" / "similarity.json")
    assert content["extractor"] == EXTRACTOR and content["head"] == "distance"
    assert content["held_out_people"] == ["p000"]  # nothing was learned from anybody
    assert not list((tmp_path / "head").glob("learning_curve.*"))
    head = load_head(tmp_path / "head")
    constants = CONSTANTS[EXTRACTOR]
    assert head.threshold == pytest.approx(constants.probability(constants.threshold_for_far(0.001)))
    gallery = Gallery(load_features(tmp_path / "features"), head, head.threshold_for(1), head.min_votes)
    beyond = photos[5] + (0.6 * (direction := rng.normal(size=128)) / np.linalg.norm(direction))
    names = [decision.name for decision in gallery.decide(gallery.scores(np.stack([photos[5], beyond])))]
    assert names == ["p000", None]


@pytest.mark.slow
def test_other_extractors_get_no_distance_head(tmp_path):
    matrix, labels = gaussian_people(1, 5)
    save_people(tmp_path, matrix, labels, "toy-12-abc")
    for words in ([], ["--head", "distance"], ["--head", "plda"]):
        result = run_script("train.py", "-f", tmp_path, "-o", tmp_path / "head", *words)
        assert result.returncode == 2 and result.stderr.count("\n") == 1 and "dlib" in result.stderr
        assert not (tmp_path / "head").exists()


def test_an_extractor_is_not_overwritten_by_a_head(tmp_path):
    matrix, labels = gaussian_people(60, 3)
    save_people(tmp_path / "features", matrix, labels, "toy-12-abc")
    extractor = tmp_path / "dlib.keras"
    extractor.write_bytes(b"an extractor")
    result = run_script("train.py", "-f", tmp_path / "features", "-o", extractor)
    assert_one_error_line(result, "dlib.keras", "not a head")
    assert extractor.read_bytes() == b"an extractor"


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_head_without_its_description_can_be_trained_again(tmp_path, capsys):
    separable_people(tmp_path / "features", people=3, images=3)
    head = tmp_path / "head" / "similarity.keras"
    line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head"), "-e", "1"]
    assert train.main(line) == 0
    save_model(load_model(head), head)  # as an earlier version saved it, and then was killed
    head.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"train the head again with train\.py"):
        load_head(head)
    assert train.main(line) == 0
    assert load_head(head).extractor == "toy-16-abc"
    head.write_text("my notes")
    head.with_suffix(".json").unlink()
    capsys.readouterr()
    assert train.main(line) == 2
    assert "is not a head that train.py saved" in capsys.readouterr().err and head.read_text() == "my notes"
    assert train.main([*line[:2], "-o", str(tmp_path / "head.h5")]) == 2
    assert "needs a .keras file" in capsys.readouterr().err


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plda", "dense"])
def test_training_that_fails_keeps_the_head(tmp_path, capsys, kind):
    separable_people(tmp_path / "features", people=12, images=4)
    line = ["-f", str(tmp_path / "features"), "-o", str(tmp_path / "head"), "-e", "2", "--head", kind]
    assert train.main(line) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "head").iterdir()}
    capsys.readouterr()

    def fill_with_nan(similarity, *words):
        similarity.set_weights([weight * np.nan for weight in similarity.get_weights()])
        return similarity, {}, False

    with pytest.MonkeyPatch.context() as patch:
        train_kind = getattr(training, f"train_{kind}")
        patch.setattr(training, f"train_{kind}", lambda *words: fill_with_nan(*train_kind(*words)))
        assert train.main(line) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: training failed") and "not finite" in error
    assert before == {path: path.read_bytes() for path in (tmp_path / "head").iterdir()}
