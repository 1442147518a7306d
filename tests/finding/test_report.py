"""The report of find.py, in words and as JSON."""

import json
from pathlib import Path

import numpy as np

from utils.finding.photos import FoundFace, FoundPhoto
from utils.finding.report import Report, describe_sighting
from utils.finding.sightings import Sighting


def test_sightings_in_words():
    chip = Path("unknown/u.png")
    events = Path("events.jsonl")
    seen = {
        "in party.mp4 from 0:04.0 to 1:07.3: as Ada, 0.9987": Sighting(
            source="party.mp4", events=events, name="Ada", score=0.99871, first=4.0, last=67.3
        ),
        "by camera 0 from 2026-01-02 03:04:10 to 03:04:11: unknown/u.png, 0.9000": Sighting(
            source="camera 0",
            events=events,
            chip=chip,
            score=0.9,
            first=1.0,
            last=2.0,
            clock_first="2026-01-02T03:04:10.000+01:00",
            clock_last="2026-01-02T03:04:11.500+01:00",
        ),
        "in photos, a.jpg: as Ada, 0.9000": Sighting(
            source="photos", events=events, image="a.jpg", name="Ada", score=0.9, first=0.0, last=0.0
        ),
        "in events.jsonl from 0:04.0 to 0:05.0: as Ada, 0.9000": Sighting(
            events=events, name="Ada", score=0.9, first=4.0, last=5.0
        ),
        "in a run from 2026-01-02 03:04:05 on: unknown/u.png, 0.9000": Sighting(
            started="20260102_030405_678901", track=3, chip=chip, score=0.9
        ),
        "at an unknown time: unknown/u.png, 0.9000": Sighting(chip=chip, score=0.9),
    }
    assert {describe_sighting(sighting) for sighting in seen.values()} == seen.keys()


def test_every_photo_is_accounted_for():
    face = FoundFace((1, 2, 3, 4), np.zeros(3), "Zoë", [("Zoë", 0.98765), ("Ada", 0.5)], kind_known=False)
    stranger = FoundFace((5, 6, 7, 8), np.zeros(3), None, [("Ada", 0.5)])
    stranger.seen = [Sighting(chip=Path("unknown/u.png"), score=0.9)]
    photos = [FoundPhoto(Path("a.jpg"), [face, stranger]), FoundPhoto(Path("b\n.jpg"), [], "no face found")]
    report = Report(photos, ["c.jpg: cannot be decoded"], people=2, threshold=0.9, chips=7, chip_threshold=0.8)
    lines = report.as_lines()
    assert "b\\n.jpg: no face found" in lines
    assert "  face at (1, 2, 3, 4) (x, y, w, h): Zoë; no strangers of this kind known" in lines
    assert lines[-1] == "3 photos: 1 without a face, 1 unreadable, 2 faces, 1 unknown, 1 among the unknown faces"
    content = json.loads(json.dumps(report.as_dict()))
    assert content["photos"][0]["faces"][0] == {
        "box": [1, 2, 3, 4],
        "name": "Zoë",
        "people": [{"name": "Zoë", "score": 0.9877}, {"name": "Ada", "score": 0.5}],
        "seen": [],
        "kind_known": False,
    }
    assert content["photos"][0]["faces"][1]["seen"] == [{"chip": "unknown/u.png", "score": 0.9, "frames": 0}]
    assert content["photos"][1] == {"photo": "b\n.jpg", "faces": [], "reason": "no face found"}
    assert content["unreadable"] == ["c.jpg: cannot be decoded"] and content["unknown_faces"] == 7
