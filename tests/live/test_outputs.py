"""What a run leaves behind: the faces of strangers."""

from support import show, view

from utils.live.outputs import UnknownFaces
from utils.media.images import read_image


def test_the_best_picture_of_a_stranger_is_kept(home_setup, tmp_path):
    recognizer, *_ = home_setup
    unknown = UnknownFaces(tmp_path / "unknown")
    recognizer.listeners.append(unknown)
    show(recognizer, view(500, 4))
    recognizer.tracks.cut()
    show(recognizer, view(101, 4), start=5)  # known: not kept
    assert unknown.save() == 1
    (path,) = (tmp_path / "unknown").iterdir()
    assert read_image(path).shape == (224, 224, 3)
