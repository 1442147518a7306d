"""The same bad videos, models, features, pairs and names against every script that takes them."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import encode, good_photo
from bad_runs import Run
from bad_videos import FRAMES, bad_videos, damaged_videos, write_good_videos
from hostile_models import tiny_model, write_files_that_are_no_models, write_hostile_models
from hostile_pickles import HOSTILE_PICKLES
from support import draw_selfies, file_contents

from utils.features.feature_files import feature_path
from utils.files import one_spelling
from utils.keras_models import save_model
from utils.media.images import write_image

pytestmark = [pytest.mark.slow, pytest.mark.bad_input, pytest.mark.usefixtures("models_load_once")]

RunScript = Callable[..., Run]


def one_line(ended: Run, name: str) -> bool:
    """Whether a run ended as bad input must: with status 2 and one line that names the file."""
    lines = ended.err.splitlines()
    return ended.status == 2 and len(lines) == 1 and lines[0].startswith("error: ") and name in lines[0]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder of good videos, and their names."""
    folder = tmp_path_factory.mktemp("films") / "good"
    return folder, write_good_videos(folder)


def recognize(suite: dict[str, Path], *words: object) -> list:
    """The words for test.py."""
    return ["--features", suite["features"], "--model", suite["extractor"], "--classification", suite["head"], *words]


def test_good_videos_are_read_under_every_name(films, suite, run, tally, tmp_path, monkeypatch):
    folder, names = films
    monkeypatch.chdir(folder)  # where a name with a colon looks like an address
    lost = []
    for name in names:
        words = ["--output", tmp_path / "ada", "--headless", "--every", 1, "--count", 1, "--gate", 0, "--same_person"]
        ended = run("capture", *words, f"--video_path={name}")
        if "1 face saved" not in ended.out:
            lost.append(name)
    tally.good_images(names, lost)
    assert not lost
    events = tmp_path / "events.jsonl"
    ended = run("test", *recognize(suite), "--headless", "--video_path", names[-1], "--events", events)
    assert f"{FRAMES} frames" in ended.out and "person 1: " in ended.out
    assert len(events.read_text().splitlines()) == FRAMES


