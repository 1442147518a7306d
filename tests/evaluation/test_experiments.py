"""evaluate.py from its command line to its files: verification, identification, cross-validation, bad input."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from support import toy_features

import evaluate
from utils.evaluation import experiments
from utils.evaluation.identification import NEAREST
from utils.features.feature_files import save_person
from utils.heads.head import save_head
from utils.keras_models import load_model
from utils.media.images import write_image


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
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
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


@pytest.mark.slow
def test_held_out_people_are_verified_and_plotted(enrolled, toy_head, capsys):
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
    for name in ("people.csv", "evaluation.json"):  # they name people
        assert (out / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_json_is_complete_and_reproducible(enrolled, toy_head, capsys):
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


@pytest.mark.slow
def test_strangers_and_known_people_are_identified(enrolled, toy_head, capsys):
    words = ["-f", enrolled / "features", "-c", toy_head, "--identification", "--gallery_sizes", 2, 5, 1000]
    assert run(*words, "-o", enrolled / "report", "--bootstrap", 10) == 0
    printed = capsys.readouterr().out
    assert "8 people held out by the head enrolled with 24 photos; probes: one more photo of each, and" in printed
    assert "one of each of 8 strangers" in printed
    assert "4 galleries of 2" in printed and "1 gallery of 5" in printed and "1 gallery of 8" in printed
    assert (enrolled / "report" / "identification.png").stat().st_size > 10_000
    content = json.loads((enrolled / "report" / "evaluation.json").read_text())
    assert set(content["galleries"]) == {"2", "5", "8"} and NEAREST in content["galleries"]["8"]
    assert content["galleries"]["8"]["best"]["rank1"]["value"] > 0.5


@pytest.mark.kill
def test_ctrl_c_ends_all_folds(enrolled, monkeypatch, capsys):
    """fit_head ends by itself at Ctrl-C, with what is learned so far: good for train.py, not for a fold of ten."""
    folds = []

    def interrupted(*_):
        folds.append(1)
        return SimpleNamespace(interrupted=True)

    monkeypatch.setattr(experiments, "fit_head", interrupted)
    assert run("-f", enrolled / "features", "--pairs", enrolled / "pairs.txt", "--cross_validate") == 130
    assert len(folds) == 1 and capsys.readouterr().err.endswith("interrupted\n")


def test_head_without_held_out_people_causes_a_warning(enrolled, toy_head, capsys):
    save_head(toy_head / "similarity.keras", load_model(toy_head / "similarity.keras"), {"extractor": "toy-8-abc"})
    assert run("-f", enrolled / "features", "-c", toy_head, "--bootstrap", 0) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("24 people, 72 same") and "the figures are too good" in captured.err


@pytest.mark.slow
def test_two_people_are_reported_without_false_precision(enrolled, toy_head, capsys):
    path = toy_head / "similarity.keras"
    save_head(path, load_model(path), {"held_out_people": ["p01", "p02"]})
    words = ["-f", enrolled / "features", "-c", toy_head, "-o", enrolled / "report", "--faces_path", enrolled]
    assert run(*words, "--bootstrap", 20) == 0
    assert "2 people held out by the head, 12 same and 16 different pairs" in capsys.readouterr().out
    scorer = json.loads((enrolled / "report" / "evaluation.json").read_text())["scorers"]["head"]
    assert scorer["accuracy"] is None and scorer["figures"]["tar_at_far_0.01"]["value"] is None
    assert (enrolled / "report" / "worst_pairs.png").stat().st_size > 10_000
    assert run(*words, "--identification") == 0
    assert "1 person held out by the head enrolled with 3 photos" in capsys.readouterr().out


@pytest.mark.slow
def test_few_drawn_people_are_evaluated(suite, tmp_path, capsys):
    words = ["-f", suite["features"], "-c", suite["head"], "-o", tmp_path, "--faces_path", suite["faces"]]
    assert run(*words, "--bootstrap", 20) == 0
    printed = capsys.readouterr().out
    assert "7 people held out by the head, 70 same and 525" in printed  # a plain head learned from nobody
    assert json.loads((tmp_path / "evaluation.json").read_text())["scorers"]["head"]["figures"]["auc"]["value"] > 0.9


def test_strangers_in_the_folder_are_impostors(enrolled, toy_head, capsys):
    save_person(enrolled / "features", "_strangers", np.ones((5, 8), np.float32), [["a.png", 1, 1]] * 5, "toy-8-abc", 0)
    words = ["-f", enrolled / "features", "-c", toy_head, "--bootstrap", 0]
    assert run(*words) == 0
    captured = capsys.readouterr()
    assert "5 faces of strangers count as impostors" in captured.err
    assert "48 same and 932 different pairs" in captured.out  # 732, and each of 40 photos with each stranger
    assert run(*words, "--identification") == 0
    assert "each of 13 strangers" in capsys.readouterr().out


@pytest.mark.slow
def test_cross_validation_trains_heads_and_leaves_no_file(enrolled, capsys, monkeypatch):
    monkeypatch.chdir(enrolled)
    before = sorted(enrolled.rglob("*"))
    words = ["-f", "features", "--pairs", "pairs.txt", "--cross_validate", "--bootstrap", 0, "--json"]
    assert run(*words, "--head", "plda") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["same_pairs"] == 24 and json.loads(printed)["heads"] == {"plda": 2}
    assert json.loads(printed)["scorers"]["head"]["accuracy"] > 0.6
    assert run(*words, "--head", "plda") == 0
    assert json.loads(printed) == json.loads(capsys.readouterr().out)
    assert run(*words, "--head", "distance") == 2
    assert "supports only dlib's extractor" in capsys.readouterr().err
    words = ["-f", "features", "--cross_validate", "--identification", "--gallery_sizes", 4, "--bootstrap", 0]
    assert run(*words) == 0
    printed = capsys.readouterr().out
    assert "4 people enrolled" in printed and "\nheads: 1 dense\n" in printed  # as train.py would choose
    assert sorted(enrolled.rglob("*")) == before


def save_others(folder, extractor="toy-8-abc", **people: int) -> None:
    """A features folder of people with this many photos each."""
    for number, (name, photos) in enumerate(people.items()):
        features = toy_features(1, photos, dimension=8, seed=100 + number)
        images = [[f"{photo}.png", 1, 1] for photo in range(photos)]
        save_person(folder, name, features.matrix, images, extractor, 0)


@pytest.mark.slow
def test_others_are_judged_in_the_same_report(enrolled, toy_head, capsys):
    save_others(enrolled / "film", ada=4, ben=3, cem=1)
    save_others(enrolled / "ages", young=5, old=6)
    words = ["-f", enrolled / "features", "-c", toy_head, "--bootstrap", 20, "--json"]
    assert run(*words) == 0
    alone = json.loads(capsys.readouterr().out)
    folders = ["--others", enrolled / "film", "--other_strangers", enrolled / "ages", "--max_double", 0.9]
    assert run(*words, *folders, "-o", enrolled / "report") == 0
    content = json.loads(capsys.readouterr().out)
    others = content.pop("others")
    assert {**content, "arguments": alone["arguments"]} == alone  # the figures of the folder itself do not change
    assert content["arguments"]["others"] == [str(enrolled / "film")]
    assert [group["name"] for group in others["groups"]] == ["film", "ages/old", "ages/young"]
    film, _, young = others["groups"]
    assert (film["people"], film["same_pairs"], film["different_pairs"]) == (3, 9, 19)
    assert film["own_threshold"]["tar"]["value"] == 1 and film["scorers"]["cosine"]["auc"] > 0.9
    assert young["same_pairs"] == 0 and young["different_pairs"] + young["doubles"] == 10
    assert young["own_threshold"]["tar"] == {"value": None, "low": None, "high": None}
    assert others["here"]["people"] == 16 and list(others["thresholds"]["cosine"]) == ["0.01"]  # 120 pairs of people
    assert 0 <= others["calibration_others"] <= 1 and others["own_threshold"] == 0.7
    assert json.loads((enrolled / "report" / "evaluation.json").read_text())["others"] == others
    assert (enrolled / "report" / "others.png").stat().st_size > 10_000


@pytest.mark.slow
def test_cross_validation_judges_others_by_a_head_of_all(enrolled, capsys, monkeypatch):
    save_others(enrolled / "film", ada=4, ben=3)
    trained = []
    call = experiments.Fitter.__call__

    def noting(fitter, rows):
        head, held = call(fitter, rows)
        trained.append((rows, held))
        return head, held

    monkeypatch.setattr(experiments.Fitter, "__call__", noting)
    words = ["-f", enrolled / "features", "--pairs", enrolled / "pairs.txt", "--cross_validate", "--head", "plda"]
    assert run(*words, "--others", enrolled / "film", "--bootstrap", 0) == 0
    printed = capsys.readouterr().out
    assert len(trained) == 3 and trained[2][0].tolist() == list(range(60))  # two folds, then everybody
    assert "heads: 2 plda" in printed and "judged by a plda head fitted to all people" in printed
    assert "here, held out" in printed and "  film " in printed
    assert 0 < len(trained[2][1]) < 60


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
        (["-c", "head", "--others", "nowhere"], "nowhere is not a folder"),
        (["-c", "head", "--other_strangers", "nowhere"], "nowhere is not a folder"),
        (["-c", "head", "--others", "head"], "head has no features of people"),
        (["-c", "head", "--others", "alien"], "alien come from alien-8-xyz with 8 features, but those in"),
        (["-c", "head", "--other_strangers", "alien"], "from toy-8-abc with 8"),
        (["-c", "head", "--other_strangers", "lonely"], "lonely has no subfolder with two photos"),
        (["-c", "head", "--others", "lonely"], "lonely has a single photo"),
        (["-c", "head", "--identification", "--others", "features"], "leave out --identification"),
        (["-c", "head", "--cluster", "local"], "--cluster fits the heads of several folds at once"),
        (["-c", "head", "--max_double", "0.6", "--others", "features"], "name their folder"),
    ],
)
def test_bad_input_gives_one_error_line(enrolled, toy_head, capsys, monkeypatch, words, part):
    monkeypatch.chdir(enrolled)
    save_others(enrolled / "alien", "alien-8-xyz", ada=2)
    save_others(enrolled / "lonely", ada=1)
    assert run("-f", "features", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and part in error


def test_mismatching_heads_and_features_give_one_line(enrolled, toy_head, capsys):
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
