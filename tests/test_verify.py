"""verify.py: its answer, what the answer depends on, its exit status and its picture."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import DEADLINE, ROOT

import utils.features.extractor
import verify
from utils.heads.fitting import fit_head
from utils.heads.head import load_head, save_head
from utils.heads.options import TrainingOptions
from utils.heads.plain import CONSTANTS
from utils.keras_models import load_model
from utils.media.images import read_image, write_image
from utils.recognition import photo_comparison
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie


@pytest.fixture(scope="module", autouse=True)
def one_extractor():
    """Load the extractor once for all runs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            utils.features.extractor, "load_extractor", functools.cache(utils.features.extractor.load_extractor)
        )
        yield


@pytest.fixture(scope="module")
def models(extractor_path, tmp_path_factory) -> dict:
    """The extractor, and its distance as a head, which needs no training."""
    extractor = next(iter(CONSTANTS))
    options = TrainingOptions(head="distance", extractor=extractor)
    fitted = fit_head(np.zeros((1, 128)), np.zeros(1, int), options, np.random.default_rng(0))
    head = tmp_path_factory.mktemp("head")
    save_head(head / "similarity.keras", fitted.model, {**fitted.description, "extractor": extractor})
    return {"extractor": extractor_path, "head": head}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Photos of two drawn people: three of ada, two of bea, one of both and one of a wall."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(20)
    ada, bea = sample_identity(900), sample_identity(901)
    shots = {"ada/1.jpg": ada, "ada/2.jpg": ada, "ada/3.png": ada, "bea/1.jpg": bea, "bea/2.jpg": bea}
    for name, identity in shots.items():
        write_image(folder / name, draw_selfie(identity, rng))
    write_image(folder / "both.jpg", np.hstack([draw_selfie(bea, rng), draw_selfie(ada, rng)]))
    write_image(folder / "wall.jpg", np.full((200, 300, 3), 90, np.uint8))
    return folder


def run(models: dict, *words: str | Path) -> int:
    return verify.main(
        [*map(str, words), "-m", str(models["extractor"]), "-c", str(models["head"]), "--threshold", "0.5"]
    )


@pytest.mark.slow
def test_exit_status_tells_same_from_different(models, photos, capsys):
    assert run(models, photos / "ada/1.jpg", photos / "ada/2.jpg") == 0
    assert capsys.readouterr().out.startswith("the same person: probability ")
    assert run(models, photos / "ada/1.jpg", photos / "bea/1.jpg") == 1
    printed = capsys.readouterr().out
    assert printed.startswith("different people: ") and "accepted above 0.5000; distance " in printed
    assert printed.count("\n") == 1


def test_the_answer_says_if_no_strangers_support_it():
    lines = {}
    for known in (None, True, False):
        comparison = photo_comparison.Comparison(0.9, 0.1, [None], [None], 1, known)
        lines[known] = verify.as_text([], comparison, 0.5).splitlines()[1:]
    assert lines[None] == lines[True] == [] and lines[False][0].startswith("no strangers of this kind known: ")


def test_the_default_threshold_comes_from_the_head(models, photos, capsys):
    words = [str(photos / "ada/1.jpg"), str(photos / "ada/1.jpg"), "--json"]
    words += ["-m", str(models["extractor"]), "-c", str(models["head"])]
    assert verify.main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["threshold"] == load_head(models["head"]).threshold and answer["distance"] == 0
    assert verify.main([*words, "--threshold", "1"]) == 1  # no probability is above 1


@pytest.mark.slow
def test_of_several_faces_the_best_pair_counts(models, photos, capsys, tmp_path):
    out = tmp_path / "new" / "answer.png"
    assert run(models, photos / "ada/1.jpg", photos / "both.jpg", "--output", out) == 0
    printed = capsys.readouterr().out
    assert "the best of 2 pairs (1 face and 2 faces)" in printed
    assert run(models, photos / "ada/1.jpg", photos / "both.jpg", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["same"] and answer["best_of_pairs"] == 2 and answer["b"]["faces_found"] == 2
    width = read_image(photos / "both.jpg").shape[1]
    assert answer["b"]["compared"][0]["box"][0] > width // 2  # ada stands on the right
    assert [file.name for file in out.parent.iterdir()] == ["answer.png"]
    assert (out.stat().st_mode & 0o777, out.parent.stat().st_mode & 0o777) == (0o600, 0o700)  # it shows faces
    picture = read_image(out)
    assert picture.shape[0] > 500 and picture.shape[1] > 900 and picture.std() > 20


@pytest.mark.slow
def test_folders_are_compared_photo_by_photo(models, photos, capsys, tmp_path):
    assert run(models, photos / "ada", photos / "bea", "--json", "--output", tmp_path / "answer.jpg") == 1
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["a"]["compared"]) == 3 and len(answer["b"]["compared"]) == 2
    assert run(models, photos / "ada", photos / "ada/2.jpg") == 0
    assert "log odds and distances averaged over 3 pairs of photos" in capsys.readouterr().out


