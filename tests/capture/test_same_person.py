"""Whether capture.py notices that another person's face is about to be saved."""

import numpy as np
import pytest

from utils.capture.collector import UNLIKE, Collector
from utils.capture.loops import collect_from_frames
from utils.capture.same_person import MAX_KNOWN, SamePerson
from utils.faces.alignment import Face
from utils.faces.folder import FaceSaver
from utils.media.images import read_image, write_image
from utils.media.video import Frame

ADA, BOB = 60, 200  # gray levels, which stand for faces here


def describe(chip: np.ndarray) -> np.ndarray:
    """A descriptor in which the two people are one apart."""
    return np.full(128, float(chip.mean() > 128) / np.sqrt(128), np.float32)


def chip_of(person: int) -> np.ndarray:
    return np.full((224, 224, 3), person, np.uint8)


class Film:
    """A source of plain frames, one a second; each is one face, as `detect` has it."""

    rate = 1.0

    def __init__(self, people: list[int]):
        self.people = people

    def frames(self):
        for index, person in enumerate(self.people):
            yield Frame(chip_of(person), float(index), index=index)


def detect(image: np.ndarray) -> list[Face]:
    """One face that fills the image."""
    points = np.float32([[75, 80], [149, 80], [112, 120], [80, 150], [144, 150]])
    return [Face((0, 0, 224, 224), 1.0, points, np.array([[1 / 224, 0, 0], [0, 1 / 224, 0]]))]


def make_collector(folder, every=1) -> Collector:
    folder.mkdir(exist_ok=True)
    return Collector(FaceSaver(folder), False, every, None, 1.0, same_person=SamePerson(folder, describe))


def saved_people(folder) -> list[int]:
    paths = sorted(folder.iterdir(), key=lambda path: int(path.stem.split("_")[-1]))
    return [round(float(read_image(path).mean())) for path in paths]


def test_without_a_window_another_person_is_left_out(tmp_path, capsys):
    folder = tmp_path / "ada"
    film = [ADA, ADA, BOB, BOB, BOB, ADA, BOB]
    collect_from_frames(Film(film), detect, make_collector(folder), None)
    assert saved_people(folder) == [ADA, ADA, ADA]
    error = capsys.readouterr().err
    assert error.count("warning:") == 2 and "the face at 2.0 s" in error and "--same_person" in error
    # The faces of an earlier run count, too.
    collector = make_collector(folder)
    collect_from_frames(Film([BOB, ADA]), detect, collector, None)
    assert saved_people(folder) == [ADA] * 4 and collector.rejected[UNLIKE] == 1


def test_the_user_can_say_that_it_is_the_same_person(tmp_path):
    collector = make_collector(tmp_path / "ada", every=0)

    def show(person: int, time: float):
        image = chip_of(person)
        return collector.process_frame(Frame(image, time, index=int(time * 10)), detect(image))

    collector.request_save()
    assert show(ADA, 0.1).saved
    collector.request_save()
    asked = show(BOB, 0.2)
    assert asked.saved is None and asked.reason == UNLIKE
    assert show(BOB, 0.3).saved is None
    collector.request_save()
    assert show(BOB, 0.4).saved  # the answer was yes
    collector.request_save()
    assert show(BOB, 0.5).saved  # so this face is known now
    for _ in range(2):
        collector.undo()
    collector.request_save()
    assert show(BOB, 0.6).reason == UNLIKE


def test_a_paused_frame_is_asked_about_first(tmp_path):
    collector = make_collector(tmp_path / "ada", every=0)
    image = chip_of(ADA)
    collector.save_shown(collector.process_frame(Frame(image, 0.0, index=0), detect(image)))
    image = chip_of(BOB)
    state = collector.process_frame(Frame(image, 2.0, index=1), detect(image))
    asked = collector.save_shown(state)
    assert asked.reason == UNLIKE and asked.saved is None
    assert collector.save_shown(asked).saved.is_file()


def test_an_answer_stands_for_a_while(tmp_path):
    """Comparing takes two frames' time, so it is not done for every frame."""
    described = []

    def count(chip):
        described.append(chip)
        return describe(chip)

    collector = make_collector(tmp_path / "ada")
    collector.same_person = SamePerson(tmp_path / "ada", count)
    for index, person in enumerate([ADA] + [BOB] * 100):
        image = chip_of(person)
        collector.process_frame(Frame(image, index / 30, index=index), detect(image))
    assert len(described) <= 6


def test_damaged_and_many_stored_faces_do_no_harm(tmp_path):
    for number in range(3 * MAX_KNOWN):
        write_image(tmp_path / f"{number}.png", chip_of(ADA))
    (tmp_path / "broken.png").write_bytes(b"broken")
    described = []
    same = SamePerson(tmp_path, lambda chip: described.append(chip) or describe(chip))
    assert len(described) in (MAX_KNOWN - 1, MAX_KNOWN)
    assert same.is_unlike(chip_of(BOB)) and not same.is_unlike(chip_of(ADA))


@pytest.mark.slow
def test_real_faces_are_told_apart(real_data, tmp_path):
    people = [sorted(folder.glob("*.jpg")) for folder in sorted((real_data / "johns").iterdir()) if folder.is_dir()]
    errors = trials = 0
    for paths in people:
        same = SamePerson(tmp_path)
        for path in paths[:4]:
            same.add(read_image(path))
        errors += sum(same.is_unlike(read_image(path)) for path in paths[4:])
        others = [path for other in people if other is not paths for path in other[:3]]
        errors += sum(not same.is_unlike(read_image(path)) for path in others)
        trials += len(paths[4:]) + len(others)
    assert trials > 50 and errors <= 0.02 * trials
