"""Sightings: what event lines tell about tracks and names, and files that tell little."""

import json
from pathlib import Path

import pytest

from utils.cli import InputError
from utils.finding.sightings import MAX_LINE, EventSearch, TrackKey, check_events, parse_line

STARTED = "20260102_030405_678901"


def line(time: float, *faces: tuple, **more: object) -> dict:
    """An event line with faces (name, score, track)."""
    entries = [{"box": [0, 0, 9, 9], "name": name, "score": score, "track": track} for name, score, track in faces]
    return {"frame": 0, "time": time, "faces": entries, **more}


def run_entry(started: str = STARTED, source: str = "party.mp4", extractor: str = "sface-128-abc") -> dict:
    return {"started": started, "source": source, "extractor": extractor}


def write(path: Path, *lines: dict | bytes) -> Path:
    data = [entry if isinstance(entry, bytes) else json.dumps(entry, ensure_ascii=False).encode() for entry in lines]
    path.write_bytes(b"\n".join(data) + b"\n")
    return path


def search(tracks: set = frozenset(), names: set = frozenset()) -> EventSearch:
    return EventSearch({TrackKey(STARTED, track) for track in tracks}, set(names), "sface-128-abc")


def test_a_track_is_one_sighting(tmp_path):
    events = search({3})
    events.read(
        write(
            tmp_path / "events.jsonl",
            line(0.0, run=run_entry()),  # nobody is in the first frame
            line(1.0, (None, 0.2, 3), ("Ada", 0.9, 4)),
            line(1.5, ("Ada", 0.9, 4)),
            line(3.0, (None, 0.3, 3)),
        )
    )
    (seen,) = events.by_track.values()
    assert (seen.source, seen.track, seen.first, seen.last, seen.frames) == ("party.mp4", 3, 1.0, 3.0, 2)
    assert not events.problems and events.runs == {STARTED}


def test_a_name_is_seen_again_after_a_break(tmp_path):
    events = search(names={"Zoë", "Ada"})
    times = (0.0, 1.0, 2.9, 10.0, 10.1)
    lines = [line(time, ("Zoe\u0308", 0.9 + time / 1000, 1)) for time in times]  # as macOS writes it
    events.read(write(tmp_path / "events.jsonl", lines[0] | {"run": run_entry()}, *lines[1:]))
    first, second = events.by_name["Zoë"]
    assert (first.first, first.last, first.frames, first.score) == (0.0, 2.9, 3, 0.9029)
    assert (second.first, second.last, second.frames) == (10.0, 10.1, 2) and not events.by_name["Ada"]


def test_runs_in_one_file_are_told_apart(tmp_path):
    """Files may be joined: `cat a.jsonl b.jsonl`."""
    events = search({1}, {"Ada"})
    other = run_entry("20260102_040000_000000", "other.mp4")
    lines = [line(0.0, ("Ada", 0.9, 2), (None, 0.1, 1)), line(0.5, ("Ada", 0.8, 2), (None, 0.1, 1))]
    path = write(tmp_path / "a.jsonl", lines[0] | {"run": run_entry()}, lines[1], lines[0] | {"run": other}, lines[1])
    events.read(path)
    assert [seen.source for seen in events.by_name["Ada"]] == ["party.mp4", "other.mp4"]
    assert [seen.frames for seen in events.by_track.values()] == [2]
    assert events.by_name["Ada"][0].order < events.by_name["Ada"][1].order


def test_cameras_and_photos(tmp_path):
    events = search(names={"Ada"})
    clocks = ["2026-01-02T03:04:10.000+01:00", "2026-01-02T03:04:11.500+01:00"]
    lines = [line(time, ("Ada", 0.9, 1), clock=clock, latency=0.1) for time, clock in enumerate(clocks)]
    events.read(write(tmp_path / "camera.jsonl", lines[0] | {"run": run_entry(source="camera 0")}, lines[1]))
    photos = [line(0.0, ("Ada", 0.9, None), image=f"{name}.jpg") for name in "ab"]
    events.read(write(tmp_path / "photos.jsonl", photos[0] | {"run": run_entry(source="photos")}, photos[1]))
    camera, *images = events.by_name["Ada"]
    assert [camera.clock_first, camera.clock_last] == clocks and camera.order[0] == "20260102030410000"
    assert [(seen.source, seen.image) for seen in images] == [("photos", "a.jpg"), ("photos", "b.jpg")]


def test_a_file_without_its_run_is_told(tmp_path):
    path = write(tmp_path / "old.jsonl", line(0.0, (None, 0.2, 3), ("Ada", 0.9, 1)))
    events = search({3}, {"Ada"})
    events.read(path)
    assert not events.by_track and events.by_name["Ada"][0].source is None
    assert events.problems == [f"{path}: not joined with unknown faces, because its first line does not name the run"]
    events = search(names={"Ada"})
    events.read(path)
    assert not events.problems  # the names need no run


HOSTILE = {
    "text": b"my notes",
    "half": b'{"frame": 0, "time": 0.0, "fac',
    "list": b"[1]",
    "nested": b"[" * 100_000,
    "no faces": b'{"frame": 0, "time": 0}',
    "NaN": b'{"faces": [], "time": NaN}',
    "huge": b'{"faces": [], "time": 1' + b"0" * 400 + b"}",
    "long": b'{"time": 0, "faces": [], "x": "' + b"x" * MAX_LINE + b'"}',
    "faces": b'{"time": 0, "faces": 7}',
    "face": b'{"time": 0, "faces": [7]}',
    "name": b'{"time": 0, "faces": [{"name": ["Ada"], "score": 1, "track": 1}]}',
    "track": b'{"time": 0, "faces": [{"name": "Ada", "score": 1, "track": {}}]}',
    "run": b'{"time": 0, "faces": [], "run": "Ada"}',
    "source": b'{"time": 0, "faces": [], "run": {"started": "x", "source": 7}}',
    "clock": b'{"time": 0, "faces": [], "clock": "noon"}',
    "bytes": b"\xff\xfe\x00\x01",
}


@pytest.mark.bad_input
def test_damaged_lines_are_counted(tmp_path):
    assert all(parse_line(data) is None for name, data in HOSTILE.items() if name != "long")
    good = line(1.0, ("Ada", 0.9, 1))
    path = write(tmp_path / "events.jsonl", good | {"run": run_entry()}, *HOSTILE.values(), good)
    events = search(names={"Ada"})
    events.read(path)
    assert events.by_name["Ada"][0].frames == 2
    assert events.problems == [f"{path}: {len(HOSTILE) + 1} lines are damaged and left out"]  # the long one is two


@pytest.mark.bad_input
@pytest.mark.parametrize("data", [b"", b"\n\n", b"my notes\n", b'{"mean": 1}\n'])
def test_other_files_are_refused(tmp_path, data):
    path = tmp_path / "events.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match="has no event lines"):
        search().read(path)


def test_events_of_another_extractor_are_refused(tmp_path):
    path = write(tmp_path / "events.jsonl", line(0.0) | {"run": run_entry(extractor="dlib-128-abc")})
    with pytest.raises(InputError, match=r"written with dlib-128-abc, but --model is sface-128-abc"):
        search().read(path)


def test_what_is_no_file_is_refused(tmp_path):
    for path, reason in ((tmp_path, "is a folder"), (tmp_path / "a", "does not exist"), (Path("/dev/zero"), "device")):
        with pytest.raises(InputError, match=reason):
            check_events(path)
