"""The demo: its scoring by hand-made cases, and a short run as `make demo` starts it."""

import json
from collections import Counter

import pytest
from support import DEADLINE, run_script

import demo


def person(name, x, visible=1.0) -> dict:
    return {"name": name, "box": [x, 0, 100, 100], "visible": visible}


def face(name, x) -> dict:
    return {"name": name, "box": [x + 10, 5, 100, 100], "score": 0.9}


def test_every_kind_of_result_is_counted():
    truth = [
        [person("ada", 0), person("bea", 200)],  # one right, one missed
        [person("ada", 0), person(None, 200)],  # a wrong name, a stranger left unknown
        [person(None, 200)],  # a stranger named
        [person("ada", 0, visible=0.5)],  # half out of the picture: may be named
        [person("ada", 0)],  # a name on something that is no face
        [],
    ]
    events = [
        {"faces": [face("ada", 0), face(None, 200)]},
        {"faces": [face(None, 200), face("bea", 0)]},
        {"faces": [face("cem", 200)]},
        {"faces": [face("ada", 0)]},
        {"faces": [face("ada", 400)]},
        {"faces": []},
    ]
    assert demo.score(truth, events) == {
        "appearances": 4,
        "found": 1,
        "stranger_appearances": 2,
        "names": 5,
        "right": 2,
        "strangers_named": 1,
    }


def test_people_found_again_are_counted():
    seen = "a.jpg: 1 face\n  face at (1, 2, 3, 4)\n    seen in webcam.mp4 from 0:00.3 to 0:02.5: as Ada, 0.9\n"
    assert demo.count_seen(f"{seen}{seen}b.jpg: 1 face\n  face at (1, 2, 3, 4)\n    not seen\n") == 2


def test_faces_are_matched_by_best_overlap():
    first, second = person("ada", 0), person("bea", 60)
    left, right = face(None, 0), face(None, 55)
    assert demo.match([first, second], [right, left]) == [(first, left), (second, right)]


def test_bad_recognition_fails_the_demo(tmp_path, capsys):
    good = {"appearances": 100, "found": 95, "names": 100, "right": 99, "strangers_named": 1}
    assert demo.report(Counter(good), 30.0, 10, 1.0, tmp_path) == 0
    assert demo.report(Counter({**good, "right": 90}), 30.0, 10, 1.0, tmp_path) == 1
    assert demo.report(Counter({**good, "found": 80}), 30.0, 10, 1.0, tmp_path) == 1
    assert demo.report(Counter(), 30.0, 10, 1.0, tmp_path) == 1
    assert "expected" in capsys.readouterr().out


def test_a_foreign_folder_is_not_touched(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep")
    assert demo.main(["--output", str(tmp_path)]) == 2
    assert "was not made by a demo" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.slow
def test_a_short_demo_runs_from_start_to_end(tmp_path):
    out = tmp_path / "out"
    result = run_script("demo.py", "--output", out, "--frames", "180", timeout=3 * DEADLINE)
    assert result.returncode == 0, result.stdout + result.stderr
    commands = [line for line in result.stdout.splitlines() if line.startswith("$ python ")]
    assert [command.split()[2] for command in commands] == [
        *("selfies2face.py", "network.py", "extract_features.py", "compute_mean.py", "train.py", "test.py", "find.py")
    ]
    for name in ("contact_sheet.png", "annotated.mp4", "still.png"):
        assert (out / name).stat().st_size > 10_000
        assert str(out / name) in result.stdout
    assert len((out / "events.jsonl").read_text().splitlines()) == 180
    assert json.loads((out / "similarity" / "similarity.json").read_text())["dimension"] == 128
