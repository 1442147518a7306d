"""The outputs of a run: the unknown faces."""

from support import draw_selfies, recognize_all

from utils.faces.alignment import CHIP_SIZE
from utils.live.outputs import UnknownFaces
from utils.media.images import read_image


def test_the_best_chip_of_an_unknown_face_is_saved(home_setup, tmp_path):
    recognizer, *_ = home_setup
    unknown = UnknownFaces(tmp_path / "unknown", "20260102_030405_678901")
    recognizer.listeners.append(unknown)
    recognize_all(recognizer, draw_selfies(500, 4))
    recognizer.tracks.cut()
    recognize_all(recognizer, draw_selfies(101, 4), start=5)  # named, so not saved
    assert len(unknown.by_track) == 1 and unknown.saved == 1  # saved when its track ended, and forgotten
    assert unknown.save() == 1
    (path,) = (tmp_path / "unknown").iterdir()
    assert path.name == "unknown_20260102_030405_678901_1.png"
    assert read_image(path).shape == (CHIP_SIZE, CHIP_SIZE, 3)