def write_bad_videos(films: Path, folder: Path) -> list[str]:
    folder.mkdir()
    for name, data in bad_videos(films, folder / "code ran").items():
        (folder / name).write_bytes(data)
    (folder / "folder.mp4").mkdir()
    (folder / "device.mp4").symlink_to("/dev/zero")
    (folder / "dangling.mp4").symlink_to("nowhere.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    return sorted(path.name for path in folder.iterdir())


def test_bad_videos_are_one_line(films, suite, run, tally, tmp_path):
    folder = tmp_path / "bad"
    names, before = write_bad_videos(films[0], folder), (tmp_path / "events.jsonl")
    before.write_text("of an earlier run")
    words = ["--output", tmp_path / "ada", "--headless", "--every", 1, "--video_path"]
    capture = [name for name in names if one_line(run("capture", *words, folder / name), name)]
    words = recognize(suite, "--headless", "--events", before, "--output", tmp_path / "annotated.mp4")
    named = [name for name in names if one_line(run("test", *words, "--video_path", folder / name), name)]
    tally.bad_inputs(names, capture)
    tally.bad_inputs(names, named)
    assert capture == named == names
    assert before.read_text() == "of an earlier run" and not (folder / "code ran").exists()
    assert not (tmp_path / "annotated.mp4").exists()


def test_damaged_videos_give_what_is_left_with_a_word(films, suite, run, tally, tmp_path):
    named = []
    videos = damaged_videos(films[0])
    for name, data in videos.items():
        (tmp_path / name).write_bytes(data)
        ended = run("test", *recognize(suite), "--headless", "--video_path", tmp_path / name)
        told = one_line(ended, name) or (ended.status == 0 and " frame" in ended.out)
        named += [name] if told else []
    tally.bad_inputs(list(videos), named)
    assert named == list(videos)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[Path]:
    """Paths of files, folders and links that are no models to be loaded."""
    folder = tmp_path_factory.mktemp("models")
    save_model(tiny_model(), folder / "good.keras")
    bad = write_files_that_are_no_models(folder / "no models", folder / "good.keras", folder / "code ran")
    return bad + write_hostile_models(folder / "hostile", folder / "good.keras")


def model_lines(suite: dict[str, Path], photo: Path, out: Path) -> Iterator[tuple[str, list]]:
    """Every flag of every script that takes a model, but for the model."""
    album = photo.parents[1]
    extractor, head = ["--model", suite["extractor"]], ["--classification", suite["head"]]
    yield "verify", [photo, photo, *extractor, "--classification"]
    yield "verify", [photo, photo, *head, "--model"]
    yield "find", [photo, "--unknown_dir", photo.parent, *extractor, "--classification"]
    yield "find", [photo, "--unknown_dir", photo.parent, *head, "--model"]
    yield "extract_features", ["--faces_path", suite["faces"], "--features", out / "features", "--model_path"]
    yield "selfies2face", ["--face_selfies", album, "--faces_path", out / "faces", "--largest", "--model_path"]
    words = ["--features", suite["features"], "--image_path", photo, "--headless"]
    yield "test", [*words, *extractor, "--classification"]
    yield "test", [*words, *head, "--model"]
    yield "evaluate", ["--features_path", suite["features"], "--classification"]
    yield "export", ["--output", out / "exported", *extractor, "--classification"]
    yield "export", ["--output", out / "exported", "--model"]


def test_bad_models_are_one_line_in_every_script(models, suite, run, tally, tmp_path):
    photo = tmp_path / "album" / "ada" / "good.png"
    write_image(photo, good_photo())
    few = models[:: len(models) // 5]
    for number, (script, words) in enumerate(model_lines(suite, photo, tmp_path / "out")):
        tried = models if number < 2 else few
        named = [path for path in tried if one_line(run(script, *words, path), str(path))]
        tally.add("hostile files tried", len(tried))
        tally.add("hostile files refused", len(named))
        assert named == tried, (script, set(tried) - set(named))
    assert not (models[0].parents[1] / "code ran").exists()
    assert run("verify", photo, photo, *recognize(suite)[2:]).status == 0


BAD_JSON = {
    "empty": b"",
    "text": b"my notes",
    "list": b"[]",
    "number": b"7",
    "null": b"null",
    "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "NaN": b'{"mean": NaN, "threshold": NaN, "images": [], "align": NaN}',
    "infinite": b'{"mean": 1e999, "threshold": 1e999}',
    "huge integer": b'{"mean": ' + b"9" * 10_000 + b', "threshold": 1}',
    "other bytes": b"\xff\xfe\x00{",
    "half": b'{"images": [["a.png", 1, 2]], "extr',
    "pickle": HOSTILE_PICKLES["GLOBAL builtins.eval"],
    "odd kinds": b'{"images": 5, "extractor": [], "align": "no", "data_sha256": 7, "mean": [], "threshold": "high"}',
    "odd entries": b'{"images": [[1, 2, 3]], "extractor": "x", "align": 0, "data_sha256": "x", "threshold": [1]}',
}


@pytest.fixture
def features(suite, tmp_path) -> Path:
    """A copy of the good features."""
    shutil.copytree(suite["features"], tmp_path / "features")
    return tmp_path / "features"


def add_person(folder: Path, name: str, matrix: bytes, sidecar: bytes | None = None) -> None:
    path = feature_path(folder, name)
    path.parent.mkdir()
    path.write_bytes(matrix)
    if sidecar is not None:
        path.with_suffix(".json").write_bytes(sidecar)


def feature_lines(suite: dict[str, Path], features: Path, out: Path) -> Iterator[tuple[str, list]]:
    """Every script that takes features."""
    photo = out / "good.png"
    write_image(photo, good_photo())
    yield "compute_mean", ["--features_path", features]
    yield "train", ["--features_path", features, "--output_model", out / "head", "--epochs", 1]
    models = ["--model", suite["extractor"], "--classification", suite["head"]]
    yield "test", ["--features", features, *models, "--image_path", photo, "--headless"]
    yield "find", [photo, "--features", features, *models]
    yield "evaluate", ["--features_path", features, "--classification", suite["head"], "--bootstrap", 20]
    yield (
        "extract_features",
        [*["--faces_path", suite["faces"], "--model_path", suite["extractor"], "--features", features]],
    )


def test_hostile_features_stop_nobody_else(features, suite, run, tally, tmp_path):
    names = {f"hostile {number}": data for number, data in enumerate(HOSTILE_PICKLES.values())}
    good = next(features.glob("*/*.cPickle")).read_bytes()
    for name, data in names.items():
        add_person(features, name, data)
    sidecars = {f"sidecar {number}": data for number, data in enumerate(BAD_JSON.values())}
    for name, data in sidecars.items():
        add_person(features, name, good, data)
    before = file_contents(features)
    for script, words in feature_lines(suite, features, tmp_path):
        ended = run(script, *words)
        assert ended.status == 0, ended.err
        if script != "extract_features":
            for group in (names, sidecars):
                named = [name for name in group if f"left out: {features / name}/" in ended.err]
                tally.add("hostile files tried", len(group))
                tally.add("hostile files refused", len(named))
                assert named == list(group), script
        if script == "test":
            assert "7 people, 35 images" in ended.out and "person 1: 1 photo" in ended.out
        if script == "compute_mean":
            assert "features: 35 × 128" in ended.out
        after = file_contents(features)
        made = {path.name for path in after.keys() - before.keys()}
        assert made <= {"normalization.json"} and before.items() <= after.items()


def test_hostile_features_of_strangers_stop_nobody(features, suite, run):
    add_person(features, "_strangers", HOSTILE_PICKLES["deep nesting"])
    ended = run("compute_mean", "--features_path", features)
    assert ended.status == 0 and "left out: " in ended.err
    for path in features.glob("person*"):
        shutil.rmtree(path)
    add_person(features, "ada", HOSTILE_PICKLES["INST"])
    assert one_line(run("compute_mean", "--features_path", features), "(and 1 other file)")


def test_bad_settings_are_one_line(features, suite, run, tally, tmp_path):
    normalization = features / "normalization.json"
    train = ["--features_path", features, "--output_model", tmp_path / "new", "--head", "dense", "--normalize", 1]
    for name, data in BAD_JSON.items():
        normalization.write_bytes(data)
        told = one_line(run("train", *train), str(normalization))
        tally.bad_inputs([name], [name] if told else [])
        assert told, name
    photo = tmp_path / "good.png"
    write_image(photo, good_photo())
    for name, data in BAD_JSON.items():
        head = tmp_path / f"head {name}"
        shutil.copytree(suite["head"], head)
        (head / "similarity.json").write_bytes(data)
        ended = run("verify", photo, photo, "--model", suite["extractor"], "--classification", head)
        told = one_line(ended, str(head)) or (ended.status == 0 and "describes another head" in ended.err)
        tally.bad_inputs([name], [name] if told else [])
        assert told, ended


def test_bad_events_are_one_line(suite, run, tally, tmp_path):
    photo = tmp_path / "good.png"
    write_image(photo, good_photo())
    events = tmp_path / "events.jsonl"
    for name, data in BAD_JSON.items():
        events.write_bytes(data)
        told = one_line(run("find", photo, *recognize(suite), "--events", events), str(events))
        tally.bad_inputs([name], [name] if told else [])
        assert told, name


PAIRS = {
    "empty": b"",
    "blank": b"\n\n \n",
    "text": b"my notes",
    "bytes": b"\xff\xfe\x00\x01",
    "zeros": bytes(1000),
    "no header": b"person 0\t1\t2\n",
    "wrong count": b"5\nperson 0\t1\t2\n",
    "no folds": b"0\t0\n",
    "minus": b"-1\t-1\n",
    "huge": b"999999\t999999\n",
    "digits": b"9" * 10_000 + b"\n",
    "superscripts": "²\n".encode(),
    "other digits": "١\nperson 0\t١\t٢\nperson 0\t1\tperson 1\t1\n".encode(),
    "huge number": b"1\nperson 0\t1\t" + b"9" * 10_000 + b"\nperson 0\t1\tperson 1\t1\n",
    "letters": b"1\nperson 0\tone\ttwo\nperson 0\t1\tperson 1\t1\n",
    "itself": b"1\nperson 0\t1\t1\nperson 0\t1\tperson 1\t1\n",
    "unknown people": b"1\nnobody\t1\t2\nnobody\t1\tno one\t1\n",
    "fields": b"1\na\t1\t2\t3\t4\nb\t1\n",
    "JSON": b'{"a": 1}',
    "page": b"<html></html>",
}


def test_bad_pairs_are_one_line(suite, run, tally, tmp_path):
    line = ["--features_path", suite["features"], "--classification", suite["head"], "--pairs"]
    named = []
    for name, data in PAIRS.items():
        path = tmp_path / f"{name}.txt"
        path.write_bytes(data)
        ended = run("evaluate", *line, path)
        last = ended.err.splitlines()[-1] if ended.err else ""  # pairs without features are listed before
        if ended.status == 2 and last.startswith("error: ") and f"{name}.txt" in ended.err:
            named.append(name)
    for path in (tmp_path / "missing.txt", tmp_path):
        assert one_line(run("evaluate", *line, path), str(path))
    tally.bad_inputs(list(PAIRS), named)
    assert named == list(PAIRS)


NAMES = (
    b"two\nlines",
    b"escape \x1b[31m",
    "party \U0001f389 写真".encode(),
    "Jose\u0301".encode(),
    b"caf\xe9",
    b"-rf",
    b"--help",
    b" spaces ",
    b"$\\frac{1}{$ formula_{",
    b"%s %d {0} {name}",
    b"quote ' and \"",
    b"a:b|c*d?e<f>",
    b"CON",
    b"x" * 200,
)


def test_people_of_every_name_get_through(suite, run, tally, tmp_path):
    names = [os.fsdecode(name) for name in NAMES]
    album, faces, features, head = (tmp_path / name for name in ("album", "faces", "features", "head"))
    for number, name in enumerate([*names, "good"]):
        for shot, photo in enumerate(draw_selfies(200 + number, 3)):
            write_image(album / name / f"{name[:60]}_{shot + 1}.png", photo)
    assert run("selfies2face", "--face_selfies", album, "--faces_path", faces).status == 0
    line = ["--faces_path", faces, "--model_path", suite["extractor"], "--features", features]
    assert run("extract_features", *line).status == 0
    assert run("compute_mean", "--features_path", features).status == 0
    assert run("train", "--features_path", features, "--output_model", head, "--epochs", 2).status == 0
    report = ["--features_path", features, "--classification", head, "--bootstrap", 20, "--output", tmp_path / "report"]
    assert run("evaluate", *report, "--faces_path", faces).status == 0
    assert run("evaluate", *report, "--identification", "--gallery_sizes", 5, "--strangers", 5).status == 0
    models = ["--model", suite["extractor"], "--classification", head]
    photos = tmp_path / "photos"
    for number in range(len(names) + 1):
        write_image(photos / f"{number:02}.png", draw_selfies(200 + number, 1)[0])
    events = tmp_path / "events.jsonl"
    words = ["--features", features, *models, "--image_path", photos, "--headless", "--threshold", 0]
    assert run("test", *words, "--events", events, "--output", tmp_path / "annotated").status == 0
    seen = [json.loads(line)["faces"][0]["name"] for line in events.read_text().splitlines()]
    lost = [name for name, other in zip([*names, "good"], seen, strict=True) if one_spelling(name) != other]
    for name in names[::4]:
        answer = ["--output", tmp_path / "answer.png"]
        assert run("verify", album / name, album / name, *models, *answer).status == 0
    tally.good_images(names, lost)
    assert not lost and (tmp_path / "report" / "worst_pairs.svg").is_file()


def test_bad_weights_are_one_line(films, run, tally, tmp_path):
    files = {"empty.h5": b"", "text.dat": b"text", "noise.dat": np.random.default_rng(0).bytes(5000)}
    files |= {"picture.h5": encode(good_photo(), "PNG"), "signature.h5": b"\x89HDF\r\n\x1a\n" + bytes(100)}
    named = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        words = ["--output", tmp_path / "out", "--model", "m", "--backbone", "dlib", "--weights", tmp_path / name]
        named += [name] if one_line(run("network", *words), name) else []
    words = ["--output", tmp_path / "out", "--model", "m", "--weights", tmp_path / "noise.dat"]
    assert one_line(run("network", *words), "noise.dat")
    tally.bad_inputs(list(files), named)
    assert named == list(files) and not list(tmp_path.glob("out/m*"))


def test_the_demo_keeps_other_folders(run, tally, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_bytes(b"mine")
    tried = [tmp_path / "mine", tmp_path / "mine" / "photo.png"]
    named = [path for path in tried if one_line(run("demo", "--output", path), str(path))]
    tally.bad_inputs([str(path) for path in tried], [str(path) for path in named])
    assert named == tried and (tmp_path / "mine" / "photo.png").read_bytes() == b"mine"
