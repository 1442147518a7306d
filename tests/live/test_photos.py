"""Photos in a window: forward and back, and everything that its keys do to people. Faces are colored squares."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from support import FakeWindow

from utils.display.viewers import Screen
from utils.display.window import BACKSPACE, CLOSED, ENTER, LEFT, RIGHT
from utils.faces.agreement import SearchedFace
from utils.features.feature_files import FeatureSet, load_person
from utils.live.enrollment import Enrollment
from utils.live.loops import VIEW_SIZE, show_photos, shrunk
from utils.live.outputs import Outputs
from utils.live.photo_controls import PhotoControls
from utils.live.summaries import PhotoSummary
from utils.media.images import write_image
from utils.media.sources import PhotoSource
from utils.media.video import Frame
from utils.recognition.gallery import Gallery
from utils.recognition.photo_recognizer import PhotoRecognizer

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)
SIDE, LANDMARKS = 60, np.array([(18, 20), (42, 20), (30, 32), (20, 44), (40, 44)], np.float32)


def photo(*colors: tuple[int, int, int]) -> np.ndarray:
    """A gray photo with a square of each color, from left to right."""
    image = np.full((120, 40 + 100 * len(colors), 3), 120, np.uint8)
    for number, color in enumerate(colors):
        image[30 : 30 + SIDE, 20 + 100 * number : 20 + 100 * number + SIDE] = color
    return image


def find_squares(image: np.ndarray) -> list[SearchedFace]:
    """The squares of a photo, from right to left."""
    found = []
    for x in reversed(range(20, image.shape[1] - SIDE, 100)):
        transform = np.array([[1 / SIDE, 0, -x / SIDE], [0, 1 / SIDE, -30 / SIDE]])
        found.append(SearchedFace((x, 30, SIDE, SIDE), 0.99, LANDMARKS + np.float32((x, 30)), transform, spread=0.0))
    return found if image.std() else []


class FakeExtractor:
    """Its features are the color in the middle of a chip."""

    fingerprint, dimension = "an extractor", 3

    def embed(self, chips: list[np.ndarray]) -> np.ndarray:
        middle = [chip[len(chip) // 2, len(chip) // 2] for chip in chips]
        return np.array(middle, np.float32).reshape(-1, 3)


class FakeHead:
    """Scores by the distance of colors."""

    knows_impostors = False

    def threshold_for(self, people: int) -> float:
        return 0.6

    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return np.exp(-np.linalg.norm(probes[:, None] - gallery[None], axis=2) / 50)


class Album:
    """A window on photos, whose keys are pressed one after another."""

    def __init__(self, folder: Path, *photos: np.ndarray):
        for number, image in enumerate(photos):
            write_image(folder / "photos" / f"{number}.png", image)
        self.folder, self.faces, self.features = folder, folder / "faces", folder / "features"
        features = FeatureSet(np.array([RED], np.float32), np.zeros(1, int), ["Ada"], None)
        self.recognizer = PhotoRecognizer(find_squares, FakeExtractor(), Gallery(features, FakeHead(), None, None))
        self.summary = PhotoSummary()
        self.screen = Screen(PhotoControls(), ExitStack())
        self.screen.controls.enrollment = Enrollment(
            self.recognizer, self.faces, self.features, judge=lambda *_: None, max_faces=1, renamed=self.summary.rename
        )

    def press(self, *keys: str) -> dict[str, int]:
        """Press keys, then quit, unless the last photo was left. Returns how often each person was named."""
        self.screen.window = FakeWindow([(0.0, key) for key in [*keys, "q"]])
        self.screen.controls.quit = False
        with ExitStack() as cleanup:
            source = PhotoSource(self.folder / "photos")
            outputs = Outputs(self.folder / "out", self.folder / "events.jsonl", source, cleanup)
            show_photos(source, self.recognizer, outputs, self.summary, self.screen)
        return {name: person.count for name, person in self.summary.people.items()}

    def events(self) -> list[tuple[str, list[str | None]]]:
        """The names in each event line."""
        lines = map(json.loads, (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines())
        return [(line["image"], [face["name"] for face in line["faces"]]) for line in lines]


@pytest.fixture
def album(tmp_path) -> Album:
    return Album(tmp_path, photo(RED, GREEN), photo(GREEN), np.full((80, 90, 3), 120, np.uint8), photo(BLUE, RED))


def test_keys_go_from_photo_to_photo_and_back(album):
    people = album.press(" ", RIGHT, ENTER, LEFT, "b", "b", "b", "b", " ", " ", " ", " ")
    assert people == {"Ada": 2} and len(album.screen.window.keys) == 1  # the run ended with the last photo
    assert album.events() == [("0.png", [None, "Ada"]), ("1.png", [None]), ("2.png", []), ("3.png", ["Ada", None])]
    assert sorted(path.name for path in (album.folder / "out").iterdir()) == [
        f"{number}_png.png" for number in range(4)
    ]
    assert album.summary.lines(0.0)[0] == "4 photos, 1 without a face; 5 faces, 3 unknown"
    assert "track" not in (album.folder / "events.jsonl").read_text()


@pytest.mark.parametrize("key", ["q", CLOSED])
def test_a_photo_that_is_quit_is_recorded(album, key):
    assert album.press(" ", key) == {"Ada": 1} and [name for name, _ in album.events()] == ["0.png", "1.png"]


def test_a_face_is_chosen_by_its_number_and_enrolled(album):
    # The second from the left; from then on the person is named in all photos.
    people = album.press("2", "e", *"zoë", ENTER, " ", " ", " ")
    assert people == {"Ada": 2, "Zoë": 2}
    assert album.events()[:2] == [("0.png", ["Zoë", "Ada"]), ("1.png", ["Zoë"])]
    assert [path.name for path in (album.faces / "Zoë").iterdir()] == ["Zoë_0.png"]
    np.testing.assert_array_equal(load_person(album.features, "Zoë").matrix, [GREEN])


def test_a_wrong_name_stays_away_until_undone(album):
    assert album.press("n") == {} and (album.faces / "_strangers").is_dir()
    assert album.press(" ", " ", " ") == {"Ada": 1}  # in the other photo; the first one is not asked about again
    album.press("u")
    assert album.press() == {"Ada": 2} and not (album.faces / "_strangers").exists()


def test_a_person_is_renamed_in_all_photos(album):
    album.press("2", "e", *"jonh", ENTER)
    album.press(" ", "e", "r", BACKSPACE, BACKSPACE, *"hn", ENTER)
    assert album.press() == {"Ada": 1, "John": 2}
    assert {path.name for path in album.faces.iterdir()} == {path.name for path in album.features.iterdir()} == {"John"}
    album.press(" ", "u")
    assert album.press() == {"Ada": 1, "Jonh": 2} and (album.features / "Jonh").is_dir()
    album.press("u")
    assert album.press(" ") == {"Ada": 1} and not (album.features / "Jonh").exists()


def test_somebody_who_is_gone_is_not_renamed(album):
    enrollment = album.screen.controls.enrollment
    enrollment.rename("Zoë", "Zoe")
    assert enrollment.notice == "Zoë is not enrolled any more" and not enrollment.changes
    album.press("e", "r", "x", ENTER)  # Ada has no features in these folders, so only the gallery knows her
    assert enrollment.notice == "Ada is Adax now" and enrollment.gallery.names == ["Adax"]


def test_two_people_become_one_and_two_again(album):
    album.press("2", "e", *"bea", ENTER)
    album.press(" ", " ", " ", "1", "e", *"bea b", ENTER)
    assert album.press(" ", " ", " ") == {"Ada": 2, "Bea": 2, "Bea B": 1}
    album.press(" ", " ", " ", "1", "e", "r", BACKSPACE, BACKSPACE, ENTER, ENTER)
    assert album.press(" ", " ", " ") == {"Ada": 2, "Bea": 3}
    assert len(load_person(album.features, "Bea").matrix) == 2
    album.press("u")
    assert album.press(" ", " ", " ") == {"Ada": 2, "Bea": 2, "Bea B": 1}
    assert len(load_person(album.features, "Bea").matrix) == len(load_person(album.features, "Bea B").matrix) == 1


def test_a_large_photo_is_shown_small_and_recorded_large(tmp_path):
    image = np.repeat(np.repeat(photo(RED), 30, axis=0), 30, axis=1)
    view, scale = shrunk(Frame(image, 0.0, "a.png"))
    assert max(view.image.shape) == VIEW_SIZE and scale == VIEW_SIZE / max(image.shape)
    assert shrunk(Frame(photo(RED), 0.0))[1] == 1.0
