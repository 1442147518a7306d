"""Turning photos into chips: whose face is taken."""

from pathlib import Path

import numpy as np
import pytest

from utils.media.images import read_image
from utils.recognition.photo_conversion import Outcome, PhotoConverter


class Group:
    """A photo of two faces, whose chips are gray."""

    def chip(self, face: int) -> np.ndarray:
        return np.full((8, 8, 3), face, np.uint8)


class Converter(PhotoConverter):
    def main_faces(self, photo: Path) -> tuple[Group, list[int], str]:
        return Group(), [10, 200], ""


@pytest.mark.parametrize("compares", [True, False])
def test_any_face_of_strangers_will_do(compares, tmp_path):
    converter = Converter(None, 960, 40, largest=True, compares=compares)
    chip = tmp_path / "_strangers" / "party.png"
    assert converter.convert(tmp_path / "party.jpg", chip) == Outcome()
    assert read_image(chip).max() == 10
    ada = converter.convert(tmp_path / "party.jpg", tmp_path / "ada" / "party.png")
    assert ada.undecided == compares and bool(ada.doubt) != compares
