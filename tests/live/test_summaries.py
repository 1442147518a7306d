"""What a run prints at its end, for people and as JSON."""

import io
import json

import numpy as np
from support import FakeClock

from utils.live.summaries import PhotoSummary, Summary
from utils.media.video import Frame
from utils.recognition.recognizer import NamedFace

IMAGE, BOX = np.zeros((9, 9, 3), np.uint8), (0, 0, 9, 9)


def test_the_summary_counts_people_and_unnamed_faces(capsys):
    clock = FakeClock()
    summary = Summary(clock=clock)
    summary.print()  # nothing: it has not started
    summary.start()
    for index, name in enumerate((None, "ada", "ada", "eve")):
        track_id = 7 if name == "eve" else 1
        summary.add(Frame(IMAGE, 30.0 * index), [NamedFace(BOX, name, 0.8, track_id), NamedFace(BOX, None, 0.1, 2)])
        summary.frames += 1
    summary.latencies = [0.04, 0.04, 0.04]
    clock.sleep(2)
    summary.print()
    assert capsys.readouterr().out.splitlines() == [
        "4 frames at 2.0 per second, 8 faces, 5 unknown",
        "  camera to name: median 40 ms, 95% within 40 ms",
        "  ada: 2 frames, from 0:30.0 to 1:00.0, 80% sure",
        "  eve: 1 frame, from 1:30.0 to 1:30.0, 80% sure",
        "  1 face never named",
    ]


def faces(*names: str | None) -> list[NamedFace]:
    return [NamedFace(BOX, name, 0.8) for name in names]


def test_photos_end_in_a_summary_per_person(capsys):
    summary = PhotoSummary()
    summary.print()
    summary.start()
    for index, names in enumerate((["ada", None], [], ["eve"], ["ada", "eve", None])):
        summary.add(Frame(IMAGE, 0.0, index=index), faces(*names))
    summary.print()
    expected = [
        "4 photos, 1 without a face; 6 faces, 2 unknown",
        "  ada: 2 photos, 80% sure",
        "  eve: 2 photos, 80% sure",
    ]
    assert capsys.readouterr().out.splitlines() == expected
    summary.add(Frame(IMAGE, 0.0, index=0), faces("eve", None))  # looked at again: somebody was enrolled
    summary.print()
    expected = [
        "4 photos, 1 without a face; 6 faces, 2 unknown",
        "  eve: 3 photos, 80% sure",
        "  ada: 1 photo, 80% sure",
    ]
    assert capsys.readouterr().out.splitlines() == expected


def test_the_summary_says_whom_no_strangers_support():
    summary = PhotoSummary()
    for index, known in enumerate((False, False, True)):
        summary.add(Frame(IMAGE, 0.0, index=index), [NamedFace(BOX, "ada", 0.8, kind_known=known)])
    assert "  ada: 3 photos, 80% sure, * no strangers of this kind known in 2" in summary.lines(1.0)


def test_a_renamed_person_is_counted_once():
    for summary in (Summary(), PhotoSummary()):
        for index, name in enumerate(("Jonh", "Jonh", "John", "Eve", "Jonh")):
            summary.add(Frame(IMAGE, float(index), index=index), faces(name))
        summary.rename("Jonh", "John")
        summary.rename("Eve", "Eva")
        summary.rename("Eva", "Eve")
        assert {name: person.count for name, person in summary.people.items()} == {"John": 4, "Eve": 1}
        summary.rename("John", "Jonh")  # undone
        assert {name: person.count for name, person in summary.people.items()} == {"Jonh": 4, "Eve": 1}


def test_summaries_as_json(capsys):
    out, clock = io.StringIO(), FakeClock()
    for summary in (Summary(out, clock), PhotoSummary(out, clock)):
        summary.start()
        summary.add(Frame(IMAGE, 2.0), faces("Zoë", None))
        summary.frames, summary.latencies = 1, [0.25]
        clock.sleep(2)
        summary.print()
    decoder, text = json.JSONDecoder(), out.getvalue()
    frames, end = decoder.raw_decode(text)
    assert frames == {
        "frames": 1,
        "frames_per_second": 0.5,
        "faces": 2,
        "unknown": 1,
        "never_named": 0,
        "latency": {"median": 0.25, "p95": 0.25},
        "people": {"Zoë": {"frames": 1, "first": 2.0, "last": 2.0, "score": 0.8, "kind_unknown": 0}},
    }
    assert json.loads(text[end:]) == {
        "photos": 1,
        "without_a_face": 0,
        "faces": 2,
        "unknown": 1,
        "people": {"Zoë": {"photos": 1, "score": 0.8, "kind_unknown": 0}},
    }
    assert text.isascii() and capsys.readouterr().out == ""
