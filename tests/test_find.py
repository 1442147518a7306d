"""find.py: the same names as test.py, strangers in videos, and every photo accounted for."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import draw_selfies, webcam_view, write_clip

import find
import test as recognize
from utils.media.images import write_image

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("models_load_once")]

STRANGER = 900  # the number of a drawn person who is not enrolled; "person 1" has 101


@pytest.fixture(scope="module")
def models(suite) -> list[str]:
    return ["--model", str(suite["extractor"]), "--classification", str(suite["head"])]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """New photos: of an enrolled person, of a stranger, of both, and of a wall."""
    folder = tmp_path_factory.mktemp("photos")
    (known, other), (stranger, more) = (draw_selfies(number, 7)[-2:] for number in (101, STRANGER))
    write_image(folder / "known.png", known)
    write_image(folder / "stranger.png", stranger)
    write_image(folder / "both.png", np.hstack([more, other]))
    write_image(folder / "wall.png", np.full((200, 300, 3), 90, np.uint8))
    return folder


@pytest.fixture(scope="module")
def filmed(suite, models, tmp_path_factory) -> tuple[Path, Path]:
    """The event lines and the unknown faces of a film: first the enrolled person, then a stranger."""
    folder = tmp_path_factory.mktemp("filmed")
    people = [101] * 8 + [STRANGER] * 8
    views = [webcam_view(person=person, seed=seed) for seed, person in enumerate(people)]
    write_clip(folder / "party.mp4", [*views[:8], *[views[0] // 4] * 2, *views[8:]])
    outputs = ["--events", str(folder / "events.jsonl"), "--unknown_dir", str(folder / "unknown")]
    source = ["--video_path", str(folder / "party.mp4"), "--headless"]
    assert recognize.main(["--features", str(suite["features"]), *models, *source, *outputs]) == 0
    return folder / "events.jsonl", folder / "unknown"


def run(capsys, *words: object) -> dict:
    """The JSON that a run prints."""
    capsys.readouterr()
    assert find.main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_names_are_those_of_test(suite, models, photos, capsys, tmp_path):
    events = tmp_path / "events.jsonl"
    source = ["--image_path", str(photos), "--headless", "--events", str(events)]
    assert recognize.main(["--features", str(suite["features"]), *models, *source]) == 0
    expected = {line["image"]: line["faces"] for line in map(json.loads, events.read_text().splitlines())}
    found = run(capsys, photos, "--features", suite["features"], *models, "--top", 2)
    assert found["people"] == 7 and found["threshold"] > 0.5 and found["not_joined"] == [] and found["events"] == 0
    for photo in found["photos"]:
        faces = expected[Path(photo["photo"]).name]
        assert [(face["box"], face["name"]) for face in photo["faces"]] == [
            (face["box"], face["name"]) for face in faces
        ]
        assert [face["people"][0]["score"] for face in photo["faces"]] == [face["score"] for face in faces]
        assert all(len(face["people"]) == 2 for face in photo["faces"])
    by_name = {Path(photo["photo"]).name: photo for photo in found["photos"]}
    assert by_name["known.png"]["faces"][0]["name"] == "person 1"
    assert by_name["stranger.png"]["faces"][0]["name"] is None
    assert {face["name"] for face in by_name["both.png"]["faces"]} == {"person 1", None}
    assert by_name["wall.png"]["reason"] == "no face found"


def test_a_stranger_is_found_where_test_saw_them(models, photos, filmed, capsys):
    events, unknown = filmed
    words = ["--unknown_dir", unknown, "--events", events, *models]
    found = run(capsys, photos / "stranger.png", photos / "known.png", *words)
    stranger, known = (photo["faces"][0]["seen"] for photo in found["photos"])
    (seen,) = stranger
    assert known == [] and found["unknown_faces"] == len(list(unknown.glob("*.png"))) >= 1
    assert seen["source"].endswith("party.mp4") and seen["score"] > found["unknown_threshold"]
    assert Path(seen["chip"]).is_file() and seen["chip"].endswith(f"_{seen['track']}.png")
    assert 0.6 <= seen["first"] < 0.9 and seen["last"] == pytest.approx(17 / 15, abs=0.01)
    assert find.main([str(photos / "stranger.png"), *map(str, words)]) == 0
    out = capsys.readouterr().out
    assert "1 unknown face; the same person above " in out and "party.mp4 from 0:00." in out
    assert out.endswith("1 photo: 0 without a face, 1 face, 1 among the unknown faces\n")


def test_a_named_face_is_found_where_it_was_named(suite, models, photos, filmed, capsys):
    events, unknown = filmed
    words = ["--features", suite["features"], "--events", events, *models]
    found = run(capsys, photos / "both.png", *words, "--unknown_dir", unknown)
    by_name = {face["name"]: face["seen"] for face in found["photos"][0]["faces"]}
    (named,) = by_name["person 1"]
    assert named["name"] == "person 1" and named["first"] < 0.3 and named["last"] < 0.7
    assert [seen.get("name") for seen in by_name[None]] == [None]


def test_what_cannot_be_joined_is_told(models, photos, filmed, capsys, tmp_path):
    old = tmp_path / "old.jsonl"
    old.write_text("".join(filmed[0].read_text().splitlines(keepends=True)[1:]))
    found = run(capsys, photos / "stranger.png", "--unknown_dir", filmed[1], "--events", old, *models)
    (seen,) = found["photos"][0]["faces"][0]["seen"]
    assert seen["started"] and "source" not in seen
    assert "its first line does not name the run" in found["not_joined"][0]
    assert "no --events file tells of its run" in found["not_joined"][1]


def test_unreadable_photos_are_named_and_skipped(suite, models, photos, capsys, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("a stray file")
    write_image(tmp_path / "known.png", draw_selfies(101, 6)[-1])
    assert find.main([str(tmp_path), str(photos / "wall.png"), "--features", str(suite["features"]), *models]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("warning: not read: ") and "broken.jpg" in captured.err
    assert "wall.png: no face found" in captured.out and "not read: 1 .txt file" in captured.out
    assert captured.out.endswith("3 photos: 1 without a face, 1 unreadable, 1 face, 0 unknown\n")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["known.png"], "nothing to search"),
        (["known.png", "-f", "F", "--normalize", "1", "--threshold", "2"], "must be between 0 and 1"),
        (["known.png", "--unknown_dir", "U", "-n", "1"], "--normalize 1"),
        (["missing.png", "-f", "F"], "missing.png does not exist"),
        (["http://me:secret@127.0.0.1/a.jpg", "-f", "F"], "Received: an address"),
        (["known.png", "-f", "F", "--events", "s3://bucket/events.jsonl"], "must be on this machine"),
        (["/dev/zero", "-f", "F"], "/dev/zero is a device"),
        (["known.png", "-f", "missing"], "missing"),
        (["known.png", "--unknown_dir", "missing"], "--unknown_dir missing is not a folder"),
        (["known.png", "-f", "F", "--events", "missing.jsonl"], "--events missing.jsonl does not exist"),
        (["known.png", "-f", "F", "--events", "notes.txt"], "notes.txt has no event lines"),
        (["notes.png", "-f", "F"], "notes.png: cannot be decoded"),
        (["notes.png", "notes.jpg", "-f", "F"], "(and 1 more)"),
    ],
)
def test_bad_input_is_one_error_line_and_status_2(suite, models, photos, capsys, monkeypatch, words, part):
    monkeypatch.chdir(photos)
    for name in ("notes.png", "notes.jpg", "notes.txt"):
        Path(name).write_text("my notes")
    words = [str(suite["features"]) if word == "F" else word for word in words]
    try:
        status = find.main([*words, *models])
    except SystemExit as ended:
        status = ended.code
    for name in ("notes.png", "notes.jpg", "notes.txt"):
        Path(name).unlink()
    lines = capsys.readouterr().err.splitlines()
    assert status == 2 and len(lines) == 1 and lines[0].startswith("error: ") and part in lines[0]
    assert "secret" not in lines[0]


def test_events_of_another_extractor_are_refused(suite, models, photos, filmed, capsys, tmp_path):
    first, *rest = filmed[0].read_text().splitlines(keepends=True)
    line = json.loads(first)
    line["run"]["extractor"] = "other-128-abc"
    (tmp_path / "events.jsonl").write_text("".join([f"{json.dumps(line)}\n", *rest]))
    words = ["--features", suite["features"], "--events", tmp_path / "events.jsonl", *models]
    assert find.main([str(photos / "known.png"), *map(str, words)]) == 2
    assert "was written with other-128-abc, but --model is " in capsys.readouterr().err