def test_bad_photos_of_a_folder_are_named_and_skipped(models, photos, capsys, tmp_path):
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes((photos / "ada" / name).read_bytes())
    (tmp_path / "3.jpg").write_bytes((photos / "wall.jpg").read_bytes())
    (tmp_path / "4.jpg").write_bytes(b"no image")
    (tmp_path / "5.jpg").write_bytes((photos / "both.jpg").read_bytes())
    (tmp_path / "notes.txt").write_text("a stray file")
    run(models, tmp_path, photos / "ada/3.png")
    captured = capsys.readouterr()
    assert captured.err.count("warning: skipped: ") == captured.err.count("\n") == 2
    assert "3.jpg: no face found" in captured.err and "4.jpg: " in captured.err
    assert "1 photo with several faces; the one that agrees with the other photos is used" in captured.out
    assert "over 3 pairs of photos" in captured.out


@pytest.mark.parametrize(
    ("a", "b", "parts"),
    [
        ("ada/1.jpg", "missing.jpg", ["missing.jpg does not exist"]),
        ("wall.jpg", "ada/1.jpg", ["wall.jpg: no face found"]),
        ("ada/1.jpg", "wall.jpg", ["wall.jpg: no face found"]),
        ("empty", "ada/1.jpg", ["empty has no photos"]),
        ("people", "ada/1.jpg", ["people has no photos, only folders", "person's folder such as ", "people/bea"]),
        ("walls", "ada/1.jpg", ["walls: no face found in 1 photo, "]),
        ("broken.jpg", "ada/1.jpg", ["broken.jpg", "cannot be decoded"]),
    ],
)
def test_bad_input_is_one_error_line_and_status_2(models, photos, capsys, a, b, parts):
    (photos / "empty").mkdir(exist_ok=True)
    (photos / "people" / "aa").mkdir(parents=True, exist_ok=True)
    write_image(photos / "people" / "bea" / "1.jpg", read_image(photos / "bea/1.jpg"))
    write_image(photos / "walls" / "1.jpg", read_image(photos / "wall.jpg"))
    (photos / "broken.jpg").write_bytes(b"not an image")
    assert run(models, photos / a, photos / b) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and not captured.out
    assert all(part in lines[0] for part in parts)


@pytest.mark.slow
def test_wrong_models_and_outputs_are_status_2(models, photos, capsys, tmp_path):
    pair = [str(photos / "ada/1.jpg"), str(photos / "ada/2.jpg")]
    flags = ["-m", str(models["extractor"]), "-c"]
    head = load_head(models["head"])
    model = load_model(models["head"] / "similarity.keras")
    save_head(tmp_path / "similarity.keras", model, {"extractor": "other-128-abc"})
    assert verify.main([*pair, *flags, str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "other-128-abc" in error and head.extractor in error
    assert verify.main([*pair, *flags, str(tmp_path / "nothing")]) == 2
    assert verify.main([*pair, *flags, str(models["extractor"])]) == 2
    capsys.readouterr()
    for output, part in (("a.txt", ".png or .jpg"), ("", "is one of the photos")):
        path = tmp_path / output if output else pair[0]
        assert verify.main([*pair, *flags, str(models["head"]), "--output", str(path)]) == 2
        assert part in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        verify.main(pair[:1])
    assert ended.value.code == 2


@pytest.mark.fault
def test_a_crash_does_not_mean_different_people(models, photos, capsys, monkeypatch):
    """Python exits with 1 after a crash, which means "different people" here."""

    def crash(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(photo_comparison, "compare_sides", crash)
    assert run(models, photos / "ada/1.jpg", photos / "ada/2.jpg") == 2
    assert "a bug" in capsys.readouterr().err

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(photo_comparison, "compare_sides", stop)
    assert run(models, photos / "ada/1.jpg", photos / "ada/2.jpg") == 130


@pytest.mark.fault
@pytest.mark.slow
def test_a_closed_pipe_does_not_change_the_exit_status(models, photos):
    words = ["-m", models["extractor"], "-c", models["head"], "--threshold", "0.5"]
    command = [sys.executable, "verify.py", *map(str, [photos / "ada/1.jpg", photos / "bea/1.jpg", *words])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(timeout=DEADLINE) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_an_address_is_not_repeated(models, photos, capsys):
    assert run(models, "http://me:secret@127.0.0.1/a.jpg", photos / "ada/1.jpg") == 2
    error = capsys.readouterr().err
    assert "Received: an address" in error and "secret" not in error
    assert run(models, photos / "ada/1.jpg", "/dev/zero") == 2
    assert "/dev/zero is a device" in capsys.readouterr().err
