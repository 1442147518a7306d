"""Collecting strangers: one face of each person, from frames with any number of faces."""

import numpy as np
import pytest

import capture
from utils.capture.same_person import SamePerson
from utils.capture.strangers import KNOWN, StrangerCollector
from utils.faces.alignment import Face
from utils.faces.folder import FaceSaver
from utils.media.images import list_images, read_image
from utils.media.video import Frame

ADA, BOB, EVE = 60, 140, 220  # gray levels, which stand for faces here


def describe(chip: np.ndarray) -> np.ndarray:
    """A descriptor in which people are one apart."""
    return np.full(128, round(float(chip.mean()) / 80) / np.sqrt(128), np.float32)


def show(collector: StrangerCollector, *people: int, index: int = 0):
    """Process a frame with these people side by side, the first of whom is the largest."""
    image = np.concatenate([np.full((100, 100, 3), person, np.uint8) for person in people], axis=1)
    points = np.float32([[35, 36], [65, 36], [50, 54], [37, 68], [63, 68]])
    faces = []
    for place in range(len(people)):
        transform = np.array([[0.01, 0, -place], [0, 0.01, 0]])
        faces.append(Face((100 * place, 0, 100, 100 - place), 1.0, points + np.float32([100 * place, 0]), transform))
    return collector.process_frame(Frame(image, float(index), index=index), faces)


def make_collector(folder, gate: bool = False) -> StrangerCollector:
    folder.mkdir(exist_ok=True)
    return StrangerCollector(FaceSaver(folder), gate, 0, None, 1.0, same_person=SamePerson(folder, describe))


def test_everybody_is_saved_once(tmp_path):
    collector = make_collector(tmp_path / "_strangers")
    assert show(collector, ADA).saved.name == "_strangers_0.png"
    again = show(collector, ADA)
    assert again.saved is None and again.reason == KNOWN
    assert [show(collector, ADA, BOB, EVE).saved is not None for _ in range(3)] == [True, True, False]
    # The faces of an earlier run count, too.
    collector = make_collector(tmp_path / "_strangers")
    assert show(collector, BOB).saved is None
    shades = sorted(round(read_image(path).mean()) for path in list_images(tmp_path / "_strangers"))
    assert len(shades) == 3 and shades == pytest.approx([ADA, BOB, EVE], abs=20)


def test_bad_faces_and_keys_save_nothing(tmp_path):
    collector = make_collector(tmp_path / "_strangers", gate=True)
    state = show(collector, ADA)  # has no edges
    assert state.saved is None and state.reason not in (None, KNOWN)
    assert collector.process_frame(Frame(np.zeros((9, 9, 3), np.uint8), 1.0, index=1), []).reason == "no face seen"
    collector.toggle_guide()
    assert collector.guide is None and collector.save_shown(state).saved is None


@pytest.mark.parametrize("flags", [["--guide"], ["--every", "5"], ["--same_person"]])
def test_flags_for_one_person_are_refused(flags, tmp_path, capsys):
    assert capture.main(["--output", str(tmp_path / "_strangers"), "--headless", *flags]) == 2
    assert "faces of strangers are saved unasked" in capsys.readouterr().err
    assert not (tmp_path / "_strangers").exists()
