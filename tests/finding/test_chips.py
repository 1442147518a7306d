"""The faces in --unknown_dir: their features are kept, and each is joined with its track."""

import json
import os
import uuid
from pathlib import Path

import numpy as np
import pytest

from utils.cli import InputError, file_path
from utils.faces.crops import CROP_POINTS
from utils.features.engine_file import ExtractorInfo
from utils.features.extractor import Extractor
from utils.finding.chips import (
    FEATURES,
    TRACKED,
    ChipMatch,
    check_chips,
    load_chips,
    match_chips,
    sighting_of,
    track_of,
)
from utils.finding.photos import FoundFace, FoundPhoto
from utils.finding.report import Report
from utils.finding.sightings import EventSearch, Sighting, TrackKey
from utils.media.images import write_image

STARTED = "20260102_030405_678901"


class Mean(Extractor):
    """The mean color of a chip as its features."""

    def __init__(self, fingerprint: str = "mean-3-abc"):
        super().__init__(ExtractorInfo(8, 3, fingerprint, CROP_POINTS["dlib"]), self._mean, "openvino")
        self.embedded = 0  # chips so far

    def _mean(self, batch: np.ndarray) -> np.ndarray:
        self.embedded += len(batch)
        return batch.mean(axis=(1, 2), dtype=np.float32) / 255


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of four chips, each of another gray."""
    for track in range(4):
        chip = np.full((40, 40, 3), 60 * track, np.uint8)
        write_image(tmp_path / "unknown" / f"unknown_{STARTED}_{track}.png", chip, private=True)
    return tmp_path / "unknown"


def test_a_second_search_embeds_only_what_is_new(folder):
    extractor = Mean()
    chips = load_chips(folder, extractor)
    assert [track_of(path).track for path in chips.paths] == [0, 1, 2, 3] and extractor.embedded == 4
    np.testing.assert_allclose(chips.matrix[:, 0], np.arange(4) * 60 / 255, atol=1e-6)
    (folder / f"unknown_{STARTED}_0.png").unlink()
    write_image(folder / f"unknown_{STARTED}_7.png", np.full((40, 40, 3), 250, np.uint8))
    chips = load_chips(folder, extractor)
    assert [track_of(path).track for path in chips.paths] == [1, 2, 3, 7] and extractor.embedded == 5
    other = Mean("other-3-abc")
    assert len(load_chips(folder, other).paths) == 4 and other.embedded == 4  # they do not compare


def test_the_features_are_private_and_go_with_the_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load_chips(Path(), Mean()).paths[0] == Path(f"unknown_{STARTED}_0.png")
    made = list((folder / FEATURES).rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600} and len(made) == 3
    assert {path.stat().st_mode & 0o777 for path in (folder / FEATURES, made[0].parent)} == {0o700}


def test_files_that_are_no_chips_are_named(folder):
    (folder / "broken.png").write_bytes(b"no image")
    write_image(folder / "photo.png", np.full((40, 80, 3), 90, np.uint8))
    chips = load_chips(folder, Mean())
    assert len(chips.paths) == 5 and chips.non_square == 1
    assert len(chips.skipped) == 1 and "broken.png: " in chips.skipped[0]


def test_chips_may_be_at_an_address():
    folder = file_path(f"memory://{uuid.uuid4().hex}/unknown")
    write_image(folder / f"unknown_{STARTED}_3.png", np.full((40, 40, 3), 90, np.uint8))
    extractor = Mean()
    for _ in range(2):
        (chip,) = load_chips(folder, extractor).paths
    assert extractor.embedded == 1 and track_of(chip) == TrackKey(STARTED, 3)
    photo = FoundPhoto(folder, [FoundFace((1, 2, 3, 4), np.zeros(3), seen=[Sighting(chip=chip)])])
    (face,) = Report([photo]).as_dict()["photos"][0]["faces"]
    assert json.loads(json.dumps(face))["seen"][0]["chip"] == str(chip)


@pytest.mark.bad_input
def test_a_folder_without_chips_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        check_chips(tmp_path / "missing")
    with pytest.raises(InputError, match="has no pictures of faces"):
        check_chips(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"has no picture that can be read: .*broken\.png: "):
        load_chips(tmp_path, Mean())


@pytest.mark.fault
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(folder):
    folder.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        load_chips(folder, Mean())


def test_matches_come_best_first(folder):
    class Nearness:
        def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
            return 1 - np.abs(probes[:, None, 0] - gallery[None, :, 0])

    chips = load_chips(folder, Mean())
    found = match_chips([chips.matrix[1], chips.matrix[3] + 1], chips, Nearness(), 0.7)
    assert [track_of(match.chip).track for match in found[0]] == [1, 0, 2] and found[0][0].score == 1 and not found[1]
    assert match_chips([], chips, Nearness(), 0.7) == []


def test_a_chip_is_joined_with_its_track(folder):
    match = ChipMatch(folder / f"unknown_{STARTED}_3.png", 0.9)
    events = EventSearch(set(), set(), "mean-3-abc")
    alone = sighting_of(match, events)
    assert (alone.started, alone.track, alone.score, alone.events) == (STARTED, 3, 0.9, None)
    assert not events.problems  # there are no events
    events.files, reasons = 1, []
    sighting_of(match, events)
    events.runs = {STARTED}
    sighting_of(match, events)
    sighting_of(ChipMatch(folder / "stranger.png", 0.9), events)
    reasons = ("no --events file tells of its run", "do not have track 3", "its track is unknown")
    assert all(reason in problem for reason, problem in zip(reasons, events.problems, strict=True))
    events.by_track[TrackKey(STARTED, 3)] = Sighting(source="party.mp4", score=0.1, track=3)
    seen = sighting_of(match, events)
    assert (seen.source, seen.score, seen.chip) == ("party.mp4", 0.9, match.chip) and len(events.problems) == 3


def test_names_of_chips_are_those_that_test_gives():
    assert TRACKED.fullmatch(f"unknown_{STARTED}_12.png")
    assert track_of(Path("unknown_20260102_030405_12.png")) is None  # of an earlier version
