"""Two sides of photos: which faces they have, and which pair of candidates is the answer."""

from pathlib import Path

import numpy as np
import pytest

from utils.faces.photo_search import load_photo_search
from utils.log_odds import mean_log_odds
from utils.media.images import write_image
from utils.recognition.photo_comparison import PhotoFace, Side, compare_sides, load_side
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie


class FakeExtractor:
    """Takes the first two pixels of a chip for its features."""

    def embed(self, images: list[np.ndarray]) -> np.ndarray:
        return np.array([image[0, :2, 0] for image in images], np.float32)


class FakeHead:
    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.linalg.norm(probes[:, None] - gallery[None], axis=2) ** 2)


def photo_face(*features: int) -> PhotoFace:
    chip = np.zeros((4, 4, 3), np.uint8)
    chip[0, :2, 0] = features
    return PhotoFace(Path("photo"), None, chip)


def test_the_pair_with_the_highest_log_odds_is_the_answer():
    folder = Side(Path("folder"), [[photo_face(0, 0), photo_face(0, 2)]], [], 0)
    photo = Side(Path("photo"), [[photo_face(9, 9)], [photo_face(0, 1)], [photo_face(1, 1)]], [], 0)
    answer = compare_sides(folder, photo, FakeExtractor(), FakeHead())
    assert answer.candidate_pairs == 3 and answer.second_faces is photo.candidates[1]
    assert answer.probability == pytest.approx(0.5) and answer.distance == pytest.approx(1)
    scores = np.array([[0.9, 0.5], [0.2, 0.99]])
    odds = np.prod(scores / (1 - scores)) ** (1 / 4)
    assert mean_log_odds(scores) == pytest.approx(odds / (1 + odds))
    assert mean_log_odds(np.array([[1.0]])) == 1.0 and mean_log_odds(np.array([0.0])) == 0.0
    assert mean_log_odds(np.array([1.0, 0.0])) == pytest.approx(0.5)


def test_a_folder_has_the_main_face_of_each_photo(tmp_path):
    rng = np.random.default_rng(20)
    ada, bea = (draw_selfie(sample_identity(number), rng) for number in (900, 901))
    photo = np.full((480, 960, 3), 120, np.uint8)
    photo[:, :480] = ada[:480, :480]
    photo[100:340, 600:840] = bea[:480:2, :480:2]
    write_image(tmp_path / "two.png", photo)
    search = load_photo_search()
    side = load_side(tmp_path, search)
    assert len(side.candidates) == 1 and len(side.candidates[0]) == 1 and side.crowded_photos == 1
    assert side.candidates[0][0].face.box[0] < 480
    assert len(load_side(tmp_path / "two.png", search).candidates) == 2
